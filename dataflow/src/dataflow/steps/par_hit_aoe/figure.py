"""The figure of an A/E calibration: bands, curves, classifier, spectra and survival on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from dataflow.jobs.pages import BLUE, GREEN, GREY, RED, fixed_page, warn_below

if TYPE_CHECKING:
    from .result import Result

SHOWN = (-12.0, 6.0)
"""Range of the classifier."""


def draw(detector: str, key: str, result: Result) -> Figure:
    """The page of one classifier."""
    figure = fixed_page(f"{detector}  A/E  {key}")
    figure.text(0.05, 0.945, _summary(result), fontsize=7, va="top", linespacing=1.4)
    warn_below(figure, result.warnings, most=2)
    grid = figure.add_gridspec(2, 3, left=0.06, right=0.985, bottom=0.09, top=0.84, wspace=0.24, hspace=0.36)
    makers = (_reference, _means, _sigmas, _classifier, _spectrum, _dep)
    for index, make in enumerate(makers):
        make(figure.add_subplot(grid[index // 3, index % 3]), result)
    return figure


def _summary(result: Result) -> str:
    drift = "" if result.alpha is None else f";  drift time {result.alpha:.2e} ± {result.alpha_error:.1e} per ns"
    cut = f"kept: {result.cut:.2f} ± {result.cut_error:.2f} to {result.high:g} σ{drift}"
    parts = [
        f"{energy:g} keV {100 * low.fraction:.1f} ± {100 * low.error:.1f} % "
        f"({100 * result.two_sided[energy].fraction:.1f} %)"
        for energy, low in result.low_side.items()
        if np.isfinite(low.fraction)
    ]
    return f"{cut}\nsurvival (with the high side):  {',   '.join(parts)}"


def _reference(axes: Any, result: Result) -> None:
    from .bands import cumulative

    fit = result.time
    values = (fit.signal, fit.mean, fit.sigma, fit.tail, fit.tau)
    axes.stairs(fit.counts, fit.edges, color=BLUE, lw=0.8)
    axes.stairs(np.diff(cumulative(fit.edges, *values)), fit.edges, color=RED, lw=1, label="model")
    tail = np.diff(cumulative(fit.edges, 0.0, *values[1:]))
    axes.stairs(tail, fit.edges, color=GREY, lw=0.8, ls="--", label="tail")
    title = f"{fit.low:g} to {fit.high:g} keV: χ²/ndf = {fit.chi2:.0f}/{fit.ndf}"
    axes.set(xlabel="A/E as in dsp", ylabel="events / bin", title=title)
    axes.legend(loc="upper left")


def _means(axes: Any, result: Result) -> None:
    energies = np.array([band.energy for band in result.bands])
    axes.errorbar(
        energies, [band.mean for band in result.bands], [band.mean_error for band in result.bands],
        fmt="o", ms=2.5, lw=0.8, color=BLUE,
    )  # fmt: skip
    a, b = result.mean.parameters["a"], result.mean.parameters["b"]
    axes.plot(energies, a * energies + b, color=RED, lw=1)
    title = f"χ²/ndf = {result.mean.chi2:.1f}/{result.mean.ndf}; {len(result.left_out)} bands left out"
    axes.set(xlabel="energy [keV]", ylabel="mean of A/E, relative", title=title)


def _sigmas(axes: Any, result: Result) -> None:
    from .calibrate import sigma_at

    energies = np.array([band.energy for band in result.bands])
    widths = np.array([band.sigma / band.mean for band in result.bands])
    errors = np.array([band.sigma_error / band.mean for band in result.bands])
    axes.errorbar(energies, 100 * widths, 100 * errors, fmt="o", ms=2.5, lw=0.8, color=BLUE)
    axes.plot(energies, 100 * sigma_at(result.sigma, energies), color=RED, lw=1)
    title = f"χ²/ndf = {result.sigma.chi2:.1f}/{result.sigma.ndf}"
    axes.set(xlabel="energy [keV]", ylabel="σ of A/E [%]", title=title)


def _classifier(axes: Any, result: Result) -> None:
    edges = (np.linspace(800, 2700, 191), np.linspace(*SHOWN, 91))
    counts, *_ = np.histogram2d(result.energies, result.classifier, edges)
    shades = np.ma.masked_equal(counts.T, 0)
    axes.pcolormesh(*edges, np.ma.log10(shades), cmap="cividis", rasterized=True)
    for value in (result.cut, result.high):
        axes.axhline(value, color=RED, lw=0.8)
    axes.set(xlabel="energy [keV]", ylabel="classifier [σ]", title="events (logarithmic), kept between the lines")


def _spectrum(axes: Any, result: Result) -> None:
    _spectra(axes, result, np.arange(800, 2702, 5.0))
    axes.set(yscale="log", title="before and after the cuts", xlim=(800, 2700))
    axes.set_ylim(bottom=0.5)


def _dep(axes: Any, result: Result) -> None:
    _spectra(axes, result, np.arange(1560, 1641, 1.0))
    axes.set(title="double-escape peak and 1620.5 keV", xlim=(1560, 1640))
    axes.set_ylim(bottom=0)


def _spectra(axes: Any, result: Result, edges: Any) -> None:
    low = result.classifier > result.cut
    both = low & (result.classifier < result.high)
    for chosen, colour, label in ((low | True, GREY, "all"), (low, BLUE, "low cut"), (both, GREEN, "both cuts")):
        axes.stairs(np.histogram(result.energies[chosen], edges)[0], edges, color=colour, lw=0.8, label=label)
    axes.set(xlabel="energy [keV]", ylabel=f"events / {edges[1] - edges[0]:g} keV")
    axes.legend(loc="upper right")
