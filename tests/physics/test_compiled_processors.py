"""Compiled forms of processors give what dspeed's own give, on ordinary and on odd traces."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np
import pytest
from lgdo import Array, Table
from numpy.typing import NDArray

from dataflow.physics import dspeed_outputs
from dataflow.physics.compiled import fusing, jit, recursive, tiles
from dataflow.physics.compiled.planner import Plan, compile_chain

from .traces import digitised, pulse, waveform

LENGTH = 512
Recipe = tuple[dict[str, Any], tuple[str, ...]]
"""Processors, and what is wanted of them."""
Results = dict[str, NDArray[Any]]
WIDTH = 8
"""Traces of a block here, so that there are whole blocks and one that is not full."""


def pulses(count: int = 21) -> NDArray[Any]:
    """Pulses of all heights and places on noise, some of them saturated or pile-up."""
    random = np.random.default_rng(7)
    traces = np.array([
        500 + 40000 * random.random() ** 3 * pulse(LENGTH, int(random.integers(0, LENGTH)), 1e5) for _ in range(count)
    ])  # fmt: skip
    traces[3] += 70000 * pulse(LENGTH, 200, 1e5)
    traces[4] += 900 * pulse(LENGTH, 20, 1e5)
    return traces + random.normal(0, 4, traces.shape)


def odd() -> NDArray[Any]:
    """Traces that pulses are not like: constant, zero, one sample high, falling, rising, at both ends of the range."""
    ramp, spike = np.arange(LENGTH), np.zeros(LENGTH)
    spike[100] = 30000
    square = np.where(ramp % 64 < 32, 0.0, 65535.0)
    ramps = [60000.0 - 100 * ramp, 100.0 * ramp] * 2
    return np.array([np.full(LENGTH, 1000.0), np.zeros(LENGTH), spike, *ramps, square])


RAMPS = slice(24, 28)
"""Where falling and rising traces are: their samples are whole hundreds, as some thresholds."""


def integers() -> NDArray[Any]:
    """As a digitizer stores them."""
    return digitised(np.concatenate([pulses(), odd()]))


def numbers() -> NDArray[Any]:
    """Float32, some of them with NaN: one sample, the last one, all."""
    traces = np.concatenate([pulses() - 500, odd() - 1000, pulses(6)]).astype("f4")
    traces[5, 77], traces[12, -1], traces[20] = np.nan, np.nan, np.nan
    traces[22] = np.where(np.arange(LENGTH) < 100, 0.0, -0.0)  # the same number
    return traces


TRACES = {"integers": integers, "numbers": numbers}


def made(
    recipe: Recipe,
    values: NDArray[Any],
    columns: Mapping[str, NDArray[Any]],
    compiled: bool,
    pars: Mapping[str, Any] | None = None,
    width: int = WIDTH,
) -> tuple[Results, Plan | None]:
    """What a chain makes of traces and columns."""
    from dspeed import build_processing_chain

    dspeed_outputs.install()
    processors, outputs = recipe
    table = Table(col_dict={"waveform": waveform(values), **{name: Array(column) for name, column in columns.items()}})
    chain, _, out = build_processing_chain(dict(processors), table, dict(pars or {}), list(outputs), block_width=width)
    plan = compile_chain(chain) if compiled else None
    chain(table, out)
    return {name: np.asarray(getattr(out[name], "values", out[name]).nda) for name in outputs}, plan


def one(function: str, args: list[Any], outputs: tuple[str, ...], **others: Any) -> Recipe:
    """A chain of one processor."""
    module = others.pop("module", "dspeed.processors")
    return {",".join(outputs): {"function": function, "module": module, "args": args, **others}}, outputs


OWN = "dataflow.physics.traces"
FIT = ("mean", "std", "slope", "cut")
LIKE = "dtype='f', period=waveform.period"
SUMMED = f"summed(shape={LENGTH // 6}, {LIKE})"
EIGHT = f"summed(shape={LENGTH // 8}, {LIKE})"
SHAPE: Mapping[str, Any] = {
    "module": "dataflow.physics.svm", "kwargs": {"signature": "(n),()->(m)", "types": ["ff->f"]},
}  # fmt: skip
EXACT: Mapping[str, Recipe] = {
    "presum": one("presum", ["waveform", 1, "rate", SUMMED], ("rate", "summed")),
    "presum without norm": one("presum", ["waveform", 0, "rate", SUMMED], ("rate", "summed")),
    "presum of eight": one("presum", ["waveform", 1, "rate", EIGHT], ("rate", "summed")),
    "shape_of": one(
        "shape_of", ["waveform", "level", f"shape(shape={LENGTH // 4}, {LIKE})"], ("shape",), **SHAPE
    ),
    "shape_of an odd number of samples": one(
        "shape_of", ["waveform[0:509]", "level", f"shape(shape=64, {LIKE})"], ("shape",), **SHAPE
    ),
    "shape_of as it is": one("shape_of", ["waveform", "level", f"shape(shape={LENGTH}, {LIKE})"], ("shape",), **SHAPE),
    "min_max": one("min_max", ["waveform", "t1", "t2", "low", "high"], ("t1", "t2", "low", "high")),
    "min_max of a part": one("min_max", ["waveform[30:400]", "t1", "t2", "low", "high"], ("t1", "t2", "low", "high")),
    "bl_subtract": one("bl_subtract", ["waveform", "level", f"above(shape={LENGTH}, {LIKE})"], ("above",)),
    "samples_beyond": one(
        "samples_beyond", ["waveform", 10.0, 65535.0, "few", "many"], ("few", "many"), module=OWN,
        kwargs={"signature": "(n),(),()->(),()", "types": ["Hff->ff", "fff->ff"]},
    ),
    "above_tail": one(
        "above_tail", ["waveform", "level", "height", 300.0, 20.5, 0, f"above(shape={LENGTH}, {LIKE})"], ("above",),
        module=OWN, kwargs={"signature": "(n),(),(),(),(),()->(n)", "types": ["Hffddd->f", "fffddd->f"]},
    ),
    "trap_norm": one("trap_norm", ["waveform", 60, 20, "out"], ("out",)),
    "trap_norm without flat top": one("trap_norm", ["waveform", 100, 0, "out"], ("out",)),
    "trap_norm of an odd number of samples": one("trap_norm", ["waveform[0:509]", 50, 11, "out"], ("out",)),
    "avg_current": one("avg_current", ["waveform", 3, f"out(shape={LENGTH - 3}, {LIKE})"], ("out",)),
    "upsampler": one("upsampler", ["waveform", 5, f"out(shape={LENGTH * 5}, dtype='f')"], ("out",)),
    "windower": one("windower", ["waveform", "begin", f"out(shape=100, {LIKE})"], ("out",)),
    "time_point_thresh backwards": one("time_point_thresh", ["waveform", "level", "start", 0, "place"], ("place",)),
    "time_point_thresh forwards": one("time_point_thresh", ["waveform", "level", "start", 1, "place"], ("place",)),
    "fixed_time_pickoff": one("fixed_time_pickoff", ["waveform", "time", "'l'", "picked"], ("picked",)),
    "moving_window_multi": one("moving_window_multi", ["waveform[0:500]", 24, 3, 0, "out"], ("out",)),
    "moving_window_multi left": one("moving_window_multi", ["waveform", 7, 2, 1, "out"], ("out",)),
    "moving_window_multi right": one("moving_window_multi", ["waveform", 1, 2, 2, "out"], ("out",)),
}  # fmt: skip
"""Bit by bit the same."""
ROUNDED: Mapping[str, Recipe] = {
    "linear_slope_fit": one("linear_slope_fit", ["waveform", *FIT], FIT),
    "linear_slope_fit of a part": one(
        "linear_slope_fit", ["waveform[5:177]", *FIT], FIT
    ),
    "pole_zero": one("pole_zero", ["waveform", 250.0, "out"], ("out",)),
    "double_pole_zero": one("double_pole_zero", ["waveform", 250.0, 20.0, 0.1, "out"], ("out",)),
    "double_pole_zero with one": one("double_pole_zero", ["waveform", 250.0, 20.0, 0.0, "out"], ("out",)),
    "double_pole_zero of few samples": one("double_pole_zero", ["waveform[70:83]", 250.0, 20.0, 0.1, "out"], ("out",)),
    "pole_zero of an odd number of samples": one("pole_zero", ["waveform[0:509]", 250.0, "out"], ("out",)),
    "trap_pickoff": one("trap_pickoff", ["waveform", 50, 11, "time", "picked"], ("picked",)),
}  # fmt: skip
"""The same but for the last digit of float32: sums in double precision are taken in another order."""


def columns(count: int) -> dict[str, NDArray[Any]]:
    """Columns that processors take, with values at and beyond the ends of the traces."""
    random = np.random.default_rng(3)
    time = random.uniform(-20, LENGTH + 20, count).astype("f4")
    time[::3] = np.round(time[::3])
    time[1], time[4], time[5], time[6] = np.nan, LENGTH - 1, LENGTH - 0.5, -0.5
    start = random.integers(0, LENGTH, count).astype("f4")
    start[2], start[4], start[6] = np.nan, 0, LENGTH - 1
    height = np.where(random.random(count) < 0.5, 0.0, 300.0).astype("f4")
    level = random.uniform(0, 9000, count).astype("f4")
    level[3], level[RAMPS], start[RAMPS] = np.nan, 20000, (0, 0, LENGTH - 1, LENGTH - 1)
    begin = random.integers(-150, LENGTH + 50, count).astype("f4")
    begin[7] = np.nan
    return {"time": time, "start": start, "height": height, "level": level, "begin": begin}


def pair(recipe: Recipe, kind: str, **others: Any) -> tuple[Results, Results]:
    """What dspeed makes, and what the compiled form makes, which must be used."""
    values = TRACES[kind]()
    theirs, _ = made(recipe, values, columns(len(values)), compiled=False, **others)
    ours, plan = made(recipe, values, columns(len(values)), compiled=True, **others)
    assert plan is not None
    assert (len(plan.compiled), plan.left) == (len(recipe[0]), ())
    assert np.isfinite(np.concatenate([np.ravel(column) for column in theirs.values()])).any()
    return theirs, ours


def steps_between(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Difference in units of the last digit of the larger value of a trace; NaN must be at the same places."""
    np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
    scale = np.spacing(np.maximum(np.abs(one), np.abs(other)).astype("f4"))
    return np.nan_to_num(np.abs(one.astype("f8") - other) / scale)


@pytest.mark.parametrize("kind", TRACES)
@pytest.mark.parametrize("name", EXACT)
def test_the_same_bits_come_out(name: str, kind: str) -> None:
    theirs, ours = pair(EXACT[name], kind)
    for column in theirs:
        np.testing.assert_array_equal(ours[column], theirs[column], err_msg=column)


@pytest.mark.parametrize("kind", TRACES)
@pytest.mark.parametrize("name", ROUNDED)
def test_the_same_numbers_come_out_but_for_the_last_digit(name: str, kind: str) -> None:
    theirs, ours = pair(ROUNDED[name], kind)
    for column in theirs:
        assert steps_between(ours[column], theirs[column]).max() <= 1, column


def several(*recipes: Recipe, outputs: tuple[str, ...]) -> Recipe:
    """A chain of the processors of several, of which less may be wanted than they make."""
    return {names: node for processors, _ in recipes for names, node in processors.items()}, outputs


def tail(first: int, name: str) -> Recipe:
    """The tail of an earlier pulse, for traces that begin at a sample of the whole ones."""
    processors, _ = EXACT["above_tail"]
    (node,) = processors.values()
    return {name: {**node, "args": [*node["args"][:5], first, f"{name}(shape={LENGTH}, {LIKE})"]}}, (name,)


CURRENT = one("avg_current", ["waveform", 3, f"current(shape={LENGTH - 3}, {LIKE})"], ("current",))
PART = one("windower", ["current", "begin", f"part(shape=100, {LIKE})"], ("part",))
ABOVE = one("bl_subtract", ["waveform", "level", f"above(shape={LENGTH}, {LIKE})"], ("above",))
STEPPED = one("trap_norm", ["above[30:500]", 60, 20, "stepped"], ("stepped",))
ENDS = ("t1", "t2", "low", "high")
EXTREMES = one("min_max", ["stepped[5:400]", *ENDS], ENDS)
OUT, OF_ABOVE = one("trap_norm", ["waveform", 60, 20, "out"], ("out",)), one("min_max", ["above", *ENDS], ENDS)
TOGETHER: Mapping[str, Recipe] = {
    "traces of which some have no level": several(OUT, ABOVE, OF_ABOVE, outputs=("out", "above", *ENDS)),
    "window of a current": several(CURRENT, PART, outputs=("part",)),
    "current that is wanted": several(CURRENT, PART, outputs=("current", "part")),
    "tails of two kinds of traces": several(tail(0, "above"), tail(400, "late"), outputs=("above", "late")),
    "calls in a row": several(ABOVE, STEPPED, EXTREMES, outputs=ENDS),
    "calls in a row of which one is wanted": several(ABOVE, STEPPED, EXTREMES, outputs=("above", "low", "high")),
}


@pytest.mark.parametrize("kind", TRACES)
@pytest.mark.parametrize("name", TOGETHER)
def test_calls_that_are_done_together_make_the_same_bits(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflow.physics.compiled.tiles.LONG", 100)
    theirs, ours = pair(TOGETHER[name], kind)
    for column in theirs:
        np.testing.assert_array_equal(ours[column], theirs[column], err_msg=column)


TWO = one("double_pole_zero", ["above", 250.0, 20.0, 0.1, "step"], ("step",))
ONE = one("pole_zero", ["above", 250.0, "step"], ("step",))
LOWER = one("bl_subtract", ["step", "time", "lower"], ("lower",))
OF_LOWER = one("min_max", ["lower", *ENDS], ENDS)
ALL = several(tail(0, "above"), TWO, LOWER, OF_LOWER, outputs=("lower", *ENDS))
CORRECTED: Mapping[str, Recipe] = {
    "level, tail, two poles, level": ALL,
    "level, tail, one pole, level": several(tail(0, "above"), ONE, LOWER, outputs=("lower",)),
    "level, tail, two poles": several(tail(7, "above"), TWO, outputs=("step",)),
    "two poles, level": several(
        one("double_pole_zero", ["waveform", 250.0, 20.0, 0.0, "step"], ("step",)), LOWER, outputs=("lower",)
    ),
    "two poles of what is wanted": several(tail(0, "above"), TWO, LOWER, outputs=("above", "lower")),
}  # fmt: skip


@pytest.mark.parametrize("kind", TRACES)
@pytest.mark.parametrize("name", CORRECTED)
def test_corrections_of_poles_in_one_pass(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums in double precision may end in another last digit of float32, of the trace before the last subtraction."""
    monkeypatch.setattr("dataflow.physics.compiled.tiles.LONG", 100)
    seen: list[Any] = []
    monkeypatch.setattr(tiles, "pole_zero_between", lambda *args: seen.append(args) or fusing.pole_zero_between(*args))
    theirs, ours = pair(CORRECTED[name], kind)
    assert seen
    for column in theirs.keys() - {"t1", "t2"}:
        np.testing.assert_array_equal(np.isnan(ours[column]), np.isnan(theirs[column]), err_msg=column)
        digit = np.spacing(np.float32(2 * np.nanmax(np.abs(theirs[column]))))
        np.testing.assert_allclose(ours[column], theirs[column], rtol=0, atol=digit, err_msg=column)


def test_what_is_kept_of_a_loop_depends_on_the_file_that_all_use() -> None:
    pair(EXACT["trap_norm"], "integers")
    file = recursive.trapezoid._cache._cache_file
    assert file._load_index()
    common = jit.COMMON.stat()
    assert file._source_stamp[1] == (common.st_mtime, common.st_size)
    other = copy(file)
    other._source_stamp = file._source_stamp[0], (common.st_mtime + 1, common.st_size)
    assert other._load_index() == {}


def kernels() -> dict[str, NDArray[np.float32]]:
    """Short, with a flat part of 60 samples, without one and long."""
    random = np.random.default_rng(5)
    flat = np.concatenate([random.normal(size=21), np.full(60, 0.7), random.normal(size=13)])
    return {name: values.astype("f4") for name, values in (
        ("short", random.normal(size=11)), ("flat", flat), ("long", random.normal(size=133)),
    )}  # fmt: skip


@pytest.mark.parametrize("width", [8, 16])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", kernels())
@pytest.mark.parametrize("kind", TRACES)
def test_a_convolution_is_the_sum_of_products(name: str, mode: str, width: int, kind: str) -> None:
    kernel, values = kernels()[name], TRACES[kind]().astype("f8")
    expected = np.array([np.convolve(trace, kernel.astype("f8"), mode) for trace in values])
    expected[np.isnan(values).any(axis=1)] = np.nan
    shape = f"out(shape={expected.shape[1]}, {LIKE})"
    recipe = one("fft_convolve_wf", ["waveform", "db.kernel", f"'{mode[0]}'", shape], ("out",))
    theirs, ours = pair(recipe, kind, pars={"kernel": kernel}, width=width)
    scale = np.nanmax(np.abs(values)) * np.abs(kernel).sum()
    np.testing.assert_allclose(ours["out"], expected, rtol=0, atol=3e-7 * scale)
    np.testing.assert_allclose(theirs["out"], expected, rtol=0, atol=1e-6 * scale)
