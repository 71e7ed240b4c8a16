"""Recursive filters: trapezoids, pole-zero corrections, moving windows; four traces side by side.

Each value needs the one before, so a processor that does one trace waits most of the time. What does not depend on the
value before is done first, for all samples at a time. Values are rounded to float32 where dspeed rounds them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import compiled

Array = Any
SIDE = 4


@compiled
def _summed(steps: Array, length: int, a: Array, b: Array, c: Array, d: Array) -> None:
    """Running sums of four rows of `steps` (float64), rounded to float32 at each step."""
    sa, sb, sc, sd = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for i in range(length):
        sa = np.float32(sa + steps[0, i])
        sb = np.float32(sb + steps[1, i])
        sc = np.float32(sc + steps[2, i])
        sd = np.float32(sd + steps[3, i])
        a[i], b[i], c[i], d[i] = sa, sb, sc, sd


@compiled
def _trapezoid_steps(w: Array, rise: int, flat: int, out: Array) -> None:
    """What each sample adds; parts of arrays instead of differences of places, because only those are vectorised."""
    low, fall, end = rise + flat, 2 * rise + flat, len(w)
    for i in range(rise):
        out[i] = np.float64(w[i]) / rise
    a, b, target = w[rise:low], w[:flat], out[rise:low]
    for i in range(flat):
        target[i] = np.float64(a[i] - b[i]) / rise
    a, b, c, target = w[low:fall], w[flat : flat + rise], w[:rise], out[low:fall]
    for i in range(rise):
        target[i] = np.float64(a[i] - b[i] - c[i]) / rise
    a, b, c, d = w[fall:], w[low : low + end - fall], w[rise : rise + end - fall], w[: end - fall]
    target = out[fall:end]
    for i in range(end - fall):
        target[i] = np.float64(a[i] - b[i] - c[i] + d[i]) / rise


@compiled
def trapezoid(
    flat: Array, stride: int, length: int, bad: Array, sizes: tuple[int, int], out: Array, space: Array
) -> None:
    """Trapezoidal filter with unit gain, as dspeed's ``trap_norm``.

    Parameters
    ----------
    flat, stride, length, bad
        As for :func:`.marks.mark`; a multiple of :data:`SIDE` traces.
    sizes
        Rise and flat top in samples.
    out
        What is found, float32, `length` numbers a trace.
    space
        To work in, float64, at least :data:`SIDE` · `length` numbers.
    """
    steps = space[: SIDE * length].reshape(SIDE, length)
    for row in range(0, len(bad), SIDE):
        for k in range(SIDE):
            first = (row + k) * stride
            _trapezoid_steps(flat[first : first + length], sizes[0], sizes[1], steps[k])
        targets = out[row * length : (row + SIDE) * length].reshape(SIDE, length)
        _summed(steps, length, targets[0], targets[1], targets[2], targets[3])
        for k in range(SIDE):
            if bad[row + k]:
                targets[k] = np.nan


@compiled
def _without_past(w: Array, one: float, two: float, out: Array) -> None:
    """The part of a pole-zero filter that depends on its input alone."""
    a, b, target = w[2:], w[1:-1], out[2:]
    for i in range(len(w) - 2):
        target[i] = np.float64(a[i]) + one * b[i] + two * w[i]


@compiled
def double_pole_zero(
    flat: Array, stride: int, length: int, bad: Array, taus: tuple[float, float, float], out: Array, space: Array
) -> None:
    """Deconvolution of two exponential tails, as dspeed's ``double_pole_zero``.

    Parameters
    ----------
    flat, stride, length, bad, out, space
        As for :func:`trapezoid`.
    taus
        Decay constants in samples, and the part of the second one.
    """
    a, b, part = np.exp(-1 / taus[0]), np.exp(-1 / taus[1]), taus[2]
    one, two = -(part * b - part * a - b - 1), part * b - part * a - b
    steps = space[: SIDE * length].reshape(SIDE, length)
    for row in range(0, len(bad), SIDE):
        for k in range(SIDE):
            first = (row + k) * stride
            _without_past(flat[first : first + length], -1 * (a + b), a * b, steps[k])
        targets = out[row * length : (row + SIDE) * length].reshape(SIDE, length)
        for k in range(SIDE):
            first = (row + k) * stride
            targets[k, 0], targets[k, 1] = flat[first], flat[first + 1]
        _two_back(steps, one, two, targets)
        for k in range(SIDE):
            if bad[row + k]:
                targets[k] = np.nan


@compiled
def _two_back(steps: Array, one: float, two: float, targets: Array) -> None:
    ta, tb, tc, td = targets[0], targets[1], targets[2], targets[3]
    a, b, c, d = np.float64(ta[1]), np.float64(tb[1]), np.float64(tc[1]), np.float64(td[1])
    a1, b1, c1, d1 = np.float64(ta[0]), np.float64(tb[0]), np.float64(tc[0]), np.float64(td[0])
    for i in range(2, steps.shape[1]):
        a, a1 = (steps[0, i] + two * a1) + one * a, a
        b, b1 = (steps[1, i] + two * b1) + one * b, b
        c, c1 = (steps[2, i] + two * c1) + one * c, c
        d, d1 = (steps[3, i] + two * d1) + one * d, d
        ta[i], tb[i], tc[i], td[i] = a, b, c, d


@compiled
def pole_zero(flat: Array, stride: int, length: int, bad: Array, tau: float, out: Array, space: Array) -> None:
    """Deconvolution of one exponential tail, as dspeed's ``pole_zero``; as :func:`double_pole_zero`."""
    share = np.exp(-1 / tau)
    steps = space[: SIDE * length].reshape(SIDE, length)
    for row in range(0, len(bad), SIDE):
        for k in range(SIDE):
            w = flat[(row + k) * stride : (row + k) * stride + length]
            after, target = w[1:], steps[k, 1:]
            steps[k, 0] = w[0]
            for i in range(length - 1):
                target[i] = np.float64(after[i]) - w[i] * share
        targets = out[row * length : (row + SIDE) * length].reshape(SIDE, length)
        _one_back(steps, targets)
        for k in range(SIDE):
            if bad[row + k]:
                targets[k] = np.nan


@compiled
def _one_back(steps: Array, targets: Array) -> None:
    ta, tb, tc, td = targets[0], targets[1], targets[2], targets[3]
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for i in range(steps.shape[1]):
        a, b, c, d = a + steps[0, i], b + steps[1, i], c + steps[2, i], d + steps[3, i]
        ta[i], tb[i], tc[i], td[i] = a, b, c, d


@compiled
def _window_steps(w: Array, size: int, out: Array) -> None:
    """What each sample adds to a moving average from the left, for which all before is as the first one."""
    length = np.float32(size)
    out[0] = w[0]
    for i in range(1, size):
        out[i] = (w[i] - w[0]) / length
    after, target = w[size:], out[size:]
    for i in range(len(after)):
        target[i] = (after[i] - w[i]) / length


@compiled
def _window_steps_back(w: Array, size: int, out: Array) -> None:
    """The same from the right."""
    length, last = np.float32(size), len(w) - 1
    begin = last - size + 1
    after, near, target = w[size:], w[begin:last], out[begin:last]
    for i in range(len(after)):
        out[i] = (w[i] - after[i]) / length
    for i in range(len(near)):
        target[i] = (near[i] - w[last]) / length
    out[last] = w[last]


@compiled
def _ahead(steps: Array, targets: Array) -> None:
    ta, tb, tc, td = targets[0], targets[1], targets[2], targets[3]
    a, b, c, d = steps[0, 0], steps[1, 0], steps[2, 0], steps[3, 0]
    ta[0], tb[0], tc[0], td[0] = a, b, c, d
    for i in range(1, steps.shape[1]):
        a, b, c, d = a + steps[0, i], b + steps[1, i], c + steps[2, i], d + steps[3, i]
        ta[i], tb[i], tc[i], td[i] = a, b, c, d


@compiled
def _back(steps: Array, targets: Array) -> None:
    ta, tb, tc, td = targets[0], targets[1], targets[2], targets[3]
    last = steps.shape[1] - 1
    a, b, c, d = steps[0, last], steps[1, last], steps[2, last], steps[3, last]
    ta[last], tb[last], tc[last], td[last] = a, b, c, d
    for i in range(last - 1, -1, -1):
        a, b, c, d = a + steps[0, i], b + steps[1, i], c + steps[2, i], d + steps[3, i]
        ta[i], tb[i], tc[i], td[i] = a, b, c, d


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
        To work in, float32, at least :data:`SIDE` · `length` numbers.
    """
    steps = space[: SIDE * length].reshape(SIDE, length)
    for row in range(0, len(bad), SIDE):
        targets = out[row * length : (row + SIDE) * length].reshape(SIDE, length)
        for number in range(len(backwards)):
            for k in range(SIDE):
                first = (row + k) * stride
                source = flat[first : first + length] if number == 0 else targets[k]
                if backwards[number]:
                    _window_steps_back(source, size, steps[k])
                else:
                    _window_steps(source, size, steps[k])
            if backwards[number]:
                _back(steps, targets)
            else:
                _ahead(steps, targets)
        for k in range(SIDE):
            if bad[row + k]:
                targets[k] = np.nan
