"""A calibration step over the detectors of a run: results into one parameter file, what figures show into another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataflow.keys.channel import Channel
from dataflow.plan.job import Job
from dataflow.plan.troubles import FAILED
from dataflow.registry.step import DATA

from .atomic import remove, whole_files
from .figures import plotdata
from .figures.page import Page, text_page
from .lh5files import join_shards
from .notes import Note, first_cause, inherited, note, warn
from .parfiles import plain, write_pars
from .policy import failure_entry, keep_or_fail
from .shares import outcomes
from .spread import Outcome

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Made:
    """What a detector's calibration gives.

    Attributes
    ----------
    entry
        Its entry in the parameter file.
    draw
        Makes its page; None where all detectors share one.
    plot_data
        Gives what of it has a name of its own in the data of the figures, below the detector; what stands below
        ``common`` is kept for all detectors together. What the figure shows is there in any case.
    save
        By the role of a further output, what writes the detector's part of that LH5 file.
    """

    entry: dict[str, Any]
    draw: Callable[[], Page] | None = None
    plot_data: Callable[[], Mapping[str, Any]] | None = None
    save: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)


Overview = Callable[[Mapping[str, Mapping[str, Any]]], Page]
"""Makes one page of the entries of all detectors."""


def calibrate_detectors(
    job: Job,
    channels: Sequence[Channel],
    work: Callable[[Channel], Made],
    threads: int,
    overview: Overview | None = None,
    shared: Mapping[str, Sequence[Callable[[Path], None]]] | None = None,
) -> None:
    """Run a calibration for each detector; one that fails is recorded with its reason.

    Parameters
    ----------
    job
        Its outputs are ``par`` and ``data``, what the figures show, of which a job of its own makes the document; or
        this job does, then ``plt``. Of other LH5 files, each detector saves a part.
    channels
        The detectors.
    work
        The calibration of one.
    threads
        Worker processes.
    overview
        Instead of a page a detector: what draws the only page.
    shared
        By the role of a further output, what writes the parts of that LH5 file that are of several detectors.
    """
    by_name = {channel.name: channel for channel in channels}
    with whole_files(job.outputs) as parts:
        folder = parts["par"].with_suffix(".pages")
        folder.mkdir()
        try:
            pars = _entries(job, by_name, work, threads, folder)
            write_pars(parts["par"], pars)
            if overview:
                _show(job, folder, plotdata.ALL, overview(pars), {})
            shown = [folder / f"{name}.lh5" for name in (*by_name, plotdata.ALL)]
            plotdata.join([path for path in shown if path.is_file()], parts[DATA])
            if "plt" in parts:
                _join_pages(folder, [plotdata.ALL] if overview else list(by_name), parts["plt"])
            for role in sorted(parts.keys() - {"par", "plt", DATA}):
                shards = [*_shared(folder, role, shared or {}), *(folder / f"{name}.{role}.lh5" for name in by_name)]
                join_shards([shard for shard in shards if shard.is_file()], parts[role])
        finally:
            remove(folder)


def _join_pages(folder: Path, names: Sequence[str], target: Path) -> None:
    from .figures.render import join_pages

    join_pages({name: folder / f"{name}.pdf" for name in names}, target)


def _shared(folder: Path, role: str, shared: Mapping[str, Sequence[Callable[[Path], None]]]) -> list[Path]:
    """Write the parts of an output that are of several detectors."""
    paths = [folder / f"_{number}.{role}.lh5" for number in range(len(shared.get(role, ())))]
    for path, save in zip(paths, shared.get(role, ()), strict=True):
        save(path)
    return paths


def _entries(
    job: Job, channels: dict[str, Channel], work: Callable[[Channel], Made], threads: int, folder: Path
) -> dict[str, Any]:
    def one(name: str) -> dict[str, Any]:
        made = work(channels[name])
        if made.draw or made.plot_data:
            _show(job, folder, name, made.draw and made.draw(), made.plot_data() if made.plot_data else {})
        for role, save in made.save.items():
            save(folder / f"{name}.{role}.lh5")
        return dict(plain(made.entry))

    pars: dict[str, Any] = {}
    causes = inherited(job)
    for outcome in outcomes(job, one, list(channels), threads, folder):
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
    _show(job, folder, outcome.item, text_page(f"{outcome.item}: {job.step} failed", said), {})
    return failure_entry(cause)


def _show(job: Job, folder: Path, name: str, page: Page | None, named: Mapping[str, Any]) -> None:
    """Write what the figure of a detector shows; draw its page, too, where the job makes the document itself."""
    if page and not any(unit in page.title for unit in (job.unit.name, str(job.key))):
        page.title = f"{page.title}  {job.unit}"  # what says why there is no figure does not know of which run
    plotdata.write(folder / f"{name}.lh5", plotdata.of_detector(name, job.step, page, named))
    if page and "plt" in job.outputs:
        from .figures.render import save_page

        save_page(page, folder / f"{name}.pdf")
