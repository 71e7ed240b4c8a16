"""What two cycles say about the same detectors in the same runs: every number that has an error or was set by hand.

The parameters are those that the plan uses: the calibration's with the overrides merged over them. Rates of events come
from the records (:mod:`prodenv.comparison.rates`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prodenv.cycles.outputs import Contents

from .quantities import Value, number, numbers_of, quantities, set_by_hand
from .rates import EVENTS, SELECTED, rates
from .valid_pars import moments, read

QBB = 2039.061
"""End point of the double-beta decay of germanium-76 in keV (Mount et al., Phys. Rev. C 81, 032501)."""
ALL = "all"
"""Stands for the detector of quantities of whole events."""
AT_QBB = "calibration at 2039 keV"
NOISE = 1e-9
"""Relative difference of values without errors that is none."""
_LETTERS = ("a", "b", "c")
_CURVE = re.compile(r"\(?\s*a\s*\+\s*b\s*\*\s*\w+(\s*\+\s*c\s*\*\s*\w+\s*\*\*\s*2)?\s*\)?")
"""The expression of a calibration that is a straight line or a parabola."""
_HEADLINES = (
    re.compile(r"Qbb_fwhm_in_kev$"),
    re.compile(AT_QBB),
    re.compile(r"\bpz\.tau1$"),
    re.compile(r"sfs?\.[^.]*\.sf$"),
    re.compile(r"^rate of "),
)
"""What is shown even where nothing is significant."""


@dataclass(frozen=True)
class Change:
    """One quantity of a detector in a run, in both cycles.

    Parameters
    ----------
    tier, run, detector, quantity
        What it is.
    a, b
        The values.
    """

    tier: str
    run: str
    detector: str
    quantity: str
    a: Value
    b: Value

    @property
    def difference(self) -> float:
        """What `b` has more than `a`."""
        return self.b.value - self.a.value

    @property
    def significance(self) -> float | None:
        """The difference in units of both errors together, ``None`` without errors.

        The errors are taken as independent. Where both cycles used the same events they are not, and the true
        significance is larger.
        """
        errors = [error for error in (self.a.error, self.b.error) if error is not None and math.isfinite(error)]
        total = math.hypot(*errors) if errors else 0.0
        return abs(self.difference) / total if total > 0 and math.isfinite(self.difference) else None

    def is_significant(self, sigma: float) -> bool:
        """Whether the difference is of `sigma` at least. Without errors, every difference beyond rounding is."""
        if self.significance is None:
            return abs(self.difference) > NOISE * max(abs(self.a.value), abs(self.b.value))
        return self.significance >= sigma

    @property
    def headline(self) -> bool:
        """Whether it is one of the quantities that people ask for first."""
        return any(form.search(self.quantity) for form in _HEADLINES)


@dataclass(frozen=True)
class Status:
    """A detector that has parameters in one cycle only, with the reason why not in the other."""

    tier: str
    run: str
    detector: str
    a: str
    b: str


def changes(a: Contents, b: Contents) -> tuple[list[Change], list[Status]]:
    """Everything that is not the same in the parameters of runs that both have; the most significant first.

    What holds for several runs is named once, at the first of them.

    Raises
    ------
    UserError
        If the metadata or a parameter file cannot be read.
    """
    found: list[Change] = []
    states: list[Status] = []
    known: set[object] = set()
    there = [moment for moment in moments(a, b) if moment.a.there and moment.b.there]
    of_a = read(a, [(moment.tier, moment.a) for moment in there])
    of_b = read(b, [(moment.tier, moment.b) for moment in there])
    for moment, ours, theirs in zip(there, of_a, of_b, strict=True):
        place = moment.tier, moment.run
        for detector in sorted({*ours[1], *theirs[1]}):
            pairs = [(made.get(detector), used.get(detector)) for made, used in (ours, theirs)]
            state = Status(*place, detector, *(_state(*pair) for pair in pairs))
            new = list(_of_detector(*place, detector, *pairs))
            base = moment.tier, moment.a.made, moment.b.made, detector
            told = {(*base, change.quantity, change.a, change.b): change for change in new}
            found += [change for name, change in told.items() if name not in known]
            if state.a != state.b and (*base, state.a, state.b) not in known:
                states.append(state)
            known |= {*told, (*base, state.a, state.b)}
    found += _rates(a, b)
    found.sort(key=lambda change: (-_rank(change), change.run, change.detector, change.quantity))
    return found, states


def _rank(change: Change) -> float:
    if change.significance is None:
        return math.inf if change.is_significant(0) else 0.0
    return change.significance


def _rates(a: Contents, b: Contents) -> Iterator[Change]:
    """The rates of events of runs that both have: of all, of those selected, and of those with each detector."""
    ours, theirs = rates(a), rates(b)
    for run in sorted(ours.keys() & theirs.keys()):
        for name in sorted({*ours[run].numbers, *theirs[run].numbers}):
            of_all = name in (EVENTS, SELECTED)
            values = [Value(*counts[run].rate(name), unit="1/s") for counts in (ours, theirs)]
            tier, detector = "skm" if name == SELECTED else "evt", ALL if of_all else name
            yield Change(tier, run, detector, f"rate of {name if of_all else EVENTS}", *values)


def _state(made: Any, used: Any) -> str:
    """What there is of a detector in one cycle."""
    if used is None:
        return "absent"
    status = used.get("status") if isinstance(used, Mapping) else None
    if isinstance(status, Mapping) and status.get("state") == "failed":
        reason = f"failed: {status.get('reason', '')}".rstrip(": ")
        return f"{reason} (with an override)" if used != made else reason
    return "ok"


def _of_detector(tier: str, run: str, detector: str, a: tuple[Any, Any], b: tuple[Any, Any]) -> Iterator[Change]:
    """Compare two entries; each is what the calibration made, and what is used."""
    ours, theirs = _known(a, b), _known(b, a)
    found = {
        name: Change(tier, run, detector, name, ours[name], theirs[name].in_unit(ours[name].unit))
        for name in sorted(ours.keys() & theirs.keys())
    }
    for name, change in found.items():
        twin = found.get(name.replace(".parameters.", "."), change)
        is_twin = twin is not change and (twin.a, twin.b) == (change.a, change.b)
        if not is_twin and (change.difference != 0 or change.headline):
            yield change
    yield from _calibrations(tier, run, detector, a[1], b[1])


def _known(pair: tuple[Any, Any], other: tuple[Any, Any]) -> dict[str, Value]:
    """The quantities of a detector in one cycle, with what the other has set by hand."""
    found = quantities(*pair)
    named = set_by_hand(*other) - found.keys()
    return found | {name: value for name, value in numbers_of(pair[1]) if name in named}


def _calibrations(tier: str, run: str, detector: str, a: Any, b: Any) -> Iterator[Change]:
    """By energy: where an event that A calibrates to 2039 keV is in B."""
    ours, theirs = _curves(a), _curves(b)
    for name in sorted(ours.keys() & theirs.keys()):
        adc = _inverse(ours[name])
        if adc is not None:
            values = [_at(adc, curve) for curve in (ours[name], theirs[name])]
            yield Change(tier, run, detector, f"{name}: {AT_QBB}", *values)


def _at(adc: float, curve: tuple[Value, ...]) -> Value:
    """A polynomial at a place.

    Its coefficients are anti-correlated, so without their covariance the error comes out too large.
    """
    energy = sum(each.value * adc**power for power, each in enumerate(curve))
    errors = [each.error * adc**power for power, each in enumerate(curve) if each.error is not None]
    return Value(energy, math.hypot(*errors) if errors else None, "keV")


def _inverse(curve: tuple[Value, ...]) -> float | None:
    """Where a polynomial is 2039 keV: the solution next to that of the straight line."""
    offset, slope, *bend = (each.value for each in curve)
    if not slope:
        return None
    adc = (QBB - offset) / slope
    if not bend or not bend[0]:
        return adc
    root = slope**2 + 4 * bend[0] * (QBB - offset)
    return 2 * (QBB - offset) / (slope + math.copysign(math.sqrt(root), slope)) if root >= 0 else None


def _curves(entry: Any) -> dict[str, tuple[Value, ...]]:
    """The calibration curves that hit applies, by the name of the energy.

    They have the errors of the calibration's results, unless their parameters are others, which were set by hand.
    """
    pars = _below(entry, "pars")
    operations = pars.get("operations", pars)
    found = {}
    for name, operation in operations.items() if isinstance(operations, Mapping) else ():
        curve = _curve(str(name), operation)
        if curve:
            result = _below(entry, "results", "ecal", name, "calibration")
            made = tuple(number(_below(result, "parameters").get(letter)) for letter in _LETTERS[: len(curve)])
            errors = tuple(number(_below(result, "uncertainties").get(letter)) for letter in _LETTERS[: len(curve)])
            known = made == curve and all(errors)
            found[str(name)] = tuple(
                Value(value.value, abs(error.value) if known and error else None)
                for value, error in zip(curve, errors, strict=True)
            )
    return found


def _curve(name: str, operation: Any) -> tuple[Value, ...] | None:
    """The coefficients of a calibration, None for other operations."""
    parameters = _below(operation, "parameters")
    values = tuple(number(parameters.get(letter)) for letter in _LETTERS if letter in parameters)
    expression = operation.get("expression", "") if isinstance(operation, Mapping) else ""
    fits = name.endswith("_cal") and parameters.keys() in ({"a", "b"}, {"a", "b", "c"})
    if not fits or not (expression == "" or _CURVE.fullmatch(str(expression))):
        return None
    known = tuple(value for value in values if value)
    return known if len(known) == len(parameters) else None


def _below(entry: Any, *names: Any) -> Mapping[Any, Any]:
    """The mapping under some names; an empty one where there is none."""
    for name in names:
        entry = entry.get(name) if isinstance(entry, Mapping) else None
    return entry if isinstance(entry, Mapping) else {}
