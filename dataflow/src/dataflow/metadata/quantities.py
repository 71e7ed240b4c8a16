"""Quantities in parameter files: numbers with their errors and units.

An error stands beside its value as ``NAME_err``, ``NAME_uncertainty``, ``fwhm_err_in_kev`` for ``fwhm_in_kev``, or
under ``uncertainties`` for what is under ``parameters``. So quantities of steps to come are understood as they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

_LETTERS = ("a", "b", "c")
_CURVE = re.compile(r"\(?\s*a\s*\+\s*b\s*\*\s*\w+(\s*\+\s*c\s*\*\s*\w+\s*\*\*\s*2)?\s*\)?")
"""The expression of a calibration that is a straight line or a parabola."""
_NEAR = 0.05
"""Relative distance from a line within which a fitted position can be that line's in keV, or calibrated to it."""
_QUANTITY = re.compile(r"(?P<value>[-+0-9.eE]+)(?:\s*\*\s*(?P<unit>[A-Za-z]+))?")
"""A number in a text: with a unit, or in a form (``1e-05``) that YAML takes for text."""
_AN_ERROR = re.compile(r"(_err|_uncertainty|_err_in_\w+)$|\buncertainties\.")
_NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
_UNIT_IN_NAME = re.compile(r"_in_(?P<unit>k?ev|ns|us|ms|s)$", re.IGNORECASE)
_UNITS = {"kev": "keV", "ev": "eV"}
_INTERMEDIATE = re.compile(
    r"\.pk_fits\..*\.(parameters\.\w+|position|mu)$|\.eres_\w+\.parameters\.\w+$|\.calibration\.parameters\.\w+$"
)
"""Fits in the unit of an estimator, and coefficients of curves: what they mean is in other quantities."""


@dataclass(frozen=True)
class Value:
    """A number with its error, ``None`` if it has none, and its unit as text."""

    value: float
    error: float | None = None
    unit: str = ""

    def in_unit(self, unit: str) -> Value:
        """The same in another unit of time; as it is where one of the units is none."""
        if unit == self.unit or not {unit, self.unit} <= _NANOSECONDS.keys():
            return self
        factor = _NANOSECONDS[self.unit] / _NANOSECONDS[unit]
        return Value(self.value * factor, None if self.error is None else self.error * factor, unit)


def is_intermediate(name: str) -> bool:
    """Whether a quantity only serves to compute others: a fit in ADC counts or in the keV of a guess, a coefficient."""
    return _INTERMEDIATE.search(name) is not None


def unit_of(name: str, value: Value) -> str:
    """The unit of a quantity: that of its text, else what its name says (``fwhm_in_kev``); empty if neither does."""
    match = _UNIT_IN_NAME.search(name)
    named = match["unit"].lower() if match else ""
    return value.unit or _UNITS.get(named, named)


def values_of(entry: Any, name: str = "") -> Iterator[tuple[str, Value]]:
    """All numbers of an entry that have an error, by dotted name."""
    if not isinstance(entry, Mapping):
        return
    for key, item in entry.items():
        place = f"{name}.{key}" if name else str(key)
        if key == "parameters" and isinstance(entry.get("uncertainties"), Mapping):
            yield from _with_errors(place, item, entry["uncertainties"])
        elif isinstance(item, Mapping):
            yield from values_of(item, place)
        else:
            value, error = number(item), number(_error(entry, str(key)))
            if value and error:
                yield place, Value(value.value, abs(error.in_unit(value.unit).value), value.unit)


def numbers_of(entry: Any, name: str = "") -> Iterator[tuple[str, Value]]:
    """All numbers of an entry that are not errors themselves, by dotted name and without their errors."""
    for key, item in entry.items() if isinstance(entry, Mapping) else ():
        place = f"{name}.{key}" if name else str(key)
        if isinstance(item, Mapping):
            yield from numbers_of(item, place)
        elif not _AN_ERROR.search(place) and (value := number(item)):
            yield place, value


def quantities(made: Any, used: Any) -> dict[str, Value]:
    """What is known of a detector: the numbers with errors, and those that were set by hand.

    Parameters
    ----------
    made
        The entry that the calibration left.
    used
        The same with the overrides merged over it. A number that they set does not have the calibration's error.
    """
    before = dict(values_of(made))
    with_errors = {name: _without_foreign_error(value, before.get(name)) for name, value in values_of(used)}
    named = set_by_hand(made, used)
    found = {name: value for name, value in numbers_of(used) if name in named} | with_errors
    return positions(used) | found


def set_by_hand(made: Any, used: Any) -> frozenset[str]:
    """The names of the numbers that overrides set to others."""
    if made is used:
        return frozenset()
    before = dict(numbers_of(made))
    return frozenset(name for name, value in numbers_of(used) if before.get(name) != value)


def _without_foreign_error(value: Value, before: Value | None) -> Value:
    """A value, without its error if that is still the one of the value that the calibration found."""
    if before is None or before.error is None or value.error is None:
        return value
    now = value.in_unit(before.unit)
    foreign = now.value != before.value and math.isclose(now.error or 0.0, before.error)
    return replace(value, error=None) if foreign else value


def _with_errors(name: str, values: Any, errors: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    for key, item in values.items() if isinstance(values, Mapping) else ():
        value, error = number(item), number(errors.get(key))
        if value and error:
            yield f"{name}.{key}", Value(value.value, abs(error.value), value.unit)


def _error(entry: Mapping[str, Any], name: str) -> Any:
    """The entry that holds the error of another."""
    candidates = [f"{name}_err", f"{name}_uncertainty", name.replace("_in_", "_err_in_")]
    return next((entry[each] for each in candidates if each != name and each in entry), None)


def number(item: Any) -> Value | None:
    """A finite number, with the unit where the text has one: ``250382.1*ns``."""
    if isinstance(item, bool):
        return None
    if isinstance(item, int | float):
        return Value(float(item)) if math.isfinite(item) else None
    match = _QUANTITY.fullmatch(item) if isinstance(item, str) else None
    if match is None:
        return None
    try:
        return Value(float(match["value"]), unit=match["unit"] or "")
    except ValueError:
        return None


def positions(entry: Any) -> dict[str, Value]:
    """Where lines are after the calibration, in keV, of parameter files that give their positions otherwise.

    The published flow writes ``parameters.mu``, and later ``position``, in ADC counts: it is calibrated with the curve
    of the energy. Files of older flows have there keV: of a first guess, where the energy has a curve that takes ADC
    counts, so that they tell nothing; else of the energy itself.
    """
    found: dict[str, Value] = {}
    applied = curves(entry)
    for energy, result in below(entry, "results", "ecal").items():
        for line, fit in below(result, "pk_fits").items():
            name = f"results.ecal.{energy}.pk_fits.{line}.position_in_kev"
            value = None if "position_in_kev" in below(fit) else _position(fit)
            in_kev = _in_kev(value, number(str(line)), applied.get(str(energy)))
            if in_kev is not None:
                found[name] = in_kev
    return found


def _position(fit: Any) -> Value | None:
    """The position of a line as a fit found it, with its error."""
    at = number(below(fit).get("position"))
    if at is not None:
        return _with_error(at, number(below(fit).get("position_uncertainty")))
    at = number(below(fit, "parameters").get("mu"))
    return None if at is None else _with_error(at, number(below(fit, "uncertainties").get("mu")))


def _with_error(value: Value, error: Value | None) -> Value:
    return value if error is None else replace(value, error=abs(error.value))


def _in_kev(position: Value | None, line: Value | None, curve: tuple[Value, ...] | None) -> Value | None:
    """A fitted position in keV; None where it cannot be told."""
    if position is None or line is None:
        return None
    if curve is None:
        return replace(position, unit="keV") if _is_near(position.value, line.value) else None
    energy = sum(each.value * position.value**power for power, each in enumerate(curve))
    slope = sum(power * each.value * position.value ** (power - 1) for power, each in enumerate(curve) if power)
    if not _is_near(energy, line.value):
        return None
    return Value(energy, None if position.error is None else abs(slope) * position.error, "keV")


def _is_near(energy: float, line: float) -> bool:
    return abs(energy - line) < _NEAR * line


def curves(entry: Any) -> dict[str, tuple[Value, ...]]:
    """The calibration curves that hit applies, by the name of the energy.

    They have the errors of the calibration's results, unless their parameters are others, which were set by hand.
    """
    pars = below(entry, "pars")
    operations = pars.get("operations", pars)
    found = {}
    for name, operation in operations.items() if isinstance(operations, Mapping) else ():
        curve = _curve(str(name), operation)
        if curve:
            result = below(entry, "results", "ecal", name, "calibration")
            made = tuple(number(below(result, "parameters").get(letter)) for letter in _LETTERS[: len(curve)])
            errors = tuple(number(below(result, "uncertainties").get(letter)) for letter in _LETTERS[: len(curve)])
            known = made == curve and all(errors)
            found[str(name)] = tuple(
                Value(value.value, abs(error.value) if known and error else None)
                for value, error in zip(curve, errors, strict=True)
            )
    return found


def _curve(name: str, operation: Any) -> tuple[Value, ...] | None:
    """The coefficients of a calibration, None for other operations."""
    parameters = below(operation, "parameters")
    values = tuple(number(parameters.get(letter)) for letter in _LETTERS if letter in parameters)
    expression = operation.get("expression", "") if isinstance(operation, Mapping) else ""
    fits = name.endswith("_cal") and parameters.keys() in ({"a", "b"}, {"a", "b", "c"})
    if not fits or not (expression == "" or _CURVE.fullmatch(str(expression))):
        return None
    known = tuple(value for value in values if value)
    return known if len(known) == len(parameters) else None


def below(entry: Any, *names: Any) -> Mapping[Any, Any]:
    """The mapping under some names; an empty one where there is none."""
    for name in names:
        entry = entry.get(name) if isinstance(entry, Mapping) else None
    return entry if isinstance(entry, Mapping) else {}
