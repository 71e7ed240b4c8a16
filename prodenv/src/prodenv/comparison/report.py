"""What changed in the physics of two cycles as tables for people: one row a detector, numbers with units."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from .physics import ALL, AT_ENERGY, DECAY, FWHM, RATE, Change, Value

PREFERRED = "cuspEmax_ctc_cal"
"""The energy that is shown where a detector has several."""
SURVIVAL = re.compile(r"\blow_side_sfs\.2039(\.\d*)?\.sf$")
"""What the cut on the low side of A/E leaves at the energy of the double-beta decay, in percent."""
DIGITS = 2
"""Significant digits of an error."""
_SHOWN_AS = {"ns": ("µs", 1e-3), "1/s": ("1/s", 1.0)}
"""The unit of a column, by that of its values."""
STAR, SHIFT = "*", "energy"
_DOT = re.compile(r"\.(?!\d)|(?<!\d)\.")
"""Between two names; not in a number."""


@dataclass
class Column:
    """A quantity in both cycles, or its change.

    Parameters
    ----------
    title
        What it is, without the unit.
    unit
        That of its values where they do not have one themselves.
    is_change
        Whether only what B has more than A is shown.
    """

    title: str
    unit: str = ""
    is_change: bool = False
    cells: dict[str, Change] = field(default_factory=dict)

    @property
    def headings(self) -> list[str]:
        """One for each cycle, or one for the change."""
        unit = next((change.a.unit for change in self.cells.values() if change.a.unit), self.unit)
        unit = _SHOWN_AS.get(unit, (unit, 1.0))[0]
        which = ["B − A"] if self.is_change else ["A", "B"]
        return [f"{self.title}\n{each} [{unit}]" if unit else f"{self.title}\n{each}" for each in which]

    def texts(self, detector: str, sigma: float) -> list[str]:
        """The numbers of a detector; the last has a star where they differ significantly."""
        change = self.cells.get(detector)
        if change is None:
            return ["-"] * len(self.headings)
        factor = _SHOWN_AS.get(change.a.unit, ("", 1.0))[1]
        star = STAR if change.is_significant(sigma) else ""
        if self.is_change:
            return [with_error(change.difference * factor, _error(change, factor), sign=True) + star]
        a, b = (
            with_error(v.value * factor, None if v.error is None else v.error * factor) for v in (change.a, change.b)
        )
        return [a, b + star]


@dataclass(frozen=True)
class Table:
    """The detectors of a run whose physics is not the same.

    Parameters
    ----------
    title
        The run, and which energy is shown.
    columns, rows
        Headings and texts.
    same
        How many other detectors of the run are as they were.
    shown
        The changes that are in it.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    same: int
    shown: frozenset[int]


def tables(changes: Sequence[Change], sigma: float, *, everything: bool = False) -> list[Table]:
    """A table for each run in which something that people ask for first is not the same.

    Parameters
    ----------
    changes
        All changes.
    sigma
        From when on a change is significant.
    everything
        Whether detectors without any change are shown too.
    """
    runs: dict[str, list[Change]] = {}
    for change in changes:
        if change.headline:
            runs.setdefault(change.run, []).append(change)
    found = [_table(run, of_run, sigma, everything=everything) for run, of_run in sorted(runs.items())]
    return [table for table in found if table.rows]


def _table(run: str, changes: Sequence[Change], sigma: float, *, everything: bool) -> Table:
    energy, at = _energy(changes)
    columns = _columns(changes, energy, at, everything=everything)
    detectors = sorted({change.detector for change in changes})
    known = [name for name in detectors if name != ALL]
    there = [name for name in detectors if any(name in column.cells for column in columns)]
    changed = [name for name in there if everything or any(_differs(column, name) for column in columns)]
    rows = [[name, *(text for column in columns for text in column.texts(name, sigma))] for name in changed]
    headings = ["detector", *(heading for column in columns for heading in column.headings)]
    shown = frozenset(id(change) for column in columns for change in column.cells.values())
    title = f"{run}: {energy} at {at} keV" if energy else run
    return Table(title, headings, rows, len(known) - len([name for name in known if name in changed]), shown)


def _differs(column: Column, detector: str) -> bool:
    return detector in column.cells and column.cells[detector].difference != 0


def _energy(changes: Iterable[Change]) -> tuple[str, str]:
    """Which energy is shown, and where: the preferred one, else that of most detectors."""
    found = [match for change in changes if (match := AT_ENERGY.search(change.quantity))]
    known = Counter(match["energy"] for match in found)
    if not known:
        return "", ""
    energy = PREFERRED if PREFERRED in known else min(known, key=lambda name: (-known[name], name))
    return energy, next(match["at"] for match in found if match["energy"] == energy)


def _columns(changes: Iterable[Change], energy: str, at: str, *, everything: bool) -> list[Column]:
    """The columns in which any detector differs; if there is but one, both of its values are shown.

    Of an energy only the shift: A has the reference energy there.
    """
    known = {
        "fwhm": Column("FWHM"),
        "shift": Column(SHIFT, is_change=True),
        "decay": Column("decay const.", is_change=True),
        "survival": Column("A/E survival", "%", is_change=True),
        "rate": Column("rate", is_change=True),
    }
    for change in changes:
        name = _kind(change, energy, at)
        if name and change.detector not in known[name].cells:
            known[name].cells[change.detector] = change
    found = [column for column in known.values() if any(everything or _differs(column, name) for name in column.cells)]
    return [
        replace(column, is_change=column.is_change and (len(found) > 1 or column.title == SHIFT)) for column in found
    ]


def _kind(change: Change, energy: str, at: str) -> str:
    """In which column a change stands; empty for none."""
    shift, fwhm = AT_ENERGY.search(change.quantity), FWHM.search(change.quantity)
    if shift:
        return "shift" if (shift["energy"], shift["at"]) == (energy, at) else ""
    if fwhm:
        return "fwhm" if fwhm["energy"] == energy else ""
    others = (("decay", DECAY), ("survival", SURVIVAL), ("rate", RATE))
    return next((name for name, form in others if form.search(change.quantity)), "")


def others(changes: Sequence[Change], shown: Iterable[Table], sigma: float, *, everything: bool) -> list[Change]:
    """What else is significantly different, without what only serves to compute other quantities."""
    told = {number for table in shown for number in table.shown}
    rest = [change for change in changes if id(change) not in told or change.by_hand]
    if everything:
        return rest
    return [change for change in rest if change.is_significant(sigma) and not change.intermediate]


def _error(change: Change, factor: float) -> float | None:
    errors = [each.error for each in (change.a, change.b) if each.error is not None]
    return math.hypot(*errors) * factor if errors else None


def text_of(value: Value) -> str:
    """A value with its error and unit: ``2.293(80) keV``."""
    unit, factor = _SHOWN_AS.get(value.unit, (value.unit, 1.0))
    error = None if value.error is None else value.error * factor
    return f"{with_error(value.value * factor, error)} {unit}".rstrip()


def words_of(quantity: str) -> str:
    """The place of a quantity in a parameter file as words, which can be wrapped: ``pz tau1``."""
    return _DOT.sub(" ", quantity.removeprefix("results.").removeprefix("pars.operations."))


def with_error(value: float, error: float | None, *, sign: bool = False) -> str:
    """A number with its error in the last digits: ``2.293(80)`` is 2.293 ± 0.080.

    Parameters
    ----------
    value
        The number.
    error
        Its error; without one, six significant digits.
    sign
        Whether a positive number has its sign.
    """
    plus = "+" if sign else ""
    if error is None or not error > 0 or not math.isfinite(error):
        return f"{value:{plus}.6g}"
    places = DIGITS - 1 - math.floor(math.log10(float(f"{error:.{DIGITS - 1}e}")))
    if places < 0 or places > 9:
        return f"{value:{plus}.6g} ± {error:.2g}"
    value = round(value, places) + 0.0  # no -0.00
    last = f"{error:.{places}f}" if places < DIGITS else f"{round(error * 10**places)}"
    return f"{value:{plus}.{places}f}({last})"
