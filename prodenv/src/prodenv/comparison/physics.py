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

from prodenv.cycles.flow import ask_environment
from prodenv.cycles.outputs import Contents

from .rates import EVENTS, SELECTED, rates
from .valid_pars import moments, read

ALL = "all"
"""Stands for the detector of quantities of whole events."""
NOISE = 1e-9
"""Relative difference of values without errors that is none."""
AT_ENERGY = re.compile(r"(?P<energy>\w+): calibration at (?P<at>\d+) keV$")
"""Where an event is calibrated to that A has at a reference energy."""
FWHM = re.compile(r"ecal\.(?P<energy>\w+)\.eres_linear\.\w*_fwhm_in_kev$")
DECAY = re.compile(r"^(\w+\.)*pz\.tau1$")
SURVIVAL = re.compile(r"sfs?\..*\.sf$")
RATE = re.compile(r"^rate of ")
LABELS = re.compile(r"\bsvm\.(good_kept|bad_rejected)$")
"""What the labels of a support vector machine are worth."""
_HEADLINES = (re.compile(r"\w_fwhm_in_kev$"), AT_ENERGY, DECAY, SURVIVAL, LABELS, RATE)
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
        The values, in one unit.
    intermediate
        Whether it only serves to compute others, such as a fit in ADC counts.
    by_hand
        Whether an override has set it.
    """

    tier: str
    run: str
    detector: str
    quantity: str
    a: Value
    b: Value
    intermediate: bool = False
    by_hand: bool = False

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
    pairs = [{"a": ours, "b": theirs} for ours, theirs in zip(of_a, of_b, strict=True)]
    for moment, detectors in zip(there, ask_environment("compared", pairs=pairs), strict=True):
        for detector, told in detectors.items():
            place, base = (moment.tier, moment.run, detector), (moment.tier, moment.a.made, moment.b.made, detector)
            new = {(*base, row.quantity, row.a, row.b): row for row in _rows(*place, told["quantities"])}
            found += [change for name, change in new.items() if name not in known]
            state = Status(*place, *told["states"])
            if state.a != state.b and (*base, state.a, state.b) not in known:
                states.append(state)
            known |= {*new, (*base, state.a, state.b)}
    found += _rates(a, b)
    found.sort(key=lambda change: (-_rank(change), change.run, change.detector, change.quantity))
    return found, states


def _rows(tier: str, run: str, detector: str, told: list[Mapping[str, Any]]) -> Iterator[Change]:
    """The quantities of a detector that differ, and those that people ask for first."""
    for row in told:
        values = Value(**row["a"]), Value(**row["b"])
        change = Change(tier, run, detector, row["name"], *values, row["intermediate"], row["by_hand"])
        if change.difference != 0 or change.headline:
            yield change


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
            first, second = (Value(*counts[run].rate(name), unit="1/s") for counts in (ours, theirs))
            tier, detector = "skm" if name == SELECTED else "evt", ALL if of_all else name
            yield Change(tier, run, detector, f"rate of {name if of_all else EVENTS}", first, second)
