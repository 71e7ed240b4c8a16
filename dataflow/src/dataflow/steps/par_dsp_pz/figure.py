"""The figure of decay constants: the single tails' values, the superpulse, and what a fit of it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dataflow.jobs.figures.grid import Grid
from dataflow.jobs.figures.page import BLUE, GREEN, GREY, RED, Page, Panel

if TYPE_CHECKING:
    from .result import DecayConstants, Superpulse, Value

US = 1e-3
BINS = 80
WIDTHS = 8.0
"""Half of a histogram's range, in median deviations."""


def draw(detector: str, key: str, result: DecayConstants) -> Page:
    """One page; without superpulse, the distribution of the decay constants only."""
    page = Page(f"{detector}  decay constants  {key}")
    of = f", {result.source} data" if result.source else ""
    page.text(0.05, 0.935, f"{_summary(result)}\n{result.events} tails{of}", fontsize=8, va="top", linespacing=1.4)
    page.warn_below(result.warnings)
    if result.superpulse is None:
        draw_values(page.panel((0.06, 0.1, 0.9, 0.76)), result.taus, result.single, "decay constant [µs]", BLUE)
        return page
    shown = [(result.taus, result.single, "decay constant, one alone [µs]", GREY if result.two else BLUE)]
    if result.two is not None:
        shown += [(result.two.tau1s, result.two.tau1, "longer of two [µs]", BLUE)]
        shown += [(result.two.tau2s, result.two.tau2, "shorter of two [µs]", GREEN)]
    left = Grid(len(shown), 1, left=0.06, right=0.36, bottom=0.08, top=0.85, hspace=0.35)
    for row, each in enumerate(shown):
        draw_values(page.panel(left[row, 0]), *each)
    right = Grid(2, 1, left=0.44, right=0.98, bottom=0.08, top=0.85, hspace=0.06, heights=(3, 2))
    above = page.panel(right[0, 0])
    draw_superpulse(above, page.panel(right[1, 0], sharex=above), result.superpulse)
    return page


def _summary(result: DecayConstants) -> str:
    one = f"one: τ = {_us(result.single)} µs"
    if result.two is None:
        return one
    two, (tau1, tau2, part) = result.two, result.two.superpulse
    fraction = f"{100 * two.fraction.value:.3f} ± {100 * two.fraction.error:.3f}"
    return (
        f"two: τ₁ = {_us(two.tau1)} µs, τ₂ = {_us(two.tau2)} µs, of which {fraction} %    "
        f"(superpulse {tau1 * US:.2f} µs, {tau2 * US:.2f} µs, {100 * part:.3f} %;  {one})"
    )


def _us(value: Value) -> str:
    return f"{value.value * US:.2f} ± {value.error * US:.2f}"


def draw_values(axes: Panel, values: Any, found: Value, name: str, colour: str) -> None:
    """The distribution of the single tails' values."""
    half = max(WIDTHS * float(np.median(np.abs(values - found.value))), 1.0)
    inside = values[np.abs(values - found.value) < half]
    counts, edges = np.histogram(inside * US, bins=min(BINS, max(len(values) // 5, 10)))
    axes.stairs(counts, edges, color=colour, lw=1)
    axes.axvline(found.value * US, color=RED, lw=1, label=f"median {_us(found)}")
    axes.set(xlabel=name, ylabel=f"tails / {edges[1] - edges[0]:.3g} µs")
    axes.set(ylim=(0, None))
    axes.legend(loc="upper right")


def draw_superpulse(above: Panel, below: Panel, pulse: Superpulse) -> None:
    """The median tail with the exponentials through it, and what they leave."""
    times = pulse.times * US
    above.plot(times, pulse.heights, ".", color=BLUE, ms=3, label="median of all tails")
    above.plot(times, pulse.single, color=GREY, lw=1, label="one decay constant")
    below.axhline(0, color="k", lw=0.6)
    below.plot(times, 1e3 * (pulse.heights - pulse.single), color=GREY, lw=1, label="one decay constant")
    if len(pulse.double):
        above.plot(times, pulse.double, color=RED, lw=1, ls="--", label="two")
        below.plot(times, 1e3 * (pulse.heights - pulse.double), color=RED, lw=1, label="two")
    above.set(ylabel="height / mean height", title="superpulse")
    above.style(labelbottom=False)
    above.legend(loc="upper right")
    below.set(xlabel="time after half of the pulse's height [µs]", ylabel="superpulse − fit [‰]")
    below.legend(loc="upper right")
