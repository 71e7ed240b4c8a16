"""The figure of the filters' noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataflow.jobs.figures.grid import Grid
from dataflow.jobs.figures.page import Page

if TYPE_CHECKING:
    from .result import Result

MARKERS = ("o", "s", "^")


def draw(detector: str, key: str, result: Result) -> Page:
    """The scans with their minima, and the power spectrum of the traces."""
    page = Page(f"{detector}  filter times of least noise  {key}")
    grid = Grid(2, 1, left=0.06, right=0.985, bottom=0.07, top=0.92, hspace=0.24, heights=(3, 2))
    upper, lower = page.panel(grid[0, 0]), page.panel(grid[1, 0])
    for number, scan in enumerate(result.scans):
        name = f"{scan.filter}.{scan.time} = {scan.best:.2f} ± {scan.error:.2f} µs" + (" (end)" if scan.edge else "")
        marker, color = MARKERS[number % len(MARKERS)], f"C{number}"
        upper.errorbar(scan.times, scan.noises, scan.errors, fmt=marker, ms=3, lw=1, color=color, label=name)
        upper.axvline(scan.best, color=color, lw=1, ls="--")
    title = f"{result.traces} traces, {result.rejected} with pulses left out; flat top {result.flat:g} µs"
    upper.set(xlabel="time [µs]", ylabel="equivalent noise, σ [ADC]", title=title)
    upper.legend()
    lower.plot(result.frequency, result.density, color="C0", lw=1)
    lower.set(xlabel="frequency [MHz]", ylabel="noise power [ADC²/MHz]", xscale="log", yscale="log")
    return page
