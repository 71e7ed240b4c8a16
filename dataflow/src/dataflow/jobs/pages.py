"""Figures as pages of a document: drawn and saved by the workers, joined into one PDF that is the same every time."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["MPLBACKEND"] = "Agg"  # before the import: an unknown backend of the user's environment ends in an error

import matplotlib as mpl
import matplotlib.backends.backend_pdf  # once for all workers, which would import it when they save
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from matplotlib.ticker import AutoLocator, FuncFormatter, LogFormatterSciNotation, MaxNLocator, NullLocator

from .ticks import put_at_once

mpl.rcdefaults()  # figures are the same whatever settings the user has in a matplotlibrc

SIZE = (11.7, 8.3)
"""A4, inches."""
STYLE = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.fontsize": 7,
    "pdf.fonttype": 3,
}
AT_FIXED_PLACES = {"axes.titley": 1.0}
"""Else matplotlib measures all texts to find out whether a title is in the way of something."""

DECADES = 100.0
"""Ratio of the ends of a logarithmic axis from which on the decades are ticks enough."""

ROOMY = 3.5
"""Length of an axis in inches from which on it has as many ticks as matplotlib finds good; others have half as many."""
INTERVALS, STEPS = 4, (1, 2, 2.5, 5, 10)
"""Between ticks of a short axis at most, and their multiples of powers of ten."""

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
"""How powers are written in text."""

STRIP = 0.24
"""Part of the height of axes that a strip of residuals takes."""

BLUE, RED, GREY, GREEN = "#0072B2", "#D55E00", "0.55", "#009E73"
"""Colours that the colour-blind can tell apart (Okabe and Ito)."""


def new_page(title: str) -> Figure:
    """An empty page with a title; axes find their places themselves."""
    mpl.rcParams.update(STYLE | dict.fromkeys(AT_FIXED_PLACES))
    figure = Figure(figsize=SIZE, layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure


def fixed_page(title: str) -> Figure:
    """An empty page with a title at its top left, for axes at fixed places: drawn in half the time."""
    mpl.rcParams.update(STYLE | AT_FIXED_PLACES)
    figure = Figure(figsize=SIZE)
    figure.text(0.05, 0.965, title, fontsize=12)
    return figure


def warn_below(figure: Figure, warnings: Sequence[str], most: int = 3) -> None:
    """Write what is to be warned of at the foot of a fixed page, in so many lines at most."""
    if warnings:
        lines = textwrap.wrap(f"Warning: {'; '.join(warnings)}", 240)
        figure.text(0.05, 0.008, "\n".join(lines[:most]), fontsize=6.5, color=RED, va="bottom", linespacing=1.3)


def stairs(axes: Any, values: Any, edges: Any, *, color: str, baseline: float = 0.0, **style: Any) -> None:
    """Draw a histogram as ``axes.stairs`` does, without looking at each of its lines as a Bézier curve.

    By that matplotlib finds how far a histogram reaches, and it is most of the time of ``axes.stairs``.

    Parameters
    ----------
    axes
        The axes.
    values, edges
        Shapes (bins,) and (bins + 1,); NaN where nothing is to be drawn.
    color
        Of the line, or of the area if it is filled.
    baseline
        Whereto the first and the last line lead.
    style
        Properties of :class:`~matplotlib.patches.StepPatch`.
    """
    colours = {"facecolor": color, "linewidth": 0} if style.get("fill") else {"edgecolor": color}
    patch = StepPatch(values, edges, baseline=baseline, **{"fill": False, **colours, **style})
    axes.add_artist(patch)
    patch.sticky_edges.y.append(baseline)
    axes.update_datalim([(edges[0], baseline)])
    axes.update_datalim(patch.get_path().vertices)
    axes.autoscale_view()


def residuals_below(axes: Any, edges: Any, deviations: Any) -> None:
    """Deviations from a fit in standard deviations, in a strip at the foot of axes at a fixed place.

    After all else is drawn: the strip takes over the range and the label of the x axis.

    Parameters
    ----------
    axes
        The axes; they become shorter by the strip.
    edges, deviations
        Shapes (bins + 1,) and (bins,); NaN where a bin tells nothing.
    """
    place = axes.get_position()
    height = STRIP * place.height
    axes.set_position((place.x0, place.y0 + height, place.width, place.height - height))
    below = axes.figure.add_axes((place.x0, place.y0, place.width, height))
    deviation_strip(below, edges, deviations, axes.get_xlim())
    below.set_xlabel(axes.get_xlabel())
    axes.set_xlabel("")
    axes.tick_params(labelbottom=False)


def deviation_strip(axes: Any, edges: Any, deviations: Any, limits: tuple[float, float]) -> None:
    """Deviations from a fit in standard deviations, in axes of their own.

    Parameters
    ----------
    axes
        The axes.
    edges, deviations
        Shapes (bins + 1,) and (bins,); NaN where a bin tells nothing.
    limits
        Of the x axis.
    """
    stairs(axes, deviations, edges, color=BLUE, lw=0.7)
    axes.axhline(0, color="k", lw=0.5)
    axes.set(xlim=limits, ylim=(-5.5, 5.5), yticks=(-3, 0, 3), ylabel="σ")


def text_page(title: str, text: str) -> Figure:
    """A page that only says something."""
    figure = new_page(title)
    figure.text(0.08, 0.6, text, fontsize=10, wrap=True)
    return figure


def save_page(figure: Figure, path: Path) -> None:
    """Save a figure without the date that would make the file differ each time."""
    for axes in figure.axes:
        place = axes.get_position()
        for axis, length in ((axes.xaxis, place.width * SIZE[0]), (axes.yaxis, place.height * SIZE[1])):
            _thin_out(axis, length)
    put_at_once(figure)
    figure.savefig(path, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})


def _thin_out(axis: Axis, length: float) -> None:
    """Leave ticks out that a reader does not miss: they take most of the time of drawing.

    Logarithmic axes of two decades or more have no minor ticks, and short axes few. Powers of ten are plain text, not
    formulas that have to be parsed and set.
    """
    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() == "log":
        if high > DECADES * low:
            axis.set_minor_locator(NullLocator())
        if isinstance(axis.get_major_formatter(), LogFormatterSciNotation):
            axis.set_major_formatter(FuncFormatter(power_of_ten))
    if length < ROOMY and isinstance(axis.get_major_locator(), AutoLocator):
        axis.set_major_locator(MaxNLocator(INTERVALS, steps=STEPS))


def power_of_ten(value: float, _place: int | None = None) -> str:
    """A tick of a logarithmic axis in words: ``10⁻³``; nothing for what is no power of ten."""
    power = round(math.log10(value)) if value > 0 else 0
    is_power = math.isclose(value, 10.0**power, rel_tol=1e-6)
    return f"10{str(power).translate(SUPERSCRIPT)}" if is_power else ""


def join_pages(pages: Sequence[Path], target: Path) -> None:
    """Join one-page documents, with a bookmark of each file's name."""
    from pypdf import PdfWriter

    with PdfWriter() as writer:
        for page in pages:
            writer.append(str(page), outline_item=page.stem)
        writer.metadata = None
        writer.write(str(target))
