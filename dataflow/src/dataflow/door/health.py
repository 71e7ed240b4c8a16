"""What may be wrong with the metadata of a cycle, and with the code of its steps: all is planned, nothing made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from dataflow.base.errors import UserError
from dataflow.keys.channel import Channel
from dataflow.keys.inventory import left_out_note
from dataflow.metadata.validity import Folder
from dataflow.plan.cycle import Cycle
from dataflow.plan.job import Unit
from dataflow.plan.noeffect import findings as without_effect
from dataflow.plan.survey import all_jobs
from dataflow.plan.targets import no_data
from dataflow.setup.config import Setup

from .setups import setup_of

MOST = 10
"""As many findings are shown."""
OK, WARNING, BAD = "ok", "warning", "bad"
OWN_MAP = "each file is taken by its own map and statuses: see docs/configuration.md; else let it begin with a run"
Finding = tuple[str, str, str]
"""A state, a sentence, and what fixes it."""


def metadata(question: Mapping[str, Any]) -> list[Finding]:
    """Compute the recipe of everything that the data allow, which reads all metadata, configuration and code."""
    return list(findings(setup_of(question)))


def findings(setup: Setup) -> Iterator[Finding]:
    """What was found, as state, sentence and remedy."""
    cycle = Cycle(setup)
    problems: dict[str, str] = {}
    for look in (lambda: cycle.series, *_pieces(cycle)):
        _try(look, problems)
    try:
        runs = cycle.series
        jobs = list(all_jobs(cycle))
    except UserError as error:
        _add(problems, error)
        yield from _told(problems)
        return
    if note := left_out_note(cycle.inventory, setup.path("tier_daq")):
        yield WARNING, note, "rename them, move them away, or leave them"
    for step, unit in jobs:
        _plan(cycle, step, unit, problems)
    _build_chains(cycle, problems)
    yield from _told(problems)
    if not runs:
        yield WARNING, no_data(cycle), "put DAQ files there, or change paths.tier_daq"
    elif not problems:
        yield OK, f"all {len(runs)} runs can be planned", ""
        yield from _changes(cycle)
    for found in without_effect(cycle):
        if found.message not in problems:
            yield WARNING, found.message, found.hint


def _told(problems: Mapping[str, str]) -> Iterator[Finding]:
    for message, hint in list(problems.items())[:MOST]:
        yield BAD, message, hint
    if len(problems) > MOST:
        yield BAD, f"and {len(problems) - MOST} more of this kind", "fix these first"


def _pieces(cycle: Cycle) -> Iterator[Callable[[], object]]:
    """Looks at metadata that do not need one another, so that what is wrong with one does not hide the others."""
    metadata = cycle.metadata
    for name in ("ignored", "runlists", "cal_groupings", "runinfo", "run_overrides"):
        yield lambda name=name: getattr(metadata.datasets, name)  # type: ignore[misc]
    for folder in (metadata.channelmaps, metadata.statuses):
        yield lambda folder=folder: _read_all(folder)  # type: ignore[misc]


def _read_all(folder: Folder) -> None:
    """Read everything that a folder of metadata has at any time."""
    for category, entries in folder.validity.timelines.items() if folder.file else ():
        for entry in entries:
            folder.on(entry.valid_from, category)


def _try(look: Callable[[], object], problems: dict[str, str]) -> None:
    try:
        look()
    except UserError as error:
        _add(problems, error)


def _changes(cycle: Cycle) -> Iterator[Finding]:
    """Channel maps and statuses that become others inside a run."""
    found: dict[str, str] = {}
    for run, keys in cycle.series.items():
        for before, after in pairwise(keys):
            old, new = cycle.metadata.channels(before), cycle.metadata.channels(after)
            if old is not new:
                for name, what in _changed(old, new):
                    found.setdefault(f"{name} {what} inside the run {run}, at {after.timestamp}", name)
    for what in list(found)[:MOST]:
        yield WARNING, what, OWN_MAP
    if len(found) > MOST:
        yield WARNING, f"and {len(found) - MOST} more changes inside of runs", OWN_MAP


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


def _build_chains(cycle: Cycle, problems: dict[str, str]) -> None:
    """Add what dspeed says of the chains of the metadata."""
    try:
        cycle.chains.builds.check()
    except UserError as error:
        _add(problems, error)


def _add(problems: dict[str, str], error: UserError) -> None:
    for each in error.all():
        problems.setdefault(each.message, each.hint)


def _plan(cycle: Cycle, step: str, unit: Unit, problems: dict[str, str]) -> None:
    """Add what is wrong with a job; what is wrong with a whole run is told once."""
    if not cycle.is_made(step, unit):
        return
    try:
        if unit.key == cycle.series[unit.key.series][0]:
            cycle.chains.check(cycle.job(step, unit))
            cycle.hit_columns.check(cycle.job(step, unit))
        cycle.lineages.check(step, unit)
    except UserError as error:
        _add(problems, error)
