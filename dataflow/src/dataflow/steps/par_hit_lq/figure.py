"""The figure of a late-charge calibration: before and after the correction, classifier, spectra on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dataflow.jobs.figures.grid import Grid
from dataflow.jobs.figures.page import BLUE, GREEN, GREY, RED, Page, Panel
from dataflow.steps.par_hit_aoe.figure import draw_classifier, draw_dep, draw_spectrum

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dataflow.physics.pulseshape.survival import Survival
    from dataflow.steps.par_hit_aoe.figure import Kinds

    from .result import PeakFit, Result

SHOWN = (-8.0, 20.0)
"""Range of the classifier."""


def draw(detector: str, key: str, result: Result) -> Page:
    """The page of one classifier."""
    page = Page(f"{detector}  late charge  {key}")
    page.text(0.05, 0.945, _summary(result), fontsize=7, va="top", linespacing=1.4)
    page.warn_below(result.warnings, most=2)
    grid = Grid(2, 3, left=0.06, right=0.985, bottom=0.09, top=0.84, wspace=0.24, hspace=0.36)
    for index, make in enumerate((_before, _line, _after, _classifier, _spectrum, _dep)):
        make(page.panel(grid[index // 3, index % 3]), result)
    return page


def _summary(result: Result) -> str:
    line = result.line
    drift = f"drift time: slope {line.slope:.2e} ± {line.slope_error:.1e} per ns"
    text = f"kept: below {result.cut:g} σ;  {drift}\nsurvival:  {_listed(result.survival)}"
    return text + (f"\nwith both cuts on A/E:  {_listed(result.with_aoe)}" if result.with_aoe else "")


def _listed(survival: Mapping[float, Survival]) -> str:
    parts = [
        f"{energy:g} keV {100 * one.fraction:.1f} ± {100 * one.error:.1f} %"
        for energy, one in survival.items()
        if np.isfinite(one.fraction)
    ]
    return ",   ".join(parts)


def _before(axes: Panel, result: Result) -> None:
    _peak(axes, result.before, "late charge / energy, as in dsp", "before the drift-time correction")


def _after(axes: Panel, result: Result) -> None:
    _peak(axes, result.after, "corrected, relative", "after it")


def _peak(axes: Panel, fit: PeakFit, quantity: str, what: str) -> None:
    """The double-escape peak less its side band, with errors, and the fit."""
    from .calibrate import expected

    centres = (fit.edges[1:] + fit.edges[:-1]) / 2
    errors = np.sqrt(np.maximum(fit.on + fit.ratio**2 * fit.off, 1.0))
    axes.errorbar(centres, fit.on - fit.ratio * fit.off, errors, fmt="o", ms=2.5, lw=0.8, color=BLUE)
    axes.stairs(fit.ratio * fit.off, fit.edges, color=GREY, lw=0.8, ls="--", label="side band")
    axes.stairs(expected(fit.edges, fit.events, fit.mean, fit.sigma), fit.edges, color=RED, lw=1, label="model")
    chance = "" if fit.p_value is None else f", p = {fit.p_value:.2g}"
    title = f"double-escape peak {what}\nσ = {fit.sigma:.3g}, χ²/ndf = {fit.chi2:.0f}/{fit.ndf}{chance}"
    axes.set(xlabel=quantity, ylabel="events less side band / bin")
    axes.set(title=title)
    axes.style(title_size=8, xbins=5)  # numbers of four digits would touch
    axes.legend(loc="upper right")
    model = expected(fit.edges, fit.events, fit.mean, fit.sigma)
    axes.residuals(fit.edges, (fit.on - fit.ratio * fit.off - model) / errors)


def _line(axes: Panel, result: Result) -> None:
    line = result.line
    axes.plot(line.times, line.values, ".", ms=2, color=BLUE, rasterized=True)
    ends = np.array([line.times.min(), line.times.max()])
    axes.plot(ends, line.slope * ends + line.offset, color=RED, lw=1)
    axes.set(xlabel="effective drift time [ns]", ylabel="late charge, relative", title="double-escape peak")


def _classifier(axes: Panel, result: Result) -> None:
    draw_classifier(axes, result.energies, result.classifier, np.linspace(*SHOWN, 113), (result.cut,))
    axes.set(title="events (logarithmic), kept below the line")


def _spectrum(axes: Panel, result: Result) -> None:
    draw_spectrum(axes, result.energies, _kinds(result))
    axes.set(title="before and after the cut")


def _dep(axes: Panel, result: Result) -> None:
    draw_dep(axes, result.energies, _kinds(result))


def _kinds(result: Result) -> Kinds:
    kept = result.classifier < result.cut
    return (kept | True, GREY, "all"), (kept, BLUE, "kept"), (~kept, GREEN, "late charge")
