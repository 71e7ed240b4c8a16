"""Mean, scatter and slope of parts of traces, as dspeed's ``linear_slope_fit``: four traces side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import compiled

Array = Any
SIDE = 4
"""Traces that are worked on at a time: each step waits for the one before, and meanwhile the others are done."""


@compiled
def _welford(value: Any, mean: Any, scatter: Any, share: float) -> tuple[Any, Any]:
    """One step of Welford's method, rounded to float32 where dspeed rounds."""
    away = value - mean
    mean = np.float32(mean + away * share)
    return mean, scatter + away * (value - mean)


@compiled
def _result(mean: Any, scatter: Any, moment: float, total: float, length: int) -> tuple[Any, Any, Any, Any]:
    x, xx = 0, 0
    for i in range(length):
        x += i
        xx += i * i
    deviation = np.sqrt(np.float32(scatter / (length - 1)))
    slope = np.float32((length * moment - x * total) / (length * xx - x * x))
    return mean, deviation, slope, np.float32((total - x * slope) / length)


@compiled
def fit(
    flat: Array, stride: int, length: int, bad: Array, mean: Array, deviation: Array, slope: Array, intercept: Array
) -> None:
    """Fit lines to parts of traces.

    Parameters
    ----------
    flat, stride, length, bad
        As for :func:`.marks.mark`; a multiple of :data:`SIDE` traces.
    mean, deviation, slope, intercept
        What is found, float32, shape (traces,); NaN for marked traces.
    """
    zero = np.float32(0)
    for row in range(0, len(bad), SIDE):
        a = flat[row * stride : row * stride + length]
        b = flat[(row + 1) * stride : (row + 1) * stride + length]
        c = flat[(row + 2) * stride : (row + 2) * stride + length]
        d = flat[(row + 3) * stride : (row + 3) * stride + length]
        ma, mb, mc, md = zero, zero, zero, zero
        sa, sb, sc, sd = zero, zero, zero, zero
        xa, xb, xc, xd = 0.0, 0.0, 0.0, 0.0
        ta, tb, tc, td = 0.0, 0.0, 0.0, 0.0
        for i in range(length):
            share = 1.0 / (i + 1)
            ma, sa = _welford(a[i], ma, sa, share)
            mb, sb = _welford(b[i], mb, sb, share)
            mc, sc = _welford(c[i], mc, sc, share)
            md, sd = _welford(d[i], md, sd, share)
            place = np.float64(i)
            xa, xb, xc, xd = xa + a[i] * place, xb + b[i] * place, xc + c[i] * place, xd + d[i] * place
            ta, tb, tc, td = ta + a[i], tb + b[i], tc + c[i], td + d[i]
        mean[row], deviation[row], slope[row], intercept[row] = _result(ma, sa, xa, ta, length)
        mean[row + 1], deviation[row + 1], slope[row + 1], intercept[row + 1] = _result(mb, sb, xb, tb, length)
        mean[row + 2], deviation[row + 2], slope[row + 2], intercept[row + 2] = _result(mc, sc, xc, tc, length)
        mean[row + 3], deviation[row + 3], slope[row + 3], intercept[row + 3] = _result(md, sd, xd, td, length)
    for row in range(len(bad)):
        if bad[row]:
            mean[row] = deviation[row] = slope[row] = intercept[row] = np.nan
