"""validity: the list beside the parameter files that says from when on each of them holds."""

from __future__ import annotations

import yaml

from dataflow.jobs.atomic import write_text
from dataflow.plan.job import Job


def build(job: Job, threads: int = 1) -> None:
    """Write ``validity.yaml`` of a parameter folder, in the form that :mod:`dbetto` reads.

    Parameters
    ----------
    job
        Output ``par``: the list. Its content follows from the calibration data that is there and the run overrides.
    threads
        Not used.
    """
    write_text(job.outputs["par"], yaml.safe_dump(job.content, sort_keys=False))
