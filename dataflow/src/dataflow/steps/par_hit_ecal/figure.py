"""The figure of an energy calibration: spectrum, curves, and each line with its residuals, on one page."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dataflow.jobs.figures.grid import Grid, within
from dataflow.jobs.figures.page import BLUE, GREEN, GREY, RED, Page, Panel

if TYPE_CHECKING:
    from dataflow.physics.curves import Curve
    from dataflow.physics.linefit import LineFit

    from .result import DetectorCalibration, EnergyCalibration

Found = TypeVar("Found")

BINS_A_WINDOW = 60
MAIN = ("cuspEmax_ctc", "trapEmax_ctc")
BINS_OF_SPECTRUM, LEAST_BINS, EVENTS_A_BIN = 1200, 200, 10
MOST_IN_A_ROW = 4
SMALL = {"tick_size": 6, "tick_pad": 2}


def draw(detector: str, key: str, found: DetectorCalibration) -> Page:
    """The page of the main estimator, with what came out for the others and what is to be warned of."""
    result = main_of({result.parameter: result for result in found.results})
    page = Page(f"{detector}  {result.parameter}  {key}")
    page.text(0.05, 0.948, _summary(found.results, result), fontsize=7, va="top", linespacing=1.4)
    page.warn_below(found.warnings)
    above = Grid(1, 3, left=0.055, right=0.985, bottom=0.62, top=0.865, widths=(2, 1, 1))
    spectrum, residuals, widths = (page.panel(above[0, column]) for column in range(3))
    draw_spectrum(spectrum, result)
    draw_residuals(residuals, result)
    draw_widths(widths, result)
    _lines(page, result)
    return page


def main_of(by_estimator: Mapping[str, Found]) -> Found:
    """What belongs to the first of :data:`MAIN` that there is, else to the first of all."""
    first, *_ = [*(name for name in MAIN if name in by_estimator), *by_estimator]
    return by_estimator[first]


def _summary(results: Sequence[EnergyCalibration], shown: EnergyCalibration) -> str:
    """The resolution by each estimator, and which lines are left out of the one that is shown."""
    from dataflow.physics.curves import width_at

    parts = []
    for result in results:
        width = "no resolution curve"
        if result.resolution is not None:
            width = "{:.2f} ± {:.2f} keV".format(*width_at(result.resolution, result.reference_energy))
        parts.append(f"{result.parameter} {width}")
    title = f"FWHM at {shown.reference_energy:.1f} keV by estimator:  {',   '.join(parts)}"
    left_out = "; ".join(f"{none.line.key:g} keV ({none.reason})" for none in shown.left_out)
    return title + (f"\nlines left out: {textwrap.shorten(left_out, 200)}" if left_out else "")


def draw_spectrum(axes: Panel, result: EnergyCalibration) -> None:
    high = 1.08 * max(fit.line.energy for fit in result.fits)
    bins = min(max(len(result.energies) / EVENTS_A_BIN, LEAST_BINS), BINS_OF_SPECTRUM)
    width = float(f"{high / bins:.1g}")
    counts, edges = np.histogram(result.energies, np.arange(0, high + width, width))
    axes.stairs(counts, edges, color=BLUE, lw=0.6, baseline=0.5)
    for fit in result.fits:
        axes.axvline(fit.line.energy, color=RED, lw=0.5, alpha=0.5, zorder=0)
    title = f"{len(result.energies)} events selected of {len(result.before_cuts)}"
    axes.set(yscale="log", xlabel="energy [keV]", ylabel=f"events / {width:g} keV", title=title, xlim=(0, high))
    axes.set(ylim=(0.5, None))


def draw_residuals(axes: Panel, result: EnergyCalibration) -> None:
    from dataflow.physics.curves import apply

    energies = np.array([fit.line.energy for fit in result.fits])
    found = apply(result.curve, np.array([fit.position for fit in result.fits]) / result.scale)
    errors = [fit.position_error * result.slope for fit in result.fits]
    axes.axhline(0, color="k", lw=0.6)
    axes.errorbar(energies, found - energies, errors, fmt="o", ms=3, color=BLUE, lw=1, label="lines")
    if result.left_out:
        places = [none.line.energy for none in result.left_out]
        axes.plot(places, np.zeros(len(places)), "x", ms=5, color=GREY, label="left out")
        axes.legend(loc="best")
    parameters = ", ".join(f"{name} = {value:.5g}" for name, value in result.curve.parameters.items())
    axes.set(xlabel="energy [keV]", ylabel="calibrated − true [keV]", title=f"{parameters}\n{_goodness(result.curve)}")


def draw_widths(axes: Panel, result: EnergyCalibration) -> None:
    from dataflow.physics.curves import width_at

    for used, style, label in ((True, "o", "in the curve"), (False, "s", "left out: broad")):
        fits = [fit for fit in result.fits if fit.line.for_resolution is used]
        if fits:
            axes.errorbar(
                [fit.line.energy for fit in fits], [fit.fwhm * result.slope for fit in fits],
                [fit.fwhm_error * result.slope for fit in fits],
                fmt=style, ms=3, lw=1, color=BLUE if used else GREY, mfc=None if used else "none", label=label,
            )  # fmt: skip
    top = max(result.reference_energy, *(fit.line.energy for fit in result.fits))
    grid = np.linspace(0.02 * top, 1.05 * top, 150)
    curves = ((result.resolution, RED, "-", "√(a+bE)"), (result.resolution_quadratic, GREEN, "--", "√(a+bE+cE²)"))
    for curve, colour, style, label in curves:
        if curve is not None:
            axes.plot(grid, [width_at(curve, energy)[0] for energy in grid], color=colour, ls=style, lw=1, label=label)
    title = "no resolution curve"
    if result.resolution is not None:
        width, error = width_at(result.resolution, result.reference_energy)
        axes.axvline(result.reference_energy, color=GREY, lw=0.6, ls=":")
        title = f"{width:.2f} ± {error:.2f} keV at {result.reference_energy:.0f} keV\n{_goodness(result.resolution)}"
    axes.set(xlabel="energy [keV]", ylabel="FWHM [keV]", title=title)
    axes.legend(loc="best")


def _goodness(curve: Curve) -> str:
    """Chi square and probability of a curve."""
    if curve.p_value is None:
        return "as many lines as parameters"
    return f"χ²/ndf = {curve.chi2:.1f}/{curve.ndf}, p = {curve.p_value:.2g}"


def _lines(page: Page, result: EnergyCalibration) -> None:
    """Each line above its residuals in standard deviations."""
    number = len(result.fits)
    columns = number if number <= MOST_IN_A_ROW else (number + 1) // 2
    rows = -(-number // columns)
    outer = Grid(rows, columns, left=0.055, right=0.985, bottom=0.09, top=0.535, hspace=0.42)
    offset = result.curve.parameters["a"]
    energies = np.sort(result.energies - offset) / result.slope
    for index, fit in enumerate(result.fits):
        inner = within(outer[index // columns, index % columns], 2, heights=(3, 1))
        peak, below = page.panel(inner[0, 0]), page.panel(inner[1, 0])
        low, high = np.searchsorted(energies, fit.window)
        _line(peak, below, fit, energies[low:high], result.slope)
        if index + columns >= number:
            below.set(xlabel="energy [keV], first guess")
            below.style(xlabel_size=6, xlabel_pad=1)


def _line(axes: Panel, below: Panel, fit: LineFit, energies: Any, slope: float) -> None:
    from dataflow.physics.linefit import joined_bins

    grid = np.linspace(*fit.window, 3 * BINS_A_WINDOW)
    edges = np.linspace(*fit.window, BINS_A_WINDOW + 1)
    width = edges[1] - edges[0]
    axes.stairs(np.histogram(energies, edges)[0], edges, color=BLUE, lw=0.7)
    values = list(fit.parameters.values())
    axes.plot(grid, fit.model.density(grid, *values)[1] * width, color=RED, lw=1)
    axes.plot(grid, fit.model.background(grid, fit.parameters) * width, color=GREY, lw=0.8, ls="--")
    axes.set(xlim=fit.window, ylabel=f"events / {width:.2g} keV")
    axes.set(ylim=(0, None))
    axes.style(**SMALL, ylabel_size=6, labelbottom=False, title_size=7, title_pad=3)
    p_value = "" if fit.p_value is None else f", p = {fit.p_value:.2g}"
    axes.set(title=f"{fit.line.key:g} keV: {fit.counts:.0f} ± {fit.counts_error:.0f}{p_value}")
    width_text = f"FWHM {fit.fwhm * slope:.2f} ± {fit.fwhm_error * slope:.2f} keV"
    axes.text(0.02, 0.95, width_text, within=True, fontsize=6, va="top")
    joined, observed, expected = joined_bins(fit, energies, BINS_A_WINDOW)
    below.deviations(joined, (observed - expected) / np.sqrt(np.maximum(expected, 1e-9)), fit.window)
    below.style(**SMALL)
