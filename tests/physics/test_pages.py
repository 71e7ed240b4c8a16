"""Pages of figures: what is drawn in another way than matplotlib's, to save time, and shows the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.bezier import BezierSegment
from matplotlib.figure import Figure

from dataflow.jobs.figures.render import empty, power_of_ten, save_figure, stairs
from dataflow.jobs.figures.ticks import Ticks

EDGES = np.linspace(-2.0, 5.0, 41)
COUNTS = np.random.default_rng(1).poisson(20, 40).astype(float)
GAPS = np.where(np.arange(40) % 7 == 3, np.nan, COUNTS - 20)
STYLES: dict[str, dict[str, Any]] = {
    "line": {"lw": 0.7},
    "dashed": {"lw": 1, "ls": "--", "label": "model"},
    "from a half": {"baseline": 0.5, "lw": 0.9},
    "area": {"fill": True, "alpha": 0.5, "label": "all"},
}


def page(draw: Any, values: Any, style: dict[str, Any], scale: str) -> Figure:
    """A page with one histogram, and points that reach farther on one side."""
    figure = empty("a detector")
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    draw(axes, values, EDGES, color="#0072B2", **style)
    axes.plot([0, 6], [1, 3], "o")
    axes.set(yscale=scale, xlabel="energy [keV]")
    return figure


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("values", [COUNTS, GAPS], ids=["counts", "gaps"])
@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES.keys())
def test_a_histogram_is_that_of_matplotlib(style: dict[str, Any], values: Any, scale: str, tmp_path: Path) -> None:
    mine = page(stairs, values, style, scale)
    theirs = page(lambda axes, *args, **named: axes.stairs(*args, **named), values, style, scale)
    for name, figure in (("mine", mine), ("theirs", theirs)):
        save_figure(figure, tmp_path / name)
    assert (tmp_path / "mine").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_matplotlib_still_takes_each_line_of_a_histogram_for_a_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it does not, ``stairs`` is not needed any more."""
    seen: list[BezierSegment] = []
    original = BezierSegment.axis_aligned_extrema
    monkeypatch.setattr(BezierSegment, "axis_aligned_extrema", lambda self: (seen.append(self), original(self))[1])
    axes = Figure().add_subplot()
    axes.stairs(COUNTS, EDGES)
    assert len(seen) > len(COUNTS)
    seen.clear()
    stairs(axes, COUNTS, EDGES, color="k")
    assert not seen


@pytest.mark.parametrize(
    ("value", "said"), [(1e-3, "10⁻³"), (1.0, "10⁰"), (10.0, "10¹"), (1e12, "10¹²"), (20.0, ""), (0.0, ""), (-10.0, "")]
)
def test_powers_of_ten_are_written_as_text(value: float, said: str) -> None:
    assert power_of_ten(value) == said


def test_ticks_of_a_logarithmic_axis_are_no_formulas(tmp_path: Path) -> None:
    figure = page(stairs, COUNTS * 100, {}, "log")
    save_figure(figure, tmp_path / "page.pdf")
    labels = [label for each in figure.axes[0].artists if isinstance(each, Ticks) for label in each.labels]
    assert "10³" in labels
    assert not [label for label in labels if "$" in label]


def test_ticks_on_both_sides_of_zero_stay(tmp_path: Path) -> None:
    figure = page(stairs, COUNTS * 100, {}, "symlog")
    save_figure(figure, tmp_path / "page.pdf")
    assert "$\\mathdefault{0}$" in [text.get_text() for text in figure.axes[0].get_yticklabels()]
