"""Which processors have a compiled form, and how it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from dataflow.physics import svm, traces

from . import current, levels, lines, points, recursive
from .call import READ, Call, Step, Unsuitable, Wave
from .convolution import convolution
from .vectors import SIDE

Form = Callable[[Call], Step]


def _averages(call: Call) -> Step:
    wave, rate, out = call.wave(0, READ), call.result(2), call.target(3)
    times, bad = wave.length // out.length, call.marks(wave)
    call.same_marks(out, bad)
    divide = bool(whole(call.number(1), 0))
    call.block.space.reserve(single=times * out.length)

    def step() -> None:
        rate[:] = times
        levels.average(wave.flat, wave.stride, bad, times, divide, out.flat, out.length, call.block.space.single)
        rate[bad] = np.nan

    return step


def _shapes(call: Call) -> Step:
    wave, level, out = call.wave(0), call.column(1), call.target(2)
    length, halvings = wave.length, 0
    while length > out.length:
        length, halvings = -(-length // 2), halvings + 1
    if length != out.length:
        raise Unsuitable(f"{wave.length} samples give no {out.length} features")
    call.block.space.reserve(single=2 * wave.length + 2)
    return lambda: levels.shapes(*wave.read, level, halvings, out.flat, call.block.space.single)


def _extrema(call: Call) -> Step:
    wave = call.wave(0)
    out = call.result(1), call.result(2), call.result(3), call.result(4)
    return partial(points.extrema, *wave.read, call.marks(wave), out)


def _line(call: Call) -> Step:
    wave = call.wave(0)
    _at_least(wave, 2)
    return partial(lines.fit, *wave.read, call.marks(wave), *(call.result(i) for i in (1, 2, 3, 4)))


def _beyond(call: Call) -> Step:
    wave = call.wave(0, READ)
    return partial(
        levels.count_beyond, *wave.read, *(call.column(i) for i in (1, 2)), *(call.result(i) for i in (3, 4))
    )


def _above_level(call: Call) -> Step:
    wave, out = call.wave(0, READ), call.target(2)
    return partial(levels.subtract, *wave.read, call.marks(wave), call.column(1), out.flat, out.stride)


def _above_tail(call: Call) -> Step:
    wave, out = call.wave(0, READ), call.target(6)
    before = what_is_below(call, wave.length)
    return partial(levels.subtract_tail, *wave.read, before, out.flat, out.stride)


def what_is_below(call: Call, length: int) -> tuple[Any, Any, Any]:
    """Levels, heights and the shape of tails, of ``above_tail``; it is seen to that the shape is made."""
    level, height, (tau, centre, first) = call.column(1), call.column(2), call.args[3:6]
    kept = call.block.space.tail(length, str(tau))

    def have_shape() -> None:
        times = _largest(tau), _largest(centre), _largest(first)
        if kept.times != times:
            levels.tail(times, kept.shape)
            kept.times = times

    call.before.append(have_shape)
    return level, height, kept.shape


def _trapezoid(call: Call) -> Step:
    wave, out = call.wave(0), call.target(3)
    sizes = whole(call.number(1), 1), whole(call.number(2), 0)
    _at_least(wave, 2 * sizes[0] + sizes[1])
    bad = call.marks(wave)
    call.same_marks(out, bad)
    call.block.space.reserve(single=2 * SIDE * wave.length)
    return lambda: recursive.trapezoid(*wave.read, bad, sizes, out.flat, call.block.space.single)


def _pole_zero(call: Call) -> Step:
    return _deconvolution(call, recursive.pole_zero, call.target(2), decay(call, 1))


def _double_pole_zero(call: Call) -> Step:
    return _deconvolution(call, recursive.double_pole_zero, call.target(4), two_tails(call))


def two_tails(call: Call) -> tuple[float, float, float]:
    """Decay constants in samples and the part of the second one, of dspeed's ``double_pole_zero``.

    Raises
    ------
    Unsuitable
        If they are none, or the traces too short.
    """
    _at_least(call.wave(0, READ), 4)
    taus = decay(call, 1), decay(call, 2), float(np.float32(call.number(3)))
    if np.isnan(taus[2]):
        raise Unsuitable("the part of the second tail is no number")
    return taus


def _deconvolution(call: Call, loop: Callable[..., object], out: Wave, how: Any) -> Step:
    wave = call.wave(0)
    bad = call.marks(wave)
    call.same_marks(out, bad)
    call.block.space.reserve(single=recursive.BLOCK * SIDE)
    nothing = np.zeros(call.block.width, np.float32)
    before = nothing, nothing, np.empty(0)
    return lambda: loop(*wave.read, bad, how, before, nothing, out.flat, call.block.space.single)


def _moving_windows(call: Call) -> Step:
    wave, out = call.wave(0), call.target(4)
    size, count, kind = whole(call.number(1), 1), whole(call.number(2), 1), whole(call.number(3), 0)
    _at_least(wave, size + 1)
    back = np.array([kind == 2 or (kind == 0 and number % 2 == 1) for number in range(count)])
    bad = call.marks(wave)
    call.same_marks(out, bad)
    call.block.space.reserve(single=2 * SIDE * wave.length)
    return lambda: recursive.moving_windows(*wave.read, bad, size, back, out.flat, call.block.space.single)


def _crossing(call: Call) -> Step:
    wave = call.wave(0)
    threshold, start, out = call.column(1), call.column(2), call.result(4)
    ahead, bad = bool(call.number(3) == 1), call.marks(wave)

    def step() -> None:
        if not points.crossings(*wave.read, bad, threshold, start, ahead, out):
            _refuse("The starting index must be an integer within the trace")

    return step


def _value(call: Call) -> Step:
    wave = call.wave(0)
    if int(call.number(2)) != ord("l"):
        raise Unsuitable("it interpolates otherwise than by a straight line")
    return partial(points.value_at, *wave.read, call.marks(wave), call.column(1), call.result(3))


def _step_height(call: Call) -> Step:
    wave = call.wave(0)
    sizes = whole(call.number(1), 1), whole(call.number(2), 0)
    _at_least(wave, 2 * sizes[0] + sizes[1])
    return partial(points.step_at, *wave.read, call.marks(wave), sizes, call.column(3), call.result(4))


def _difference(call: Call) -> Step:
    wave, out, lag = call.wave(0), call.target(2), whole(call.number(1), 1)
    if out.length != wave.length - lag:
        raise Unsuitable("its result has another length")
    bad = call.marks(wave)
    call.same_marks(out, bad)
    return partial(current.difference, *wave.read, bad, lag, out.flat, out.length)


def _window(call: Call) -> Step:
    wave, out = call.wave(0), call.target(2)
    _at_least(wave, out.length + 1)
    return partial(current.window, *wave.read, call.marks(wave), call.column(1), out.flat, out.length)


def _finer(call: Call) -> Step:
    wave, out = call.wave(0), call.target(2)
    times = whole(call.number(1), 1)
    return partial(current.finer, *wave.read, call.marks(wave), times, out.flat, out.length)


def _largest(value: Any) -> float:
    return float(value.max() if isinstance(value, np.ndarray) else value)


def whole(value: Any, least: int) -> int:
    """A number of samples.

    Raises
    ------
    Unsuitable
        If it is none.
    """
    if not np.isfinite(value) or int(value) != value or value < least:
        raise Unsuitable(f"{value} is no whole number from {least} on")
    return int(value)


def decay(call: Call, place: int) -> float:
    """A decay constant in samples.

    Raises
    ------
    Unsuitable
        If it is none.
    """
    value = float(np.float32(call.number(place)))
    if not value > 0:
        raise Unsuitable(f"{value} is no decay constant")
    return value


def _at_least(wave: Wave, length: int) -> None:
    if wave.length < length:
        raise Unsuitable(f"traces of {wave.length} samples are shorter than {length}")


def _refuse(message: str) -> None:
    from dspeed.errors import DSPFatal

    raise DSPFatal(message)


FORMS: Mapping[str, Form] = {
    "avg_current": _difference,
    "bl_subtract": _above_level,
    "double_pole_zero": _double_pole_zero,
    "fft_convolve_wf": convolution,
    "fixed_time_pickoff": _value,
    "linear_slope_fit": _line,
    "min_max": _extrema,
    "moving_window_multi": _moving_windows,
    "pole_zero": _pole_zero,
    "presum": _averages,
    "time_point_thresh": _crossing,
    "trap_norm": _trapezoid,
    "trap_pickoff": _step_height,
    "upsampler": _finer,
    "windower": _window,
}
"""Compiled forms by the name of dspeed's processor."""
OWN_FORMS: Mapping[Callable[..., object], Form] = {
    traces.samples_beyond: _beyond,
    traces.above_tail: _above_tail,
    svm.shape_of: _shapes,
}
"""Compiled forms of this package's own processors."""


def form_of(processor: Any) -> Form | None:
    """The compiled form of a processor, None if there is none."""
    for each in (processor, getattr(processor, "__wrapped__", None)):
        name = getattr(each, "__name__", "")
        if name in FORMS and is_processor(each, name):
            return FORMS[name]
        if found := next((form for function, form in OWN_FORMS.items() if function is each), None):
            return found
    return None


def is_processor(function: Any, name: str) -> bool:
    """Whether a function is dspeed's processor of that name."""
    from dspeed import processors

    return getattr(function, "__name__", "") == name and getattr(processors, name, None) is function


def name_of(function: Any) -> str:
    """The name of a processor, also where it has been wrapped."""
    return str(getattr(function, "__name__", ""))
