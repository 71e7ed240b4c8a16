"""validity: the list beside the parameter files that says from when on each of them holds."""

from __future__ import annotations

import yaml

from dataflow.plan import open_cycle
from dataflow.plan.model import Job
from dataflow.plan.steps import BY_NAME

from .atomic import write_text


def build(job: Job, threads: int = 1) -> None:
    """Write ``validity.yaml`` of a parameter folder, in the form that :mod:`dbetto` reads.

    Parameters
    ----------
    job
        Output ``par``: the list. Its content follows from the calibration data that is there and the run overrides.
    threads
        Not used.
    """
    cycle = open_cycle(job.setup.file, job.setup.experiment)
    entries = cycle.validity(BY_NAME[job.step].tier)
    write_text(job.outputs["par"], yaml.safe_dump(entries, sort_keys=False))
