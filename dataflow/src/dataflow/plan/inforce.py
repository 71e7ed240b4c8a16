"""The configuration of a step that is in force, with the origin of every value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataflow.base.errors import UserError
from dataflow.base.messages import nearest
from dataflow.base.textfile import TextFile
from dataflow.keys.channel import Channel
from dataflow.keys.key import Key
from dataflow.metadata.layers import Layers, Location
from dataflow.metadata.schemas import OPTIONS, schema
from dataflow.metadata.stepconfig import NESTED, RULES, SHARED, StepConfig
from dataflow.registry.step import Step

if TYPE_CHECKING:
    from .cycle import Cycle

SHIPPED = "default"
"""Origin of what comes with the dataflow."""


@dataclass(frozen=True)
class Shown:
    """One value in force.

    Attributes
    ----------
    place
        Keys and positions that lead to it.
    value
        The value.
    origin
        ``file:line``, the file relative to the cycle where it lies in it, or ``default``.
    file, line
        Where that is; an empty text and 0 for a default of the code.
    """

    place: Location
    value: Any
    origin: str
    file: str = ""
    line: int = 0


def in_force(cycle: Cycle, step: str, detector: str = "", at: str = "") -> dict[str, Any]:
    """What configures a step, as a plain document.

    Parameters
    ----------
    cycle
        The cycle.
    step
        Name of the step.
    detector
        A detector, or an empty string for all: those with the same configuration are one entry.
    at
        The key of a file, or an empty string for the last one that the step is for.

    Returns
    -------
    dict
        ``step``, ``rule``, ``key``, and ``parts``: ``name``, ``detectors``, ``files`` and ``values`` of each.

    Raises
    ------
    UserError
        If step, detector or key are not known, or the configuration is wrong.
    """
    kind = _step(cycle, step)
    key = cycle.scheme.key(at) if at else _last_key(cycle, kind)
    if not kind.rule:
        raise UserError(f"{step} has no configuration", hint=f"with one: {', '.join(_configurable(cycle))}")
    config = cycle.config(kind, key)
    channels = _channels(cycle, kind, config, key, detector)
    config.check(channels)
    parts = [_part(cycle, *each) for each in _parts(kind, config, channels)]
    parts += [_options(cycle, config, key), _site(cycle, step)]
    found = [part for part in parts if part["values"]]
    return {"step": step, "rule": config.rule, "key": str(key), "parts": found}


def _step(cycle: Cycle, name: str) -> Step:
    if name not in cycle.registry.by_name:
        raise UserError(f"there is no step {name!r}", hint=nearest(name, _configurable(cycle)))
    return cycle.registry.by_name[name]


def _configurable(cycle: Cycle) -> list[str]:
    return [step.name for step in cycle.steps if step.rule]


def _last_key(cycle: Cycle, step: Step) -> Key:
    """The last file that a step is for."""
    keys = list(cycle.keys)
    if step.kind == "par":
        catalog = cycle.catalog_of(step.tier)
        keys = [key for key in keys if (key in catalog if step.merged else key.datatype in step.datatypes)]
    if "{daq}" in step.rule:
        keys = [key for key in keys if key in cycle.inventory.daq]
    if not keys:
        raise UserError(f"there is no data that {step.name} is for", hint="give --at a key")
    return keys[-1]


def _channels(cycle: Cycle, step: Step, config: StepConfig, key: Key, detector: str) -> tuple[Channel, ...]:
    """The channels that a step works on, or the one that is asked for."""
    there = cycle.metadata.channels(key)
    wanted = tuple(
        channel for channel in there if not step.channels.systems or cycle.selection.is_wanted(step, channel, config)
    )
    if not detector:
        return wanted
    chosen = tuple(channel for channel in wanted if channel.name == detector)
    if not chosen and detector in {channel.name for channel in there}:
        systems = ", ".join(step.channels.systems)
        raise UserError(f"{step.name} does not work on {detector} at {key}", hint=f"it works on {systems}")
    if not chosen:
        names = [channel.name for channel in wanted]
        raise UserError(f"there is no detector {detector!r} at {key}", hint=nearest(detector, names))
    return chosen


def _parts(
    step: Step, config: StepConfig, channels: Iterable[Channel]
) -> Iterator[tuple[str, Layers, tuple[str, ...], type | None]]:
    """The inputs of a step: name, layers, the detectors that it is for (none: all), and the settings it declares."""
    for name in step.configs:
        kind = schema(config.rule, name)
        if name in NESTED and isinstance(config.inputs.get(name), dict):
            for part in config.inputs[name]:
                yield f"{name}.{part}", config.layers(f"{name}.{part}"), (), kind
        elif name in SHARED or name in NESTED:
            yield name, config.layers(name), (), kind
        else:
            grouped: dict[int, tuple[Layers, list[str]]] = {}
            for channel in channels:
                layers = config.layers(name, channel)
                grouped.setdefault(id(layers), (layers, []))[1].append(channel.name)
            for layers, names in grouped.values():
                yield name, layers, tuple(names), kind


def _part(cycle: Cycle, name: str, layers: Layers, detectors: tuple[str, ...], kind: Any) -> dict[str, Any]:
    values = [_shown(cycle, place, value.value, value.text, value.line, layers) for place, value in layers.values()]
    given = {value.place[0] for value in values}
    for entry, default in _declared(kind) if layers.files or kind else ():
        if entry not in given:
            values.append(Shown((entry,), default, SHIPPED))
    files = [_relative(cycle, text.path) for text in layers.files]
    return {"name": name, "detectors": list(detectors), "files": files, "values": [vars(value) for value in values]}


def _declared(kind: Any) -> Iterator[tuple[str, Any]]:
    """The entries of settings with a default of their own."""
    for name, field in kind.model_fields.items() if kind else ():
        if not field.is_required() and (value := field.get_default(call_default_factory=True)) not in (None, (), {}):
            yield name, value


def _options(cycle: Cycle, config: StepConfig, key: Key) -> dict[str, Any]:
    """The options of the rule, with the file of ``dataprod/config`` that says each."""
    values = []
    files = cycle.metadata.config_files(key)
    for place, value in _leaves(config.options, ()):
        where = (RULES, config.rule, OPTIONS, *place)
        text = next((text for text in reversed(files) if text.says(*where)), None)
        line = text.line(*where) if text else 0
        values.append(_shown(cycle, place, value, text, line, None))
    return {"name": OPTIONS, "detectors": [], "files": [], "values": [vars(value) for value in values]}


def _site(cycle: Cycle, step: str) -> dict[str, Any]:
    """What ``settings`` of the configuration file says of the step; it wins over the metadata."""
    setup = cycle.setup
    text = TextFile(setup.file, None)
    outer = ("setups", setup.experiment) if text.names("setups") else ()
    values = []
    for place, value in _leaves(setup.settings.get(step) or {}, ()):
        line = text.line(*outer, "settings", step, *place)
        values.append(_shown(cycle, place, value, text, line, None))
    return {"name": "settings of the cycle", "detectors": [], "files": [], "values": [vars(v) for v in values]}


def _leaves(value: Any, place: Location) -> Iterator[tuple[Location, Any]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(item, (*place, str(name)))
    elif value != {} or place:
        yield place, value


def _shown(cycle: Cycle, place: Location, value: Any, text: TextFile | None, line: int, layers: Layers | None) -> Shown:
    if text is None:
        return Shown(place, value, SHIPPED)
    file = _relative(cycle, text.path)
    shipped = layers is not None and text in layers.shipped
    return Shown(place, value, SHIPPED if shipped else f"{file}:{line}", file, line)


def _relative(cycle: Cycle, path: Path) -> str:
    root = cycle.setup.directory
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
