"""Decay constant of the preamplifier, from the slope of the pulses' tails."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.lh5files import open_input, rows_by_file
from dataflow.keys.channel import Channel
from dataflow.physics.chains import PARTS, WHOLE, run_chain
from dataflow.physics.pulser import event_masks
from dataflow.physics.selection import MAD_TO_SIGMA, robust_limits
from dataflow.plan.job import Job

from .settings import PzSettings

log = logging.getLogger(__name__)

Floats = NDArray[np.floating[Any]]

OUTPUTS = ("tail_slope", "trapTmax", "bl_std", "bl_slope", "n_sat_hi", "tp_0_est")
MEDIAN_ERROR = 1.2533
"""Standard error of the median over that of the mean, for a normal distribution."""
CLIP = 4.0


@dataclass(frozen=True)
class DecayConstant:
    """A decay constant.

    Attributes
    ----------
    tau, error
        In ns.
    events
        Tails that it was derived from.
    taus
        The single events' values, for the figure, in ns.
    """

    tau: float
    error: float
    events: int
    taus: Floats = field(repr=False)


def build(job: Job, threads: int = 1) -> None:
    """Find the decay constant of each detector of a run.

    Parameters
    ----------
    job
        Inputs ``raw`` and ``masks``, outputs ``par`` and ``plt``; ``tau_config`` and ``processing_chain`` of the rule.
    threads
        Worker processes over detectors.
    """
    tables = {channel.name: job.tables_in("raw", channel) for channel in job.channels}
    counts = rows_by_file(job.inputs["raw"], tables)
    masks = event_masks(job, counts)

    def work(channel: Channel) -> Made:
        from .figure import draw

        settings = job.config.settings("tau_config", PzSettings, channel)
        data, period = tails(job, channel, masks[channel.name].usable, counts[channel.name], settings)
        result = decay_constant(data, period, settings)
        entry = {
            "pz": {"tau1": f"{result.tau:.1f}*ns", "tau1_err": f"{result.error:.1f}*ns", "n_events": result.events}
        }
        return Made(entry, lambda: draw(channel.name, str(job.key), result))

    calibrate_detectors(job, job.channels, work, threads)


def decay_constant(data: Mapping[str, NDArray[Any]], period: float, settings: PzSettings) -> DecayConstant:
    """The median of -1/slope over clean, large pulses.

    Parameters
    ----------
    data
        Columns :data:`OUTPUTS`, shape (events,); ``tail_slope`` is that of the logarithm of the tail, per sample.
    period
        Sampling period in ns.
    settings
        How.

    Raises
    ------
    WorkFailed
        If there are too few clean tails.
    """
    amplitude = data["trapTmax"]
    finite = np.isfinite(amplitude) & np.isfinite(data["tail_slope"]) & (data["n_sat_hi"] == 0)
    if not finite.any():
        raise WorkFailed("no pulse has a tail")
    threshold = settings.threshold or settings.threshold_fraction * float(np.quantile(amplitude[finite], 0.99))
    good = finite & (amplitude > threshold) & (data["tail_slope"] < 0) & np.isfinite(data["tp_0_est"])
    for name in ("bl_std", "bl_slope"):
        limits = robust_limits(data[name], 6)
        good &= (data[name] > limits.low) & (data[name] < limits.high)
    taus = -period / data["tail_slope"][good].astype(np.float64)
    core = _clipped(taus)
    if len(core) < settings.least:
        raise WorkFailed(f"{len(core)} clean tails are too few for a decay constant, {settings.least} are needed")
    spread = MAD_TO_SIGMA * float(np.median(np.abs(core - np.median(core))))
    return DecayConstant(float(np.median(core)), MEDIAN_ERROR * spread / np.sqrt(len(core)), len(core), taus)


def _clipped(values: Floats) -> Floats:
    """Without what lies far off the median: pile-up bends tails."""
    for _ in range(5):
        limits = robust_limits(values, CLIP)
        kept = values[(values > limits.low) & (values < limits.high)]
        if len(kept) == len(values):
            break
        values = kept
    return values


def tails(
    job: Job, channel: Channel, accepted: NDArray[np.bool_], counts: Sequence[int], settings: PzSettings
) -> tuple[dict[str, Any], float]:
    """Run the chain on the first accepted waveforms of the run; returns its columns and the sampling period in ns.

    `accepted` has the shape (events,), `counts` says how many of these are in each file.
    """
    chain = job.config.read("processing_chain", channel)
    if chain is None:
        raise UserError(f"there is no processing chain for the decay constant of {channel.name}")
    found: list[dict[str, Any]] = []
    first, period = 0, 0.0
    for path, table, count in zip(job.inputs["raw"], job.tables_in("raw", channel), counts, strict=True):
        wanted = settings.n_events - sum(len(part["trapTmax"]) for part in found)
        chosen: NDArray[np.int64] = np.flatnonzero(accepted[first : first + count])[: max(wanted, 0)]
        first += count
        if table is not None and len(chosen):
            part, period = _processed(path, table, chosen, chain, channel.adc_bits)
            found.append(part)
    if not found:
        raise WorkFailed(f"{channel.name} has no events in this run")
    return {name: np.concatenate([part[name] for part in found]) for name in OUTPUTS}, period


def _processed(
    path: Path, table: str, chosen: NDArray[np.int64], chain: Mapping[str, Any], adc_bits: int | None
) -> tuple[dict[str, Any], float]:
    wanted = [int(row) for row in chosen]
    result = run_chain(path, table, chain, {}, rows=wanted, outputs=OUTPUTS, adc_bits=adc_bits)
    with open_input(path) as file:
        traces = next((name for name in (WHOLE, PARTS[1]) if name in file[table]), WHOLE)
        period = float(file[f"{table}/{traces}/dt"][0])
    return {name: np.asarray(result[name].nda) for name in OUTPUTS}, period
