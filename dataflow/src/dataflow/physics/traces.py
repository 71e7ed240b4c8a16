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
BLOCKS = 3
"""Blocks of samples that the height of a pulse is made of."""
FINE = 64
"""Places in a sample at which a pulse may begin."""
NOISE_SHARE = 1e-3
"""What the noise of the blocks counts beside the scatter of heights, for a pulse of height 1."""

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
        Where the height holds, in samples from the beginning of the whole trace.
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


def time_of(traces: Numbers, given: ArrayLike, out: Numbers) -> None:  # noqa: ARG001 - the trace gives the unit
    """Numbers of samples as times of a trace.

    Parameters
    ----------
    traces
        Shape (traces, samples).
    given
        In samples, shape (traces,).
    out
        The same, shape (traces,).
    """
    out[...] = given


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
    scatter = parts_scatter(traces, int(np.max(parts)), int(np.max(lag)))
    out[...] = np.maximum(np.quantile(scatter, 0.25, axis=1), least)


def parts_scatter(traces: Numbers, parts: int, lag: int) -> Numbers:
    """Standard deviation of each of the equal parts of each trace, from differences of samples, shape (traces, parts).

    Parameters
    ----------
    traces, parts, lag
        As for :func:`quiet_scatter`.
    """
    differences = traces[:, lag:].astype(np.float64) - traces[:, :-lag]
    length = differences.shape[1] // parts
    split = differences[:, : length * parts].reshape(len(traces), parts, length)
    return np.asarray(np.sqrt(np.mean(split**2, axis=2) / 2))


def trigger_noise(own: ArrayLike, known: ArrayLike, out: Numbers) -> None:
    """The noise that pulses of a trace are compared with.

    Parameters
    ----------
    own
        Noise of each trace, shape (traces,).
    known
        Noise of many traces of the channel; 0 if it is not known.
    out
        What is known, or the trace's own where that is 1.5 times as large or nothing is known, shape (traces,).
    """
    out[...] = np.where(np.asarray(own) > 1.5 * np.asarray(known), own, known)


def steps_of_parts(
    window: Numbers,
    sums: Numbers,
    first: ArrayLike,
    rise: ArrayLike,
    gap: ArrayLike,
    fall: ArrayLike,
    front: ArrayLike,
    out: Numbers,
) -> None:
    """Heights of pulses as from a whole trace of which there is a window, and averages of equal blocks of samples.

    In the window it is the difference of means of `rise` samples, `gap` apart, as of whole traces; elsewhere that of
    three blocks and the block before them, see :func:`block_weights`.

    Parameters
    ----------
    window
        Shape (traces, samples).
    sums
        Averages of blocks, shape (traces, blocks).
    first
        Place of the window in the whole trace, in samples.
    rise, gap
        In samples.
    fall, front
        Decay constant and rise time of the pulses, in samples.
    out
        One a sample of the whole trace, shape (traces, samples of a block times blocks).
    """
    block, length, between = out.shape[1] // sums.shape[1], int(np.max(rise)), int(np.max(gap))
    known = _steps(window, length, between)
    begin = round(float(np.max(first))) + 2 * length + between - 1  # of what is known of the whole trace
    start, end = -(-begin // block), min((begin + known.shape[1]) // block, sums.shape[1])  # in blocks
    weights = block_weights(block, length, between, float(np.max(fall)), float(np.max(front)))
    averages = sums.astype(np.float64)
    heights = _block_heights(averages, weights)
    if 3 <= start < end:  # the last block before the window must not look into it: its pulses are found there
        left = np.exp(-block / float(np.max(fall)))
        base, one, two = averages[:, start - 3], averages[:, start - 2], averages[:, start - 1]
        heights[:, start - 1] = weights[0] * (one - base) + (weights[1] + left * weights[2]) * (two - base)
    out[...] = np.repeat(heights, block, axis=1)
    if start < end:
        out[:, start * block : end * block] = known[:, start * block - begin : end * block - begin]


def _steps(traces: Numbers, length: int, between: int) -> Numbers:
    """Means of `length` samples less those before them, the first one where there are enough samples."""
    total = np.cumsum(np.pad(traces.astype(np.float64), ((0, 0), (1, 0))), axis=1)
    means = (total[:, length:] - total[:, :-length]) / length
    return np.asarray(means[:, length + between :] - means[:, : -length - between])


def _block_heights(averages: Numbers, weights: Numbers) -> Numbers:
    """Heights of pulses from blocks, told at the block after the one in which the pulse begins."""
    heights, count = np.zeros(averages.shape), averages.shape[1] - len(weights)
    for number, weight in enumerate(weights, 1):
        heights[:, 2 : 2 + count] += weight * (averages[:, number : number + count] - averages[:, :count])
    return heights


def block_weights(block: int, length: int, gap: int, fall: float, front: float) -> Numbers:
    """What three blocks are to be weighted by, so that a pulse has the height that means of single samples give it.

    A pulse begins anywhere in the first of the blocks. The weights are those for which the height depends least on
    where that is (least squares over 64 places a sample, with a little weight on the noise), scaled to the largest
    difference of means of `length` samples, `gap` apart.

    Parameters
    ----------
    block
        Samples of a block.
    length, gap
        Samples of the means that whole traces are measured by, and between them.
    fall, front
        Time constants of the pulse exp(-t/fall) - exp(-t/front), in samples.

    Returns
    -------
    weights
        Shape (3,).
    """
    fine = np.arange((BLOCKS + 1) * block * FINE) / FINE
    shape = np.exp(-fine / fall) - np.exp(-fine / front)
    area = np.concatenate([[0.0], np.cumsum(shape) / FINE])
    ends = np.arange(block * FINE)
    begins = [np.maximum(ends + (number - 1) * block * FINE, 0) for number in range(BLOCKS)]
    means = np.array([area[ends + n * block * FINE] - area[begin] for n, begin in enumerate(begins)]).T / block
    equations = means.T @ means / len(means) + NOISE_SHARE * float(np.max(shape)) ** 2 * np.eye(BLOCKS)
    weights = np.linalg.solve(equations, means.mean(axis=0))
    longer = np.pad(area, ((2 * length + gap) * FINE, 0))
    sums = longer[length * FINE :] - longer[: -length * FINE]
    whole = np.max(sums[(length + gap) * FINE :] - sums[: -(length + gap) * FINE]) / length
    return np.asarray(weights * whole / np.mean(means @ weights))


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
