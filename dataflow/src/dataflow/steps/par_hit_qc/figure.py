"""The figure of quality cuts: the distribution of each classifier with its levels, and what survives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dataflow.jobs.figures.grid import Grid
from dataflow.jobs.figures.page import BLUE, GREEN, GREY, RED, Page, Panel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .result import Levels, Result

COLUMNS = 3
MOST = 9
"""Distributions on a page; more cuts are in the table alone."""
BEYOND = 1.5
"""The axis reaches this much further than a level, and what lies further is in the outermost bins."""
LEAST_REACH = 5.0
BINS = 120
WIDEST = 58
"""Letters of a quantity that fit below an axis."""


def draw(detector: str, key: str, found: Result) -> Page:
    """The page of a detector."""
    page = Page(f"{detector}  quality cuts  {key}")
    page.text(0.05, 0.95, _summary(found), fontsize=7.5, va="top", linespacing=1.4)
    page.warn_below(found.warnings, most=2)
    shown = list(found.levels)[:MOST]
    rows = max(-(-len(shown) // COLUMNS), 1)
    grid = Grid(rows, COLUMNS, left=0.06, right=0.985, bottom=0.09, top=0.73, wspace=0.2, hspace=0.5)
    for index, name in enumerate(shown):
        axes = page.panel(grid[index // COLUMNS, index % COLUMNS])
        _distribution(axes, name, found)
        if index == 0:
            axes.legend(loc="upper left")
    _table(page, found)
    return page


def _summary(found: Result) -> str:
    removed = ", ".join(f"{count} {name}" for name, count in found.removed.items())
    text = f"{found.cal_events} pulses of the calibration" + (f" (not used: {removed})" if removed else "")
    return text + (f";  {found.fft_events} traces without pulses" if found.fft_events else ";  no fft data")


def _table(page: Page, found: Result) -> None:
    """Survival of every flag, in three blocks of lines."""
    lines = []
    for name, one in found.cal.items():
        other = found.fft.get(name)
        noise = f"{100 * other.fraction:8.2f} ± {100 * other.error:.2f} %" if other is not None and other.events else ""
        lines.append(f"{name:24s}{100 * one.fraction:7.2f} ± {100 * one.error:.2f} %{noise}")
    part = -(-len(lines) // 2)
    for index in range(2):
        block = [f"{'true for':24s}{'pulses':>10s}{'traces without' if found.fft_events else '':>22s}"]
        block += lines[index * part : (index + 1) * part]
        page.text(0.05 + 0.48 * index, 0.922, "\n".join(block), fontsize=7.5, va="top", family="monospace")


def _distribution(axes: Panel, name: str, found: Result) -> None:
    levels = found.levels[name]
    edges = np.linspace(*range_of(levels), BINS + 1)
    values = found.cal_values.get(name)
    if values is not None and len(values):
        axes.stairs(counts_in(values, edges), edges, color=BLUE, lw=0.9, baseline=0.5, label="pulses")
    noise = found.fft_values.get(name)
    if noise is not None and len(noise):
        axes.stairs(counts_in(noise, edges), edges, color=GREEN, lw=0.9, baseline=0.5, label="without pulses")
    for level in (levels.low, levels.high):
        if level is not None:
            axes.axvline(level, color=RED, lw=0.9)
    _shade(axes, levels, edges)
    axes.set(yscale="log", xlim=(edges[0], edges[-1]))
    title = f"{name}, from {levels.source}: true {'inside' if levels.inside else 'beyond'}"
    axes.set(xlabel=_classifier(levels), ylabel="events / bin", title=title)
    axes.style(xlabel_size=7)
    axes.set(ylim=(0.5, None))


def _classifier(levels: Levels) -> str:
    """The classifier as a formula, the end of a long quantity left out."""
    shift = f"{'+' if levels.mode < 0 else '−'} {abs(levels.mode):.4g}) / {levels.width:.3g}"
    room = WIDEST - len(shift)
    quantity = levels.quantity if len(levels.quantity) <= room else f"{levels.quantity[: room - 1]}…"
    return f"({quantity} {shift}"


def range_of(levels: Levels) -> tuple[float, float]:
    reach = max(LEAST_REACH, *(BEYOND * abs(level) for level in (levels.low, levels.high) if level is not None))
    low = -reach if levels.low is not None else -LEAST_REACH
    return low, reach if levels.high is not None else LEAST_REACH


def counts_in(values: NDArray[Any], edges: NDArray[Any]) -> NDArray[Any]:
    """Counts by bin; what lies beyond is in the first and the last one."""
    finite = values[np.isfinite(values)]
    return np.histogram(np.clip(finite, edges[0], np.nextafter(edges[-1], edges[0])), edges)[0]


def _shade(axes: Panel, levels: Levels, edges: NDArray[Any]) -> None:
    """Grey where the flag says that something is wrong."""
    if levels.low is not None:
        axes.axvspan(edges[0], levels.low, color=GREY, alpha=0.2, lw=0)
    if levels.high is not None:
        axes.axvspan(levels.high, edges[-1], color=GREY, alpha=0.2, lw=0)
