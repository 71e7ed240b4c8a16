"""Which settings describe which configuration: by rule of the metadata and input, as ``module:class``.

The modules are imported when something is checked or documented, because they need pydantic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Channel
    from .settings import StepSettings
    from .stepconfig import StepConfig

OPTIONS = "options"
_CHAIN = "tiers.dsp_settings:ProcessingChain"
_RAW = {
    "settings": "tiers.raw_settings:RawSettings",
    "out_spec": "tiers.raw_settings:OutSpec",
    OPTIONS: "tiers.raw_settings:RawOptions",
}
_NONE = "settings:StepOptions"

SCHEMAS: Mapping[str, Mapping[str, str]] = {
    "tier_raw": _RAW,
    "tier_tcm": {"config": "tiers.tcm_settings:TcmSettings", OPTIONS: _NONE},
    "tier_dsp": {"processing_chain": _CHAIN, OPTIONS: "tiers.dsp_settings:DspOptions"},
    "tier_hit": {"hit_config": "tiers.hit_settings:HitConfig", OPTIONS: "tiers.hit_settings:HitOptions"},
    "tier_evt": {"evt_config": "tiers.evt_settings:EvtConfig", OPTIONS: "tiers.evt_settings:EvtOptions"},
    "tier_skm": {"skm_config": "tiers.skm_settings:SkmConfig", OPTIONS: _NONE},
    "pars_dsp_tau": {
        "tau_config": "pars.pz_settings:PzSettings",
        "processing_chain": _CHAIN,
        OPTIONS: _NONE,
    },
    "pars_hit_ecal": {
        "ecal_config": "pars.ecal_settings:Settings",
        "sources": "pars.ecal_settings:Sources",
        OPTIONS: _NONE,
    },
}
"""Settings of the inputs of each rule, and of its options; ``tier_raw`` stands for the rules of all DAQ formats."""

CHECKS: Mapping[str, str] = {"pars_hit_ecal": "pars.lines:calibration_of"}
"""What is also called for each configured channel while planning: where inputs must fit one another."""

SECTIONS: Mapping[str, frozenset[str]] = {
    "processing_chain": frozenset({"outputs", "processors"}),
    "hit_config": frozenset({"outputs", "operations"}),
    "evt_config": frozenset({"channels", "outputs", "operations"}),
}
"""Entries that make a configuration complete: with all of them it stands alone, as in the published flow."""


def _family(rule: str) -> str:
    is_raw = rule.startswith("tier_raw_") and not rule.startswith("tier_raw_blind")
    return "tier_raw" if is_raw else rule


@cache
def check_of(rule: str) -> Callable[[StepConfig, Channel], object] | None:
    """What checks the inputs of a rule together; None where nothing is declared."""
    module, _, name = CHECKS.get(rule, "").partition(":")
    found: Callable[[StepConfig, Channel], object] | None
    found = getattr(import_module(f"dataflow.{module}"), name) if module else None
    return found


@cache
def schema(rule: str, name: str) -> type[StepSettings] | None:
    """The settings of an input, or of the options of a rule; None where none are declared."""
    place = SCHEMAS.get(_family(rule), {}).get(name.partition(".")[0])
    if place is None:
        return None
    module, _, kind = place.partition(":")
    parent = "plan." if module == "settings" else ""
    found: type[StepSettings] = getattr(import_module(f"dataflow.{parent}{module}"), kind)
    return found
