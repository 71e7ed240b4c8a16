"""Which settings describe which configuration: what the steps declare, by rule of the metadata and input.

The modules with settings are imported when something is checked or documented, because they need pydantic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dataflow.registry.step import Step
from dataflow.registry.steps import STEPS

if TYPE_CHECKING:
    from dataflow.keys.channel import Channel

    from .settings import StepSettings
    from .stepconfig import StepConfig

OPTIONS = "options"
ANY_DAQ = "tier_raw"
"""Stands for the rules of all forms of DAQ files, which have the same settings."""
SECTIONS: Mapping[str, frozenset[str]] = {
    "processing_chain": frozenset({"outputs", "processors"}),
    "proc_chain": frozenset({"outputs", "processors"}),
    "hit_config": frozenset({"outputs", "operations"}),
    "evt_config": frozenset({"channels", "outputs", "operations"}),
}
"""Entries that make a configuration complete: with all of them it stands alone, as in the published flow."""
_BY_RULE: Mapping[str, Step] = {step.rule.removesuffix("_{daq}"): step for step in STEPS if step.rule}


def documented_rules() -> tuple[str, ...]:
    """The rules whose settings are declared, in the order of the registry; one for all forms of DAQ files."""
    return tuple(_BY_RULE)


def configured_inputs(rule: str) -> tuple[str, ...]:
    """The inputs of a rule that have settings."""
    step = _step(rule)
    return tuple(name for name, place in step.configs.items() if place) if step else ()


def home(rule: str, name: str) -> tuple[str, str]:
    """The folder of the step that declares the settings of an input, and what that step calls it; empty without any."""
    step = _step(rule)
    place = step.configs.get(name, "") if step else ""
    folder = place.partition(".")[0]
    owners = (each.configs for each in STEPS if each.module.split(".")[1] == folder)
    return folder, next((own for configs in owners for own, kind in configs.items() if kind == place), name)


@cache
def check_of(rule: str) -> Callable[[StepConfig, Channel], object] | None:
    """What checks the inputs of a rule together; None where nothing is declared."""
    step = _step(rule)
    found: Callable[[StepConfig, Channel], object] | None = _load(step.check) if step and step.check else None
    return found


@cache
def schema(rule: str, name: str) -> type[StepSettings] | None:
    """The settings of an input, or of the options of a rule; None where none are declared."""
    step = _step(rule)
    if step is None:
        return None
    name = name.partition(".")[0]
    place = step.configs.get(name, "") if name != OPTIONS else step.options
    found: type[StepSettings] | None = _load(place) if place else None
    return _any_options() if name == OPTIONS and found is None else found


def _step(rule: str) -> Step | None:
    is_raw = rule.startswith(f"{ANY_DAQ}_") and not rule.startswith(f"{ANY_DAQ}_blind")
    return _BY_RULE.get(ANY_DAQ if is_raw else rule)


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"dataflow.steps.{module}"), name)


def _any_options() -> type[StepSettings]:
    from .settings import StepOptions

    return StepOptions
