"""Filter times of least noise, from the forced triggers of the same run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.lh5files import rows_by_file
from dataflow.jobs.pages import text_page
from dataflow.jobs.policy import failure_of
from dataflow.keys.channel import Channel
from dataflow.physics.chains import run_chain
from dataflow.plan.job import Job

from .calibrate import calibrate
from .settings import NoptSettings

OUTPUTS = ("wf_blsub", "wf_pz")
IN_NS: Mapping[str, float] = {"ns": 1.0, "us": 1e3, "ms": 1e6}
NO_DATA = "no forced triggers (fft) in this run: the filter times of the processing chain hold"
NOT_WANTED = "optimiser_config.run_nopt is false: the filter times of the processing chain hold"

Arrays = dict[str, NDArray[Any]]


def build(job: Job, threads: int = 1) -> None:
    """Find the filter times of each detector of a run.

    Parameters
    ----------
    job
        Inputs ``pz`` and, where the run has fft data, ``noise``; outputs ``par`` and ``plt``; ``optimiser_config`` and
        ``processing_chain`` of the rule. Without ``noise``, the entries are empty.
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
    traces, period = noise(job, channel, pars or {}, settings.n_events)
    result = calibrate(traces, period, nanoseconds(str((pars or {})["pz"]["tau1"])), settings)
    return Made(result.entry(), lambda: draw(channel.name, str(job.key), result), lambda: plot_data(result))


def nanoseconds(text: str) -> float:
    """A time as parameter files have it, ``400*us``, in ns.

    Raises
    ------
    UserError
        If it is none.
    """
    found = re.fullmatch(r"\s*([0-9.]+(?:e[-+]?[0-9]+)?)\s*\*\s*(ns|us|ms)\s*", text)
    if found is None:
        raise UserError(f"{text!r} is not a time", hint="write a number and its unit: 400*us")
    return float(found[1]) * IN_NS[found[2]]


def noise(job: Job, channel: Channel, pars: Mapping[str, Any], wanted: int) -> tuple[Arrays, float]:
    """Run the chain on the first traces of the noise files.

    Returns
    -------
    tuple
        By name of :data:`OUTPUTS`, float32 of shape (traces, samples), in ADC counts; the sampling period in ns.

    Raises
    ------
    WorkFailed
        If the detector has no traces there.
    """
    chain = _chain(job, channel)
    paths, tables = job.inputs["noise"], job.tables_in("noise", channel)
    counts = rows_by_file(paths, {channel.name: tables})[channel.name]
    found: list[tuple[Arrays, float]] = []
    for path, table, count in zip(paths, tables, counts, strict=True):
        rows = min(count, wanted - sum(len(part[OUTPUTS[0]]) for part, _ in found))
        if table is not None and rows > 0:
            found.append(_processed(path, table, rows, chain, pars, channel.adc_bits))
    if not found:
        raise WorkFailed(f"{channel.name} has no events in the fft data of this run")
    return {name: np.concatenate([part[name] for part, _ in found]) for name in OUTPUTS}, found[0][1]


def _chain(job: Job, channel: Channel) -> Mapping[str, Any]:
    chain = job.config.read("processing_chain", channel)
    made = {name.strip() for key in (chain or {}).get("processors", {}) for name in key.split(",")}
    missing = [name for name in OUTPUTS if name not in made]
    if chain is None or missing:
        raise UserError(
            f"the processing chain of pars_dsp_nopt has no {' and no '.join(missing)} for {channel.name}",
            hint="the traces without baseline are wf_blsub, those without decay wf_pz",
        )
    return chain


def _processed(
    path: Path, table: str, rows: int, chain: Mapping[str, Any], pars: Mapping[str, Any], adc_bits: int | None
) -> tuple[Arrays, float]:
    result = run_chain(path, table, chain, pars, rows=range(rows), outputs=OUTPUTS, adc_bits=adc_bits)
    return {name: np.asarray(result[name].values.nda) for name in OUTPUTS}, float(result[OUTPUTS[0]].dt.nda[0])
