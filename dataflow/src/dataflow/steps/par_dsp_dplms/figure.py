"""The figure of a DPLMS filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.figures.grid import Grid, Place, part
from dataflow.jobs.figures.page import BLUE, GREEN, GREY, RED, Page, Panel

if TYPE_CHECKING:
    from .result import Result

BINS = 80
AROUND = 12.0
"""Shown on both sides of the line, in keV."""
US = 1000.0


def draw(detector: str, key: str, result: Result) -> Page:
    """The filter and what it makes of a pulse, the noise, what was tried, and the line with its correction."""
    page = Page(f"{detector}  DPLMS filter  {key}")
    grid = Grid(2, 3, left=0.075, right=0.985, bottom=0.12, top=0.91, wspace=0.24, hspace=0.3)
    _filter(page.panel(grid[0, 0]), result)
    _response(page, grid[0, 1], result)
    _noise(page.panel(grid[0, 2]), result)
    _tried(page.panel(grid[1, 0]), result)
    _line(page.panel(grid[1, 1]), result)
    _drift(page.panel(grid[1, 2]), result)
    page.warn_below([result.warning] if result.warning else [])
    return page


def _filter(axes: Panel, result: Result) -> None:
    times = (np.arange(len(result.best.samples)) - len(result.best.samples) // 2) * result.period / US
    axes.plot(times, result.best.samples, color=BLUE, lw=1)
    weights = result.best.weights
    axes.set(xlabel="time after the beginning of the pulse [µs]", ylabel="weight of the sample")
    axes.set(title=f"filter: nm {weights.nm:g}, za {weights.za:g}, pl {weights.pl:g}, ft {weights.ft:g}")


def _response(page: Page, place: Place, result: Result) -> None:
    """The mean pulse, and what the filter makes of it as it moves along; the flat top in an inset."""
    axes = page.panel(place)
    times = (np.arange(len(result.reference)) - len(result.reference) // 2) * result.period / US
    axes.plot(times, result.reference, color=GREY, lw=1, label=f"mean of {result.pulses} pulses")
    output = _output(result)
    shifts = (np.arange(len(output)) - int(np.argmax(output))) * result.period / US
    axes.plot(shifts, output, color=BLUE, lw=1, label="output of the filter")
    axes.set(xlabel="time [µs]", ylabel="height of the pulse = 1", xlim=(1.3 * times[0], 1.3 * times[-1]))
    axes.set(title=f"{result.best.tail:+.1e} of an earlier pulse's height is added")
    axes.legend(loc="upper left")
    inset = page.panel(part((0.67, 0.36, 0.31, 0.3), of=place))
    inset.plot(shifts, 100 * (output - output.max()), color=BLUE, lw=1)
    inset.set(xlim=(-3, 3), ylim=(-0.5, 0.05), title="flat top [%]")


def _output(result: Result) -> NDArray[np.float64]:
    """The filter's output for a mean pulse between a baseline at zero and its own tail."""
    length = len(result.reference)
    tail = result.reference[-1] * (result.reference[-1] / result.reference[-length // 4]) ** (
        np.arange(1, length) / (length // 4 - 1)
    )
    whole = np.concatenate([np.zeros(length - 1), result.reference, tail])
    return np.correlate(whole, result.best.samples, mode="valid")


def _noise(axes: Panel, result: Result) -> None:
    """The power of the noise, and the part of it that the filter lets through."""
    frequency, density = result.frequency, result.density
    axes.plot(frequency, density, color=GREY, lw=1, label=f"{result.traces} traces, {result.rejected} left out")
    size = 2 * len(frequency)
    gain = np.abs(np.fft.rfft(result.best.samples, size)[1:]) ** 2
    passed = density * gain
    label = f"after the filter: {result.noise:.3f} ± {result.noise_error:.3f} ADC"
    axes.plot(frequency, passed, color=BLUE, lw=1, label=label)
    limits = max(density.min() * 1e-3, passed.max() * 1e-6), density.max() * 5
    axes.set(xscale="log", yscale="log", ylim=limits, xlabel="frequency [MHz]", ylabel="noise power [ADC²/MHz]")
    axes.set(title=f"σ = {result.noise / result.height * result.line:.3f} keV at {result.line:g} keV by noise alone")
    axes.legend(loc="lower left")


def _tried(axes: Panel, result: Result) -> None:
    """The width of the line for all weights; filled the chosen one."""
    fitted = [each for each in result.candidates if np.isfinite(each.fwhm)]
    for number, each in enumerate(result.candidates):
        if np.isfinite(each.fwhm):
            good = not each.reason
            axes.errorbar(
                number, each.fwhm, each.fwhm_error, fmt="o" if good else "x", ms=5, color=BLUE if good else RED,
                mfc=RED if each is result.best else "none",
            )  # fmt: skip
    labels = [f"{w.nm:g}, {w.za:g}, {w.pl:g}, {w.ft:g}" for w in (each.weights for each in result.candidates)]
    step = max(len(labels) // 12, 1)
    axes.set_ticks("x", range(0, len(labels), step), labels[::step], rotation=60, ha="right", fontsize=6)
    axes.set(xlabel="nm, za, pl, ft", ylabel=f"FWHM at {result.line:g} keV [keV]")
    axes.set(title=f"{len(fitted)} of {len(result.candidates)} filters fitted")


def _line(axes: Panel, result: Result) -> None:
    before, after = result.energies
    edges = np.linspace(result.line - AROUND, result.line + AROUND, BINS + 1)
    for values, color, label in ((before, GREY, "without correction"), (after, BLUE, "corrected for trapping")):
        axes.stairs(*np.histogram(values[np.isfinite(values)], edges), color=color, label=label)
    axes.set(xlabel="dplmsEmax [keV]", ylabel="events", yscale="log", ylim=(0.5, None))
    axes.set(title=f"FWHM {result.best.fwhm:.2f} ± {result.best.fwhm_error:.2f} keV, p = {result.best.p_value:.2g}")
    axes.legend(loc="upper left")


def _drift(axes: Panel, result: Result) -> None:
    """The energies by the drift time, with the straight line that the correction takes out."""
    before = result.energies[0]
    near = np.abs(before - result.line) < AROUND
    axes.plot(result.drift[near], before[near], ".", ms=1.5, color=GREY)
    trapping = result.best.trapping
    if trapping and near.any():
        drift = np.quantile(result.drift[near], [0.01, 0.99])
        axes.plot(drift, result.line / (1 + trapping.factor * drift), color=GREEN, lw=1.5)
        axes.set(title=f"a = ({1e6 * trapping.factor:.2f} ± {1e6 * trapping.error:.2f}) · 10⁻⁶ / ns")
    axes.set(xlabel="effective drift time [ns]", ylabel="dplmsEmax without correction [keV]")
