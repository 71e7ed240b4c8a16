"""Pages of a document: drawn by matplotlib, saved, joined into one PDF that is the same every time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.backends.backend_pdf  # once for all workers, which would import it when they save
import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from matplotlib.ticker import AutoLocator, FuncFormatter, LogFormatterSciNotation, MaxNLocator, NullLocator
from numpy.typing import NDArray

from .page import LABELS, Page, Panel, Text
from .ticks import put_at_once, without_ticks

Arrays = Mapping[str, NDArray[Any]]
Look = dict[str, Any]

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
    "axes.titley": 1.0,  # else matplotlib measures all texts to find out whether a title is in the way of something
}

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

Axes = Any


def empty(title: str) -> Figure:
    """A page with a title at its top left, for axes at fixed places."""
    mpl.rcParams.update(STYLE)
    figure = Figure(figsize=SIZE)
    figure.text(0.05, 0.965, title, fontsize=12)
    return figure


def render(page: Page) -> Figure:
    """Draw a page.

    Parameters
    ----------
    page
        What is on it.

    Returns
    -------
    matplotlib.figure.Figure
        Without the changes that :func:`save_figure` makes to ticks.
    """
    figure = empty(page.title)
    for text in page.texts:
        figure.text(text.x, text.y, text.text, **dict[str, Any](text.look))
    made: list[Axes] = []
    with without_ticks():
        for panel in page.panels:
            made.append(figure.add_axes(panel.place, sharex=None if panel.shares_x is None else made[panel.shares_x]))
            _fill(made[-1], panel)
    return figure


def _fill(axes: Axes, panel: Panel) -> None:
    """Draw what is in a panel: its curves, then what depends on how far they reach."""
    look = panel.look
    for curve in panel.curves:
        if curve.kind in DRAW:
            DRAW[curve.kind](axes, curve.arrays, dict(curve.look) | ({"label": curve.label} if curve.label else {}))
    for text in panel.texts:
        _text(axes, text)
    axes.set(**panel.scales)
    if "ymargin" in look:
        axes.margins(y=look["ymargin"])
    for name, limits in panel.limits.items():
        getattr(axes, f"set_{name}")(*limits)
    for axis, ticks in panel.ticks.items():
        getattr(axes, f"set_{axis}ticks")(ticks.places, ticks.labels or None, **ticks.look)
    if "xbins" in look:
        axes.locator_params(axis="x", nbins=look["xbins"])
    title, xlabel, ylabel = (panel.labels.get(name, "") for name in LABELS)
    axes.set_title(title, **_of(look, fontsize="title_size", pad="title_pad", color="title_color"))
    axes.set_xlabel(xlabel, **_of(look, fontsize="xlabel_size", labelpad="xlabel_pad"))
    axes.set_ylabel(ylabel, **_of(look, fontsize="ylabel_size"))
    axes.tick_params(**_of(look, labelsize="tick_size", pad="tick_pad", labelbottom="labelbottom"))
    if "grid" in look:
        axes.grid(visible=look["grid"])
    if "legend" in look:
        axes.legend(loc=look["legend"])
    for curve in panel.curves:
        if curve.kind == "residuals":
            residuals_below(axes, curve.arrays["edges"], curve.arrays["deviations"])


def _of(look: Look, **names: str) -> Look:
    """Arguments of matplotlib from what is asked for, as far as it is."""
    return {argument: look[name] for argument, name in names.items() if name in look}


def _text(axes: Axes, text: Text) -> None:
    look = dict(text.look)
    place = {"transform": axes.transAxes} if look.pop("within", False) else {}
    axes.text(text.x, text.y, text.text, **look, **place)


def _line(axes: Axes, arrays: Arrays, look: Look) -> None:
    form = look.pop("fmt", "")
    axes.plot(arrays["x"], arrays["y"], *([form] if form else []), **look)


def _points(axes: Axes, arrays: Arrays, look: Look) -> None:
    axes.errorbar(arrays["x"], arrays["y"], arrays.get("y_error"), **look)


def _histogram(axes: Axes, arrays: Arrays, look: Look) -> None:
    stairs(axes, arrays["counts"], arrays["edges"], **look)


def _area(axes: Axes, arrays: Arrays, look: Look) -> None:
    axes.fill_between(arrays["x"], arrays["y_low"], arrays["y_high"], **look)


def _map(axes: Axes, arrays: Arrays, look: Look) -> None:
    axes.pcolormesh(arrays["x_edges"], arrays["y_edges"], np.ma.masked_invalid(arrays["counts"]), **look)


def _bars(axes: Axes, arrays: Arrays, look: Look) -> None:
    axes.bar(arrays["x"], arrays["y"], color=list(arrays["colors"]), **look)


def _vertical(axes: Axes, arrays: Arrays, look: Look) -> None:
    (axes.axvline if len(arrays["x"]) == 1 else axes.axvspan)(*arrays["x"], **look)


def _horizontal(axes: Axes, arrays: Arrays, look: Look) -> None:
    (axes.axhline if len(arrays["y"]) == 1 else axes.axhspan)(*arrays["y"], **look)


DRAW: Mapping[str, Callable[[Axes, Arrays, Look], None]] = {
    "line": _line,
    "points": _points,
    "histogram": _histogram,
    "area": _area,
    "map": _map,
    "bars": _bars,
    "vertical": _vertical,
    "horizontal": _horizontal,
}
"""How each kind of curve is drawn; a strip of residuals after all others."""


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


def residuals_below(axes: Axes, edges: NDArray[Any], deviations: NDArray[Any]) -> None:
    """Deviations from a fit in standard deviations, in a strip at the foot of axes.

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
    strip = Panel((place.x0, place.y0, place.width, height))
    strip.deviations(edges, deviations, axes.get_xlim())
    strip.set(xlabel=axes.get_xlabel())
    _fill(axes.figure.add_axes(strip.place), strip)
    axes.set_xlabel("")
    axes.tick_params(labelbottom=False)


def save_page(page: Page, path: Path) -> None:
    """Draw a page into a file, which has no date that would make it differ each time."""
    save_figure(render(page), path)


def save_figure(figure: Figure, path: Path) -> None:
    """Save what matplotlib has drawn on an A4 page, its ticks thinned out."""
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


def join_pages(pages: Mapping[str, Path], target: Path) -> None:
    """Join one-page documents, with a bookmark of each name."""
    from pypdf import PdfWriter

    with PdfWriter() as writer:
        for name, page in pages.items():
            writer.append(str(page), outline_item=name)
        writer.metadata = None
        writer.write(str(target))
