"""The figure of a SiPM: its photo-electron peaks, and when its pulses are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dataflow.jobs.figures.grid import Grid
from dataflow.jobs.figures.page import BLUE, GREEN, GREY, RED, Page

if TYPE_CHECKING:
    from .result import Result
    from .settings import Settings


def draw(detector: str, key: str, result: Result, settings: Settings) -> Page:
    """Spectrum with fit and residuals in standard deviations; times of pulses with the dark window."""
    page = Page(f"{detector}  photo-electrons  {key}")
    grid = Grid(3, 1, left=0.06, right=0.985, bottom=0.07, top=0.92, hspace=0.3, heights=(4, 1.3, 2.5))
    upper = page.panel(grid[0, 0])
    middle, lower = page.panel(grid[1, 0], sharex=upper), page.panel(grid[2, 0])
    comb = result.comb
    centres = (comb.edges[1:] + comb.edges[:-1]) / 2
    upper.stairs(comb.counts, comb.edges, color=GREY, fill=True, alpha=0.5, label=f"{result.pulses} single pulses")
    upper.plot(centres, comb.expected, color=BLUE, lw=1.5, label="fit" + _chance(comb.p_value))
    for number in range(1, len(comb.areas) + 1):
        upper.axvline(number * comb.gain, color=RED, lw=0.8, ls="--")
    label = f"pulses / {comb.edges[1] - comb.edges[0]:.1f} ADC"
    upper.set(title=_title(result), ylabel=label, yscale="log", ylim=(0.5, None))
    upper.legend()
    middle.plot(centres, (comb.counts - comb.expected) / np.sqrt(np.maximum(comb.expected, 1.0)), ".", ms=4, color=BLUE)
    middle.axhline(0, color=GREY, lw=0.8)
    middle.set(xlabel="height [ADC]", ylabel="residual [σ]")
    lower.stairs(*np.histogram(result.times, bins=120), color=BLUE)
    lower.axvspan(*settings.dark_window, color=GREEN, alpha=0.15, label=f"dark window: {result.dark} pulses")
    lower.set(xlabel="time in the trace [µs]", ylabel="single pulses", yscale="log")
    lower.legend()
    return page


def _title(result: Result) -> str:
    comb = result.comb
    talk = "no cross-talk without dark pulses"
    if result.cross_talk is not None:
        talk = f"cross-talk {100 * result.cross_talk:.1f} ± {100 * (result.cross_talk_err or 0):.1f} %"
    rate = f"dark rate {result.dark_rate:.0f} ± {result.dark_rate_err:.0f} Hz"
    return f"photo-electron {comb.gain:.2f} ± {comb.gain_err:.2f} ADC, width {comb.width:.2f} ADC; {rate}; {talk}"


def _chance(value: float | None) -> str:
    return "" if value is None else f", p = {value:.2g}"
