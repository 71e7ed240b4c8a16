"""Filter times of least noise, from the forced triggers of the same run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.figures.page import text_page
from dataflow.jobs.policy import failure_of
from dataflow.keys.channel import Channel
from dataflow.physics.noisetraces import nanoseconds, noise_traces
from dataflow.plan.job import Job

from .calibrate import calibrate
from .settings import NoptSettings

OUTPUTS = ("wf_blsub", "wf_pz")
NO_DATA = "no forced triggers (fft) in this run: the filter times of the processing chain hold"
NOT_WANTED = "optimiser_config.run_nopt is false: the filter times of the processing chain hold"


def build(job: Job, threads: int = 1) -> None:
    """Find the filter times of each detector of a run.

    Parameters
    ----------
    job
        Inputs ``pz`` and, where the run has fft data, ``noise``; outputs ``par`` and ``data``; ``optimiser_config``
        and ``processing_chain`` of the rule. Without ``noise``, the entries are empty.
    threads
        Worker processes over detectors.
    """
    pars = job.pars("pz")

    def work(channel: Channel) -> Made:
        settings = job.config.settings("optimiser_config", NoptSettings, channel)
        why = "" if settings.run_nopt and "noise" in job.inputs else NO_DATA if settings.run_nopt else NOT_WANTED
        if why:
            return Made({}, lambda: text_page(f"{channel.name}  filter times  {job.key}", why))
        return _made(job, channel, pars.get(channel.name), settings)

    calibrate_detectors(job, job.channels, work, threads)


def _made(job: Job, channel: Channel, pars: Mapping[str, Any] | None, settings: NoptSettings) -> Made:
    from .figure import draw
    from .plotdata import plot_data

    if why := failure_of(pars):
        raise WorkFailed(f"there is no decay constant: {why}")
    traces, period = noise_traces(job, channel, pars or {}, settings.n_events, OUTPUTS)
    result = calibrate(traces, period, nanoseconds(str((pars or {})["pz"]["tau1"])), settings)
    return Made(result.entry(), lambda: draw(channel.name, str(job.key), result), lambda: plot_data(result))
