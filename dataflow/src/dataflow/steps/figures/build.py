"""The figures of a calibration: for each step a document with a page a detector, and for all what they show."""

from __future__ import annotations

from pathlib import Path

from dataflow.jobs import plotdata
from dataflow.jobs.atomic import remove, whole_files
from dataflow.jobs.drawn import drawn, names
from dataflow.jobs.notes import note
from dataflow.jobs.pages import join_pages, save_page, text_page
from dataflow.jobs.policy import keep_or_fail
from dataflow.jobs.shares import outcomes
from dataflow.plan.job import Job
from dataflow.plan.troubles import FAILED
from dataflow.registry.step import DATA


def build(job: Job, threads: int = 1) -> None:
    """Save the figures that the steps of a calibration have drawn.

    Parameters
    ----------
    job
        Its inputs are the drawn figures of steps, and what those show that are made apart, in the roles of these steps.
        Outputs are a document for each step of the former, and ``data``: what all show; what several steps have under
        one name is that of the first. In the place of a figure that cannot be saved there is a page with the reason.
    threads
        Worker processes over figures.
    """
    archives = {step: path for step, (path, *_) in job.inputs.items() if step in job.outputs}
    figures = {f"{step}-{name}": (step, name) for step, path in archives.items() for name in names(path)}
    with whole_files(job.outputs) as parts:
        folder = parts[DATA].with_suffix(".pages")
        folder.mkdir()

        def save(item: str) -> None:
            step, name = figures[item]
            found = drawn(archives[step], name)
            save_page(found.figure, folder / f"{item}.pdf")
            shown = plotdata.of_detector(name, step, found.figure, found.named)
            plotdata.write(folder / f"{item}.lh5", shown)

        try:
            for outcome in outcomes(job, save, list(figures), threads, folder):
                keep_or_fail(job, outcome)
                if outcome.failed:
                    _instead(job, *figures[outcome.item], outcome.reason, folder / f"{outcome.item}.pdf")
            for step in archives:
                pages = {name: folder / f"{item}.pdf" for item, (of, name) in figures.items() if of == step}
                join_pages(pages, parts[step])
            apart = [path for role, paths in job.inputs.items() if role not in archives for path in paths]
            shown = [path for item in figures if (path := folder / f"{item}.lh5").is_file()]
            plotdata.join([*shown, *apart], parts[DATA])
        finally:
            remove(folder)


def _instead(job: Job, step: str, name: str, reason: str, page: Path) -> None:
    """Note that a figure could not be saved, and write a page that says so."""
    note(name, FAILED, job.step, reason)
    save_page(text_page(f"{name}: the figure of {step} cannot be saved", reason), page)
