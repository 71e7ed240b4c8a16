"""The table at the end of the demonstration: results beside the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from gebox import checklabels
from gebox.check import Residual, beyond, unmeasured
from gebox.demand import name_of

HEADER = ("run", "detector", "traces", "tau [us]", "true")
POSITION = "position "
SURVIVAL = "A/E survival "
QUANTITIES = (("trapping", 3), ("FWHM 2039", 2), *((f"{SURVIVAL}{line}", 1) for line in ("1592", "2614")))
"""What stands in the second table if it was measured, and with how many digits: of A/E the double-escape peak,
which the cut is to keep, and the full-energy peak, of which it keeps little."""
KEPT = {
    "LQ prompt": ("late charge", ("prompt",)),
    "LQ late": ("late charge", ("late",)),
    "SVM good": (checklabels.KEPT, tuple(map(name_of, checklabels.GOOD))),
    "SVM bad": (checklabels.KEPT, tuple(map(name_of, checklabels.PLAIN))),
}
"""Columns of the second table, and the cuts and true classes of pulses of which they tell what is kept."""

SHOWN = 6
"""Detectors and runs that a sentence names at most."""


class Kept(Protocol):
    """What a cut has kept of the pulses of a class, as :class:`gebox.checkpulses.Demand`."""

    @property
    def cut(self) -> str: ...
    @property
    def pulses(self) -> str: ...
    @property
    def kept(self) -> int: ...
    @property
    def total(self) -> int: ...


Demanded = Mapping[tuple[str, str], Sequence[Kept]]


def report(
    found: list[Residual], counts: dict[tuple[str, str, str], int], *, limit: float, kept: Demanded | None = None
) -> int:
    """Print one line a detector and run, in one table or two; say what is beyond the limit.

    Parameters
    ----------
    kept
        What cuts keep of pulses, by run (``p03-r000``) and detector.

    Returns
    -------
    exit code
        0, or 1 where a quantity deviates by more than `limit` standard deviations, a detector has no result, or nothing
        is measured.
    """
    header, lines = header_of(found), rows(found, counts, limit)
    _table("calibration beside the truth", header, lines)
    second = columns_of(found, kept or {})
    if second:
        header = ["run", "detector", *(name for column in second for name in column)]
        _table("trapping, A/E, late charge and labels beside the truth", header, shape_rows(found, kept or {}))
    bad = beyond(found, limit)
    for residual in bad:
        print(sentence(residual))
    lacking = unmeasured(found)
    if lacking:
        print(f"not measured, because there are too few events: {_places(lacking)}")
    measured = sum(residual.measured for residual in found)
    if not bad and measured:
        print(f"all {measured} quantities agree with the truth within {limit:g} sigma")
    return 1 if bad or not measured else 0


def lines_of(found: list[Residual]) -> list[str]:
    """The lines whose width is compared too, as quantities name them, in order of energy."""
    quantities = {residual.quantity for residual in found}
    names = {each.removeprefix(POSITION) for each in quantities if each.startswith(POSITION)}
    return sorted((name for name in names if f"FWHM {name}" in quantities), key=float)


def header_of(found: list[Residual]) -> list[str]:
    """The names of the columns."""
    columns = [name for line in lines_of(found) for name in (f"{line} keV at", "FWHM", "true")]
    return [*HEADER, *columns, "worst pull"]


def columns_of(found: list[Residual], kept: Demanded) -> list[tuple[str, ...]]:
    """The columns of the second table: measured and true, then what is kept, each in percent."""
    units = {residual.quantity: residual.unit for residual in found}
    return [
        *((f"{name} [{units[name]}]".replace("survival ", ""), "true") for name, _ in QUANTITIES if name in units),
        *((column,) for column in _kept_columns(kept)),
    ]


def _kept_columns(kept: Demanded) -> list[str]:
    """The columns of what is kept of classes of pulses that there are."""
    known = {(each.cut, each.pulses) for demanded in kept.values() for each in demanded}
    return [column for column, (cut, classes) in KEPT.items() if any((cut, each) in known for each in classes)]


def shape_rows(found: list[Residual], kept: Demanded) -> list[list[str]]:
    """The cells of the second table."""
    names = {residual.quantity for residual in found}
    columns = _kept_columns(kept)
    made = []
    for (period, run, detector), group in _groups(found).items():
        cells = [f"{period} {run}", detector]
        for name, digits in QUANTITIES:
            if name in names:
                cells += _pair(group.get(name), digits)
        demanded = kept.get((f"{period}-{run}", detector), ())
        cells += [_percent(*KEPT[column], demanded) for column in columns]
        made.append(cells)
    return made


def _pair(one: Residual | None, digits: int) -> list[str]:
    """Value with error, and truth."""
    return [_number(one.found, one.error, digits), f"{one.true:.{digits}f}"] if one else ["-", "-"]


def _percent(cut: str, classes: tuple[str, ...], demanded: Sequence[Kept]) -> str:
    """What is kept of the pulses of some classes."""
    mine = [each for each in demanded if each.cut == cut and each.pulses in classes]
    total = sum(each.total for each in mine)
    return f"{100 * sum(each.kept for each in mine) / total:.1f} %" if total else "-"


def _places(found: list[Residual]) -> str:
    """Quantities by detector and run, the first few of them."""
    groups: dict[str, list[str]] = {}
    for residual in found:
        place = f"{residual.detector} in {residual.period} {residual.run}"
        groups.setdefault(place, []).append(residual.quantity)
    shown = [f"{', '.join(quantities)} of {place}" for place, quantities in list(groups.items())[:SHOWN]]
    more = f"; and of {len(groups) - SHOWN} more" if len(groups) > SHOWN else ""
    return "; ".join(shown) + more


def sentence(residual: Residual) -> str:
    """What is wrong with a quantity, in words."""
    where = f"{residual.detector} in {residual.period} {residual.run}"
    if residual.reason:
        return f"{where} has no result: {residual.reason}"
    values = f"{residual.found:.3f} +- {math.hypot(residual.error, residual.tolerance):.3f} {residual.unit}".rstrip()
    return f"{where}: {residual.quantity} is {values}, the truth is {residual.true:.3f} ({residual.pull:+.1f} sigma)"


def rows(found: list[Residual], counts: dict[tuple[str, str, str], int], limit: float) -> list[list[str]]:
    """The cells of the table."""
    return [_row(place, group, counts.get(place), limit, lines_of(found)) for place, group in _groups(found).items()]


def _groups(found: list[Residual]) -> dict[tuple[str, str, str], dict[str, Residual]]:
    """By period, run and detector: quantities by name."""
    groups: dict[tuple[str, str, str], dict[str, Residual]] = {}
    for residual in found:
        groups.setdefault((residual.period, residual.run, residual.detector), {})[residual.quantity] = residual
    return groups


def _row(
    place: tuple[str, str, str],
    group: dict[str, Residual],
    count: int | None,
    limit: float,
    lines: list[str],
) -> list[str]:
    tau = group["tau"]
    cells = [f"{place[0]} {place[1]}", place[2], "-" if count is None else str(count)]
    cells += [_number(tau.found, tau.error, 2), f"{tau.true:.2f}"]
    for line in lines:
        position, width = group[f"{POSITION}{line}"], group[f"FWHM {line}"]
        cells += [_number(position.found, position.error, 2), _number(width.found, width.error, 2), f"{width.true:.2f}"]
    pulls = [residual for residual in group.values() if residual.measured]
    if not pulls:
        return [*cells, "no result" if tau.reason else "not measured"]
    worst = max(pulls, key=lambda residual: abs(residual.pull))
    mark = " !" if abs(worst.pull) > limit else ""
    return [*cells, f"{worst.pull:+.1f} ({worst.quantity}){mark}"]


def _number(value: float, error: float, digits: int) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.{digits}f}" + (f" +- {error:.{digits}f}" if error > 0 else "")


def _table(title: str, header: list[str], lines: list[list[str]]) -> None:
    try:
        _rich(title, header, lines)
    except ImportError:
        _plain(header, lines)


def _rich(title: str, header: list[str], lines: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for name in header:
        table.add_column(name, justify="left" if name in {"run", "detector", "worst pull"} else "right", no_wrap=True)
    for line in lines:
        table.add_row(*line, style="red" if line[-1].endswith(("!", "no result")) else None)
    console = Console()
    # a pipe or a narrow terminal must not cut the numbers
    Console(width=max(console.width, 175)).print(table)


def _plain(header: list[str], lines: list[list[str]]) -> None:
    table = [header, *lines]
    widths = [max(len(line[column]) for line in table) for column in range(len(header))]
    for line in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
