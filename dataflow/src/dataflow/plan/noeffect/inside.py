"""Configuration of a step that changes inside a run, which is calibrated as a whole by that of its begin."""

from __future__ import annotations

from collections.abc import Iterator

from dataflow.keys.key import Key
from dataflow.registry.step import Scope, Step

from ..job import Unit
from .finding import Finding
from .held import Held

HINT = "let it hold from the beginning of a run on; steps for single files take each file by what holds at its time"


def changed(held: Held) -> Iterator[Finding]:
    """Changes that a step for a run or a partition does not follow: what holds at its first file holds for all."""
    for step in held.cycle.steps:
        if step.rule and step.scope in (Scope.RUN, Scope.PARTITION):
            for unit in held.cycle.units.of(step):
                key = _other(held, step, unit)
                if key is not None:
                    where = held.config.file or held.config.path
                    said = f"{where}: the configuration of {step.rule} changes inside {_name(unit)}, at {key.timestamp}"
                    yield Finding(f"{said}: {step.name} takes what holds at {unit.key.timestamp} for all of it", HINT)


def _other(held: Held, step: Step, unit: Unit) -> Key | None:
    """The first file of a unit at which its step would be configured otherwise."""
    begin = held.cycle.config(step, unit.key)
    for key in held.turns(unit):
        now = held.cycle.config(step, key)
        if (begin.inputs, begin.options) != (now.inputs, now.options):
            return key
    return None


def _name(unit: Unit) -> str:
    return str(unit) if unit.group else unit.key.series
