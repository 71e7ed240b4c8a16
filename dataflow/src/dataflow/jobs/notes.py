"""What a job has to say of its detectors: which it could not do, which its inputs lack, and why in the first place.

A cause travels: where an input's notes already tell why a detector is not there, that cause is noted again, so that
events tell of the decay constant that could not be found, and not of parameters that were missing later. Reasons name
no file and no folder: they stand in parameter files too, which are the same wherever a cycle lies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dataflow.plan.job import Job
from dataflow.plan.troubles import DEGRADED, MISSING
from dataflow.provenance.records import Records
from dataflow.registry.step import DAQ, FIGURES


@dataclass(frozen=True)
class Note:
    """What became of one detector.

    Attributes
    ----------
    state
        ``failed`` (it could not be done), ``missing`` (the DAQ file does not have it) or ``degraded`` (it is there, but
        without calibration, or in a part of the files only).
    step
        Where the first cause is.
    reason
        That cause.
    then
        What came of it in a later step, where that says more; may be empty.
    part
        In how many files it is so, where not in all; may be empty.
    """

    state: str
    step: str
    reason: str
    then: str = ""
    part: str = ""

    def plain(self) -> dict[str, str]:
        """As values for a file."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass
class Notes:
    """What a running job has noted so far: states and warnings by detector (warnings also without one: ``""``)."""

    channels: dict[str, Note] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)


MERGE = "steps.merge.build"
"""The module that joins parts of parameters: a detector that failed in one has failed in the whole."""
_NOTES: ContextVar[Notes | None] = ContextVar("notes", default=None)


@contextmanager
def taking_notes() -> Iterator[Notes]:
    """Within the block, :func:`note` and :func:`warn` write into what is yielded; elsewhere they do nothing."""
    notes = Notes()
    token = _NOTES.set(notes)
    try:
        yield notes
    finally:
        _NOTES.reset(token)


def note(name: str, state: str, step: str, reason: str) -> None:
    """Say what became of a detector."""
    notes = _NOTES.get()
    if notes is not None:
        notes.channels[name] = Note(state, step, reason)


def warn(name: str, sentences: Sequence[str]) -> None:
    """Say what a reader of the output must know of a detector (or of the whole: an empty name)."""
    notes = _NOTES.get()
    if notes is not None and sentences:
        notes.warnings.setdefault(name, []).extend(sentences)


def content_of(job: Job, notes: Notes) -> dict[str, Any]:
    """All that is to be written down about a job: its own notes, and the causes that its inputs know; sorted."""
    found = whole(job, notes.channels)
    content: dict[str, Any] = {}
    if found:
        content["channels"] = {name: found[name].plain() for name in sorted(found)}
    if notes.warnings:
        content["warnings"] = {name: notes.warnings[name] for name in sorted(notes.warnings)}
    return content


def whole(job: Job, own: Mapping[str, Note]) -> dict[str, Note]:
    """What a job found itself, with the first causes that its inputs know."""
    before = inherited(job)
    names = {channel.name for channel in (*job.all_channels, *job.channels)}
    found = {name: cause for name, cause in before.items() if name in names}
    for name, mine in own.items():
        if mine.state != DEGRADED or name not in found:
            found[name] = first_cause(mine, before.get(name))
    return found


def first_cause(mine: Note, before: Note | None) -> Note:
    """A note with the cause that the inputs know, unless that concerns a part of the files only."""
    if before is None or before.part or before.step == mine.step:
        return mine
    state = MISSING if before.state == MISSING else mine.state
    return replace(before, state=state, then=f"{mine.step}: {mine.reason}")


def inherited(job: Job) -> dict[str, Note]:
    """What the notes of a job's inputs say of detectors; of several inputs, the first that says anything.

    Of the parts of a parameter file, the first in which a detector failed comes before those that only lack something.
    """
    records, found = Records(), dict[str, Note]()
    if job.module == FIGURES:  # the steps of which they are say it
        return found
    for role, paths in job.inputs.items():
        if role != DAQ and paths:
            for name, cause in _of_role(records, paths).items():
                lost = role.startswith("par_") and job.module != MERGE
                known = found.setdefault(name, replace(cause, state=DEGRADED) if lost else cause)
                if job.module == MERGE and known.state == DEGRADED:
                    found[name] = cause
    return found


def _of_role(records: Records, paths: Sequence[Path]) -> dict[str, Note]:
    """What several files say; a detector that only some of them lack is there in part."""
    by_name: dict[str, list[Note]] = {}
    for path in paths:
        for name, entry in dict(records.notes(path).get("channels", {})).items():
            by_name.setdefault(name, []).append(Note(**entry))
    return {name: _joined(some, len(paths)) for name, some in by_name.items()}


def _joined(some: Sequence[Note], files: int) -> Note:
    if len(some) == files:
        return some[0]
    return replace(some[0], state=DEGRADED, part=f"in {len(some)} of {files} files")
