"""The figure of an A/E calibration: bands, curves, classifier, spectra and survival on one page."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dataflow.jobs.figures.grid import Grid
from dataflow.jobs.figures.page import BLUE, GREEN, GREY, RED, Page, Panel
from dataflow.physics.goodness import p_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .result import OfRun, Result

    Kinds = tuple[tuple[Any, str, str], ...]

DRIFT_BINS = 12
MOST_NAMES = 6
"""Runs that are named on an axis."""
SHOWN = (-12.0, 6.0)
"""Range of the classifier."""


def draw(detector: str, key: str, found: Mapping[str, Result]) -> Page:
    """The page of the first classifier, with the cuts of others."""
    label, result = next(iter(found.items()))
    page = Page(f"{detector}  A/E {label}  {key}".replace("  ", " ").replace(" ", "  ", 1))
    others = "".join(f"\n{_summary(other, name)}" for name, other in found.items() if name != label)
    page.text(0.05, 0.945, _summary(result) + others, fontsize=7, va="top", linespacing=1.4)
    page.warn_below(result.warnings, most=2)
    top = 0.84 - 0.03 * (len(found) - 1)
    grid = Grid(2, 4, left=0.05, right=0.98, bottom=0.09, top=top, wspace=0.3, hspace=0.36)
    makers = (_reference, _stability, _drift, _means, _sigmas, _classifier, _spectrum, _dep)
    for index, make in enumerate(makers):
        make(page.panel(grid[index // 4, index % 4]), result)
    return page


def _summary(result: Result, label: str = "") -> str:
    drift = "" if result.alpha is None else f";  drift time {result.alpha:.2e} ± {result.alpha_error:.1e} per ns"
    cut = f"kept: {result.cut:.2f} ± {result.cut_error:.2f} to {result.high:g} σ{drift}"
    parts = [
        f"{energy:g} keV {100 * low.fraction:.1f} ± {100 * low.error:.1f} % "
        f"({100 * result.two_sided[energy].fraction:.1f} %)"
        for energy, low in result.low_side.items()
        if np.isfinite(low.fraction)
    ]
    listed = f"survival (with the high side):  {',   '.join(parts)}"
    return f"{label}: {cut};  {listed}" if label else f"{cut}\n{listed}"


def _stability(axes: Panel, result: Result) -> None:
    """A/E along the run; of a partition, that of each run, by which it is divided."""
    if result.runs:
        _by_run(axes, result.runs)
        return
    chi2, ndf = result.stability
    if not result.slices:
        axes.text(0.5, 0.6, "too few events", ha="center", va="center", within=True, color=GREY)
    start = min((each.time for each in result.slices), default=0.0)
    minutes = [(each.time - start) / 60 for each in result.slices]
    values, errors = ([100 * (each.mean - 1) for each in result.slices], [100 * e.mean_error for e in result.slices])
    axes.errorbar(minutes, values, errors, fmt="o", ms=2.5, lw=0.8, color=BLUE)
    axes.axhline(0, color=RED, lw=0.8)
    axes.set(xlabel="time after the first part [min]", ylabel="A/E, change [%]")
    axes.set(title=f"along the run\n{_goodness(chi2, ndf)}" if ndf else "along the run")
    axes.style(title_size=8)


def _by_run(axes: Panel, runs: Mapping[str, OfRun]) -> None:
    fits = [(place, each) for place, each in enumerate(runs.values()) if each.relative_error is not None]
    values, errors = (
        [100 * (each.scale - 1) for _, each in fits],
        [100 * (each.relative_error or 0) for _, each in fits],
    )
    axes.errorbar([place for place, _ in fits], values, errors, fmt="o", ms=2.5, lw=0.8, color=BLUE)
    axes.axhline(0, color=RED, lw=0.8)
    every = max(1, -(-len(runs) // MOST_NAMES))
    names = [" ".join(run.split("-")[1:]) for run in runs]
    axes.set_ticks("x", range(0, len(runs), every), names[::every], rotation=30)
    axes.set(xlim=(-0.5, len(runs) - 0.5), ylabel="A/E of the run, difference from all [%]", title="by run, as in dsp")


def _drift(axes: Panel, result: Result) -> None:
    """Single-site A/E over the drift time, before and after its correction."""
    times = result.drift
    single = np.isfinite(times) & (np.abs(result.classifier) < 3) if len(times) else np.zeros(0, dtype=bool)
    if np.count_nonzero(single) < 10 * DRIFT_BINS:
        axes.text(0.5, 0.5, "no drift times", ha="center", va="center", within=True, color=GREY)
        axes.set(title="over the drift time")
        return
    edges = np.quantile(times[single], np.linspace(0.01, 0.99, DRIFT_BINS + 1))
    centres = (edges[1:] + edges[:-1]) / 2
    before = result.uncorrected / result.time.mean - 1
    kinds = [("as in dsp", before, GREY)]
    if result.alpha is not None:
        kinds.append(("corrected", (before + 1) * (1 + result.alpha * times) - 1, BLUE))
    for label, values, colour in kinds:
        parts = [values[single & (times >= low) & (times < high)] for low, high in pairwise(edges)]
        middles = np.array([float(np.median(part)) if len(part) else np.nan for part in parts])
        axes.plot(centres, 100 * (middles - np.nanmean(middles)), "o-", ms=2.5, lw=0.8, color=colour, label=label)
    axes.set(xlabel="drift time [ns]", ylabel="A/E, change [%]", title="over the drift time")
    axes.legend(loc="best")


def _reference(axes: Panel, result: Result) -> None:
    from .bands import cumulative

    fit = result.time
    values = (fit.signal, fit.mean, fit.sigma, fit.tail, fit.tau, fit.flat)
    axes.stairs(fit.counts, fit.edges, color=BLUE, lw=0.8)
    axes.stairs(np.diff(cumulative(fit.edges, *values)), fit.edges, color=RED, lw=1, label="model")
    tail = np.diff(cumulative(fit.edges, 0.0, *values[1:]))
    axes.stairs(tail, fit.edges, color=GREY, lw=0.8, ls="--", label="others")
    axes.set(xlabel="A/E as in dsp", ylabel="events / bin")
    axes.set(title=f"{fit.low:g} to {fit.high:g} keV\n{_goodness(fit.chi2, fit.ndf)}")
    axes.style(title_size=8)
    axes.legend(loc="upper left")
    expected = np.diff(cumulative(fit.edges, *values))
    told = np.where(expected >= 1, expected, np.nan)
    axes.residuals(fit.edges, (fit.counts - told) / np.sqrt(told))


def _goodness(chi2: float, ndf: int) -> str:
    """As few events or bands as a model has parameters are fitted by it, however wrong it is."""
    chance = p_value(chi2, ndf)
    return "too few for a χ²" if chance is None else f"χ²/ndf = {chi2:.1f}/{ndf}, p = {chance:.2g}"


def _means(axes: Panel, result: Result) -> None:
    energies = np.array([band.energy for band in result.bands])
    axes.errorbar(
        energies, [band.mean for band in result.bands], [band.mean_error for band in result.bands],
        fmt="o", ms=2.5, lw=0.8, color=BLUE,
    )  # fmt: skip
    a, b = result.mean.parameters["a"], result.mean.parameters["b"]
    axes.plot(energies, a * energies + b, color=RED, lw=1)
    left_out = len(result.left_out)
    left = f"{left_out} band{'' if left_out == 1 else 's'} left out"
    axes.set(xlabel="energy [keV]", ylabel="mean of A/E, relative")
    axes.set(title=f"{_goodness(result.mean.chi2, result.mean.ndf)}\n{left}")
    axes.style(title_size=8)


def _sigmas(axes: Panel, result: Result) -> None:
    from .calibrate import sigma_at

    energies = np.array([band.energy for band in result.bands])
    widths = np.array([band.sigma / band.mean for band in result.bands])
    errors = np.array([band.sigma_error / band.mean for band in result.bands])
    axes.errorbar(energies, 100 * widths, 100 * errors, fmt="o", ms=2.5, lw=0.8, color=BLUE)
    axes.plot(energies, 100 * sigma_at(result.sigma, energies), color=RED, lw=1)
    axes.set(xlabel="energy [keV]", ylabel="σ of A/E [%]")
    axes.set(title=_goodness(result.sigma.chi2, result.sigma.ndf))
    axes.style(title_size=8)


def _classifier(axes: Panel, result: Result) -> None:
    draw_classifier(axes, result.energies, result.classifier, np.linspace(*SHOWN, 91), (result.cut, result.high))
    axes.set(title="events (logarithmic), kept between the lines")


def draw_classifier(axes: Panel, energies: Any, classifier: Any, bins: Any, cuts: Iterable[float]) -> None:
    """The classifier over the energy, with its cuts."""
    edges = (np.linspace(800, 2700, 191), bins)
    counts, *_ = np.histogram2d(energies, classifier, edges)
    powers = np.log10(counts.T, where=counts.T > 0, out=np.full(counts.T.shape, np.nan))
    axes.pcolormesh(*edges, powers, cmap="cividis", rasterized=True)
    for value in cuts:
        axes.axhline(value, color=RED, lw=0.8)
    axes.set(xlabel="energy [keV]", ylabel="classifier [σ]")


def _spectrum(axes: Panel, result: Result) -> None:
    draw_spectrum(axes, result.energies, _kinds(result))
    axes.set(title="before and after the cuts")


def _dep(axes: Panel, result: Result) -> None:
    draw_dep(axes, result.energies, _kinds(result))


def _kinds(result: Result) -> Kinds:
    low = result.classifier > result.cut
    both = low & (result.classifier < result.high)
    return (low | True, GREY, "all"), (low, BLUE, "low cut"), (both, GREEN, "both cuts")


def draw_spectrum(axes: Panel, energies: Any, kinds: Kinds) -> None:
    """The spectra of kinds of events."""
    _spectra(axes, energies, kinds, np.arange(800, 2702, 5.0))
    axes.set(yscale="log", xlim=(800, 2700))
    axes.set(ylim=(0.5, None))


def draw_dep(axes: Panel, energies: Any, kinds: Kinds) -> None:
    """The spectra of kinds of events around the double-escape peak."""
    _spectra(axes, energies, kinds, np.arange(1560, 1641, 1.0))
    axes.set(title="double-escape peak and 1620.5 keV", xlim=(1560, 1640))
    axes.set(ylim=(0, None))


def _spectra(axes: Panel, energies: Any, kinds: Kinds, edges: Any) -> None:
    for chosen, colour, label in kinds:
        axes.stairs(np.histogram(energies[chosen], edges)[0], edges, color=colour, lw=0.8, label=label)
    axes.set(xlabel="energy [keV]", ylabel=f"events / {edges[1] - edges[0]:g} keV")
    axes.legend(loc="upper right")
