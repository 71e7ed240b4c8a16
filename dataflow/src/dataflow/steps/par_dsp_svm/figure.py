"""The figure of a support vector machine: what it is worth, its classes, and what it makes of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dataflow.jobs.pages import BLUE, GREEN, fixed_page

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
PLACES = {"left": 0.125, "right": 0.985, "bottom": 0.08, "top": 0.91, "wspace": 0.2, "hspace": 0.42}
"""Of the four parts on the page."""


def draw(detector: str, key: str, result: Result) -> Figure:
    """The page of a detector."""
    trained = result.trained
    figure = fixed_page(f"{detector}  support vector machine  {key}")
    axes = figure.subplots(2, 2, gridspec_kw=PLACES)
    _confusion(axes[0, 0], result)
    _classes(axes[0, 1], result, trained.sample.shapes, trained.sample.labels)
    by = "test data" if trained.independent else "cross-validation"
    axes[0, 1].set_title(f"training data: {trained.events.sum()} traces, {len(trained.model.vectors)} support vectors")
    kept, rejected = trained.kept, trained.rejected
    axes[0, 0].set_title(
        f"{by}: {100 * kept.fraction:.2f} ± {100 * kept.error:.2f} % of the good kept,"
        f" {100 * rejected.fraction:.1f} ± {100 * rejected.error:.1f} % of the bad rejected"
    )
    _run(axes[1, 0], result)
    _classes(axes[1, 1], result, result.shapes, result.labels)
    axes[1, 1].set_title("this run, by label")
    return figure


def _confusion(axes: Axes, result: Result) -> None:
    """Of each class, in percent, how it was labelled."""
    trained = result.trained
    sums = np.maximum(trained.confusion.sum(axis=1, keepdims=True), 1)
    percent = 100 * trained.confusion / sums
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    axes.grid(visible=False)
    for (row, column), value in np.ndenumerate(percent):
        colour = "white" if value > DARK else "black"
        axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=7)
    axes.set_xticks(range(len(trained.model.classes)), [trained.name(label) for label in trained.model.classes])
    names = [f"{trained.name(label)} ({count})" for label, count in zip(trained.rows, sums[:, 0], strict=True)]
    axes.set_yticks(range(len(trained.rows)), names)
    axes.tick_params(axis="x", rotation=30)
    axes.set(xlabel="label [% of the traces of a class]", ylabel="class (traces)")


def _classes(axes: Axes, result: Result, shapes: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
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
    if axes.lines:
        axes.legend(loc="upper left")


def _run(axes: Axes, result: Result) -> None:
    """How many traces of the run have which label."""
    trained, counts = result.trained, result.counts
    colours = [GREEN if label in trained.good else BLUE for label in trained.model.classes]
    axes.bar(range(len(counts)), counts, color=colours)
    axes.set_xticks(range(len(counts)), [trained.name(label) for label in trained.model.classes], rotation=30)
    for place, count in enumerate(counts):
        axes.text(place, max(count, 0.7), str(count), ha="center", va="bottom", fontsize=7)
    axes.set(yscale="log", ylim=(0.5, 3 * max(counts.max(), 1)), ylabel="traces")
    axes.set_title(f"labels of the first {len(result.labels)} traces of this run; green: good")
