"""Convolutions with fixed kernels: directly, eight coefficients at a time, and by running sums where a kernel is flat.

At the lengths of energy filters this takes fewer operations than a Fourier transform, and fewer roundings. A run of
equal coefficients costs two additions a sample, however long it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import compiled

Array = Any
GROUP = 8
"""Coefficients that are applied in one pass."""
SIDE = 4
LANES = 16
"""Traces that are laid side by side, sample by sample."""


@compiled
def _padded(w: Array, margin: int, out: Array) -> None:
    out[:margin] = 0
    out[margin : margin + len(w)] = w
    out[margin + len(w) : 2 * margin + len(w)] = 0


@compiled
def _running_sums(rows: Array, out: Array) -> None:
    """out[k, i] is the sum of the first i samples of row k."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    ra, rb, rc, rd = rows[0], rows[1], rows[2], rows[3]
    oa, ob, oc, od = out[0], out[1], out[2], out[3]
    for i in range(rows.shape[1]):
        oa[i], ob[i], oc[i], od[i] = a, b, c, d
        a, b, c, d = a + ra[i], b + rb[i], c + rc[i], d + rd[i]


@compiled
def _add_group(x: Array, k: Array, out: Array) -> None:
    """Add what eight coefficients make of eight neighbours."""
    k0, k1, k2, k3, k4, k5, k6, k7 = k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7]
    for i in range(len(out)):
        near = (k0 * x[i] + k1 * x[i + 1]) + (k2 * x[i + 2] + k3 * x[i + 3])
        out[i] += near + ((k4 * x[i + 4] + k5 * x[i + 5]) + (k6 * x[i + 6] + k7 * x[i + 7]))


@compiled
def _add_group_of_lanes(x: Array, k: Array, out: Array) -> None:
    """As :func:`_add_group` for :data:`LANES` traces sample by sample: whole lines of the cache are read."""
    k0, k1, k2, k3, k4, k5, k6, k7 = k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7]
    for i in range(len(out)):
        near = (k0 * x[i] + k1 * x[i + 16]) + (k2 * x[i + 32] + k3 * x[i + 48])
        out[i] += near + ((k4 * x[i + 64] + k5 * x[i + 80]) + (k6 * x[i + 96] + k7 * x[i + 112]))


@compiled
def convolve_many(
    flat: Array,
    stride: int,
    length: int,
    bad: Array,
    kernel: tuple[Array, Array],
    out: tuple[Array, int, int],
    margin: int,
    space: Array,
) -> None:
    """As :func:`convolve`, for kernels of many groups, without a window of equal coefficients.

    Parameters
    ----------
    flat, stride, length, bad, out, margin
        As there; a multiple of :data:`LANES` traces.
    kernel
        Groups, and the sample that each begins at.
    space
        To work in, float32, :data:`LANES` traces with margins, and their results.
    """
    groups, begins = kernel
    target, out_stride, count = out
    size = (length + 2 * margin) * LANES
    x, found = space[:size], space[size : size + count * LANES]
    x[:] = 0
    for row in range(0, len(bad), LANES):
        middle = x[margin * LANES : (margin + length) * LANES]
        for k in range(LANES):
            w = flat[(row + k) * stride : (row + k) * stride + length]
            for i in range(length):
                middle[i * LANES + k] = np.float32(0) if bad[row + k] else w[i]
        found[:] = 0
        for number in range(len(begins)):
            first = begins[number] * LANES
            _add_group_of_lanes(x[first : first + (count + GROUP) * LANES], groups[number], found)
        for k in range(LANES):
            result = target[(row + k) * out_stride : (row + k) * out_stride + count]
            for i in range(count):
                result[i] = found[i * LANES + k]
            if bad[row + k]:
                result[:] = np.nan


@compiled
def convolve(
    flat: Array,
    stride: int,
    length: int,
    bad: Array,
    kernel: tuple[Array, Array, int, int, float],
    out: tuple[Array, int, int],
    margin: int,
    space: tuple[Array, Array],
) -> None:
    """Convolve traces with a kernel.

    Parameters
    ----------
    flat, stride, length, bad
        As for :func:`.marks.mark`; a multiple of four traces.
    kernel
        Groups of :data:`GROUP` coefficients, reversed; the sample that each begins at for the first output, counted in
        the trace with its margin; begin and end of the window that has one coefficient, counted likewise; its value.
    out
        What is found (float32), its samples a trace, and how many are wanted.
    margin
        Zeros before and after a trace.
    space
        To work in: float32, four traces with margins; float64, the same.
    """
    groups, begins, first, last, flat_value = kernel
    target, out_stride, count = out
    size = length + 2 * margin
    padded = space[0][: SIDE * size].reshape(SIDE, size)
    sums = space[1][: SIDE * size].reshape(SIDE, size)
    for row in range(0, len(bad), SIDE):
        for k in range(SIDE):
            _padded(flat[(row + k) * stride : (row + k) * stride + length], margin, padded[k])
        if last > first:
            _running_sums(padded, sums)
        for k in range(SIDE):
            found = target[(row + k) * out_stride : (row + k) * out_stride + count]
            if last > first:
                low, high = sums[k, first : first + count], sums[k, last : last + count]
                for i in range(count):
                    found[i] = np.float32((high[i] - low[i]) * flat_value)
            else:
                found[:] = 0
            for number in range(len(begins)):
                _add_group(padded[k, begins[number] : begins[number] + count + GROUP], groups[number], found)
            if bad[row + k]:
                found[:] = np.nan
