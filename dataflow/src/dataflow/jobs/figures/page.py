"""A page of figures as plain values: what is shown, where, and how it looks; not yet drawn.

A step fills a :class:`Page` with panels and these with curves. That takes no time, and the page can be written into an
LH5 file and read from it (:mod:`.stored`), so that it is drawn by another job, or by whoever has the file. Methods have
the names and arguments of the methods of matplotlib's axes that draw the same.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .grid import Place

BLUE, RED, GREY, GREEN = "#0072B2", "#D55E00", "0.55", "#009E73"
"""Colours that the colour-blind can tell apart (Okabe and Ito)."""

Plain = str | float | bool
Look = dict[str, Plain]
Limits = tuple[float | None, float | None]

ARRAYS: Mapping[str, frozenset[str]] = {
    "line": frozenset({"x", "y"}),
    "points": frozenset({"x", "y", "y_error"}),
    "histogram": frozenset({"edges", "counts"}),
    "area": frozenset({"x", "y_low", "y_high"}),
    "map": frozenset({"x_edges", "y_edges", "counts"}),
    "bars": frozenset({"x", "y", "colors"}),
    "vertical": frozenset({"x"}),
    "horizontal": frozenset({"y"}),
    "residuals": frozenset({"edges", "deviations"}),
}
"""The arrays of each kind of curve. A vertical or horizontal line has one value; a band across the panel has two.
``residuals`` are in standard deviations, in a strip at the foot of the panel."""
LABELS = ("title", "xlabel", "ylabel")
SCALES = ("xscale", "yscale")
LIMITS = ("xlim", "ylim")


@dataclass(frozen=True)
class Text:
    """Words at a place, and how they look: see :data:`.stored.LOOKS`."""

    x: float
    y: float
    text: str
    look: Look


@dataclass(frozen=True)
class Curve:
    """Something drawn in a panel: its kind, one of :data:`ARRAYS`, its arrays, label in the legend, and look."""

    kind: str
    arrays: Mapping[str, NDArray[Any]]
    label: str = ""
    look: Look = field(default_factory=dict)


@dataclass(frozen=True)
class Ticks:
    """Ticks at places of one's own, with what stands beside them."""

    places: Sequence[float]
    labels: Sequence[str] = ()
    look: Look = field(default_factory=dict)


@dataclass
class Panel:
    """Axes with what they show.

    Attributes
    ----------
    place
        Where they are.
    shares_x
        The number of the panel whose x axis they share; None for none.
    curves, texts
        What they show, in order.
    labels, scales, limits
        Title and labels of the axes, ``linear`` or ``log``, and the limits as far as they are not to be found.
    ticks
        By axis, ``x`` or ``y``, ticks of one's own.
    look
        What :meth:`style` sets.
    """

    place: Place
    shares_x: int | None = None
    curves: list[Curve] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    scales: dict[str, str] = field(default_factory=dict)
    limits: dict[str, Limits] = field(default_factory=dict)
    ticks: dict[str, Ticks] = field(default_factory=dict)
    look: Look = field(default_factory=dict)

    def _add(self, kind: str, label: str, look: Mapping[str, Plain | None], **arrays: ArrayLike | None) -> None:
        self.curves.append(
            Curve(
                kind,
                {name: np.asarray(values) for name, values in arrays.items() if values is not None},
                label,
                {name: value for name, value in look.items() if value is not None},
            )
        )

    def plot(self, x: ArrayLike, y: ArrayLike, fmt: str = "", *, label: str = "", **look: Plain | None) -> None:
        """A line, with or without markers."""
        self._add("line", label, {"fmt": fmt, **look}, x=x, y=y)

    def errorbar(
        self, x: ArrayLike, y: ArrayLike, yerr: ArrayLike | None = None, fmt: str = "", *, label: str = "",
        **look: Plain | None,
    ) -> None:  # fmt: skip
        """Points with errors."""
        self._add("points", label, {"fmt": fmt, **look}, x=x, y=y, y_error=yerr)

    def stairs(self, values: ArrayLike, edges: ArrayLike, *, label: str = "", **look: Plain | None) -> None:
        """A histogram; NaN where nothing is to be drawn."""
        self._add("histogram", label, look, edges=edges, counts=values)

    def fill_between(self, x: ArrayLike, y1: ArrayLike, y2: ArrayLike, **look: Plain | None) -> None:
        """The area between two curves."""
        self._add("area", "", look, x=x, y_low=y1, y_high=y2)

    def pcolormesh(self, x: ArrayLike, y: ArrayLike, values: ArrayLike, **look: Plain | None) -> None:
        """A map with the edges of its columns and rows; shape of the values (rows, columns), NaN where it is empty."""
        self._add("map", "", look, x_edges=x, y_edges=y, counts=values)

    def bar(self, x: ArrayLike, height: ArrayLike, colors: Sequence[str]) -> None:
        """Bars from zero, each with its colour."""
        self._add("bars", "", {}, x=x, y=height, colors=colors)

    def axvline(self, x: float, *, label: str = "", **look: Plain | None) -> None:
        """A vertical line."""
        self._add("vertical", label, look, x=[x])

    def axhline(self, y: float, *, label: str = "", **look: Plain | None) -> None:
        """A horizontal line."""
        self._add("horizontal", label, look, y=[y])

    def axvspan(self, low: float, high: float, *, label: str = "", **look: Plain | None) -> None:
        """A band from top to bottom."""
        self._add("vertical", label, look, x=[low, high])

    def axhspan(self, low: float, high: float, *, label: str = "", **look: Plain | None) -> None:
        """A band from left to right."""
        self._add("horizontal", label, look, y=[low, high])

    def deviations(self, edges: ArrayLike, values: ArrayLike, xlim: Limits) -> None:
        """Deviations from a fit in standard deviations; NaN where a bin tells nothing."""
        self.stairs(values, edges, color=BLUE, lw=0.7)
        self.axhline(0, color="k", lw=0.5)
        self.set(xlim=xlim, ylim=(-5.5, 5.5), ylabel="σ")
        self.set_ticks("y", (-3, 0, 3))

    def residuals(self, edges: ArrayLike, deviations: ArrayLike) -> None:
        """Deviations from a fit in standard deviations, in a strip at the foot; NaN where a bin tells nothing."""
        self._add("residuals", "", {}, edges=edges, deviations=deviations)

    def text(self, x: float, y: float, text: str, **look: Plain) -> None:
        """Words in the units of the axes, or, with ``within=True``, relative to them."""
        self.texts.append(Text(float(x), float(y), text, look))

    def set(
        self,
        *,
        title: str | None = None,
        xlabel: str | None = None,
        ylabel: str | None = None,
        xscale: str | None = None,
        yscale: str | None = None,
        xlim: Limits | None = None,
        ylim: Limits | None = None,
    ) -> None:
        """Title, labels, scales and limits; None in limits where the end is to be found."""
        self.labels |= {n: v for n, v in zip(LABELS, (title, xlabel, ylabel), strict=True) if v is not None}
        self.scales |= {n: v for n, v in zip(SCALES, (xscale, yscale), strict=True) if v is not None}
        self.limits |= {
            name: (_number(value[0]), _number(value[1]))
            for name, value in zip(LIMITS, (xlim, ylim), strict=True)
            if value is not None
        }

    def set_ticks(self, axis: str, places: ArrayLike, labels: Sequence[str] = (), **look: Plain) -> None:
        """Ticks of an axis, ``x`` or ``y``, and what stands there."""
        self.ticks[axis] = Ticks(np.asarray(places, dtype=float).tolist(), list(labels), look)

    def legend(self, loc: str = "best") -> None:
        """What has a label, in a corner."""
        self.style(legend=loc)

    def style(self, **look: Plain) -> None:
        """How the axes look.

        ``title_size``, ``title_pad``, ``title_color``, ``xlabel_size``, ``xlabel_pad``, ``ylabel_size``, ``tick_size``,
        ``tick_pad`` (points); ``labelbottom`` (False: the x axis has no numbers), ``grid`` (False: no grid),
        ``ymargin`` (part of the height above and below the curves), ``xbins`` (most intervals of the x axis).
        """
        self.look |= look


@dataclass
class Page:
    """What is on a page.

    Attributes
    ----------
    title
        At its top left.
    texts
        Words on the page, places relative to it.
    panels
        Axes.
    """

    title: str
    texts: list[Text] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, **look: Plain) -> None:
        """Write words at a place relative to the page."""
        self.texts.append(Text(x, y, text, look))

    def panel(self, place: Place, sharex: Panel | None = None) -> Panel:
        """New axes at a place; they may share range and scale of the x axis with others of the page."""
        of = None if sharex is None else next(number for number, each in enumerate(self.panels) if each is sharex)
        made = Panel(place, of)
        self.panels.append(made)
        return made

    def warn_below(self, warnings: Sequence[str], most: int = 3) -> None:
        """Write what is to be warned of at the foot of the page, in so many lines at most."""
        if warnings:
            lines = textwrap.wrap(f"Warning: {'; '.join(warnings)}", 240)
            self.text(0.05, 0.008, "\n".join(lines[:most]), fontsize=6.5, color=RED, va="bottom", linespacing=1.3)


def text_page(title: str, text: str) -> Page:
    """A page that only says something."""
    page = Page(title)
    page.text(0.08, 0.6, text, fontsize=10, wrap=True)
    return page


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
