"""Numbers in parameter files, with their errors.

An error stands beside its value as ``NAME_err``, ``NAME_uncertainty``, ``fwhm_err_in_kev`` for ``fwhm_in_kev``, or
under ``uncertainties`` for what is under ``parameters``. So quantities of steps to come are understood as they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

_QUANTITY = re.compile(r"(?P<value>[-+0-9.eE]+)(?:\s*\*\s*(?P<unit>[A-Za-z]+))?")
"""A number in a text: with a unit, or in a form (``1e-05``) that YAML takes for text."""
_AN_ERROR = re.compile(r"(_err|_uncertainty|_err_in_\w+)$|\buncertainties\.")
_NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


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
    """All numbers of an entry that are no errors themselves, by dotted name and without their errors."""
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
    return {name: value for name, value in numbers_of(used) if name in named} | with_errors


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
