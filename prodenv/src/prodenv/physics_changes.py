"""What two cycles say about the same detectors in the same runs: every number in the parameter files that has an error.

An error stands beside its value as ``NAME_err``, ``NAME_uncertainty``, ``fwhm_err_in_kev`` for ``fwhm_in_kev``, or
under ``uncertainties`` for what is under ``parameters``. So quantities of steps to come are compared as they are.
Rates of events come from the records (:mod:`prodenv.rates`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataflow.plan.errors import UserError as PlanError
from dataflow.plan.textfile import read as read_text_file
from prodenv.outputs import Contents
from prodenv.rates import EVENTS, SELECTED, rates

QBB = 2039.061
"""End point of the double-beta decay of germanium-76 in keV (Mount et al., Phys. Rev. C 81, 032501)."""
ALL = "all"
"""Stands for the detector of quantities of whole events."""
AT_QBB = "calibration at 2039 keV"
_QUANTITY = re.compile(r"(?P<value>[-+0-9.eE]+)(?:\s*\*\s*(?P<unit>[A-Za-z]+))?")
"""A number in a text: with a unit, or in a form (``1e-05``) that YAML takes for text."""
_HEADLINES = (
    re.compile(r"Qbb_fwhm_in_kev$"),
    re.compile(AT_QBB),
    re.compile(r"\bpz\.tau1$"),
    re.compile(r"sfs?\.[^.]*\.sf$"),
    re.compile(r"^rate of "),
)
"""What is shown even where nothing is significant."""


@dataclass(frozen=True)
class Value:
    """A number with its error, ``None`` if it has none, and its unit as text."""

    value: float
    error: float | None = None
    unit: str = ""


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
    """Everything that is not the same in the parameters of runs that both have; the most significant first."""
    first, second = _par_files(a), _par_files(b)
    found: list[Change] = []
    states: list[Status] = []
    for tier, run in sorted(first.keys() & second.keys()):
        ours, theirs = _read(first[tier, run]), _read(second[tier, run])
        for detector in sorted({*ours, *theirs}):
            pair = [_state(pars.get(detector)) for pars in (ours, theirs)]
            if pair[0] != pair[1]:
                states.append(Status(tier, run, detector, *pair))
            if pair == ["ok", "ok"]:
                found += _of_detector(tier, run, detector, ours[detector], theirs[detector])
    found += _rates(a, b)
    found.sort(key=lambda change: (-(change.significance or 0.0), change.run, change.detector, change.quantity))
    return found, states


def _rates(a: Contents, b: Contents) -> Iterator[Change]:
    """The rates of events of runs that both have: of all, of those selected, and of those with each detector."""
    ours, theirs = rates(a), rates(b)
    for run in sorted(ours.keys() & theirs.keys()):
        for name in sorted({*ours[run].numbers, *theirs[run].numbers}):
            of_all = name in (EVENTS, SELECTED)
            values = [Value(*counts[run].rate(name), unit="1/s") for counts in (ours, theirs)]
            tier, detector = "skm" if name == SELECTED else "evt", ALL if of_all else name
            yield Change(tier, run, detector, f"rate of {name if of_all else EVENTS}", *values)


def _par_files(contents: Contents) -> dict[tuple[str, str], Path]:
    """The parameter files by tier and run."""
    files: dict[tuple[str, str], Path] = {}
    for output in contents.outputs():
        if output.step.startswith("par_") and output.kind == f"par_{output.path.rpartition('-par_')[2].split('.')[0]}":
            tier = output.kind.removeprefix("par_")
            if "_" not in tier:
                files[tier, output.run] = contents.setup.directory / output.path
    return files


def _read(path: Path) -> Mapping[str, Any]:
    try:
        data = read_text_file(path).data
    except PlanError:
        return {}
    return data if isinstance(data, Mapping) else {}


def _state(entry: Any) -> str:
    if entry is None:
        return "absent"
    status = entry.get("status") if isinstance(entry, Mapping) else None
    if isinstance(status, Mapping) and status.get("state") == "failed":
        return f"failed: {status.get('reason', '')}".rstrip(": ")
    return "ok"


def _of_detector(tier: str, run: str, detector: str, a: Any, b: Any) -> Iterator[Change]:
    ours, theirs = dict(values_of(a)), dict(values_of(b))
    for quantity in sorted(ours.keys() & theirs.keys()):
        change = Change(tier, run, detector, quantity, ours[quantity], theirs[quantity])
        if change.difference != 0 or change.headline:
            yield change
    yield from _calibrations(tier, run, detector, a, b)


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
            value, error = _number(item), _number(_error(entry, str(key)))
            if value and error:
                yield place, Value(value.value, abs(error.value), value.unit)


def _with_errors(name: str, values: Any, errors: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    for key, item in values.items() if isinstance(values, Mapping) else ():
        value, error = _number(item), _number(errors.get(key))
        if value and error:
            yield f"{name}.{key}", Value(value.value, abs(error.value), value.unit)


def _error(entry: Mapping[str, Any], name: str) -> Any:
    """The entry that holds the error of another."""
    candidates = [f"{name}_err", f"{name}_uncertainty", name.replace("_in_", "_err_in_")]
    return next((entry[each] for each in candidates if each != name and each in entry), None)


def _number(item: Any) -> Value | None:
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


def _calibrations(tier: str, run: str, detector: str, a: Any, b: Any) -> Iterator[Change]:
    """By energy estimator: where an event that A calibrates to 2039 keV is in B."""
    ours, theirs = _linear(a), _linear(b)
    for name in sorted(ours.keys() & theirs.keys()):
        (offset, slope), (other_offset, other_slope) = ours[name], theirs[name]
        adc = (QBB - offset.value) / slope.value
        here = Value(offset.value + adc * slope.value, _at(adc, offset, slope), "keV")
        there = Value(other_offset.value + adc * other_slope.value, _at(adc, other_offset, other_slope), "keV")
        yield Change(tier, run, detector, f"{name}: {AT_QBB}", here, there)


def _at(adc: float, offset: Value, slope: Value) -> float:
    """Error of ``a + b x``; the two are anti-correlated, so without their covariance it comes out too large."""
    return math.hypot(offset.error or 0.0, adc * (slope.error or 0.0))


def _linear(entry: Any) -> dict[str, tuple[Value, Value]]:
    """The linear calibration curves of a detector by energy estimator."""
    results = entry.get("results", {}) if isinstance(entry, Mapping) else {}
    curves = results.get("ecal", {}) if isinstance(results, Mapping) else {}
    found = {}
    for name, result in curves.items() if isinstance(curves, Mapping) else ():
        calibration = result.get("calibration") if isinstance(result, Mapping) else None
        values = {key.rpartition(".")[2]: value for key, value in values_of(calibration)}
        if set(values) == {"a", "b"} and values["b"].value:
            found[str(name)] = (values["a"], values["b"])
    return found
