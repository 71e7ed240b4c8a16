"""Ticks of a page, drawn at once: matplotlib makes five objects for each tick, and lays out each label several times.

That was two fifths of what it took to draw a page. :func:`put_at_once` takes the same places and labels from the
locators and formatters of matplotlib, and draws all grid lines of an axis as one path, all marks as another one, and
each label once. Axes with labels of their own, turned labels, formulas or ticks on other sides are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axis import Axis, YAxis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import text_to_path
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    Formatter,
    FuncFormatter,
    NullFormatter,
    NullLocator,
    ScalarFormatter,
)
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray

OFFSET_PAD = 3.0
"""Points between axes and the power of ten by which all labels of an axis are multiplied."""
NEAR = 0.5
"""Pixels by which a tick may lie beyond the end of its axis, as in matplotlib."""
ASCENT, DESCENT = 0.76, 0.24
"""How far a line of text reaches above and below its baseline, relative to the size of the font (DejaVu Sans)."""
OWN = "rotation", "labelrotation", "color", "labelcolor"
"""Parameters of ticks that are not as usual."""
PLAIN = IdentityTransform()


@dataclass(frozen=True)
class _Look:
    """How an axis has its ticks; lengths in points."""

    marks: bool
    labels: bool
    grid: bool
    size: float
    length: float
    pad: float
    minor_length: float


class Ticks(Artist):
    """All ticks of an axis with their labels and grid lines.

    Parameters
    ----------
    axis
        A linear or logarithmic x axis with ticks at its foot, or a y axis with ticks at its left.
    look
        What is drawn, and how large.
    """

    def __init__(self, axis: Axis, look: _Look) -> None:
        super().__init__()
        self.set_zorder(axis.get_zorder())
        self.set_in_layout(False)
        self._across = int(isinstance(axis, YAxis))
        self._look, self._within = look, axis.axes
        formatter, major = axis.get_major_formatter(), np.asarray(axis.get_majorticklocs(), dtype=float)
        labels = formatter.format_ticks(list(major)) if look.labels else [""] * len(major)
        shown = self._shown(major)
        self.labels = [label for label, on in zip(labels, shown, strict=True) if on]
        self.offset = formatter.get_offset() if look.labels else ""
        minor = np.asarray(axis.get_minorticklocs(), dtype=float)
        self._major, self._minor = major[shown], minor[self._shown(minor)]

    def _shown(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of some values are within the axes."""
        box, places = self._within.bbox, self._places(values)
        low, high = (box.x0, box.x1) if not self._across else (box.y0, box.y1)
        return np.asarray((places >= low - NEAR) & (places <= high + NEAR))

    @property
    def depth(self) -> float:
        """Points that ticks and their labels take outside the axes, where the label of the axis is not to be."""
        outside = self._look.length if self._look.marks and len(self._major) else 0.0
        if not any(self.labels):
            return outside
        size = self._look.size
        beyond = max(_width(text, size) for text in self.labels) if self._across else size
        return outside + self._look.pad + beyond

    def draw(self, renderer: Any) -> None:
        """Draw grid, marks, labels, in this order."""
        box = self._within.bbox
        begin, end = (box.y0, box.y1) if not self._across else (box.x0, box.x1)
        look, rc = self._look, mpl.rcParams
        points = renderer.points_to_pixels
        major, minor = self._places(self._major), self._places(self._minor)
        if look.grid:
            style = rc["grid.color"], rc["grid.linewidth"], rc["grid.alpha"]
            self._lines(renderer, major, (begin, end), *style)
        if look.marks:
            color, width = rc["xtick.color"], rc["xtick.major.width"]
            self._lines(renderer, major, (begin - points(look.length), begin), color, width)
            width = rc["xtick.minor.width"]
            self._lines(renderer, minor, (begin - points(look.minor_length), begin), color, width)
        if look.labels:
            edge = begin - points(look.pad + (look.length if look.marks else 0.0))
            self._texts(renderer, [*zip(major, self.labels, strict=True)], edge)
            self._offset_text(renderer, box, edge)
        self.stale = False

    def _places(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels along the axis of values on it."""
        other = self._within.get_ylim()[0] if not self._across else self._within.get_xlim()[0]
        pairs = np.full((len(values), 2), other)
        pairs[:, self._across] = values
        return np.asarray(self._within.transData.transform(pairs)[:, self._across])

    def _lines(
        self,
        renderer: Any,
        places: NDArray[np.float64],
        ends: tuple[float, float],
        color: str,
        width: float,
        alpha: float = 1.0,
    ) -> None:
        """Lines across the axis at these places, as one path."""
        if not len(places):
            return
        vertices = np.empty((2 * len(places), 2))
        vertices[:, self._across] = np.repeat(places, 2)
        vertices[:, 1 - self._across] = np.tile(ends, len(places))
        codes = np.tile(np.array([Path.MOVETO, Path.LINETO], dtype=Path.code_type), len(places))
        gc = renderer.new_gc()
        gc.set_foreground(color)
        gc.set_linewidth(renderer.points_to_pixels(width))
        gc.set_alpha(alpha)
        renderer.draw_path(gc, Path(vertices, codes), PLAIN)
        gc.restore()

    def _texts(self, renderer: Any, labels: Sequence[tuple[float, str]], edge: float) -> None:
        """Labels below an x axis, centred; left of a y axis, with the middle of their digits at the tick."""
        font = FontProperties(size=self._look.size)
        ascent = ASCENT * renderer.points_to_pixels(self._look.size)
        gc = renderer.new_gc()
        gc.set_foreground(mpl.rcParams["xtick.color"])
        for place, text in labels:
            if not text:
                continue
            width = renderer.points_to_pixels(_width(text, self._look.size))
            x, y = (edge - width, place - ascent / 2) if self._across else (place - width / 2, edge - ascent)
            _text(renderer, gc, x, y, text, font)
        gc.restore()

    def _offset_text(self, renderer: Any, box: Any, edge: float) -> None:
        """The common factor: right below the labels of an x axis, above a y axis."""
        if not self.offset:
            return
        font = FontProperties(size=self._look.size)
        pad = renderer.points_to_pixels(OFFSET_PAD)
        gc = renderer.new_gc()
        gc.set_foreground(mpl.rcParams["xtick.color"])
        if self._across:
            _text(renderer, gc, box.x0, box.y1 + pad, self.offset, font)
        else:
            size = renderer.points_to_pixels(self._look.size)
            width = renderer.points_to_pixels(_width(self.offset, self._look.size))
            _text(renderer, gc, box.x1 - width, edge - (2 * ASCENT + DESCENT) * size - pad, self.offset, font)
        gc.restore()


def _text(renderer: Any, gc: Any, x: float, y: float, text: str, font: FontProperties) -> None:
    """A text whose baseline begins at this place, in pixels from below."""
    if renderer.flipy():
        y = renderer.get_canvas_width_height()[1] - y
    renderer.draw_text(gc, x, y, text, font, 0.0)


def put_at_once(figure: Figure) -> None:
    """Replace the ticks of all axes of a figure at fixed places by such as are drawn at once.

    Parameters
    ----------
    figure
        With all that it shows, for nothing moves any more. Where it finds places for axes by itself, it is left as it
        is.
    """
    if figure.get_layout_engine() is not None:
        return
    made = [(axis, Ticks(axis, look)) for axis, look in _axes(figure)]
    found = [(axis, ticks) for axis, ticks in made if _is_plain(axis, ticks)]
    others = {id(axis): axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)}
    for axis, ticks in found:  # not before all are known: axes that share a range share what makes their ticks
        axis.set_major_locator(NullLocator())
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FixedFormatter([]))
        axis.labelpad += ticks.depth
        del others[id(axis)]
        axis.axes.add_artist(ticks).set_clip_on(False)
        with without_ticks():  # which placing a spine throws away, and makes anew
            for spine in axis.axes.spines.values():
                spine.get_spine_transform()  # which places it; otherwise, ticks do that
    for axis, _ in found:
        axis.majorTicks, axis.minorTicks = [], []
    for axis in others.values():
        axis.set_clip_path(axis.axes.patch)  # its ticks have missed that, see without_ticks


TOUCHING = "set_clip_path", "set_tick_params"
"""Methods of an axis that go through its ticks, and for that make the first ones of an axis that has none yet."""


@contextmanager
def without_ticks() -> Iterator[None]:
    """Make axes without tick objects: :func:`put_at_once` throws most of them away, and they are a sixth of a page."""
    with ExitStack() as stack:
        for name in TOUCHING:
            stack.callback(setattr, Axis, name, getattr(Axis, name))
            setattr(Axis, name, _on_ticks_there_are(getattr(Axis, name)))
        yield


def _on_ticks_there_are(method: Callable[..., Any]) -> Callable[..., Any]:
    def done(axis: Axis, *args: Any, **kwargs: Any) -> Any:
        hidden = [name for name in ("majorTicks", "minorTicks") if name not in vars(axis)]
        for name in hidden:
            setattr(axis, name, [])
        try:
            return method(axis, *args, **kwargs)
        finally:
            for name in hidden:
                delattr(axis, name)

    return done


def _axes(figure: Figure) -> Iterator[tuple[Axis, _Look]]:
    for axes in figure.axes:
        if axes.axison and axes.get_visible():
            for axis in (axes.xaxis, axes.yaxis):
                look = _look(axis)
                if look and axis.get_visible() and axis.get_label_position() == _sides(axis)[0]:
                    yield axis, look


def _sides(axis: Axis) -> tuple[str, str]:
    """Where its ticks are to be, and where not."""
    return ("left", "right") if isinstance(axis, YAxis) else ("bottom", "top")


def _look(axis: Axis) -> _Look | None:
    """How its ticks are to be drawn; None if this is not for us."""
    near, far = _sides(axis)
    name = "ytick" if isinstance(axis, YAxis) else "xtick"
    has, minor, rc = axis.get_tick_params(), axis.get_tick_params("minor"), mpl.rcParams
    if any(has.get(unusual) for unusual in (far, f"label{far}", *OWN)):
        return None
    if minor.get("gridOn") or axis.get_scale() not in ("linear", "log"):
        return None
    size = FontProperties(size=has.get("labelsize", rc[f"{name}.labelsize"])).get_size_in_points()
    return _Look(
        marks=has.get(near, True),
        labels=has.get(f"label{near}", True),
        grid=has.get("gridOn", False),
        size=size,
        length=has.get("length", rc[f"{name}.major.size"]),
        pad=has.get("pad", rc[f"{name}.major.pad"]),
        minor_length=minor.get("length", rc[f"{name}.minor.size"]),
    )


def _is_plain(axis: Axis, ticks: Ticks) -> bool:
    """Whether its labels are those of a formatter, none is a formula, and minor ticks have none."""
    formatter: Formatter = axis.get_major_formatter()
    of_its_own = isinstance(formatter, FuncFormatter) and isinstance(axis.get_major_locator(), FixedLocator)
    if of_its_own or not isinstance(formatter, (FuncFormatter, ScalarFormatter)):
        return False
    minor = axis.get_minor_formatter()
    if not isinstance(minor, NullFormatter) and any(minor.format_ticks(list(axis.get_minorticklocs()))):
        return False
    return not any("$" in text for text in (*ticks.labels, ticks.offset))


def _width(text: str, size: float) -> float:
    """Points that a label takes in a font of this size, without laying it out."""
    return size * sum(map(_advance, text))


@cache
def _advance(character: str) -> float:
    """Width of a character, relative to the size of the font."""
    of_100 = FontProperties(size=100)
    return float(text_to_path.get_text_width_height_descent(character, of_100, ismath=False)[0]) / 100
