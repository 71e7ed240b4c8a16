"""What was planned of a large cycle, kept for the next time that somebody looks at it.

While a production runs, ``dataprod status`` is asked again and again, and nothing changes but the outputs. Planning
fifty thousand jobs takes longer than looking at what there is of them, so what they would make is kept in
``generated/tmp/plan.jsonl`` with a *stamp*: the hash of all that it was planned from. That is the configuration, each
file of the metadata and of the dataflow (see :mod:`dataflow.base.filestate`), the installed software, and the DAQ files
with their identities. With another stamp, or where outputs are there that no job of ours made, all is planned again.
What is *made* is always planned: only those who look read this file, and without it they wait longer.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataflow.base.filestate import ABSENT, FileState, last_change, state_of
from dataflow.base.parts import write_whole
from dataflow.keys.daqforms import foreign_names
from dataflow.keys.key import Key
from dataflow.provenance.code import HERE, code_of
from dataflow.registry.step import Scope

from .batches import are_many
from .cycle import Cycle
from .job import Unit
from .stretches import Stretch
from .tasks import Jobs, Task

FILE = "plan.jsonl"
FORM = 1
"""The number of this form of the file."""
METADATA = ("inputs", "config", "par_overwrite", "chan_map", "detector_status", "detector_db")
"""Folders, by their names in the configuration, of which each file is looked at."""
LEFT_OUT = frozenset({".git", "__pycache__"})
"""What is no part of the metadata or the code."""
RESTING, RESTING_WHOLE_SECONDS = 0.25, 2.5
"""Seconds since the last change of anything: what changes twice within one tick of a clock looks as if it had not.

The second one holds where file systems tell whole seconds.
"""
ELSEWHERE = frozenset({"..", *LEFT_OUT})
"""Parts of a path by which it leads to files that are not looked at with those of a folder."""
Watched = tuple[str, bool, FileState]
"""Where a link leads, or a folder is; whether it can be read; and its state."""


@dataclass(frozen=True)
class Stamp:
    """All that a cycle is planned from.

    Attributes
    ----------
    hash
        Of their states.
    time_ns
        When it was looked at, before anything is planned.
    files
        See :func:`watched`.
    """

    hash: str
    time_ns: int
    files: Mapping[str, Watched] = field(repr=False)


@dataclass(frozen=True)
class KeptPlan:
    """What is kept of a plan.

    Attributes
    ----------
    tasks
        All tasks of the cycle with what was planned.
    alone
        The same for runs that no grouping holds, also of tiers that nobody has asked for yet.
    ignored
        Sentences on what stands in configuration and metadata and does nothing.
    salvaging
        The first files of stretches whose DAQ files may be truncated.
    """

    tasks: Sequence[Task]
    alone: Sequence[Task]
    ignored: Sequence[str]
    salvaging: frozenset[Key]


def stamp_of(cycle: Cycle) -> Stamp | None:
    """All that a cycle is planned from, as it is now; None if its plan is not to be kept.

    That is so where it is small, begins with other files than DAQ files whose content is known, takes files of other
    cycles, or where something was changed just now.
    """
    if not _is_large(cycle) or cycle.inventory.raw or cycle.inventory.later:
        return None
    setup, identities = cycle.setup, cycle.lineages.identities
    of_scheme = [step for step in cycle.registry.steps if step.tier in cycle.scheme.all_tiers]
    if len(of_scheme) > len(cycle.steps) or not all(map(identities.is_listed, cycle.inventory.daq.values())):
        return None
    now, files = time.time_ns(), watched(cycle)
    software = _software(cycle)
    if software is None or not _rest((state for _, _, state in files.values()), now):
        return None
    parts = (
        (FORM, sys.version, repr(setup), [bool(state_of(path)) for path in setup.paths.values()]),
        [step.name for step in cycle.steps if cycle.is_shown(step)],
        software,
        files,
        foreign_names(setup.path("install")),
        list(map(str, cycle.inventory.left_out)),
        "\n".join(map(identities.listed, cycle.inventory.daq.values())),
    )
    return Stamp(hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest(), now, files)


def _software(cycle: Cycle) -> list[object] | None:
    """All that versions of packages are looked up in; None where a checkout cannot be read, which nobody may need."""
    try:
        return cycle.lineages.recipes.software.state()
    except OSError:
        return None


def watched(cycle: Cycle) -> dict[str, Watched]:
    """The configuration, the metadata and the code: each file and folder by its path."""
    setup = cycle.setup
    code = {code_of(setup.path("dataflow")).folder, HERE}
    found = {str(setup.file): _file_at(str(setup.file), is_link=True)}
    for folder in dict.fromkeys([*(setup.path(name) for name in METADATA), *sorted(code)]):
        found.update(_files_in(str(folder)))
    return found


def read(cycle: Cycle, stamp: Stamp) -> KeptPlan | None:
    """The plan that was kept with a stamp, if the file is whole, and what it names besides is as it was."""
    try:
        head, _, body = _file(cycle).read_bytes().partition(b"\n")
    except OSError:
        return None
    if head != _head(stamp, body):
        return None
    kept = json.loads(body)
    is_same = all(list(state_of(name)) == state for name, state in kept["named"].items())
    return _unpacked(cycle, kept) if is_same else None


def write(cycle: Cycle, stamp: Stamp, plan: KeptPlan) -> None:
    """Keep a plan, with the states of the files that the metadata name; no error where it cannot be written."""
    inside = (*(f"{cycle.setup.path(name)}{os.sep}" for name in METADATA), f"{HERE}{os.sep}")
    read_ = {
        name: state_of(name) for text in cycle.metadata.reader.read if _is_outside(name := os.fspath(text.path), inside)
    }
    if ABSENT in read_.values():  # it went after it was read
        return
    named = {name: state for name, state in cycle.lineages.recipes.named.items() if _is_outside(name, inside)}
    states = dict(sorted((read_ | named).items()))
    if not _rest(states.values(), stamp.time_ns) or watched(cycle) != stamp.files:  # folders may have been exchanged
        return
    body = json.dumps({"named": states} | _packed(cycle, plan), separators=(",", ":")).encode()
    with suppress(OSError):
        write_whole(_file(cycle), _head(stamp, body) + b"\n" + body)


def _is_outside(name: str, folders: tuple[str, ...]) -> bool:
    """Whether a file lies outside of folders, or might, by the way in which it is named."""
    return not name.startswith(folders) or not ELSEWHERE.isdisjoint(Path(name).parts)


def _head(stamp: Stamp, body: bytes) -> bytes:
    """The first line: what the plan was made from, and what tells that the second line is whole."""
    return json.dumps([stamp.hash, hashlib.sha256(body).hexdigest()]).encode()


def _packed(cycle: Cycle, plan: KeptPlan) -> dict[str, Any]:
    """A plan as a JSON document; files are numbers, in the order in which they are found."""
    number = {key: place for place, key in enumerate(cycle.inventory.daq)}
    stretches: dict[int, int] = {}
    units: dict[int, int] = {}
    files: list[list[int]] = []
    parts: list[list[Any]] = []

    def packed(task: Task) -> list[Any]:
        if task.stretch and id(task.stretch) not in stretches:
            stretches[id(task.stretch)] = len(files)
            files.append([number[key] for key in task.stretch.keys])
        unit = task.unit
        if unit and id(unit) not in units:
            units[id(unit)] = len(parts)
            about = [unit.scope.value, unit.name, number[unit.key], [number[key] for key in unit.keys]]
            detectors = None if unit.detectors is None else sorted(unit.detectors)
            parts.append([*about, detectors, unit.group, unit.note])
        jobs = task.jobs or Jobs([], [])
        return [task.step.name, stretches.get(id(task.stretch)), units.get(id(task.unit)), jobs.wanted, jobs.places]

    return {
        "tasks": list(map(packed, plan.tasks)),
        "alone": list(map(packed, plan.alone)),
        "stretches": files,
        "units": parts,
        "ignored": list(plan.ignored),
        "salvaging": sorted(number[key] for key in plan.salvaging),
    }


def _unpacked(cycle: Cycle, kept: Mapping[str, Any]) -> KeptPlan:
    keys = tuple(cycle.inventory.daq)
    stretches = [Stretch(tuple(keys[place] for place in files), has_daq=True) for files in kept["stretches"]]
    units = [_unit(keys, *about) for about in kept["units"]]

    def task(name: str, stretch: int | None, unit: int | None, wanted: list[str], places: list[int] | None) -> Task:
        mine = None if stretch is None else stretches[stretch]
        return Task(cycle.step(name), mine, None if unit is None else units[unit], Jobs(wanted, places))

    return KeptPlan(
        [task(*each) for each in kept["tasks"]],
        [task(*each) for each in kept["alone"]],
        kept["ignored"],
        frozenset(keys[place] for place in kept["salvaging"]),
    )


def _unit(
    keys: Sequence[Key], scope: str, name: str, key: int, mine: list[int], detectors: list[str] | None, *said: str
) -> Unit:
    names = None if detectors is None else frozenset(detectors)
    return Unit(Scope(scope), name, keys[key], tuple(keys[place] for place in mine), names, *said)


def _file(cycle: Cycle) -> Path:
    return cycle.setup.path("tmp") / FILE


def _is_large(cycle: Cycle) -> bool:
    tiers = [step for step in cycle.steps if step.kind == "tier" and cycle.units.scope(step) is Scope.FILE]
    return are_many(len(tiers) * len(cycle.inventory.daq))


def _files_in(folder: str, around: frozenset[FileState] = frozenset()) -> Iterator[tuple[str, Watched]]:
    """All files in a folder and below it, also behind links, and the folders, of which the names of files tell all."""
    here = state_of(folder)[-2:]
    yield folder, (os.path.realpath(folder), os.access(folder, os.R_OK), here)
    if not here or here in around:  # a link to a folder around it
        return
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name in LEFT_OUT:
            continue
        if _is_folder(entry):
            yield from _files_in(entry.path, around | {here})
        else:
            yield entry.path, _file_at(entry.path, is_link=entry.is_symlink())


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, or to where nobody may look
        return False


def _file_at(path: str, *, is_link: bool) -> Watched:
    """What tells of a file whether planning finds the same in it, and may read it, as before."""
    return os.path.realpath(path) if is_link else "", os.access(path, os.R_OK), state_of(path)


def _rest(states: Iterable[FileState], time_ns: int) -> bool:
    """Whether nothing was changed just before a time, or after it."""
    return all(time_ns - changed > _resting(changed) * 1e9 for changed in set(map(last_change, states)))


def _resting(changed: int) -> float:
    return RESTING if changed % 1_000_000_000 else RESTING_WHOLE_SECONDS
