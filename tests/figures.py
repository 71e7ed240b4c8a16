"""The figures of a calibration, as the jobs make them that run for nothing else."""

from __future__ import annotations

from pathlib import Path

from dataflow.jobs import drawn
from dataflow.jobs.runner import run
from dataflow.plan.cycle import Cycle
from dataflow.plan.job import Job
from dataflow.registry.step import DATA
from dataflow.registry.steps import BY_NAME


def figures_of(cycle: Cycle, step: str, unit: str) -> Path:
    """Save what ``par_hit_ecal`` has drawn, or of ``par_hit`` what its parts show; returns the file.

    The figures of all steps that have drawn some are saved; of others it is as if they had not.
    """
    apart = step.replace("par_", "plt_", 1)
    job = cycle.job(apart if apart in BY_NAME else f"plt_{BY_NAME[step].tier}", unit)
    for name, of in cycle.needs(job.step, job.unit):
        if name.startswith("plt_"):
            run(cycle.job(name, of))
    run(without_others(job))
    return job.outputs[step if step in job.outputs else DATA]


def without_others(job: Job) -> Job:
    """A job for figures, after it was written down of all steps that were not run that they have drawn nothing."""
    for path in (path for paths in job.inputs.values() for path in paths):
        if path.suffix == ".zip" and not path.exists():
            drawn.join({}, path)
    return job
