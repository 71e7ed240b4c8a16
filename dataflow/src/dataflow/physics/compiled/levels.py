"""Levels and sums of traces: counts at the ends of the range, averages of samples, what lies above a baseline."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import compiled

Array = Any
USUAL_RATE = 6
"""Samples of an average in the shipped chain."""


@compiled
def count_beyond(flat: Array, stride: int, length: int, lowest: Array, highest: Array, low: Array, high: Array) -> None:
    """How many samples lie at or beyond two values, as :func:`dataflow.physics.traces.samples_beyond`.

    Parameters
    ----------
    flat, stride, length
        As for :func:`.marks.mark`.
    lowest, highest
        In ADC counts, float32, shape (traces,).
    low, high
        What is counted, float32, shape (traces,).
    """
    for row in range(len(low)):
        samples = flat[row * stride : row * stride + length]
        bottom, top = lowest[row], highest[row]
        under, over = np.int32(0), np.int32(0)
        for i in range(length):
            value = np.float32(samples[i])
            under += np.int32(value <= bottom)
            over += np.int32(value >= top)
        low[row], high[row] = under, over


@compiled
def _totals(w: Array, rate: int, out: Array) -> None:
    """Sums of neighbours, one after the other; written out for the usual rate, which is three times as fast."""
    for i in range(len(out)):
        near = w[i * rate : (i + 1) * rate]
        if rate == USUAL_RATE:
            out[i] = ((((near[0] + near[1]) + near[2]) + near[3]) + near[4]) + near[5]
        else:
            out[i] = near[0]
            for j in range(1, rate):
                out[i] += near[j]


@compiled
def average(
    flat: Array, stride: int, bad: Array, rate: int, divide: bool, out: Array, count: int, space: Array
) -> None:
    """Sums or averages of `rate` samples, as dspeed's ``presum``.

    Parameters
    ----------
    flat, stride, bad
        As for :func:`.marks.mark`.
    rate
        Samples that are taken together.
    divide
        Whether averages are wanted.
    out
        What is found, float32, `count` numbers a trace.
    count
        Numbers a trace.
    space
        To work in, float32, at least rate · count numbers.
    """
    whole = np.float32(rate)
    for row in range(len(bad)):
        samples = flat[row * stride : row * stride + rate * count]
        target = out[row * count : (row + 1) * count]
        for i in range(rate * count):
            space[i] = np.float32(samples[i]) / whole if divide else np.float32(samples[i])
        _totals(space, rate, target)
        if bad[row]:
            target[:] = np.nan


@compiled
def _halved(w: Array, out: Array) -> None:
    for i in range(len(out)):
        out[i] = (w[2 * i] + w[2 * i + 1]) * np.float32(0.5)


@compiled
def shapes(flat: Array, stride: int, length: int, level: Array, halvings: int, out: Array, space: Array) -> None:
    """Traces above a level, by means of two samples again and again, as :func:`dataflow.physics.svm.shape_of`.

    Parameters
    ----------
    flat, stride, length
        As for :func:`.marks.mark`.
    level
        Float32, shape (traces,).
    halvings
        How often samples are taken together.
    out
        What is found, float32.
    space
        To work in, float32, twice length + 1 numbers.
    """
    size = len(out) // len(level)
    for row in range(len(level)):
        w, base, target = flat[row * stride : row * stride + length], level[row], out[row * size : (row + 1) * size]
        now, after, count = space[: length + 1], space[length + 1 : 2 * length + 2], length
        for i in range(length):
            now[i] = w[i] - base
        for _ in range(halvings):
            if count % 2:
                now[count] = now[count - 1]
            count = (count + 1) // 2
            _halved(now, after[:count])
            now, after = after, now
        largest, is_number = np.float32(0), True
        for i in range(size):
            largest = max(largest, abs(now[i]))
            is_number &= now[i] == now[i]
        if is_number and 0 < largest < np.inf:
            for i in range(size):
                target[i] = now[i] / largest
        else:
            target[:] = np.nan


@compiled
def subtract(flat: Array, stride: int, length: int, bad: Array, level: Array, out: Array, out_stride: int) -> None:
    """Traces above a level, as dspeed's ``bl_subtract``; shapes as before, `level` float32."""
    for row in range(len(bad)):
        samples = flat[row * stride : row * stride + length]
        target = out[row * out_stride : row * out_stride + length]
        base = np.float32(np.nan) if bad[row] else level[row]
        for i in range(length):
            target[i] = np.float32(samples[i]) - base


@compiled
def tail(times: tuple[float, float, float], shape: Array) -> None:
    """The shape of a tail.

    Parameters
    ----------
    times
        Decay constant, centre and first sample.
    shape
        What is found, float64, shape (samples,).
    """
    tau, centre, first = times
    for i in range(len(shape)):
        shape[i] = np.exp(-(i + (first - centre)) / tau)


@compiled
def subtract_tail(
    flat: Array, stride: int, length: int, before: tuple[Array, Array, Array], out: Array, out_stride: int
) -> None:
    """Traces above a level and the tail of an earlier pulse, as :func:`dataflow.physics.traces.above_tail`.

    Parameters
    ----------
    flat, stride, length
        As for :func:`.marks.mark`.
    before
        Levels and heights of tails, float32, shape (traces,); the shape of a tail, float64, shape (length,).
    out, out_stride
        What is found, float32.
    """
    level, height, shape = before
    for row in range(len(level)):
        samples = flat[row * stride : row * stride + length]
        target = out[row * out_stride : row * out_stride + length]
        base, high = level[row], np.float64(height[row])
        for i in range(length):
            target[i] = np.float32(samples[i]) - base
        if high != 0:
            for i in range(length):
                target[i] = np.float32(np.float64(target[i]) - high * shape[i])
