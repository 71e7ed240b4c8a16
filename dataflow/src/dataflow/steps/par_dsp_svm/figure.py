"""The figure of a support vector machine: what it is worth, its classes, and what it makes of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.figures.grid import Grid
from dataflow.jobs.figures.page import BLUE, GREEN, Page, Panel

if TYPE_CHECKING:
    from .result import Result

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Told apart by the colour-blind (Okabe and Ito)."""
STYLES = ("-", "--", ":")
BAND = 16, 84
"""Percentiles between which most traces of a class lie."""
DARK = 50.0
"""Percent from which on a cell is written in white."""
US = 1000.0
GRID = Grid(2, 2, left=0.125, right=0.985, bottom=0.08, top=0.91, hspace=0.42)
"""Of the four parts on the page."""


def draw(detector: str, key: str, result: Result) -> Page:
    """The page of a detector."""
    trained = result.trained
    page = Page(f"{detector}  support vector machine  {key}")
    confusion, classes, run, of_run = (page.panel(GRID[row, column]) for row in range(2) for column in range(2))
    _confusion(confusion, result)
    _classes(classes, result, trained.sample.shapes, trained.sample.labels)
    by = "test data" if trained.independent else "cross-validation"
    classes.set(title=f"training data: {trained.events.sum()} traces, {len(trained.model.vectors)} support vectors")
    kept, rejected = trained.kept, trained.rejected
    confusion.set(
        title=f"{by}: {100 * kept.fraction:.2f} ± {100 * kept.error:.2f} % of the good kept,"
        f" {100 * rejected.fraction:.1f} ± {100 * rejected.error:.1f} % of the bad rejected"
    )
    _run(run, result)
    _classes(of_run, result, result.shapes, result.labels)
    of_run.set(title="this run, by label")
    return page


def _confusion(axes: Panel, result: Result) -> None:
    """Of each class, in percent, how it was labelled."""
    trained = result.trained
    sums = np.maximum(trained.confusion.sum(axis=1, keepdims=True), 1)
    percent = 100 * trained.confusion / sums
    columns, rows = (np.arange(number + 1) - 0.5 for number in reversed(percent.shape))
    axes.pcolormesh(columns, rows, percent, cmap="Blues", vmin=0, vmax=100, rasterized=True)
    axes.set(ylim=(rows[-1], rows[0]))
    axes.style(grid=False)
    for (row, column), value in np.ndenumerate(percent):
        colour = "white" if value > DARK else "black"
        axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=7)
    labels = [trained.name(label) for label in trained.model.classes]
    axes.set_ticks("x", range(len(labels)), labels, rotation=30)
    names = [f"{trained.name(label)} ({count})" for label, count in zip(trained.rows, sums[:, 0], strict=True)]
    axes.set_ticks("y", range(len(trained.rows)), names)
    axes.set(xlabel="label [% of the traces of a class]", ylabel="class (traces)")


def _classes(axes: Panel, result: Result, shapes: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    """The median shape of each class, and where most traces lie."""
    known = np.isfinite(result.period)
    times = np.arange(result.trained.sample.shapes.shape[1]) * (result.period / US if known else 1)
    for number, label in enumerate(result.trained.model.classes):
        mine = shapes[labels == label]
        if len(mine):
            colour, style = COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS) % len(STYLES)]
            name = f"{result.trained.name(label)} ({len(mine)})"
            axes.plot(times, np.median(mine, axis=0), color=colour, ls=style, lw=1.2, label=name)
            axes.fill_between(times, *np.percentile(mine, BAND, axis=0), color=colour, alpha=0.15, lw=0)
    axes.set(xlabel="time [µs]" if known else "feature", ylabel="height / largest distance from the baseline")
    if axes.curves:
        axes.legend(loc="upper left")


def _run(axes: Panel, result: Result) -> None:
    """How many traces of the run have which label."""
    trained, counts = result.trained, result.counts
    colours = [GREEN if label in trained.good else BLUE for label in trained.model.classes]
    axes.bar(range(len(counts)), counts, colours)
    axes.set_ticks("x", range(len(counts)), [trained.name(label) for label in trained.model.classes], rotation=30)
    for place, count in enumerate(counts):
        axes.text(place, max(count, 0.7), str(count), ha="center", va="bottom", fontsize=7)
    axes.set(yscale="log", ylim=(0.5, 3 * max(counts.max(), 1)), ylabel="traces")
    axes.set(title=f"labels of the first {len(result.labels)} traces of this run; green: good")
