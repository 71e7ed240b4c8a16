"""What may be wrong with the metadata of a cycle, and with the code of its steps: all is planned, nothing made."""

from __future__ import annotations

from collections.abc import Iterator

from dataflow.plan.config import Setup
from dataflow.plan.cycle import Cycle
from dataflow.plan.errors import UserError as PlanError
from dataflow.plan.inventory import left_out_note
from dataflow.plan.model import Unit
from dataflow.plan.noeffect import findings
from dataflow.plan.survey import all_jobs
from prodenv.health import BAD, OK, WARNING, Finding

MOST = 10
"""As many findings are shown."""
AREA = "metadata"
DATA = "data"


def metadata(setup: Setup) -> Iterator[Finding]:
    """Compute the recipe of everything that the data allow, which reads all metadata, configuration and code."""
    cycle = Cycle(setup)
    problems: dict[str, str] = {}
    try:
        runs = cycle.series
        jobs = list(all_jobs(cycle))
    except PlanError as slip:
        yield Finding(AREA, BAD, slip.message, slip.hint)
        return
    if note := left_out_note(cycle.inventory, setup.path("tier_daq")):
        yield Finding(DATA, WARNING, note, "rename them, move them away, or leave them")
    for step, unit in jobs:
        _plan(cycle, step, unit, problems)
    for message, hint in list(problems.items())[:MOST]:
        yield Finding(AREA, BAD, message, hint)
    if len(problems) > MOST:
        yield Finding(AREA, BAD, f"and {len(problems) - MOST} more of this kind", "mend these first")
    if not runs:
        mend = "put DAQ files there, or change paths.tier_daq"
        yield Finding(AREA, WARNING, f"there are no data in {setup.path('tier_daq')}", mend)
    elif not problems:
        yield Finding(AREA, OK, f"all {len(runs)} runs can be planned")
    for found in findings(cycle):
        yield Finding(AREA, WARNING, found.message, found.hint)


def _plan(cycle: Cycle, step: str, unit: Unit, problems: dict[str, str]) -> None:
    """Add what is wrong with a job; what is wrong with a whole run is told once."""
    if not cycle.is_made(step, unit):
        return
    try:
        if unit.key == cycle.series[unit.key.series][0]:
            cycle.job(step, unit)
        cycle.lineages.check(step, unit)
    except PlanError as slip:
        problems.setdefault(slip.message, slip.hint)
