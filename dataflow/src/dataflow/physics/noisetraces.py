"""Traces without pulses, of forced triggers: read through the chain, quiet ones, their spectrum."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.lh5files import first_rows
from dataflow.keys.channel import Channel
from dataflow.plan.job import Job

from .chains import made_by, run_chain
from .selection import robust_limits

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]

IN_NS: Mapping[str, float] = {"ns": 1.0, "us": 1e3, "ms": 1e6}
US = 1000.0
QUIET = 6.0
"""Robust standard deviations within which scatter and range of a trace without a pulse lie."""
SMOOTHING = 2.0
"""Length of the averages that are compared with each other to see small pulses, in microseconds."""


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


def noise_traces(
    job: Job,
    channel: Channel,
    pars: Mapping[str, Any],
    wanted: int,
    outputs: Sequence[str],
    config: str = "processing_chain",
) -> tuple[Arrays, float]:
    """Run the chain on the first traces of the files of the role ``noise``.

    Parameters
    ----------
    job, channel
        Whose traces.
    pars
        The detector's parameters for the chain.
    wanted
        How many traces, at most.
    outputs
        Traces of the chain.
    config
        What the chain is called in the step's configuration.

    Returns
    -------
    tuple
        By name of `outputs`, float32 of shape (traces, samples), in ADC counts; the sampling period in ns.

    Raises
    ------
    WorkFailed
        If the detector has no traces there.
    """
    chain = chain_with(job, channel, config, outputs)
    found = [
        _processed(path, table, rows, chain, pars, outputs, channel.adc_bits)
        for path, table, rows in first_rows(job.inputs["noise"], job.tables_in("noise", channel), wanted)
    ]
    if not found:
        raise WorkFailed(f"{channel.name} has no events in the fft data of this run")
    return {name: np.concatenate([part[name] for part, _ in found]) for name in outputs}, found[0][1]


def chain_with(job: Job, channel: Channel, config: str, traces: Sequence[str]) -> Mapping[str, Any]:
    """The processing chain of a channel, which must make some traces.

    Raises
    ------
    UserError
        If it does not.
    """
    chain = job.config.read(config, channel)
    made = made_by(chain or {})
    missing = [name for name in traces if name not in made]
    if chain is None or missing:
        raise UserError(
            f"the processing chain of {job.config.rule} has no {' and no '.join(missing)} for {channel.name}",
            hint="the traces without baseline are wf_blsub, those without decay wf_pz",
        )
    return chain


def _processed(
    path: Path,
    table: str,
    rows: Sequence[int],
    chain: Mapping[str, Any],
    pars: Mapping[str, Any],
    outputs: Sequence[str],
    adc_bits: int | None,
) -> tuple[Arrays, float]:
    result = run_chain(path, table, chain, pars, rows=rows, outputs=outputs, adc_bits=adc_bits)
    return {name: np.asarray(result[name].values.nda) for name in outputs}, float(result[outputs[0]].dt.nda[0])


def quiet_traces(traces: Floats, period: float) -> NDArray[np.bool_]:
    """Which traces have no pulse: neither their scatter nor the range of their averages is unusual; shape (traces,)."""
    width = max(round(SMOOTHING * US / period), 1)
    count = traces.shape[1] // width
    averages = traces[:, : count * width].reshape(len(traces), count, width).mean(axis=2)
    quiet: NDArray[np.bool_] = np.asarray(np.isfinite(traces).all(axis=1))
    for values in (traces.std(axis=1), np.ptp(averages, axis=1), averages.mean(axis=1)):
        limits = robust_limits(values[quiet], QUIET)
        quiet = quiet & (values > limits.low) & (values < limits.high)
    return quiet


def spectrum(traces: Floats, period: float) -> tuple[Floats, Floats]:
    """Mean one-sided power spectrum: frequencies in MHz, and ADC² / MHz."""
    from scipy.signal import periodogram

    frequency, density = periodogram(traces, fs=US / period, axis=1)
    return frequency[1:], density.mean(axis=0)[1:]
