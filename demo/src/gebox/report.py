"""The table at the end of the demonstration: results beside the truth."""

from __future__ import annotations

import math

from gebox.check import Residual, beyond, unmeasured

HEADER = ("run", "detector", "traces", "tau [us]", "true")
POSITION = "position "
SURVIVAL = "A/E survival "
SHOWN_SURVIVALS = frozenset(("1592", "2614"))
"""The double-escape peak, which the cut is to keep, and the full-energy peak, of which it keeps little."""

SHOWN = 6
"""Detectors and runs that a sentence names at most."""


def report(found: list[Residual], counts: dict[tuple[str, str, str], int], *, limit: float) -> int:
    """Print one line a detector and run; say what is beyond the limit.

    Returns
    -------
    exit code
        0, or 1 where a quantity deviates by more than `limit` standard deviations, a detector has no result, or nothing
        is measured.
    """
    header, lines = header_of(found), rows(found, counts, limit)
    try:
        _rich(header, lines)
    except ImportError:
        _plain(header, lines)
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
    """The lines that are compared, as quantities name them, in order of energy."""
    names = {r.quantity.removeprefix(POSITION) for r in found if r.quantity.startswith(POSITION)}
    return sorted(names, key=float)


def header_of(found: list[Residual]) -> list[str]:
    """The names of the columns."""
    columns = [name for line in lines_of(found) for name in (f"{line} keV at", "FWHM", "true")]
    columns += [name for energy in survivals_of(found) for name in (f"A/E {energy} [%]", "true")]
    return [*HEADER, *columns, "worst pull"]


def survivals_of(found: list[Residual]) -> list[str]:
    """The energies at which the survival of the A/E cut is compared, as quantities name them, in order."""
    names = {r.quantity.removeprefix(SURVIVAL) for r in found if r.quantity.startswith(SURVIVAL)}
    return sorted(names & SHOWN_SURVIVALS, key=float)


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
    groups: dict[tuple[str, str, str], dict[str, Residual]] = {}
    for residual in found:
        groups.setdefault((residual.period, residual.run, residual.detector), {})[residual.quantity] = residual
    columns = lines_of(found), survivals_of(found)
    return [_row(place, group, counts.get(place), limit, columns) for place, group in groups.items()]


def _row(
    place: tuple[str, str, str],
    group: dict[str, Residual],
    count: int | None,
    limit: float,
    columns: tuple[list[str], list[str]],
) -> list[str]:
    lines, survivals = columns
    tau = group["tau"]
    cells = [f"{place[0]} {place[1]}", place[2], "-" if count is None else str(count)]
    cells += [_number(tau.found, tau.error, 1), f"{tau.true:.1f}"]
    for line in lines:
        position, width = group[f"{POSITION}{line}"], group[f"FWHM {line}"]
        cells += [_number(position.found, position.error, 2), _number(width.found, width.error, 2), f"{width.true:.2f}"]
    for energy in survivals:
        kept = group.get(f"{SURVIVAL}{energy}")
        cells += [_number(kept.found, kept.error, 1), f"{kept.true:.1f}"] if kept else ["-", "-"]
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


def _rich(header: list[str], lines: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="calibration beside the truth")
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
