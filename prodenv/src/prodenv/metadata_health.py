"""What may be wrong with the metadata of a cycle, and with the code of its steps: all is planned, nothing made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from dataflow.plan.config import Setup
from dataflow.plan.cycle import Cycle
from dataflow.plan.errors import UserError as PlanError
from dataflow.plan.model import Channel, Key
from dataflow.plan.steps import calibrated_tiers
from dataflow.plan.survey import all_jobs
from dataflow.plan.words import nearest
from prodenv.health import BAD, OK, WARNING, Finding

MOST = 10
"""As many findings are shown."""
AREA = "metadata"
OWN_MAP = "each file is taken by its own map and statuses: see docs/configuration.md; else let it begin with a run"


def metadata(setup: Setup) -> Iterator[Finding]:
    """Compute the recipe of everything that the data allow, which reads all metadata, configuration and code."""
    cycle = Cycle(setup)
    problems: dict[str, str] = {}
    try:
        runs = cycle.runs
        jobs = list(all_jobs(cycle))
    except PlanError as slip:
        yield Finding(AREA, BAD, slip.message, slip.hint)
        return
    for step, key in jobs:
        _plan(cycle, step, key, problems)
    for message, hint in list(problems.items())[:MOST]:
        yield Finding(AREA, BAD, message, hint)
    if len(problems) > MOST:
        yield Finding(AREA, BAD, f"and {len(problems) - MOST} more of this kind", "mend these first")
    if not runs:
        mend = "put DAQ files there, or change paths.tier_daq"
        yield Finding(AREA, WARNING, f"there are no data in {setup.path('tier_daq')}", mend)
    elif not problems:
        yield Finding(AREA, OK, f"all {len(runs)} runs can be planned")
        yield from _overrides(cycle)
        yield from _changes(cycle)


def _changes(cycle: Cycle) -> Iterator[Finding]:
    """Channel maps and statuses that become others inside a run."""
    found: dict[str, str] = {}
    for run, keys in cycle.runs.items():
        for before, after in pairwise(keys):
            old, new = cycle.metadata.channels(before), cycle.metadata.channels(after)
            if old is not new:
                for name, what in _changed(old, new):
                    found.setdefault(f"{name} {what} inside the run {run}, at {after.timestamp}", name)
    for what in list(found)[:MOST]:
        yield Finding(AREA, WARNING, what, "each file is taken by its own; see docs/configuration.md")
    if len(found) > MOST:
        yield Finding(
            AREA, WARNING, f"and {len(found) - MOST} more changes inside of runs", "see docs/configuration.md"
        )


def _changed(old: Iterable[Channel], new: Iterable[Channel]) -> Iterator[tuple[str, str]]:
    """Detectors, and how one map differs from the one before."""
    before, after = ({channel.name: channel for channel in channels} for channels in (old, new))
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        if one is None or other is None:
            yield name, "leaves the channel map" if one else "comes into the channel map"
            continue
        if one.rawid != other.rawid:
            yield name, f"changes its channel number from {one.rawid} to {other.rawid}"
        for field in ("processable", "usability", "psd"):
            if getattr(one, field) != getattr(other, field):
                yield name, f"changes {field} from {getattr(one, field)} to {getattr(other, field)}"


def _overrides(cycle: Cycle) -> Iterator[Finding]:
    """Hand-made parameters of detectors that no channel map has."""
    known: set[str] = set()
    named: dict[str, str] = {}
    for keys in cycle.runs.values():
        known |= {channel.name for channel in cycle.metadata.channels(keys[0])}
        for tier in calibrated_tiers():
            named |= dict.fromkeys(cycle.metadata.override_content(tier, keys[0]), tier)
    for name in sorted(named.keys() - known)[:MOST]:
        what = f"the {named[name]} overrides have parameters of {name}, which is in no channel map: no file takes them"
        yield Finding(AREA, WARNING, what, nearest(name, known))


def _plan(cycle: Cycle, step: str, key: Key, problems: dict[str, str]) -> None:
    """Add what is wrong with a job; what is wrong with a whole run is told once."""
    if not cycle.is_made(step, key):
        return
    try:
        if key == cycle.runs[key.run][0]:
            cycle.chains.check(cycle.job(step, key))
        cycle.lineages.check(step, key)
    except PlanError as slip:
        problems.setdefault(slip.message, slip.hint)
