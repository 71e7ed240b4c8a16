"""What outputs would be made by now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataflow.base.errors import UserError
from dataflow.keys.key import Key
from dataflow.plan.cycle import Cycle
from dataflow.registry.steps import BY_NAME

from .setups import setup_of


def wanted(question: Mapping[str, Any]) -> list[str]:
    """The lineages of `outputs` (each a ``step`` with the ``fields`` of its key); an empty text where there is none."""
    cycle = Cycle(setup_of(question))
    return [_lineage(cycle, each["step"], each["fields"]) for each in question["outputs"]]


def _lineage(cycle: Cycle, step: str, fields: Mapping[str, str]) -> str:
    key = key_of(cycle, fields)
    if key is None or step not in BY_NAME:
        return ""
    try:
        return cycle.lineage(step, key)
    except UserError:
        return ""


def key_of(cycle: Cycle, fields: Mapping[str, str]) -> Key | None:
    """The key that the job of an output is called with, None if there is no data for it."""
    name = "-".join(fields.values())
    if "timestamp" in fields:
        return cycle.scheme.parse(name)
    if not fields:
        return cycle.keys[0] if cycle.keys else None
    return next(iter(cycle.series.get(name, ())), None)
