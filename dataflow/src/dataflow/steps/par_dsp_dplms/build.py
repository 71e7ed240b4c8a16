"""DPLMS filter coefficients, from the forced triggers and the events of lines of the same run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.figures.page import text_page
from dataflow.jobs.lh5files import column, columns, open_input
from dataflow.jobs.policy import failure_of
from dataflow.keys.channel import Channel
from dataflow.metadata.references import written
from dataflow.plan.job import Job
from dataflow.steps.par_dsp_evtsel.result import reason_of

from .settings import DplmsSettings

if TYPE_CHECKING:
    from .result import Result
    from .signals import Decay, Signals

log = logging.getLogger(__name__)

TRACE = "wf_blsub"
HEIGHT, START, SLOW, DRIFT, LINE = "trapTmax", "tp_0_est", "tp_99", "dt_eff", "peak"
SAME = 0.5
"""Two energies in keV that are this near mean the same line."""
NO_DATA = "no forced triggers (fft) in this run"
NOT_WANTED = "dplms_pars.run_dplms is false"
CONSEQUENCE = "dplmsEmax is NaN"


def build(job: Job, threads: int = 1) -> None:
    """Find the filter of each detector of a run.

    Parameters
    ----------
    job
        Inputs ``peaks``, ``evtsel``, ``pz`` and, where the run has fft data, ``noise``; outputs ``par``, ``data`` and
        ``coefficients``; ``dplms_pars`` and ``proc_chain`` of the rule. Without ``noise``, or without events of lines,
        the entry says so.
    threads
        Worker processes over detectors.
    """
    pars, selected = job.pars("pz"), job.pars("evtsel")

    def work(channel: Channel) -> Made:
        settings = job.config.settings("dplms_pars", DplmsSettings, channel)
        if why := _without(job, channel, settings, selected.get(channel.name)):
            return not_made(job, channel, why)
        return _made(job, channel, pars.get(channel.name), settings)

    calibrate_detectors(job, job.channels, work, threads)


def _without(job: Job, channel: Channel, settings: DplmsSettings, selected: Mapping[str, Any] | None) -> str:
    """Why a detector has no filter though nothing failed here; empty if it is to have one."""
    if not settings.run_dplms:
        return NOT_WANTED
    if "noise" not in job.inputs:
        return NO_DATA
    (path,) = job.inputs["peaks"]
    with open_input(path, locking=False) as file:
        if f"{channel.name}/peaks" in file:
            return ""
    return f"no events of lines: {failure_of(selected) or reason_of(selected) or 'none were selected'}"


def not_made(job: Job, channel: Channel, why: str) -> Made:
    """The entry and the page of a detector without filter."""
    text = f"{why}: {CONSEQUENCE}"
    page = partial(text_page, f"{channel.name}  DPLMS filter  {job.key}", text)
    return Made({"dplms": {"not_made": why}}, page)


def _made(job: Job, channel: Channel, pars: Mapping[str, Any] | None, settings: DplmsSettings) -> Made:
    from dataflow.physics.noisetraces import noise_traces

    from .calibrate import calibrate
    from .figure import draw
    from .plotdata import plot_data

    if why := failure_of(pars):
        raise WorkFailed(f"there is no decay constant: {why}")
    wanted = settings.n_baselines
    traces, period = noise_traces(job, channel, pars or {}, wanted, (TRACE,), "proc_chain")
    signals, of_signals = signals_of(job.inputs["peaks"][0], channel.name, settings)
    if abs(of_signals / period - 1) > 1e-6:
        raise WorkFailed(f"the traces of the noise have {period:g} ns a sample, those of the lines {of_signals:g} ns")
    result = calibrate(traces[TRACE], signals, period, decay_of((pars or {})["pz"]), settings)
    where = written(job.outputs["coefficients"], array_of(channel.name), job.outputs["par"].parent)
    return Made(
        result.entry(where),
        lambda: draw(channel.name, str(job.key), result),
        lambda: plot_data(result),
        save={"coefficients": partial(write_filter, channel.name, result)},
    )


def decay_of(found: Mapping[str, Any]) -> Decay:
    """The decay that the parameters ``pz`` describe."""
    from dataflow.physics.noisetraces import nanoseconds

    from .signals import Decay

    second = nanoseconds(str(found["tau2"])) if found.get("frac") else 1.0
    return Decay(nanoseconds(str(found["tau1"])), second, float(found.get("frac") or 0.0))


def signals_of(path: Path, name: str, settings: DplmsSettings) -> tuple[Signals, float]:
    """The events of the wanted lines of a detector, and the sampling period in ns.

    Of several lines, each gives as many of its first events as the limit allows.
    """
    from .signals import Signals

    table = f"{name}/peaks"
    with open_input(path, locking=False) as file:
        found = columns(file, table, (HEIGHT, START, DRIFT, LINE))
        known = SLOW in file[table]
        rises = column(file, table, SLOW) - found[START] if known else np.full(len(found[LINE]), np.nan)
        period = float(np.atleast_1d(file[f"{table}/{TRACE}/dt"][()])[0])
        lines = np.full(len(found[LINE]), np.nan)
        for energy in settings.peaks_kev:
            of_line = np.flatnonzero(np.abs(found[LINE] - energy) < SAME)[: settings.n_signals]
            lines[of_line] = energy
        rows = np.flatnonzero(np.isfinite(lines))
        traces = np.asarray(file[f"{table}/{TRACE}/values"][:])[rows]
    numbers = {each: np.asarray(values[rows], dtype=np.float64) for each, values in found.items()}
    starts, heights, drift = numbers[START] / period, numbers[HEIGHT], numbers[DRIFT]
    return Signals(traces, starts, heights, drift, np.asarray(rises[rows], dtype=np.float64), lines[rows]), period


def array_of(name: str) -> str:
    """The array of a detector's coefficients in the file."""
    return f"{name}/dplms/coefficients"


def write_filter(name: str, result: Result, path: Path) -> None:
    """Write the group ``{name}/dplms``: the coefficients, and the mean pulse as the filter sees it."""
    import lh5
    from lgdo import Array, Scalar, Struct

    content = {
        "coefficients": Array(result.coefficients, attrs={"units": "1"}),
        "reference": Array(result.reference.astype(np.float32), attrs={"units": "1"}),
        "period": Scalar(result.period, attrs={"units": "ns"}),
    }
    lh5.write(Struct({"dplms": Struct(content)}), name, str(path), wo_mode="of")
