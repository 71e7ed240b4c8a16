"""The figure of a partition: spectrum and curves of all runs together, and the highest line in each run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dataflow.jobs.figures.grid import Grid
from dataflow.jobs.figures.page import BLUE, GREY, Page, Panel
from dataflow.steps.par_hit_ecal.figure import draw_residuals, draw_spectrum, draw_widths, main_of

if TYPE_CHECKING:
    from dataflow.physics.linefit import LineFit

    from .result import DetectorPartition, PartitionCalibration


def draw(detector: str, partition: str, found: DetectorPartition) -> Page:
    """The page of the main estimator, with what is to be warned of."""
    result = main_of({result.joint.parameter: result for result in found.results})
    page = Page(f"{detector}  {result.joint.parameter}  {partition}: {len(result.runs)} runs")
    page.warn_below(found.warnings)
    grid = Grid(2, 3, left=0.055, right=0.985, bottom=0.17, top=0.88, widths=(2, 1, 1), hspace=0.4)
    spectrum, residuals, widths = (page.panel(grid[0, column]) for column in range(3))
    draw_spectrum(spectrum, result.joint)
    draw_residuals(residuals, result.joint)
    draw_widths(widths, result.joint)
    _runs(page.panel(grid[1, 0]), page.panel(grid[1, 1:]), result)
    return page


def _runs(positions: Panel, widths: Panel, result: PartitionCalibration) -> None:
    """Position and width of the highest line in each run, beside those of all runs together."""
    from dataflow.physics.linefit import LineFit

    peaks = {run: of_run.peak for run, of_run in result.runs.items()}
    fits = {run: peak for run, peak in peaks.items() if isinstance(peak, LineFit)}
    joint, line = result.peak, result.peak.line.key
    slope = result.joint.slope
    _points(positions, list(peaks), fits, [fit.position for fit in fits.values()], "position_error")
    _band(positions, result.position, joint.position_error * slope)
    positions.set(ylabel="position [keV]", title=f"{line:g} keV by run; band: all runs together")
    _points(widths, list(peaks), fits, [fit.fwhm for fit in fits.values()], "fwhm_error")
    _band(widths, joint.fwhm * slope, joint.fwhm_error * slope)
    widths.set(ylabel="FWHM [keV]", title=f"width at {line:g} keV by run")


def _points(axes: Panel, runs: list[str], fits: dict[str, LineFit], values: list[float], error: str) -> None:
    places = [runs.index(run) for run in fits]
    errors = [getattr(fit, error) for fit in fits.values()]
    axes.errorbar(places, values, errors, fmt="o", ms=3, lw=1, color=BLUE)
    labels = ["-".join(run.split("-")[-2:]) for run in runs]
    axes.set_ticks("x", np.arange(len(runs)), labels, rotation=45 if len(runs) > 6 else 0, fontsize=7)
    axes.set(xlim=(-0.5, len(runs) - 0.5))


def _band(axes: Panel, value: float, error: float) -> None:
    axes.axhline(value, color=GREY, lw=0.8)
    axes.axhspan(value - error, value + error, color=GREY, alpha=0.25, lw=0)
