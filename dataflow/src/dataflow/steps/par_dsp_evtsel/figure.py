"""The figure of the selection: the rough spectrum, and the events of each line by the good energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dataflow.jobs.figures.grid import Grid
from dataflow.jobs.figures.page import BLUE, GREY, RED, Page

if TYPE_CHECKING:
    from .result import Result

BINS = 60


def draw(detector: str, key: str, result: Result) -> Page:
    """All usable events with the windows of the lines above, the selected events of each line below."""
    page = Page(f"{detector}  events of lines  {key}")
    lines = result.lines
    grid = Grid(2, len(lines), left=0.05, right=0.98, bottom=0.07, top=0.9, hspace=0.3, wspace=0.35)
    above = page.panel(grid[0, :])
    top = 1.1 * max(line.energy for line in lines)
    above.stairs(*np.histogram(result.candidates.spectrum, np.linspace(0, top, 1001)), color=BLUE, lw=0.7)
    for line in lines:
        above.axvspan(line.energy - line.below, line.energy + line.above, color=RED, alpha=0.15, lw=0)
    above.set(yscale="log", xlabel=f"{result.column}, roughly calibrated [keV]", ylabel="events", xlim=(0, top))
    above.set(title=f"{len(result.candidates.rows)} candidates, {result.rejected} rejected by cuts of quality")
    own, counts = result.selected.energies, result.selected.counts(lines)
    for number, line in enumerate(lines):
        axes = page.panel(grid[1, number])
        edges = np.linspace(line.energy - line.below, line.energy + line.above, BINS + 1)
        axes.stairs(*np.histogram(own[np.isfinite(own)], edges), color=BLUE)
        axes.axvline(line.energy, color=GREY, lw=0.7, ls="--")
        axes.set(xlabel="trapTmax [keV]", title=f"{line.key:g} keV: {counts[line.key]}")
    return page
