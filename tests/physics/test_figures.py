"""Figures that one job describes and another draws: the same pages, and a sentence where that cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import h5py
import lh5
import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure
from pypdf import PdfReader
from tests.figures import without_others

from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.figures import plotdata
from dataflow.jobs.figures.grid import Grid, part, within
from dataflow.jobs.figures.page import ARRAYS, BLUE, RED, Page, text_page
from dataflow.jobs.figures.render import DRAW, render, save_page
from dataflow.jobs.figures.stored import LOOKS, from_values, values_of
from dataflow.jobs.runner import main, run
from dataflow.plan import open_cycle
from dataflow.registry.step import DATA
from dataflow.registry.steps import STEPS
from dataflow.steps.par_dsp_pz import figure as figure_of_pz

from .conftest import SmallCycle, cycle_around

CAL = "l200-p03-r000-cal-20240301T080000Z"
STEP = "par_hit_ecal"
SAVE = """\
import sys
from pathlib import Path
from dataflow.jobs.figures.plotdata import page_of
from dataflow.jobs.figures.render import save_page
save_page(page_of(Path(sys.argv[1]), "par_hit_ecal", "V01"), Path(sys.argv[2]))
"""


def every_kind() -> Page:
    """Each kind of curve, and all that can be asked of panels and texts."""
    page = Page("V01  a page")
    page.text(0.05, 0.94, "said", fontsize=7, va="top", linespacing=1.4, family="monospace")
    page.warn_below(["χ²/ndf = 3", "few events"])
    grid = Grid(2, 3, left=0.06, right=0.98, bottom=0.1, top=0.88, hspace=0.3)
    counts = page.panel(grid[0, 0])
    counts.stairs(np.array([5, 2000, 30]), np.arange(4.0), color=BLUE, lw=0.7, baseline=0.5, label="counts")
    counts.stairs([5.0, np.nan, 30.0], range(4), color=RED, fill=True, alpha=0.4)
    counts.errorbar([0.5, 1.5], [10, 100], [1, 2], "o", ms=3, mfc="none", color=RED, capsize=2, label="points")
    counts.errorbar([2.5], [10.0], color=RED)
    counts.axvspan(0.2, 0.6, color=RED, alpha=0.1, lw=0, label="a band")
    counts.set(yscale="log", xlabel="energy [keV]", ylabel="events / keV", title="counts", ylim=(0.5, None))
    counts.residuals(np.arange(4.0), np.array([1.0, -2.0, np.nan]))
    counts.legend("upper right")
    lines = page.panel(grid[0, 1:])
    lines.plot(np.arange(5), np.arange(5) ** 2, "s", ms=4, color=BLUE, rasterized=True, label="squares")
    lines.plot([0, 4], [0, 16], color="C0", ls="--", marker="^", lw=1, zorder=1, mfc=None)
    lines.fill_between(np.arange(5), np.arange(5), np.arange(5) + 3.0, color=RED, alpha=0.15, lw=0)
    lines.axhline(3, color="k", lw=0.5)
    lines.axvline(2.5, color="k", label="here")
    lines.axhspan(7, 9, color=BLUE, alpha=0.2)
    lines.text(0.02, 0.95, "within", within=True, va="top", fontsize=6)
    lines.text(1, 8, "at a value", ha="center", color=RED, rotation=30)
    lines.style(ymargin=0.2, xbins=3, tick_size=6, tick_pad=2, title_size=7, title_pad=3, title_color=RED)
    lines.set(title="lines", xlim=(-1, None))
    lines.legend()
    above, below = (page.panel(place) for place in (grid[1, 0], part((0.6, 0.5, 0.3, 0.3), of=grid[1, 0])))
    above.pcolormesh([0, 1, 2], [0.0, 1.0], [[1.0, np.nan]], cmap="cividis", vmin=0, vmax=3, rasterized=True)
    above.style(grid=False, xlabel_size=6, xlabel_pad=1, ylabel_size=5)
    below.set(xlabel="inset", ylabel="y")
    bars = page.panel(grid[1, 1])
    bars.bar(range(3), [3, 1, 2], [BLUE, RED, BLUE])
    bars.set_ticks("x", range(3), ["one", "two", "three"], rotation=30, ha="right", fontsize=6)
    stacked = within(grid[1, 2], 2, heights=(3, 1))
    upper = page.panel(stacked[0, 0])
    upper.plot([1.0, 2.0], [1.0, 2.0])
    upper.style(labelbottom=False)
    lower = page.panel(stacked[1, 0], sharex=upper)
    lower.deviations([1.0, 1.5, 2.0], [0.5, -1.0], (1, 2))
    return page


def kept(page: Page, path: Path) -> Page:
    """A page after it was written and read."""
    plotdata.write(path, plotdata.of_detector("V01", STEP, page, {}))
    return plotdata.page_of(path, STEP, "V01")


def test_every_kind_of_curve_and_look_is_in_the_example() -> None:
    """Else the tests below say nothing of it."""
    page = every_kind()
    assert {curve.kind for panel in page.panels for curve in panel.curves} == set(ARRAYS) == {*DRAW, "residuals"}
    looks = [text.look for text in page.texts] + [ticks.look for panel in page.panels for ticks in panel.ticks.values()]
    looks += [each.look for panel in page.panels for each in (*panel.curves, *panel.texts)]
    looks += [text_page("title", "text").texts[0].look]
    assert {name for look in looks for name in look} == LOOKS


def test_another_process_draws_the_same_bytes(tmp_path: Path) -> None:
    save_page(every_kind(), tmp_path / "here.pdf")
    kept(every_kind(), tmp_path / "page.lh5")
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", SAVE, tmp_path / "page.lh5", tmp_path / "there.pdf"]
    subprocess.run(words, env=environ, check=True)
    assert (tmp_path / "there.pdf").read_bytes() == (tmp_path / "here.pdf").read_bytes()


def test_a_page_is_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    np.testing.assert_equal(values_of(kept(every_kind(), tmp_path / "page.lh5")), values_of(every_kind()))
    empty = kept(Page("nothing"), tmp_path / "empty.lh5")
    assert (empty.title, empty.texts, empty.panels) == ("nothing", [], [])


def test_a_page_is_the_same_if_axes_begin_with_ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_page(every_kind(), tmp_path / "without.pdf")
    monkeypatch.setattr("dataflow.jobs.figures.render.without_ticks", nullcontext)
    save_page(every_kind(), tmp_path / "with.pdf")
    assert (tmp_path / "without.pdf").read_bytes() == (tmp_path / "with.pdf").read_bytes()


def test_axes_begin_without_ticks() -> None:
    """If they do without help, it can go."""
    axes = render(every_kind()).axes
    assert any("majorTicks" not in vars(each.yaxis) for each in axes)
    plain = Figure().add_axes((0.1, 0.1, 0.8, 0.8))
    assert "majorTicks" in vars(plain.yaxis)


def test_a_page_without_events_is_drawn(tmp_path: Path) -> None:
    page = Page("no events")
    panel = page.panel((0.1, 0.1, 0.8, 0.8))
    panel.errorbar([], [], [], fmt="o", label="none")
    panel.plot([], [], ".")
    panel.legend()
    save_page(kept(page, tmp_path / "page.lh5"), tmp_path / "page.pdf")
    assert "no events" in PdfReader(tmp_path / "page.pdf").pages[0].extract_text()


def test_what_is_drawn_is_what_was_asked_for() -> None:
    """Some of it, by matplotlib's own answers."""
    figure = render(every_kind())
    counts, strip, lines, *_ = figure.axes
    assert counts.get_yscale() == "log" and counts.get_ylim()[0] == 0.5 and counts.get_xlabel() == ""
    assert (strip.get_xlabel(), strip.get_ylabel()) == ("energy [keV]", "σ")
    legend = counts.get_legend()
    assert legend and [text.get_text() for text in legend.get_texts()] == ["counts", "a band", "points"]
    np.testing.assert_array_equal(lines.lines[0].get_ydata(), np.arange(5) ** 2)
    assert lines.get_xlim()[0] == -1 and lines.get_title() == "lines"
    assert [label.get_text() for label in figure.axes[5].get_xticklabels()] == ["one", "two", "three"]
    assert figure.axes[6].get_xlim() == figure.axes[7].get_xlim() == (1, 2)


def test_the_collaboration_reads_it(tmp_path: Path) -> None:
    kept(every_kind(), tmp_path / "page.lh5")
    found = lh5.read(f"V01/{plotdata.DRAWN}/{STEP}/axes0", tmp_path / "page.lh5")
    assert found["ylabel"].value == b"events / keV"
    np.testing.assert_array_equal(found["curve0"]["counts"].nda, [5, 2000, 30])


@pytest.mark.parametrize(
    ("row", "column"),
    [(0, 0), (1, 2), (1, slice(1, None)), (slice(None), 1), (0, slice(None)), (slice(0, 2), slice(1, 3))],
)
def test_cells_are_where_matplotlib_puts_them(row: Any, column: Any) -> None:
    ends = {"left": 0.055, "right": 0.985, "bottom": 0.17, "top": 0.88, "wspace": 0.25, "hspace": 0.4}
    figure = Figure()
    theirs = figure.add_gridspec(2, 3, width_ratios=[2, 1, 1], height_ratios=[1, 3], **ends)
    place = theirs[row, column].get_position(figure)
    mine = Grid(2, 3, **ends, widths=(2, 1, 1), heights=(1, 3))[row, column]
    np.testing.assert_allclose(mine, (place.x0, place.y0, place.width, place.height), atol=1e-12)


def test_rows_within_a_cell_are_where_matplotlib_puts_them() -> None:
    figure = Figure()
    theirs = figure.add_gridspec(1, 2, left=0.1, right=0.9, bottom=0.1, top=0.9)[0, 1]
    cell = Grid(1, 2, left=0.1, right=0.9, bottom=0.1, top=0.9)[0, 1]
    for row in range(2):
        place = theirs.subgridspec(2, 1, height_ratios=[3, 1], hspace=0.0)[row].get_position(figure)
        mine = within(cell, 2, heights=(3, 1))[row, 0]
        np.testing.assert_allclose(mine, (place.x0, place.y0, place.width, place.height), atol=1e-12)


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    values = values_of(every_kind())
    change(values)
    return values


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda page: page.pop("title"), "is incomplete: KeyError: 'title'"),
        (lambda page: page["axes0"]["curve0"].update(kind="pie"), "is invalid: pie is no kind of curve"),
        (lambda page: page["axes0"]["curve0"].pop("edges"), "is incomplete: KeyError: 'edges'"),
        (lambda page: page["axes0"]["curve0"].update(look=json.dumps({"url": "x"})), "is invalid: url"),
        (lambda page: page["axes0"]["curve0"].update(look="{"), "is incomplete: JSONDecodeError"),
        (lambda page: page["axes0"].update(shares_x=3), "is invalid: axes 0 share those of 3"),
        (lambda page: page.update(texts_look=[json.dumps({"x": 0, "y": 0, "parse": True})] * 2), "is invalid: parse"),
    ],
)
def test_what_is_no_page_is_told(change: Callable[[dict[str, Any]], Any], said: str) -> None:
    with pytest.raises(WorkFailed, match=f"what is to be drawn {said}"):
        from_values(changed(change))


def test_figures_of_all_steps_with_pages_are_jobs_of_their_own() -> None:
    drawing = {step.name for step in STEPS if step.is_drawn_apart}
    assert len(drawing) == 14
    apart = {"plt_dsp_svm", "plt_pht_qc", "plt_pht_partcal", "plt_pht_aoe", "plt_pht_lq"}
    figures = [step for step in STEPS if step.name.startswith("plt_")]
    assert {step.name for step in figures} == {"plt_dsp", "plt_hit", "plt_pht", *apart}
    assert {role for step in figures for role in step.outputs} == {*drawing, DATA}


@pytest.fixture
def cycle(gebox_data: Path, tmp_path: Path) -> SmallCycle:
    """The decay constants of a run."""
    made = cycle_around(gebox_data, tmp_path / "cycle", CAL)
    made.recorded(*((step, CAL) for step in ("tier_raw", "tier_tcm", "par_tcm_pulser", "par_dsp_pz")))
    return made


def outputs(cycle: SmallCycle, step: str) -> Any:
    return open_cycle(cycle.config).job(step, CAL).outputs


def test_a_figure_that_cannot_be_drawn_is_a_page_with_the_reason(cycle: SmallCycle) -> None:
    path = outputs(cycle, "par_dsp_pz")[DATA]
    before = outputs(cycle, "par_dsp_pz")["par"].read_bytes()
    entries = yaml.safe_load(before)
    broken = next(name for name, entry in entries.items() if "status" not in entry)
    with h5py.File(path, "r+") as file:
        file[f"{broken}/drawn/par_dsp_pz/axes0/curve0/kind"][()] = "pie"
    without_others(open_cycle(cycle.config).job("plt_dsp", CAL))
    assert main(["plt_dsp", "--config", str(cycle.config), "--key", CAL, "--threads", "2"]) == 0
    found = outputs(cycle, "plt_dsp")
    document = PdfReader(found["par_dsp_pz"])
    texts = [page.extract_text() for page in document.pages]
    assert [item["/Title"] for item in document.outline] == list(entries)  # type: ignore[index, call-overload]
    assert len(texts) == len(entries) > 2
    assert all(name in text for name, text in zip(entries, texts, strict=True))
    assert all(CAL in text for text in texts)  # also on pages that only say why there is no figure
    told = f"{broken}: the figure of par_dsp_pz cannot be drawn"
    assert [told in text for text in texts] == [name == broken for name in entries]
    assert "pie is no kind of curve" in texts[list(entries).index(broken)]
    noted = open_cycle(cycle.config).lineages.records.notes(found["par_dsp_pz"])["channels"]
    assert set(noted) == {broken}
    assert noted[broken]["step"] == "plt_dsp"
    assert outputs(cycle, "par_dsp_pz")["par"].read_bytes() == before
    with h5py.File(found["data"]) as joined, h5py.File(path) as own:
        assert set(joined) == set(own) == set(entries)


def test_a_change_of_a_figure_makes_no_calibration_again() -> None:
    """Neither ``figure.py`` nor what draws pages is counted; see tests/lineage for the rest."""
    from dataflow.provenance.code import list_of

    module = figure_of_pz.__name__.removeprefix("dataflow.")
    assert {list_of(each) for each in (module, "jobs.figures.page", "jobs.figures.render")} == {"not counted"}


def test_figures_need_no_data(cycle: SmallCycle) -> None:
    """What they show is there; the files of the run may be gone."""
    before = outputs(cycle, "par_dsp_pz")["par"].read_bytes()
    job = without_others(open_cycle(cycle.config).job("plt_dsp", CAL))
    for path in (cycle.folder / "generated/tier").rglob("*.lh5"):
        path.unlink()
    run(job)
    assert len(PdfReader(job.outputs["par_dsp_pz"]).pages) == len(yaml.safe_load(before))
    assert outputs(cycle, "par_dsp_pz")["par"].read_bytes() == before
