"""The figures of a calibration: for each step a document with a page a detector, and for all what they show."""

from __future__ import annotations

from pathlib import Path

from dataflow.jobs.atomic import remove, whole_files
from dataflow.jobs.figures import plotdata
from dataflow.jobs.figures.page import text_page
from dataflow.jobs.figures.render import join_pages, save_page
from dataflow.jobs.notes import note
from dataflow.jobs.policy import keep_or_fail
from dataflow.jobs.shares import outcomes
from dataflow.plan.job import Job
from dataflow.plan.troubles import FAILED
from dataflow.registry.step import DATA


def build(job: Job, threads: int = 1) -> None:
    """Draw the figures of the steps of a calibration.

    Parameters
    ----------
    job
        Its inputs are what the figures of steps show, in the roles of these steps. Outputs are a document for some of
        the steps, with the pages in the order of the job's channels, and ``data``, if there is that: what all show;
        what several steps have under one name is that of the first. In the place of a figure that cannot be drawn
        there is a page with the reason.
    threads
        Worker processes over figures.
    """
    shown = {step: path for step, (path, *_) in job.inputs.items()}
    channels = [channel.name for channel in job.channels]
    figures = {
        f"{step}-{name}": (step, name)
        for step, path in shown.items()
        if step in job.outputs
        for name in plotdata.drawn_of(path, step, channels)
    }
    with whole_files(job.outputs) as parts:
        folder = min(parts.values()).with_suffix(".pages")
        folder.mkdir()

        def draw(item: str) -> None:
            step, name = figures[item]
            save_page(plotdata.page_of(shown[step], step, name), folder / f"{item}.pdf")

        try:
            for outcome in outcomes(job, draw, list(figures), threads, folder):
                keep_or_fail(job, outcome)
                if outcome.failed:
                    _instead(job, *figures[outcome.item], outcome.reason, folder / f"{outcome.item}.pdf")
            for step in shown.keys() & parts.keys():
                pages = {name: folder / f"{item}.pdf" for item, (of, name) in figures.items() if of == step}
                join_pages(pages, parts[step])
            if DATA in parts:
                plotdata.join([path for paths in job.inputs.values() for path in paths], parts[DATA])
        finally:
            remove(folder)


def _instead(job: Job, step: str, name: str, reason: str, page: Path) -> None:
    """Note that a figure could not be drawn, and write a page that says so."""
    note(name, FAILED, job.step, reason)
    save_page(text_page(f"{name}: the figure of {step} cannot be drawn  {job.unit}", reason), page)
