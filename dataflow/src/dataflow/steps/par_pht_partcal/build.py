"""Energy calibration of the runs of a partition together, by detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.jobs.policy import failure_of
from dataflow.keys.channel import Channel
from dataflow.physics import densities
from dataflow.physics.dsprows import DspRows, dsp_rows
from dataflow.physics.quality import QUALITY, clean
from dataflow.plan.job import Job
from dataflow.steps.par_hit_ecal.build import DRIFT, corrected
from dataflow.steps.par_hit_ecal.settings import plain_name

from .calibrate import RunData, calibrate
from .source import partition_of

Operations = dict[str, Any]
CALIBRATED = "_cal"


def build(job: Job, threads: int = 1) -> None:
    """Calibrate the energies of all detectors of a partition.

    Parameters
    ----------
    job
        Inputs ``dsp``, ``tcm`` and ``par_hit_ecal`` by run, outputs ``par`` and ``data``; ``pars_pht_partcal_config``
        and ``sources`` are read for each detector.
    threads
        Worker processes over detectors.
    """
    from .report import entry

    densities.load()
    channels = list(job.channels)
    settings = {channel.name: partition_of(job.config, channel) for channel in channels}
    runs = {run: _run(job, run) for run in job.runs}

    def work(channel: Channel) -> Made:
        from .figure import draw

        name, (own, source) = channel.name, settings[channel.name]
        left_out = {run: why for run, each in runs.items() if (why := each.missing(name))}
        used = {run: each for run, each in runs.items() if run not in left_out}
        data = {run: each.of(name, own.estimators, own.quality_sigmas) for run, each in used.items()}
        found = calibrate(data, own, source, left_out, job.unit.note)
        of_runs = {run: each.operations[name] for run, each in used.items()}
        return Made(entry(found, own, job.unit, of_runs), lambda: draw(name, job.unit.name, found))

    calibrate_detectors(job, channels, work, threads)


@dataclass(frozen=True)
class _Run:
    """What is there of one run, by detector: rows of dsp, and the run's own calibration."""

    rows: DspRows
    pars: Mapping[str, Mapping[str, Any]]
    operations: Mapping[str, Operations]

    def missing(self, name: str) -> str:
        """Why a detector cannot be calibrated with the others, empty if it can."""
        return failure_of(self.pars.get(name)) or ("" if self.rows.counts[name] else "it has no events in this run")

    def of(self, name: str, wanted: tuple[str, ...], sigmas: float) -> RunData:
        """The events of a detector; read here, by the worker that needs them."""
        made = self.operations[name]
        energies = (each for each in self.pars[name]["results"]["ecal"] if each.endswith(CALIBRATED))
        there = [each.removesuffix(CALIBRATED) for each in energies]
        own = [each for each in there if not wanted or each in wanted]
        data = self.rows.read(name, {*map(plain_name, own), *QUALITY, DRIFT})
        accepted = self.rows.accepted[name]
        good, _ = clean(data, accepted, sigmas)
        amplitudes = {each: corrected(data, plain_name(each), _trapping(made, each))[accepted] for each in own}
        curves = {each: list(made[f"{each}{CALIBRATED}"]["parameters"].values()) for each in own}
        return RunData(amplitudes, good[accepted], curves)


def _run(job: Job, run: str) -> _Run:
    rows = dsp_rows(replace(job, inputs=job.runs[run].inputs))
    pars = job.pars("par_hit_ecal", run)
    return _Run(rows, pars, {name: _operations(entry) for name, entry in pars.items()})


def _operations(entry: Mapping[str, Any]) -> Operations:
    return dict((entry.get("pars") or {}).get("operations") or {})


def _trapping(made: Operations, name: str) -> dict[str, Any]:
    """The correction for charge trapping that the run applies, as the parameters of dsp have it."""
    own = made.get(name)
    return {name: own} if own and name != plain_name(name) else {}
