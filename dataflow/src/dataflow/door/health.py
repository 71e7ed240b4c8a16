"""What may be wrong with the metadata of a cycle, and with the code of its steps: all is planned, nothing made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataflow.plan.config import Setup
from dataflow.plan.cycle import Cycle
from dataflow.plan.errors import UserError
from dataflow.plan.inventory import left_out_note
from dataflow.plan.model import Unit
from dataflow.plan.noeffect import findings as without_effect
from dataflow.plan.survey import all_jobs

from .setups import setup_of

MOST = 10
"""As many findings are shown."""
OK, WARNING, BAD = "ok", "warning", "bad"
Finding = tuple[str, str, str]
"""A state, a sentence, and what mends it."""


def metadata(question: Mapping[str, Any]) -> list[Finding]:
    """Compute the recipe of everything that the data allow, which reads all metadata, configuration and code."""
    return list(findings(setup_of(question)))


def findings(setup: Setup) -> Iterator[Finding]:
    """What was found, as state, sentence and remedy."""
    cycle = Cycle(setup)
    problems: dict[str, str] = {}
    try:
        runs = cycle.series
        jobs = list(all_jobs(cycle))
    except UserError as error:
        yield BAD, error.message, error.hint
        return
    if note := left_out_note(cycle.inventory, setup.path("tier_daq")):
        yield WARNING, note, "rename them, move them away, or leave them"
    for step, unit in jobs:
        _plan(cycle, step, unit, problems)
    for message, hint in list(problems.items())[:MOST]:
        yield BAD, message, hint
    if len(problems) > MOST:
        yield BAD, f"and {len(problems) - MOST} more of this kind", "mend these first"
    if not runs:
        mend = "put DAQ files there, or change paths.tier_daq"
        yield WARNING, f"there are no data in {setup.path('tier_daq')}", mend
    elif not problems:
        yield OK, f"all {len(runs)} runs can be planned", ""
    for found in without_effect(cycle):
        yield WARNING, found.message, found.hint


def _plan(cycle: Cycle, step: str, unit: Unit, problems: dict[str, str]) -> None:
    """Add what is wrong with a job; what is wrong with a whole run is told once."""
    if not cycle.is_made(step, unit):
        return
    try:
        if unit.key == cycle.series[unit.key.series][0]:
            cycle.job(step, unit)
        cycle.lineages.check(step, unit)
    except UserError as error:
        problems.setdefault(error.message, error.hint)
