"""What the shipped processing chains need and dspeed does not have, as plain numpy functions.

A chain names one with ``module: dataflow.physics.traces``, its signature and its types. dspeed hands over a block of
traces: arrays of shape (traces, samples), numbers of shape (traces,) or (); what is computed is written into the last
arguments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[Any]

SAME_PERIOD = 1e-3
"""Relative difference of sampling periods that are the same."""


def above_tail(
    traces: Numbers,
    level: ArrayLike,
    height: ArrayLike,
    tau: ArrayLike,
    centre: ArrayLike,
    first: ArrayLike,
    out: Numbers,
) -> None:
    """Traces above what they would be without their pulse: a level, and the tail of an earlier pulse.

    Parameters
    ----------
    traces
        Shape (traces, samples).
    level
        What the tail decays to, shape (traces,).
    height
        Height of the tail above the level at `centre`, shape (traces,); 0 where there is none.
    tau
        Decay constant in samples.
    centre
        Where the height holds, in samples from the begin of the whole trace.
    first
        The first sample of a window of the trace; 0 for a whole one.
    out
        traces - level - height · exp(-(first + sample - centre)/tau), shape (traces, samples).
    """
    heights = np.broadcast_to(np.asarray(height), traces.shape[:1])
    np.subtract(traces, _column(level), out=out, casting="same_kind")
    (tails,) = np.nonzero(heights)
    if len(tails):
        later = np.arange(traces.shape[1]) + (float(np.max(first)) - float(np.max(centre)))
        shape = np.exp(-later / float(np.max(tau)))
        out[tails] -= heights[tails, None] * shape


def fitting_kernel(kernel: Numbers, ratio: ArrayLike, out: Numbers) -> None:
    """A filter for traces of some sampling; NaN for traces of another one, whose energies would be wrong.

    Parameters
    ----------
    kernel
        Coefficients, shape (length,).
    ratio
        Sampling period that they are for, as a part of that of the traces.
    out
        The same, or NaN, shape (length,).
    """
    fits = np.all(np.abs(np.asarray(ratio) - 1) < SAME_PERIOD)
    out[...] = kernel if fits else np.nan


def samples_beyond(traces: Numbers, lowest: ArrayLike, highest: ArrayLike, low: Numbers, high: Numbers) -> None:
    """How many samples lie at or beyond the ends of the digitizer's range.

    Parameters
    ----------
    traces
        Shape (traces, samples).
    lowest, highest
        The ends, in ADC counts.
    low, high
        Numbers of samples, shape (traces,).
    """
    low[...] = np.count_nonzero(traces <= lowest, axis=-1)
    high[...] = np.count_nonzero(traces >= highest, axis=-1)


def quiet_scatter(traces: Numbers, parts: ArrayLike, lag: ArrayLike, least: ArrayLike, out: Numbers) -> None:
    """Noise of traces from their quiet parts: from differences of samples, the lower quartile of that of equal parts.

    Pulses may fill up to three quarters of a trace, and it may fall all the time. A histogram's width, in contrast,
    collapses where few samples, or few different values, lie within it.

    Parameters
    ----------
    traces
        Filtered traces, shape (traces, samples).
    parts
        Number of parts; samples that are left over at the end do not count.
    lag
        Samples between the two of a difference: as many as the filter takes to forget.
    least
        What the noise is at least: that of the digitizer's steps.
    out
        Standard deviation, shape (traces,).
    """
    count, step = int(np.max(parts)), int(np.max(lag))
    differences = traces[:, step:].astype(np.float64) - traces[:, :-step]
    length = differences.shape[1] // count
    split = differences[:, : length * count].reshape(len(traces), count, length)
    scatter = np.sqrt(np.mean(split**2, axis=2) / 2)
    out[...] = np.maximum(np.quantile(scatter, 0.25, axis=1), least)


def most_significant(traces: Numbers, found: Numbers, kept: Numbers, heights: Numbers, count: Numbers) -> None:
    """The highest of the pulses that were found, in the order of time.

    Parameters
    ----------
    traces
        Filtered traces, shape (traces, samples).
    found
        Samples at which there are pulses, NaN for none, shape (traces, any).
    kept
        Samples of those that find a place, then NaN, shape (traces, places).
    heights
        Values of the traces there, shape (traces, places).
    count
        How many were found, those without a place included, shape (traces,).
    """
    there = np.isfinite(found)
    count[...] = np.count_nonzero(there, axis=1)
    places = np.where(there, found, 0).astype(np.int64)
    values = np.where(there, np.take_along_axis(traces, places, axis=1), -np.inf)
    size = kept.shape[1]
    highest = np.argsort(-values, axis=1, kind="stable")[:, :size]
    positions = np.sort(np.take_along_axis(np.where(there, found, np.nan), highest, axis=1), axis=1)
    kept[...], heights[...] = np.nan, np.nan
    kept[:, : positions.shape[1]] = positions
    known = np.isfinite(kept)
    at = np.where(known, kept, 0).astype(np.int64)
    heights[...] = np.where(known, np.take_along_axis(traces, at, axis=1), np.nan)


def _column(values: ArrayLike) -> Numbers:
    return np.asarray(values)[..., None]
