"""Single numbers of traces: extrema, crossings of thresholds, values at given times; as dspeed's processors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import compiled, reordered
from .vectors import SIDE, larger, least, load, most, smaller

Array = Any
PART = 256
"""Samples that an extremum is looked for at a time."""


@compiled
def _range(w: Array) -> tuple[Any, Any]:
    """Minimum and maximum of samples without NaN."""
    low = high = w[0]
    whole = len(w) // SIDE * SIDE
    if whole:
        lows = highs = load(w, 0)
        for i in range(SIDE, whole, SIDE):
            x = load(w, i)
            lows, highs = smaller(lows, x), larger(highs, x)
        low, high = least(lows), most(highs)
    for i in range(whole, len(w)):
        low, high = min(low, w[i]), max(high, w[i])
    return low, high


@compiled
def _first(w: Array, value: Any) -> int:
    for i in range(len(w)):
        if w[i] == value:
            return i
    return 0


@compiled
def extrema(flat: Array, stride: int, length: int, bad: Array, out: tuple[Array, Array, Array, Array]) -> None:
    """Minimum and maximum, the first of several, as dspeed's ``min_max``.

    Parameters
    ----------
    flat, stride, length, bad
        As for :func:`.marks.mark`.
    out
        Places of minimum and maximum, minimum, maximum; float32, shape (traces,).
    """
    at_low, at_high, lowest, highest = out
    for row in range(len(bad)):
        if bad[row]:
            at_low[row] = at_high[row] = lowest[row] = highest[row] = np.nan
            continue
        w = flat[row * stride : row * stride + length]
        low, high, in_low, in_high = w[0], w[0], 0, 0
        for begin in range(0, length, PART):
            lowest_here, highest_here = _range(w[begin : min(begin + PART, length)])
            if lowest_here < low:
                low, in_low = lowest_here, begin
            if highest_here > high:
                high, in_high = highest_here, begin
        i, j = in_low + _first(w[in_low:], low), in_high + _first(w[in_high:], high)
        at_low[row], at_high[row], lowest[row], highest[row] = i, j, w[i], w[j]


@compiled
def _ahead(w: Array, threshold: Any, start: int) -> float:
    for i in range(start, len(w) - 1):
        if (w[i] <= threshold < w[i + 1]) or (w[i] >= threshold > w[i + 1]):
            return np.float64(i)
    return np.nan


@compiled
def _back(w: Array, threshold: Any, start: int) -> float:
    for i in range(start, 0, -1):
        if (w[i - 1] < threshold <= w[i]) or (w[i - 1] > threshold >= w[i]):
            return np.float64(i)
    return np.nan


@compiled
def crossings(
    flat: Array, stride: int, length: int, bad: Array, threshold: Array, start: Array, ahead: bool, out: Array
) -> bool:
    """Where traces cross a threshold, as dspeed's ``time_point_thresh``.

    Parameters
    ----------
    flat, stride, length, bad
        As for :func:`.marks.mark`.
    threshold, start
        Float32, shape (traces,).
    ahead
        Whether to search forwards.
    out
        The sample before the crossing, NaN for none.

    Returns
    -------
    bool
        False if a start is no sample of its trace, which dspeed refuses.
    """
    for row in range(len(bad)):
        out[row] = np.nan
        begin = start[row]
        if bad[row] or np.isnan(threshold[row]) or np.isnan(begin):
            continue
        if np.floor(begin) != begin or begin < 0 or begin >= length:
            return False
        w = flat[row * stride : row * stride + length]
        out[row] = _ahead(w, threshold[row], int(begin)) if ahead else _back(w, threshold[row], int(begin))
    return True


@compiled
def value_at(flat: Array, stride: int, length: int, bad: Array, time: Array, out: Array) -> None:
    """Values at given times, straight between samples, as dspeed's ``fixed_time_pickoff`` with ``'l'``.

    Parameters
    ----------
    flat, stride, length, bad
        As for :func:`.marks.mark`.
    time, out
        Float32, shape (traces,); NaN where the time lies outside.
    """
    for row in range(len(bad)):
        t = time[row]
        out[row] = np.nan
        if bad[row] or np.isnan(t) or t < 0 or t > length - 1:
            continue
        i, w = int(t), flat[row * stride : row * stride + length]
        if i == t:
            out[row] = w[i]
        else:
            after = t - i
            out[row] = (1 - after) * w[i] + after * w[i + 1]


@reordered
def _total(w: Array) -> float:
    total = 0.0
    for i in range(len(w)):
        total += w[i]
    return total


@compiled
def step_at(flat: Array, stride: int, length: int, bad: Array, sizes: tuple[int, int], time: Array, out: Array) -> None:
    """The value of a trapezoidal filter at given times, as dspeed's ``trap_pickoff``.

    Parameters
    ----------
    flat, stride, length, bad, time, out
        As for :func:`value_at`.
    sizes
        Rise and flat top in samples.
    """
    rise, top = sizes
    for row in range(len(bad)):
        t = time[row]
        out[row] = np.nan
        if bad[row] or np.isnan(t) or not (length > np.ceil(t) and np.floor(t) >= 2 * rise + top):
            continue
        w, at = flat[row * stride : row * stride + length], int(np.floor(t))
        begin = at - 2 * rise - top
        late, early = _total(w[at - rise + 1 : at + 1]), _total(w[begin + 1 : begin + rise + 1])
        part = t - at
        if part > 0:
            late += part * (w[at + 1] - w[at - rise + 1])
            early += part * (w[begin + rise + 1] - w[begin + 1])
        out[row] = (late - early) / rise
