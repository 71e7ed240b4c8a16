"""The figures of a calibration, as the jobs make them that run for nothing else; and what is on a page."""

from __future__ import annotations

from pathlib import Path

from dataflow.jobs.figures import plotdata
from dataflow.jobs.figures.page import Page
from dataflow.jobs.runner import run
from dataflow.plan.cycle import Cycle
from dataflow.plan.job import Job
from dataflow.registry.step import DATA
from dataflow.registry.steps import BY_NAME


def figures_of(cycle: Cycle, step: str, unit: str) -> Path:
    """Draw the figures of ``par_hit_ecal``, or join what those of the parts of ``par_hit`` show; returns the file.

    Of steps that were not run it is as if they had nothing to show.
    """
    apart = step.replace("par_", "plt_", 1)
    job = cycle.job(apart if apart in BY_NAME else f"plt_{BY_NAME[step].tier}", unit)
    for name, of in cycle.needs(job.step, job.unit):
        if name.startswith("plt_"):
            run(cycle.job(name, of))
    run(without_others(job))
    return job.outputs[step if step in job.outputs else DATA]


def without_others(job: Job) -> Job:
    """A job for figures, after it was written down of all steps that were not run that they have nothing to show."""
    for path in (path for paths in job.inputs.values() for path in paths):
        if not path.exists():
            plotdata.write(path, {})
    return job


def said_on(page: Page) -> str:
    """All texts of a page, beside panels."""
    return " ".join(text.text for text in page.texts)
