"""The figures of an energy calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from .pages import new_page

if TYPE_CHECKING:
    from dataflow.pars.ecal import EnergyCalibration
    from dataflow.pars.linefit import LineFit

BINS_A_WINDOW = 60
MAIN = ("cuspEmax_ctc", "trapEmax_ctc")


def draw(detector: str, key: str, results: Sequence[EnergyCalibration]) -> Figure:
    """Spectrum, line fits, residuals and resolution of the main estimator on one page."""
    by_name = {result.parameter: result for result in results}
    result = next((by_name[name] for name in MAIN if name in by_name), results[0])
    figure = new_page(f"{detector}  {result.parameter}  {key}")
    halves: Any = figure.subfigures(2, 1, height_ratios=[1, 1.2])
    above, below = halves
    spectrum, residuals, widths = above.subplots(1, 3, width_ratios=[2, 1, 1])
    _spectrum(spectrum, result)
    _residuals(residuals, result)
    _widths(widths, result)
    columns = max(4, (len(result.fits) + 1) // 2)
    grid = below.subplots(2, columns, squeeze=False).ravel()
    for axes in grid[len(result.fits) :]:
        axes.set_visible(False)
    for axes, fit in zip(grid, result.fits, strict=False):
        _line(axes, fit, result)
    return figure


def _spectrum(axes: Any, result: EnergyCalibration) -> None:
    axes.hist(result.energies, bins=np.arange(0, 3000, 3), histtype="step", color="C0", lw=0.7)
    for fit in result.fits:
        axes.axvline(fit.line.energy, color="C3", lw=0.4, alpha=0.6)
    axes.set(yscale="log", xlabel="energy [keV]", ylabel="events / 3 keV", title=f"{len(result.energies)} events")


def _residuals(axes: Any, result: EnergyCalibration) -> None:
    from dataflow.pars.curves import apply

    energies = np.array([fit.line.energy for fit in result.fits])
    found = apply(result.curve, np.array([fit.position for fit in result.fits]) / result.scale)
    errors = [fit.position_error * result.slope for fit in result.fits]
    axes.errorbar(energies, found - energies, errors, fmt="o", ms=3)
    axes.axhline(0, color="k", lw=0.6)
    parameters = ", ".join(f"{name} = {value:.5g}" for name, value in result.curve.parameters.items())
    axes.set(xlabel="energy [keV]", ylabel="calibrated - true [keV]", title=parameters)


def _widths(axes: Any, result: EnergyCalibration) -> None:
    from dataflow.pars.curves import QBB, width_at

    for fit in result.fits:
        colour = "C0" if fit.line.for_resolution else "0.6"
        axes.errorbar(
            fit.line.energy, fit.fwhm * result.slope, fit.fwhm_error * result.slope, fmt="o", ms=3, color=colour
        )
    if result.resolution is not None:
        grid = np.linspace(200, 2700, 200)
        axes.plot(grid, [width_at(result.resolution, energy)[0] for energy in grid], color="C3", lw=1)
        width, error = width_at(result.resolution, QBB)
        axes.set_title(f"FWHM at Qββ {width:.2f} ± {error:.2f} keV")
    axes.set(xlabel="energy [keV]", ylabel="FWHM [keV]")


def _line(axes: Any, fit: LineFit, result: EnergyCalibration) -> None:
    from dataflow.pars.linefit import density

    low, high = fit.window
    edges = np.linspace(low, high, BINS_A_WINDOW + 1)
    offset = result.curve.parameters["a"]
    energies = (result.energies - offset) / result.slope
    axes.hist(energies, bins=edges, histtype="step", color="C0", lw=0.7)
    centres = (edges[1:] + edges[:-1]) / 2
    axes.plot(centres, density(fit, centres) * (edges[1] - edges[0]), color="C3", lw=1)
    axes.set_title(f"{fit.line.name}: {fit.counts:.0f} counts, {fit.fwhm * result.slope:.2f} keV", fontsize=7)
    axes.tick_params(labelsize=6)
