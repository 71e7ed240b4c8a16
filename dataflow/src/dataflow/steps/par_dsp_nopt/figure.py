"""The figure of the filters' noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from dataflow.jobs.pages import new_page

if TYPE_CHECKING:
    from .result import Result

MARKERS = ("o", "s", "^")


def draw(detector: str, key: str, result: Result) -> Figure:
    """The scans with their minima, and the power spectrum of the traces."""
    figure = new_page(f"{detector}  filter times of least noise  {key}")
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 2))
    for number, scan in enumerate(result.scans):
        name = f"{scan.filter}.{scan.time} = {scan.best:.2f} ± {scan.error:.2f} µs" + (" (end)" if scan.edge else "")
        marker, color = MARKERS[number % len(MARKERS)], f"C{number}"
        upper.errorbar(scan.times, scan.noises, scan.errors, fmt=marker, ms=3, lw=1, color=color, label=name)
        upper.axvline(scan.best, color=color, lw=1, ls="--")
    upper.set(xlabel="time [µs]", ylabel="equivalent noise, σ [ADC]")
    upper.set_title(f"{result.traces} traces, {result.rejected} with pulses left out; flat top {result.flat:g} µs")
    upper.legend()
    lower.loglog(result.frequency, result.density, color="C0", lw=1)
    lower.set(xlabel="frequency [MHz]", ylabel="noise power [ADC²/MHz]")
    return figure
