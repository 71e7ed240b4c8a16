"""The figure of the optimisation: scans, the line over the drift time, and its spectrum before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataflow.jobs.figures.grid import Grid
from dataflow.jobs.figures.page import BLUE, GREEN, GREY, RED, Page, Panel

if TYPE_CHECKING:
    from .result import Correction, Result, Width

MARKERS, COLORS = ("o", "s", "^"), (BLUE, RED, GREEN)
MAIN = ("cuspEmax", "trapEmax")


def draw(detector: str, key: str, result: Result) -> Page:
    """Widths over the filters' times above; below, the highest line over the drift time, and all lines' widths."""
    page = Page(f"{detector}  filters of least line width and trapping correction  {key}")
    grid = Grid(2, 2, left=0.06, right=0.98, bottom=0.08, top=0.88, hspace=0.3, wspace=0.16)
    _scans(page.panel(grid[0, :]), result)
    shown = [each for name in MAIN for each in result.corrections if each.estimator == name] or result.corrections
    if shown:
        _drift(page.panel(grid[1, 0]), shown[0])
        _widths(page.panel(grid[1, 1]), shown[0], result.reference)
    page.warn_below(result.warnings)
    return page


def _scans(axes: Panel, result: Result) -> None:
    for scan, marker, color in zip(result.scans, MARKERS, COLORS, strict=False):
        error = f" ± {scan.error:.2f} µs" if scan.has_error else " µs, an end of the scan"
        name = f"{scan.filter}.{scan.time} = {scan.best:.2f}{error}" + (
            "" if scan.is_known else " (not told by the events, not used)"
        )
        axes.plot(scan.times, scan.widths, marker=marker, ms=3, lw=1, color=color, label=name)
        lowest = scan.widths.argmin()
        axes.errorbar(scan.times[lowest], scan.widths[lowest], scan.errors[lowest], color=color, lw=1, capsize=2)
        axes.axvline(scan.best, color=color, lw=1, ls="--")
    events = ", ".join(f"{energy:g} keV: {count}" for energy, count in result.events.items())
    axes.set(xlabel="time [µs]", ylabel=f"FWHM at {result.reference:.0f} keV [keV]")
    title = (
        f"flat top {result.flat:g} µs for drift times up to {result.longest:.2f} µs; events {events}\n"
        "points of a scan have the same events: the error of one is that of all, and their differences are smaller"
    )
    axes.set(title=title)
    axes.legend()


def _drift(axes: Panel, one: Correction) -> None:
    axes.errorbar(one.drift, one.positions - one.line, one.errors, fmt="o", ms=4, lw=1, color=BLUE, label="measured")
    axes.errorbar(one.drift, one.corrected - one.line, one.errors, fmt="s", ms=4, lw=1, color=RED, label="corrected")
    axes.axhline(0, color=GREY, lw=0.7)
    factor, error = one.trapping.factor * 1e6, one.trapping.error * 1e6
    axes.set(xlabel="effective drift time [ns]", ylabel=f"position - {one.line:g} keV [keV]")
    axes.set(title=f"{one.estimator}: a = ({factor:.2f} ± {error:.2f}) · 10⁻⁶ / ns")
    axes.legend()


def _widths(axes: Panel, one: Correction, reference: float) -> None:
    for width, marker, color, name in ((one.before, "o", BLUE, "measured"), (one.after, "s", RED, "corrected")):
        energies = list(width.lines)
        values, errors = ([pair[n] for pair in width.lines.values()] for n in range(2))
        axes.errorbar(energies, values, errors, fmt=marker, ms=4, lw=1, color=color, label=f"{name}: {_said(width)}")
        axes.plot([reference], [width.value], marker="*", ms=9, color=color)
    axes.set(
        xlabel="energy [keV]", ylabel="FWHM [keV]", title=f"widths by {one.estimator}; star: at {reference:.0f} keV"
    )
    axes.style(ymargin=0.15)
    axes.legend(loc="upper left")


def _said(width: Width) -> str:
    return f"{width.value:.2f} ± {width.error:.2f} keV"
