"""The current around a pulse: differences, windows of a trace, finer sampling."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import compiled

Array = Any


@compiled
def difference(flat: Array, stride: int, length: int, bad: Array, lag: int, out: Array, count: int) -> None:
    """Differences of samples, as dspeed's ``avg_current``.

    Parameters
    ----------
    flat, stride, length, bad
        As for :func:`.marks.mark`.
    lag
        In samples.
    out, count
        What is found, float32, and how many numbers a trace.
    """
    divisor = np.float32(lag)
    for row in range(len(bad)):
        w = flat[row * stride : row * stride + length]
        target = out[row * count : (row + 1) * count]
        after = w[lag:]
        for i in range(count):
            target[i] = (after[i] - w[i]) / divisor
        if bad[row]:
            target[:] = np.nan


@compiled
def window(flat: Array, stride: int, length: int, bad: Array, begin: Array, out: Array, size: int) -> None:
    """A part of each trace, NaN where it ends before, as dspeed's ``windower``.

    Parameters
    ----------
    flat, stride, length, bad
        As for :func:`.marks.mark`.
    begin
        Where the part begins; float32, shape (traces,).
    out, size
        What is found, float32, and how many samples a trace.
    """
    for row in range(len(bad)):
        target = out[row * size : (row + 1) * size]
        target[:] = np.nan
        if bad[row] or np.isnan(begin[row]):
            continue
        w = flat[row * stride : row * stride + length]
        first = min(int(begin[row]), length)
        for i in range(max(0, -first), max(min(size, length - first), 0)):
            target[i] = w[first + i]


@compiled
def window_of_differences(
    flat: Array, stride: int, length: int, bad: Array, lag: int, begin: Array, out: Array, size: int
) -> None:
    """:func:`window` of what :func:`difference` would give; parameters as theirs."""
    divisor, count = np.float32(lag), length - lag
    for row in range(len(bad)):
        target = out[row * size : (row + 1) * size]
        target[:] = np.nan
        if bad[row] or np.isnan(begin[row]):
            continue
        w = flat[row * stride : row * stride + length]
        first = min(int(begin[row]), count)
        for i in range(max(0, -first), max(min(size, count - first), 0)):
            target[i] = (w[first + i + lag] - w[first + i]) / divisor


@compiled
def finer(flat: Array, stride: int, length: int, bad: Array, times: int, out: Array, size: int) -> None:
    """Each sample several times, half of them before its place, as dspeed's ``upsampler``.

    Parameters
    ----------
    flat, stride, length, bad
        As for :func:`.marks.mark`.
    times
        How many are made of one.
    out, size
        What is found, float32, and how many samples a trace; NaN for the last ones, which nothing is known of.
    """
    half = times // 2
    for row in range(len(bad)):
        w = flat[row * stride : row * stride + length]
        target = out[row * size : (row + 1) * size]
        place = 0
        for i in range(length):
            end = min((i + 1) * times - half, size)
            part, value = target[place:end], w[i]
            for j in range(len(part)):
                part[j] = value
            place = max(place, end)
        target[place:] = np.nan
        if bad[row]:
            target[:] = np.nan
