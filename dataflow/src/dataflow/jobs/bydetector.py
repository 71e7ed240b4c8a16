"""A calibration step over the detectors of a run: results into one parameter file, figures into one document."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataflow.keys.channel import Channel
from dataflow.plan.job import Job
from dataflow.plan.troubles import FAILED

from .atomic import remove, whole_files
from .deadline import timeout_of
from .lh5files import join_shards
from .notes import Note, first_cause, inherited, note, warn
from .pages import join_pages, save_page, text_page
from .parfiles import plain, write_pars
from .policy import failure_entry, keep_or_fail
from .spread import Outcome, spread

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Made:
    """What a detector's calibration gives.

    Attributes
    ----------
    entry
        Its entry in the parameter file.
    draw
        Makes its figure.
    save
        By the role of a further output, what writes its part of that LH5 file.
    """

    entry: dict[str, Any]
    draw: Callable[[], Any]
    save: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)


def calibrate_detectors(job: Job, channels: Sequence[Channel], work: Callable[[Channel], Made], threads: int) -> None:
    """Run a calibration for each detector; one that fails is recorded with its reason.

    Parameters
    ----------
    job
        Its outputs are ``par`` and ``plt``, and LH5 files, of which each detector saves a part.
    channels
        The detectors.
    work
        The calibration of one.
    threads
        Worker processes.
    """
    by_name = {channel.name: channel for channel in channels}
    with whole_files(job.outputs) as parts:
        folder = parts["plt"].with_suffix(".pages")
        folder.mkdir()
        try:
            pars = _entries(job, by_name, work, threads, folder)
            write_pars(parts["par"], pars)
            join_pages([folder / f"{name}.pdf" for name in by_name], parts["plt"])
            for role in parts.keys() - {"par", "plt"}:
                shards = [folder / f"{name}.{role}.lh5" for name in by_name]
                join_shards([shard for shard in shards if shard.is_file()], parts[role])
        finally:
            remove(folder)


def _entries(
    job: Job, channels: dict[str, Channel], work: Callable[[Channel], Made], threads: int, folder: Path
) -> dict[str, Any]:
    def one(name: str) -> dict[str, Any]:
        made = work(channels[name])
        save_page(made.draw(), folder / f"{name}.pdf")
        for role, save in made.save.items():
            save(folder / f"{name}.{role}.lh5")
        return dict(plain(made.entry))

    pars: dict[str, Any] = {}
    causes = inherited(job)
    for outcome in spread(one, list(channels), threads, timeout_of(job)):
        keep_or_fail(job, outcome)
        failed = outcome.failed and _failed(job, outcome, causes.get(outcome.item), folder)
        entry = pars[outcome.item] = _with_note(failed or outcome.value or {}, job.unit.note)
        warn(outcome.item, list(entry.get("warnings", ())))
    return pars


def _with_note(entry: dict[str, Any], note_of_unit: str) -> dict[str, Any]:
    """An entry whose warnings say what is to be known of the unit: that its run is a partition of its own."""
    warnings = entry.get("warnings", [])
    return entry | {"warnings": [note_of_unit, *warnings]} if note_of_unit and note_of_unit not in warnings else entry


def _failed(job: Job, outcome: Outcome[Any], before: Note | None, folder: Path) -> dict[str, Any]:
    """The entry and the page of a detector that failed: the first cause, which may lie in an earlier step."""
    cause = first_cause(Note(FAILED, job.step, outcome.reason), before)
    note(outcome.item, FAILED, job.step, outcome.reason)
    said = "\n".join(
        filter(None, [f"{cause.step}: {cause.reason}", cause.then and f"then {cause.then}", job.unit.note])
    )
    save_page(text_page(f"{outcome.item}: {job.step} failed", said), folder / f"{outcome.item}.pdf")
    return failure_entry(cause)
