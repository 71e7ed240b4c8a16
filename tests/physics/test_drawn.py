"""Figures that one job draws and another saves: the same pages, and a sentence where that cannot be."""

from __future__ import annotations

import gzip
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import h5py
import matplotlib as mpl
import numpy as np
import pytest
import yaml
from matplotlib.ticker import FuncFormatter
from pypdf import PdfReader
from tests.figures import without_others

from dataflow.jobs import drawn, pages, plotdata
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.runner import main, run
from dataflow.plan import open_cycle
from dataflow.registry.step import DATA, DRAWN
from dataflow.registry.steps import STEPS
from dataflow.steps.par_dsp_pz import figure as figure_of_pz

from .conftest import SmallCycle, cycle_around

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAL = "l200-p03-r000-cal-20240301T080000Z"
SAVE = """\
import sys
from pathlib import Path
from dataflow.jobs.drawn import drawn
from dataflow.jobs.pages import save_page
archive, folder = map(Path, sys.argv[1:])
for name in ("fixed", "constrained"):
    save_page(drawn(archive, name).figure, folder / f"{name} there.pdf")
"""


def fixed() -> Figure:
    figure = pages.fixed_page("V01  a page")
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    axes.set_title("counts")
    axes.set(yscale="log", xlabel="energy [keV]", ylabel="events / keV")
    pages.stairs(axes, np.array([5.0, 2000.0, 30.0]), np.arange(4.0), color=pages.BLUE)
    axes.errorbar([0.5, 1.5], [10, 100], [1, 2], fmt="o", label="points")
    axes.legend()
    pages.residuals_below(axes, np.arange(4.0), np.array([1.0, -2.0, np.nan]))
    return figure


def constrained() -> Figure:
    figure = pages.new_page("V01  another page")
    above, below = figure.subplots(2, 1)
    above.pcolormesh(np.arange(4), np.arange(3), np.arange(6).reshape(2, 3))
    below.hist(np.linspace(0, 1, 50), bins=7)
    below.set_title("a title")
    return figure


def test_another_process_saves_the_same_bytes(tmp_path: Path) -> None:
    made = {"fixed": fixed, "constrained": constrained}
    for name, draw in made.items():
        drawn.keep(tmp_path / name, draw(), {})
        pages.save_page(draw(), tmp_path / f"{name} here.pdf")
    drawn.join({name: tmp_path / name for name in made}, tmp_path / "all.zip")
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", SAVE, tmp_path / "all.zip", tmp_path], env=environ, check=True)
    for name in made:
        assert (tmp_path / f"{name} there.pdf").read_bytes() == (tmp_path / f"{name} here.pdf").read_bytes(), name


def test_what_a_figure_shows_and_names_is_kept(tmp_path: Path) -> None:
    named = {"ecal": {"edges": np.arange(3.0)}, "common": {"level": 3}}
    drawn.keep(tmp_path / "V01", fixed(), named)
    drawn.join({"V01": tmp_path / "V01"}, tmp_path / "all.zip")
    assert drawn.names(tmp_path / "all.zip") == ["V01"]
    found = drawn.drawn(tmp_path / "all.zip", "V01")
    np.testing.assert_equal(plotdata.drawn(found.figure), plotdata.drawn(fixed()))
    np.testing.assert_equal(found.named, named)


def test_the_same_files_make_the_same_archive(tmp_path: Path) -> None:
    drawn.keep(tmp_path / "V01", fixed(), {})
    for target in ("one.zip", "other.zip"):
        drawn.join({"V01": tmp_path / "V01"}, tmp_path / target)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()


def test_a_function_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    figure = fixed()
    figure.axes[0].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    with pytest.raises(WorkFailed, match="its figure cannot be kept, functions in it must stand at the top of"):
        drawn.keep(tmp_path / "V01", figure, {})


@pytest.mark.parametrize(
    "content", [None, b"no pickle", gzip.compress(b"no pickle"), gzip.compress(pickle.dumps("no figure"))]
)
def test_what_cannot_be_read_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "all.zip"
    with ZipFile(path, "w") as archive:
        if content is not None:
            archive.writestr(f"V01{drawn.ENDING}", content)
    with pytest.raises(WorkFailed, match="the figures in all.zip cannot be read") as refused:
        drawn.drawn(path, "V01")
    assert "remove the file" in refused.value.hint


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.zip", tmp_path / "broken.zip"):
        (tmp_path / "broken.zip").write_bytes(b"PK")
        with pytest.raises(WorkFailed, match=f"the figures in {path.name} cannot be read"):
            drawn.names(path)


def test_no_setting_of_an_earlier_figure_is_left(tmp_path: Path) -> None:
    """Pages of both kinds in turns: each is saved with the settings that it was drawn with."""
    pages.save_page(fixed(), tmp_path / "alone.pdf")
    first = fixed()
    constrained()
    assert mpl.rcParams["axes.titley"] is None
    pages.save_page(first, tmp_path / "after.pdf")
    assert (tmp_path / "after.pdf").read_bytes() == (tmp_path / "alone.pdf").read_bytes()


def test_figures_of_all_steps_with_pages_are_jobs_of_their_own() -> None:
    names = {step.name for step in STEPS}
    drawing = {step.name for step in STEPS if DRAWN in step.outputs}
    assert len(drawing) == 14
    apart = {"plt_dsp_svm", "plt_pht_qc", "plt_pht_partcal", "plt_pht_aoe", "plt_pht_lq"}
    figures = [step for step in STEPS if step.name.startswith("plt_")]
    assert {step.name for step in figures} == {"plt_dsp", "plt_hit", "plt_pht", *apart}
    assert {role for step in figures for role in step.outputs} == {*drawing, DATA}
    assert drawing <= names


@pytest.fixture
def cycle(gebox_data: Path, tmp_path: Path) -> SmallCycle:
    """The decay constants of a run."""
    made = cycle_around(gebox_data, tmp_path / "cycle", CAL)
    made.recorded(*((step, CAL) for step in ("tier_raw", "tier_tcm", "par_tcm_pulser", "par_dsp_pz")))
    return made


def outputs(cycle: SmallCycle, step: str) -> Any:
    return open_cycle(cycle.config).job(step, CAL).outputs


def test_a_figure_that_cannot_be_saved_is_a_page_with_the_reason(cycle: SmallCycle) -> None:
    path = outputs(cycle, "par_dsp_pz")[DRAWN]
    detectors = drawn.names(path)
    before = outputs(cycle, "par_dsp_pz")["par"].read_bytes()
    broken = next(name for name, entry in yaml.safe_load(before).items() if "status" not in entry)
    with ZipFile(path) as archive:
        kept = {name: archive.read(f"{name}{drawn.ENDING}") for name in detectors}
    kept[broken] = b"broken"
    with ZipFile(path, "w") as archive:
        for name, content in kept.items():
            archive.writestr(f"{name}{drawn.ENDING}", content)
    without_others(open_cycle(cycle.config).job("plt_dsp", CAL))
    assert main(["plt_dsp", "--config", str(cycle.config), "--key", CAL, "--threads", "2"]) == 0
    found = outputs(cycle, "plt_dsp")
    document = PdfReader(found["par_dsp_pz"])
    texts = [page.extract_text() for page in document.pages]
    assert [item["/Title"] for item in document.outline] == detectors  # type: ignore[index, call-overload]
    assert len(texts) == len(detectors) > 2
    assert all(name in text for name, text in zip(detectors, texts, strict=True))
    told = f"{broken}: the figure of par_dsp_pz cannot be saved"
    assert [told in text for text in texts] == [name == broken for name in detectors]
    noted = open_cycle(cycle.config).lineages.records.notes(found["par_dsp_pz"])["channels"]
    assert set(noted) == {broken}
    assert noted[broken]["step"] == "plt_dsp"
    assert outputs(cycle, "par_dsp_pz")["par"].read_bytes() == before
    with h5py.File(found["data"]) as file:
        assert set(file) == set(detectors) - {broken}


def test_a_change_of_a_figure_makes_no_calibration_again() -> None:
    """Neither ``figure.py`` nor what saves pages is counted; see tests/lineage for the rest."""
    from dataflow.provenance.code import list_of

    module = figure_of_pz.__name__.removeprefix("dataflow.")
    assert {list_of(each) for each in (module, "jobs.drawn", "jobs.pages")} == {"not counted"}


def test_figures_need_no_data(cycle: SmallCycle) -> None:
    """They are drawn; the files of the run may be gone."""
    before = outputs(cycle, "par_dsp_pz")["par"].read_bytes()
    job = without_others(open_cycle(cycle.config).job("plt_dsp", CAL))
    for path in (cycle.folder / "generated/tier").rglob("*.lh5"):
        path.unlink()
    run(job)
    assert len(PdfReader(job.outputs["par_dsp_pz"]).pages) == len(drawn.names(outputs(cycle, "par_dsp_pz")[DRAWN]))
    assert outputs(cycle, "par_dsp_pz")["par"].read_bytes() == before
