"""Ticks that are drawn at once: the same marks, grid lines and labels at the same places as those of matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.ticker import NullLocator
from pypdf import PdfReader

from dataflow.jobs.figures import render
from dataflow.jobs.figures.render import empty, residuals_below, save_figure
from dataflow.jobs.figures.ticks import Ticks, put_at_once

NEAR = 1.0
"""Points by which labels may lie beside those of matplotlib, which moves them to whole pixels."""
GRID = (0.69, 0.69, 0.69, 0.3)
"""Colour and opacity of grid lines."""


class Recorder(RendererBase):
    """Notes what is drawn; one pixel is a point."""

    def __init__(self, figure: Figure) -> None:
        super().__init__()
        self._size = figure.bbox.width, figure.bbox.height
        self.texts: list[tuple[str, float, float, float]] = []
        self.grid: list[tuple[float, ...]] = []
        self.marks: list[tuple[float, ...]] = []

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self._size

    def draw_text(self, gc: Any, x: float, y: float, s: str, prop: Any, *rest: Any, **named: Any) -> None:
        self.texts.append((s, x, self._size[1] - y, prop.get_size_in_points()))

    def draw_image(self, *_: Any, **__: Any) -> None:
        pass

    def draw_path(self, gc: Any, path: Any, transform: Any, rgbFace: Any = None) -> None:  # noqa: N803 - matplotlib's
        if rgbFace is None:
            into = self.grid if np.allclose(gc.get_rgb(), GRID, atol=0.01) else self.marks
            ends = transform.transform(path.vertices)
            into += [_segment(ends[at : at + 2]) for at in range(0, len(ends) - 1, 2)]

    def draw_markers(self, gc: Any, marker: Any, to_marker: Any, path: Any, transform: Any, *_: Any) -> None:
        for place in transform.transform(path.vertices):
            self.marks.append(_segment(to_marker.transform(marker.vertices) + place))


def _segment(ends: Any) -> tuple[float, ...]:
    """A line as four numbers, the same whichever end it begins at."""
    return tuple(round(float(each), 3) for end in sorted(map(tuple, ends)) for each in end)


def drawn(figure: Figure) -> Recorder:
    recorder = Recorder(figure)
    figure.draw(recorder)
    return recorder


def panels(draw: Callable[[Any], None]) -> Figure:
    figure = empty("a page")
    figure.set_dpi(72)
    axes = figure.add_axes((0.1, 0.2, 0.3, 0.5))
    axes.set(xlabel="energy [keV]", ylabel="events")
    draw(axes)
    return figure


def line(**limits: Any) -> Callable[[Any], None]:
    return lambda axes: axes.set(**limits)


def strip(axes: Any) -> None:
    axes.set(xlim=(1586, 1599), ylim=(0, 155))
    residuals_below(axes, np.linspace(1586, 1599, 5), np.array([1.0, -2, 0.5, np.nan]))


def small(axes: Any) -> None:
    axes.tick_params(labelsize=6, length=2, pad=1.5)
    axes.set(xlim=(-3, 4.5), ylim=(-0.02, 0.013))


def two(axes: Any) -> None:
    below = axes.figure.add_axes((0.1, 0.05, 0.3, 0.1), sharex=axes)
    axes.tick_params(labelbottom=False)
    below.set(xlim=(10, 80), ylim=(0, 1), xlabel="time")


PLAIN = {
    "numbers": line(xlim=(1586, 1599), ylim=(-5.5, 20)),
    "a common factor": line(xlim=(0, 3e8), ylim=(1e-7, 4e-7)),
    "a difference": line(xlim=(2614.5111, 2614.5113), ylim=(0, 1)),
    "downwards": line(xlim=(5, -3), ylim=(1, 0)),
    "decades": line(xlim=(0.5, 3e4), ylim=(0.7, 400), xscale="log", yscale="log"),
    "small ticks": line(xlim=(0, 1), ylim=(5, 450), yscale="log"),
    "residuals": strip,
    "small": small,
    "one range for two": two,
    "no grid": lambda axes: axes.grid(visible=False),
    "own ticks": lambda axes: axes.set(xticks=(0, 0.5, 1), yticks=()),
}
OWN = {
    "turned": lambda axes: axes.tick_params(axis="x", rotation=30),
    "words": lambda axes: axes.set_xticks([0, 1], ["normal", "noise"]),
    "both sides of zero": line(xlim=(-1e3, 1e3), xscale="symlog"),
    "above": lambda axes: axes.xaxis.tick_top(),
    "coloured": lambda axes: axes.tick_params(axis="x", colors="red"),
    "less than a decade": line(xlim=(2, 7), xscale="log"),
    "no axes": lambda axes: axes.set_axis_off(),
}


@pytest.fixture(autouse=True)
def _thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides draw the ticks that pages have."""
    monkeypatch.setattr(render, "put_at_once", lambda figure: None)


def saved(draw: Callable[[Any], None], path: Path) -> Figure:
    figure = panels(draw)
    save_figure(figure, path)
    return figure


@pytest.mark.parametrize("draw", PLAIN.values(), ids=PLAIN.keys())
def test_all_is_where_matplotlib_has_it(draw: Callable[[Any], None], tmp_path: Path) -> None:
    theirs, figure = drawn(saved(draw, tmp_path / "theirs.pdf")), saved(draw, tmp_path / "mine.pdf")
    put_at_once(figure)
    mine = drawn(figure)
    ticks = [each for axes in figure.axes for each in axes.artists if isinstance(each, Ticks)]
    assert len(ticks) == 2 * len(figure.axes)
    assert len(theirs.marks) > 4
    for one, other in ((mine.grid, theirs.grid), (mine.marks, theirs.marks)):
        np.testing.assert_allclose(sorted(one), sorted(other), atol=0.01)
    same_texts(mine.texts, theirs.texts)


def same_texts(mine: list[Any], theirs: list[Any]) -> None:
    assert sorted(each[0] for each in mine) == sorted(each[0] for each in theirs)
    assert len({each[0] for each in theirs}) > 4
    for (said, x, y, size), (_, other_x, other_y, other_size) in zip(sorted(mine), sorted(theirs), strict=True):
        is_factor = said.startswith(("1e", "+"))
        assert x == pytest.approx(other_x, abs=NEAR if not is_factor else 3 * NEAR), said
        assert y == pytest.approx(other_y, abs=NEAR if not is_factor else 3 * NEAR), said
        assert size == other_size


@pytest.mark.parametrize("draw", OWN.values(), ids=OWN.keys())
def test_what_is_of_another_kind_is_left_as_it_is(draw: Callable[[Any], None]) -> None:
    figure = panels(draw)
    axis = figure.axes[0].xaxis
    put_at_once(figure)
    assert not isinstance(axis.get_major_locator(), NullLocator)


def test_a_page_that_finds_its_places_itself_is_left_as_it_is() -> None:
    figure = Figure(layout="constrained")
    axes = figure.add_subplot()
    put_at_once(figure)
    assert not axes.artists


def test_is_drawn_into_pictures(tmp_path: Path) -> None:
    figure = panels(PLAIN["numbers"])
    figure.savefig(tmp_path / "before.png")
    put_at_once(figure)
    figure.savefig(tmp_path / "after.png")
    before, after = (imread(tmp_path / f"{when}.png")[..., 0] < 0.5 for when in ("before", "after"))
    rows = [np.flatnonzero(image.any(axis=1)) for image in (before, after)]
    assert abs(rows[0].max() - rows[1].max()) <= 1
    assert (before & after).sum() > 0.8 * before.sum()


def test_is_drawn_into_pages(tmp_path: Path) -> None:
    figure = saved(PLAIN["numbers"], tmp_path / "before.pdf")
    put_at_once(figure)
    figure.savefig(tmp_path / "after.pdf")
    before, after = (
        sorted(PdfReader(tmp_path / f"{when}.pdf").pages[0].extract_text().split()) for when in ("before", "after")
    )
    assert "1588" in before and before == after


def test_labels_of_an_axis_do_not_touch_one_another(tmp_path: Path) -> None:
    figure = saved(PLAIN["numbers"], tmp_path / "page.pdf")
    put_at_once(figure)
    places = sorted((x, said) for said, x, y, _ in drawn(figure).texts if said.isdigit() and y < 160)
    assert len(places) > 2
    assert all(right - left > 6 * len(said) for (left, said), (right, _) in pairwise(places))
