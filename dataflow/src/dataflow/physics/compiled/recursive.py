"""Recursive filters: trapezoids, pole-zero corrections, moving windows; eight traces side by side.

Each value needs the one before, so a processor that does one trace waits most of the time. Values are rounded to
float32 where dspeed rounds them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import compiled
from .vectors import SIDE, double, eight, lay, load, muladd, put_eight, same, single, store, take_back

Array = Any
BLOCK = 64
"""Samples that a filter does at a time where it needs none of long before: they stay in the nearest cache."""


@compiled
def trapezoid(
    flat: Array, stride: int, length: int, bad: Array, sizes: tuple[int, int], out: Array, space: Array
) -> None:
    """Trapezoidal filter with unit gain, as dspeed's ``trap_norm``.

    Parameters
    ----------
    flat, stride, length, bad
        As for :func:`.marks.mark`; a multiple of :data:`.vectors.SIDE` traces.
    sizes
        Rise and flat top in samples.
    out
        What is found, float32, `length` numbers a trace.
    space
        To work in, float32, twice :data:`.vectors.SIDE` · `length` numbers.
    """
    rise, low, fall = sizes[0], sizes[0] + sizes[1], 2 * sizes[0] + sizes[1]
    x = space[: (fall + length) * SIDE]  # as if there were zeros before
    x[: fall * SIDE] = 0
    share = same(np.float64(rise))
    for row in range(0, len(bad), SIDE):
        lay(flat, row * stride, stride, length, x, fall)
        found = same(np.float32(0))
        for i in range(fall, fall + length):
            step = ((load(x, i * SIDE) - load(x, (i - rise) * SIDE)) - load(x, (i - low) * SIDE)) + load(
                x, (i - fall) * SIDE
            )
            found = single(double(found) + double(step) / share)
            store(x, (i - fall) * SIDE, found)
        take_back(x, 0, length, out, row * length, length)
        x[: fall * SIDE] = 0
        _without_numbers(bad, row, length, out)


@compiled
def _laid_above(
    flat: Array, place: int, stride: int, before: tuple[Array, Array, Array], row: int, span: tuple[int, int], x: Array
) -> None:
    """Some samples of eight traces side by side, without the tails of those that have one."""
    begin, count = span
    level, height, shape = before
    lay(flat, place + begin, stride, count, x, 0)
    for k in range(SIDE):
        if height[row + k] != 0:
            base, high = level[row + k], np.float64(height[row + k])
            for i in range(count):
                above = np.float64(np.float32(x[i * SIDE + k] - base))
                x[i * SIDE + k] = np.float32(above - high * shape[begin + i])


@compiled
def _levels(before: tuple[Array, Array, Array], row: int, x: Array) -> Any:
    """Levels that are still to be subtracted."""
    for k in range(SIDE):
        x[k] = before[0][row + k] if before[1][row + k] == 0 else 0
    return load(x, 0)


@compiled
def _two_poles(x: Any, factors: Any, state: Any) -> Any:
    """The next value, and what the one after it needs."""
    of_last, of_second, one, two = factors
    x1, x2, y1, y2 = state
    y = muladd(one, y1, muladd(two, y2, muladd(of_second, x2, muladd(of_last, x1, x))))
    return y, (x, x1, y, y1)


@compiled
def _two_poles_in_registers(traces: Any, span: Any, levels: Any, factors: Any, state: Any, target: Any) -> Any:
    """Samples in eights: all is done between reading and writing them."""
    flat, place, stride = traces
    out, at, length = target
    base, later = levels
    for i in range(span[0], span[1], SIDE):
        x = eight(flat, place + i, stride)
        a, state = _two_poles(double(x[0] - base), factors, state)
        b, state = _two_poles(double(x[1] - base), factors, state)
        c, state = _two_poles(double(x[2] - base), factors, state)
        d, state = _two_poles(double(x[3] - base), factors, state)
        e, state = _two_poles(double(x[4] - base), factors, state)
        f, state = _two_poles(double(x[5] - base), factors, state)
        g, state = _two_poles(double(x[6] - base), factors, state)
        h, state = _two_poles(double(x[7] - base), factors, state)
        first = single(a) - later, single(b) - later, single(c) - later, single(d) - later
        put_eight(
            (*first, single(e) - later, single(f) - later, single(g) - later, single(h) - later), out, at + i, length
        )
    return state


@compiled
def double_pole_zero(
    flat: Array,
    stride: int,
    length: int,
    bad: Array,
    taus: tuple[float, float, float],
    before: tuple[Array, Array, Array],
    after: Array,
    out: Array,
    space: Array,
) -> None:
    """Deconvolution of two exponential tails, as dspeed's ``double_pole_zero``, with what is subtracted around it.

    Parameters
    ----------
    flat, stride, length, bad, out
        As for :func:`trapezoid`.
    taus
        Decay constants in samples, and the part of the second one.
    before
        What is subtracted first, as by :func:`.levels.subtract_tail`: levels and heights of tails, float32, shape
        (traces,), and the shape of a tail, float64, shape (length,).
    after
        Levels that are subtracted from the result, float32, shape (traces,).
    space
        To work in, float32, :data:`BLOCK` · :data:`.vectors.SIDE` numbers.
    """
    a, b, part = np.exp(-1 / taus[0]), np.exp(-1 / taus[1]), taus[2]
    one, two = -(part * b - part * a - b - 1), part * b - part * a - b
    factors = same(-1 * (a + b)), same(a * b), same(one), same(two)
    nothing = same(0.0)
    for row in range(0, len(bad), SIDE):
        levels = _levels(before, row, space), load(after, row)
        state = nothing, nothing, nothing, nothing
        traces, target = (flat, row * stride, stride), (out, row * length, length)
        begin, end = length, length
        if length > SIDE and not _has_tails(before, row):
            begin, end = SIDE, length // SIDE * SIDE
        state = _two_poles_in_blocks(traces, (0, begin), before, row, levels, factors, state, target, space)
        state = _two_poles_in_registers(traces, (begin, end), levels, factors, state, target)
        _two_poles_in_blocks(traces, (end, length), before, row, levels, factors, state, target, space)
        _without_numbers(bad, row, length, out)


@compiled
def _has_tails(before: tuple[Array, Array, Array], row: int) -> bool:
    found = False
    for k in range(SIDE):
        found |= before[1][row + k] != 0
    return found


@compiled
def _two_poles_in_blocks(
    traces: Any, span: Any, before: Any, row: int, levels: Any, factors: Any, state: Any, target: Any, space: Array
) -> Any:
    """Any samples, those of tails, too, by means of a few in the nearest cache."""
    flat, place, stride = traces
    out, at, length = target
    base, later = levels
    for begin in range(span[0], span[1], BLOCK):
        count = min(BLOCK, span[1] - begin)
        _laid_above(flat, place, stride, before, row, (begin, count), space)
        for i in range(count):
            x = double(load(space, i * SIDE) - base)
            y, state = _two_poles(x, factors, state)
            if begin + i == 1:  # the second sample stays as it is
                y, state = x, (state[0], state[1], x, state[3])
            store(space, i * SIDE, single(y) - later)
        take_back(space, 0, count, out, at + begin, length)
    return state


@compiled
def pole_zero(
    flat: Array,
    stride: int,
    length: int,
    bad: Array,
    tau: float,
    before: tuple[Array, Array, Array],
    after: Array,
    out: Array,
    space: Array,
) -> None:
    """Deconvolution of one exponential tail, as dspeed's ``pole_zero``; as :func:`double_pole_zero`."""
    share = same(np.exp(-1 / tau))
    for row in range(0, len(bad), SIDE):
        base, later = _levels(before, row, space), load(after, row)
        x1 = y = same(0.0)
        for begin in range(0, length, BLOCK):
            count = min(BLOCK, length - begin)
            _laid_above(flat, row * stride, stride, before, row, (begin, count), space)
            for i in range(count):
                x = double(load(space, i * SIDE) - base)
                y = y + (x - x1 * share)
                store(space, i * SIDE, single(y) - later)
                x1 = x
            take_back(space, 0, count, out, row * length + begin, length)
        _without_numbers(bad, row, length, out)


@compiled
def _without_numbers(bad: Array, row: int, length: int, out: Array) -> None:
    for k in range(SIDE):
        if bad[row + k]:
            out[(row + k) * length : (row + k + 1) * length] = np.nan


@compiled
def mark_ends(values: Array, length: int, bad: Array) -> None:
    """Mark traces that end with NaN, and let all their samples be NaN: a recursive filter keeps NaN to the end."""
    for row in range(len(bad)):
        target = values[row * length : (row + 1) * length]
        bad[row] = target[length - 1] != target[length - 1]
        if bad[row]:
            target[:] = np.nan


@compiled
def _from_left(x: Array, length: int, size: int, out: Array) -> None:
    """A moving average for which all before is as the first sample."""
    begin, divisor = load(x, 0), same(np.float32(size))
    found = begin
    store(out, 0, found)
    for i in range(1, size):
        found = found + (load(x, i * SIDE) - begin) / divisor
        store(out, i * SIDE, found)
    for i in range(size, length):
        found = found + (load(x, i * SIDE) - load(x, (i - size) * SIDE)) / divisor
        store(out, i * SIDE, found)


@compiled
def _from_right(x: Array, length: int, size: int, out: Array) -> None:
    """The same from the right."""
    last, divisor = load(x, (length - 1) * SIDE), same(np.float32(size))
    found = last
    store(out, (length - 1) * SIDE, found)
    for i in range(length - 2, length - size - 1, -1):
        found = found + (load(x, i * SIDE) - last) / divisor
        store(out, i * SIDE, found)
    for i in range(length - size - 1, -1, -1):
        found = found + (load(x, i * SIDE) - load(x, (i + size) * SIDE)) / divisor
        store(out, i * SIDE, found)


@compiled
def moving_windows(
    flat: Array, stride: int, length: int, bad: Array, size: int, backwards: Array, out: Array, space: Array
) -> None:
    """Moving averages one after the other, as dspeed's ``moving_window_multi``.

    Parameters
    ----------
    flat, stride, length, bad, out
        As for :func:`trapezoid`.
    size
        Samples of a window.
    backwards
        Of each average, whether it comes from the right; bool.
    space
        To work in, float32, at least twice :data:`.vectors.SIDE` · `length` numbers.
    """
    for row in range(0, len(bad), SIDE):
        now, then = space[: SIDE * length], space[SIDE * length : 2 * SIDE * length]
        lay(flat, row * stride, stride, length, now, 0)
        for number in range(len(backwards)):
            if backwards[number]:
                _from_right(now, length, size, then)
            else:
                _from_left(now, length, size, then)
            now, then = then, now
        take_back(now, 0, length, out, row * length, length)
        _without_numbers(bad, row, length, out)
