"""Single numbers of traces: extrema, crossings of thresholds, values at given times; as dspeed's processors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import compiled, reordered

Array = Any
PART = 256
"""Samples that an extremum is looked for at a time."""


@compiled
def _key(bits: Any) -> Any:
    """An integer that is ordered as the float32 with these bits: loops over integers are vectorised."""
    key = np.int32(bits ^ ((bits >> 31) & 0x7FFFFFFF))
    return np.int32(key + (key == -1))  # the zero with a sign is no other zero


@compiled
def _range(bits: Array) -> tuple[Any, Any]:
    low, high = np.int32(0x7FFFFFFF), np.int32(-0x80000000)
    for i in range(len(bits)):
        key = _key(bits[i])
        low, high = min(low, key), max(high, key)
    return low, high


@compiled
def _first(bits: Array, key: Any) -> int:
    for i in range(len(bits)):
        if _key(bits[i]) == key:
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
        bits = w.view(np.int32)
        low, high, in_low, in_high = _key(bits[0]), _key(bits[0]), 0, 0
        for begin in range(0, length, PART):
            least, most = _range(bits[begin : min(begin + PART, length)])
            if least < low:
                low, in_low = least, begin
            if most > high:
                high, in_high = most, begin
        i, j = in_low + _first(bits[in_low:], low), in_high + _first(bits[in_high:], high)
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
