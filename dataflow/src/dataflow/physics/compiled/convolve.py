"""Convolutions with fixed kernels: directly, eight results of eight traces at a time, and by running sums where flat.

At the lengths of energy filters this takes fewer operations than a Fourier transform, and fewer roundings. A run of
equal coefficients costs two additions a sample, however long it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import compiled
from .vectors import SIDE, double, lay, load, muladd, put_eight, same, single, store, take_back

Array = Any


@compiled
def _window(x: Array, first: int, last: int) -> Any:
    """The sum of a window."""
    found = same(0.0)
    for i in range(first, last):
        found = found + double(load(x, i * SIDE))
    return found


@compiled
def _change(x: Array, first: int, last: int) -> Any:
    """How much the sum of a window changes when it goes one sample on."""
    return double(load(x, last * SIDE)) - double(load(x, first * SIDE))


@compiled
def _flat(x: Array, first: int, last: int, share: Any, a: Any) -> Any:
    """What a window of equal coefficients gives in eight places, and the sum of the window in the next one."""
    b = a + _change(x, first, last)
    c = b + _change(x, first + 1, last + 1)
    d = c + _change(x, first + 2, last + 2)
    e = d + _change(x, first + 3, last + 3)
    f = e + _change(x, first + 4, last + 4)
    g = f + _change(x, first + 5, last + 5)
    h = g + _change(x, first + 6, last + 6)
    begin = single(a * share), single(b * share), single(c * share), single(d * share)
    end = single(e * share), single(f * share), single(g * share), single(h * share)
    return begin + end, h + _change(x, first + 7, last + 7)


@compiled
def _sums(x: Array, place: int, coefficients: Array) -> Any:
    """What coefficients make of the samples from a place on, and from the seven behind it."""
    a = b = c = d = e = f = g = h = same(np.float32(0))
    for j in range(len(coefficients)):
        k, at = same(coefficients[j]), (place + j) * SIDE
        a, b = muladd(k, load(x, at), a), muladd(k, load(x, at + SIDE), b)
        c, d = muladd(k, load(x, at + 2 * SIDE), c), muladd(k, load(x, at + 3 * SIDE), d)
        e, f = muladd(k, load(x, at + 4 * SIDE), e), muladd(k, load(x, at + 5 * SIDE), f)
        g, h = muladd(k, load(x, at + 6 * SIDE), g), muladd(k, load(x, at + 7 * SIDE), h)
    return a, b, c, d, e, f, g, h


@compiled
def _added(one: Any, other: Any) -> Any:
    first = one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3]
    return first + (one[4] + other[4], one[5] + other[5], one[6] + other[6], one[7] + other[7])


@compiled
def convolve(
    flat: Array,
    stride: int,
    length: int,
    bad: Array,
    kernel: tuple[Array, Array, int, int, float],
    out: tuple[Array, int, int],
    margin: int,
    space: Array,
) -> None:
    """Convolve traces with a kernel.

    Parameters
    ----------
    flat, stride, length, bad
        As for :func:`.marks.mark`; a multiple of :data:`.vectors.SIDE` traces.
    kernel
        Coefficients, float32, reversed; parts of them that are applied one by one, int64, shape (parts, 3): their begin
        and end, and the sample that the first one takes for the first result, counted in the trace with its margin;
        begin and end of the window that has one coefficient, counted likewise; its value.
    out
        What is found (float32), its samples a trace, and how many are wanted.
    margin
        Zeros before and after a trace, at least :data:`.vectors.SIDE` more than the kernel has coefficients.
    space
        To work in, float32: :data:`.vectors.SIDE` traces with margins, and as many samples more.
    """
    coefficients, parts, first, last, value = kernel
    target, out_stride, count = out
    size = (length + 2 * margin) * SIDE
    x, rest = space[:size], space[size : size + SIDE * SIDE]
    x[: margin * SIDE] = 0
    x[(margin + length) * SIDE :] = 0
    share, nothing = same(value), same(np.float32(0))
    for row in range(0, len(bad), SIDE):
        lay(flat, row * stride, stride, length, x, margin)
        now = _window(x, first, last)
        for i in range(0, count, SIDE):
            found = nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing
            if last > first:
                found, now = _flat(x, first + i, last + i, share, now)
            for number in range(len(parts)):
                begin, end, place = parts[number, 0], parts[number, 1], parts[number, 2]
                found = _added(found, _sums(x, place + i, coefficients[begin:end]))
            if i + SIDE <= count:
                put_eight(found, target, row * out_stride + i, out_stride)
            else:
                for k in range(SIDE):
                    store(rest, k * SIDE, found[k])
                take_back(rest, 0, count - i, target, row * out_stride + i, out_stride)
        for k in range(SIDE):
            if bad[row + k]:
                target[(row + k) * out_stride : (row + k) * out_stride + count] = np.nan
