"""Cuts from the distributions of quantities: classifiers, levels, flags. Arrays in, operations for hit out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.operations import Columns, Operations, made, value_of
from dataflow.physics.selection import core_of

from .result import Levels
from .settings import Cut, Default, Sides

Floats = NDArray[np.floating[Any]]
Sided = tuple[float | None, float | None]

LEAST_EVENTS = 20
"""Events below which a distribution tells nothing of its width."""
LEAST_BEYOND = 10
"""Events beyond a percentile below which it is that of a normal distribution."""
QUANTITY = "quantity"


def quantity_of(cut: Cut, operations: Operations, data: Columns) -> Floats:
    """The quantity of a cut with levels, shape (events,).

    Raises
    ------
    WorkFailed
        If dsp lacks a column.
    """
    asked = {**operations, QUANTITY: {"expression": cut.cut_parameter}}
    return np.asarray(value_of(QUANTITY, asked, data), dtype=np.float64)


def levels_of(cut: Cut, quantity: Floats, source: str) -> Levels:
    """The levels of a cut, from the events of a sample.

    Parameters
    ----------
    cut
        With a ``cut_parameter``.
    quantity
        Shape (events,).
    source
        What the events are: ``cal`` or ``fft``.

    Raises
    ------
    WorkFailed
        If the events are too few, or all the same.
    """
    finite = quantity[np.isfinite(quantity)]
    if len(finite) < LEAST_EVENTS:
        raise WorkFailed(f"{len(finite)} events with {cut.cut_parameter}, {LEAST_EVENTS} are needed")
    core = core_of(finite)
    if core is None:
        raise WorkFailed(f"{cut.cut_parameter} is {finite[0]:g} in all {len(finite)} events")
    mode, width = core
    low, high = _by_level(cut) if cut.cut_level is not None else _by_percentile(cut, (finite - mode) / width)
    return Levels(cut.cut_parameter or "", mode, width, low, high, cut.mode == "inclusive", source)


def _by_level(cut: Cut) -> Sided:
    if isinstance(cut.cut_level, Sides):
        return cut.cut_level.low_side, cut.cut_level.high_side
    level = float(cut.cut_level or 0)
    return -level, level


def _by_percentile(cut: Cut, values: Floats) -> Sided:
    given = cut.cut_percentile
    sides = given if isinstance(given, Sides) else Sides(low_side=given, high_side=given)
    low = None if sides.low_side is None else -percentile(-values, sides.low_side)
    high = None if sides.high_side is None else percentile(values, sides.high_side)
    return _limited(low, high, cut.default)


def percentile(values: Floats, percent: float) -> float:
    """The classifier below which so many percent of the events are; beyond the last ones, that of a unit normal."""
    if len(values) * (1 - percent / 100) >= LEAST_BEYOND:
        return float(np.percentile(values, percent))
    return float(special.ndtri(percent / 100))


def _limited(low: float | None, high: float | None, default: Default | None) -> Sided:
    """Levels that are not further out (``higher_limit``) or not further in (``lower_limit``) than others."""
    if default is None:
        return low, high
    value = default.value
    sides = value if isinstance(value, Sides) else Sides(low_side=-value, high_side=value)
    inner = default.mode == "higher_limit"
    if low is not None and sides.low_side is not None:
        low = max(low, sides.low_side) if inner else min(low, sides.low_side)
    if high is not None and sides.high_side is not None:
        high = min(high, sides.high_side) if inner else max(high, sides.high_side)
    return low, high


def operations_of(name: str, levels: Levels) -> dict[str, Any]:
    """The classifier and the flag of a cut, as hit evaluates them; names and form are those of the published flow."""
    classifier = f"{name}_classifier"
    low, high = levels.low, levels.high
    below, above = ("<", ">") if not levels.inside else (">", "<")
    if low is not None and high is not None:
        join = "&" if levels.inside else "|"
        flag = made(f"({classifier}{below}a) {join} ({classifier}{above}b)", a=low, b=high)
    elif high is not None:
        flag = made(f"{classifier}{above}a", a=high)
    else:
        flag = made(f"{classifier}{below}a", a=low if low is not None else -np.inf)
    return {
        classifier: made(f"(({levels.quantity})-a)/b", a=levels.mode, b=levels.width),
        name: flag,
    }


def verbatim(cut: Cut) -> dict[str, Any]:
    """The operation of a cut that is an expression; numbers that YAML read as texts are numbers again."""
    parameters: Mapping[str, Any] = cut.parameters or {}
    return {"expression": cut.expression, "parameters": {key: float(value) for key, value in parameters.items()}}


def initial_mask(cuts: Mapping[str, Cut], data: Columns, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Events that the cuts made before all others leave, of those that are chosen; shape (events,).

    Their low sides are counted downwards, as the published flow's ``generate_cuts`` does.

    Raises
    ------
    WorkFailed
        If a cut cannot be derived.
    """
    kept = chosen.copy()
    for name, cut in cuts.items():
        if cut.expression is not None:
            operations: Operations = {name: verbatim(cut)}
        else:
            upwards = _downwards(cut)
            operations = operations_of(name, levels_of(upwards, quantity_of(cut, {}, data)[chosen], "cal"))
        kept &= value_of(name, operations, data).astype(bool)
    return kept


def _downwards(cut: Cut) -> Cut:
    level = cut.cut_level
    if not isinstance(level, Sides) or level.low_side is None:
        return cut
    return cut.model_copy(update={"cut_level": Sides(low_side=-level.low_side, high_side=level.high_side)})
