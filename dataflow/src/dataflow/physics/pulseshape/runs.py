"""What the calibration of a pulse-shape classifier reads: of a run, or of each run of a partition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dataflow.jobs.parfiles import of_run
from dataflow.jobs.policy import failure_of
from dataflow.physics.dsprows import DspRows, dsp_rows
from dataflow.plan.job import Job

Entries = Mapping[str, Mapping[str, Any]]
ENERGIES = "ecal"
"""The role of the energy calibration."""


@dataclass(frozen=True)
class RunData:
    """What is there of one run.

    Attributes
    ----------
    rows
        Its rows of dsp.
    pars
        What the steps before found for it, by role and detector.
    timestamp
        Of its first file.
    """

    rows: DspRows
    pars: Mapping[str, Entries]
    timestamp: str

    def missing(self, name: str) -> str:
        """Why a detector has no calibrated events in this run; empty if it has."""
        return failure_of(self.pars[ENERGIES].get(name)) or ("" if self.rows.counts[name] else "it has no events in it")


def runs_of(job: Job, *roles: str) -> dict[str, RunData]:
    """The run of a job, or the runs of its partition, in order, with what some roles say of each."""
    if not job.runs:
        return {job.key.run: RunData(dsp_rows(job), {role: job.pars(role) for role in roles}, job.key.timestamp)}
    return {run: _of_run(job, run, roles) for run in job.runs}


def _of_run(job: Job, run: str, roles: tuple[str, ...]) -> RunData:
    rows = dsp_rows(replace(job, inputs=job.runs[run].inputs))
    pars = {
        role: {name: of_run(entry or {}, run) for name, entry in job.pars(role, run).items()} for role in roles
    }  # fmt: skip
    return RunData(rows, pars, next(key.timestamp for key in job.unit.keys if key.run == run))


def calibrated_runs(runs: Mapping[str, RunData], name: str) -> dict[str, RunData]:
    """The runs in which a detector has calibrated events; a run that is alone is what it is."""
    return dict(runs) if len(runs) == 1 else {run: each for run, each in runs.items() if not each.missing(name)}


def energies_of(runs: Mapping[str, RunData], name: str) -> Mapping[str, Any] | None:
    """What the energy calibration says of a detector: in the first run in which it has calibrated events."""
    used = calibrated_runs(runs, name) or runs
    return next(iter(used.values())).pars[ENERGIES].get(name)
