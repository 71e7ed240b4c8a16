"""What two cycles say of the same detectors: their quantities side by side, in one unit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from dataflow.metadata.quantities import (
    Value,
    below,
    curves,
    is_intermediate,
    number,
    numbers_of,
    quantities,
    set_by_hand,
    unit_of,
)

QBB = 2039.061
"""End point of the double-beta decay of germanium-76 in keV (Mount et al., Phys. Rev. C 81, 032501)."""
Pair = tuple[Any, Any]
"""An entry as the calibration made it, and as it is used."""


def compared(question: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The detectors of `pairs`, each with the parameters of both cycles for one run.

    Parameters
    ----------
    question
        ``pairs``: a list of mappings with ``a`` and ``b``, each what the calibrations made and what is used, by
        detector, as the verb ``values`` gives them. No cycle is needed.

    Returns
    -------
    list
        For each pair by detector: ``states``, what there is in each cycle, and ``quantities``, each with its ``name``,
        ``a`` and ``b`` (value, error or None, unit) and whether it is ``intermediate`` and ``by_hand``.
    """
    return [_pair(each["a"], each["b"]) for each in question["pairs"]]


def _pair(a: tuple[Mapping[str, Any], ...], b: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    found = {}
    for detector in sorted({*a[1], *b[1]}):
        ours, theirs = ((each[0].get(detector), each[1].get(detector)) for each in (a, b))
        rows = [*_quantities(ours, theirs), *_calibrations(ours[1], theirs[1])]
        found[detector] = {"states": [_state(*ours), _state(*theirs)], "quantities": rows}
    return found


def _state(made: Any, used: Any) -> str:
    """What there is of a detector in one cycle."""
    if used is None:
        return "absent"
    status = used.get("status") if isinstance(used, Mapping) else None
    if isinstance(status, Mapping) and status.get("state") == "failed":
        reason = f"failed: {status.get('reason', '')}".rstrip(": ")
        return f"{reason} (with an override)" if used != made else reason
    return "ok"


def _quantities(a: Pair, b: Pair) -> Iterator[dict[str, Any]]:
    """The quantities that both have; a number that stands in two places of a file once."""
    ours, theirs = _known(a, b), _known(b, a)
    by_hand = set_by_hand(*a) | set_by_hand(*b)
    found = {name: (ours[name], theirs[name].in_unit(ours[name].unit)) for name in sorted(ours.keys() & theirs.keys())}
    for name, values in found.items():
        twin = name.replace(".parameters.", ".")
        if twin == name or found.get(twin) != values:
            yield _row(name, *values, intermediate=is_intermediate(name), by_hand=name in by_hand)


def _known(pair: Pair, other: Pair) -> dict[str, Value]:
    """The quantities of a detector in one cycle, with what the other has set by hand."""
    found = quantities(*pair)
    named = set_by_hand(*other) - found.keys()
    return found | {name: value for name, value in numbers_of(pair[1]) if name in named}


def _row(name: str, a: Value, b: Value, *, intermediate: bool = False, by_hand: bool = False) -> dict[str, Any]:
    values = [{"value": each.value, "error": each.error, "unit": unit_of(name, each)} for each in (a, b)]
    return {
        "name": name,
        "a": values[0],
        "b": values[1],
        "intermediate": intermediate and not by_hand,
        "by_hand": by_hand,
    }


def _calibrations(a: Any, b: Any) -> Iterator[dict[str, Any]]:
    """By energy: where an event that A calibrates to the reference energy is in B."""
    ours, theirs = curves(a), curves(b)
    for name in sorted(ours.keys() & theirs.keys()):
        energy = _reference(a, name)
        adc = _inverse(ours[name], energy)
        if adc is not None:
            yield _row(f"{name}: calibration at {energy:.0f} keV", _at(adc, ours[name]), _at(adc, theirs[name]))


def _reference(entry: Any, name: str) -> float:
    """The energy at which the resolution of an energy is given: that of the double-beta decay if it says nothing."""
    value = number(below(entry, "results", "ecal", name, "eres_linear").get("interp_energy_in_kev"))
    return value.value if value and value.value > 0 else QBB


def _at(adc: float, curve: tuple[Value, ...]) -> Value:
    """A polynomial at a place.

    Its coefficients are anti-correlated, so without their covariance the error comes out too large.
    """
    energy = sum(each.value * adc**power for power, each in enumerate(curve))
    errors = [each.error * adc**power for power, each in enumerate(curve) if each.error is not None]
    return Value(energy, math.hypot(*errors) if errors else None, "keV")


def _inverse(curve: tuple[Value, ...], energy: float) -> float | None:
    """Where a polynomial has a value: the solution next to that of the straight line."""
    offset, slope, *bend = (each.value for each in curve)
    if not slope:
        return None
    adc = (energy - offset) / slope
    if not bend or not bend[0]:
        return adc
    root = slope**2 + 4 * bend[0] * (energy - offset)
    return 2 * (energy - offset) / (slope + math.copysign(math.sqrt(root), slope)) if root >= 0 else None
