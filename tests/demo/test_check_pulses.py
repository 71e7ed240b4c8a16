"""Quality cuts, A/E and late charge of every pulse beside the truth: what is kept, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from gebox import checkpulses
from gebox.check import Residual
from gebox.demand import Demand, together
from gebox.experiment import Experiment, build
from gebox.experiment.build import save
from gebox.labels import label_for
from gebox.report import columns_of, shape_rows
from gebox.simulate import daq_path, write_file
from gebox.summary import CLEAN, DEP
from gebox.truth import TABLE, Kind, file_path

GOOD = (Kind.SINGLE, Kind.MULTI, Kind.SURFACE, Kind.PILE_UP)


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    """Half of whose calibration events are double escapes."""
    return build(seed=11, scale=0.1, escapes=0.5)


@pytest.fixture(scope="module")
def simulated(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Metadata, and the truth of one file."""
    folder = tmp_path_factory.mktemp("pulses")
    (folder / "inputs").mkdir()
    save(experiment, folder / "inputs")
    (folder / "truth").mkdir()
    (folder / "truth/l200-p03-r000-truth.yaml").touch()
    file = next(each for each in experiment.files if each.datatype == "cal")
    write_file(experiment, folder / "daq", folder / "truth", replace(file, events=2500))
    assert daq_path(folder / "daq", file).is_file()
    return folder


@pytest.fixture
def cycle(experiment: Experiment, simulated: Path, tmp_path: Path) -> Path:
    """A cycle with perfect cuts."""
    (tmp_path / "inputs").symlink_to(simulated / "inputs")
    (tmp_path / "truth").symlink_to(simulated / "truth")
    file = next(each for each in experiment.files if each.datatype == "cal")
    target = tmp_path / f"generated/tier/hit/{file.stem}-tier_hit.lh5"
    target.parent.mkdir(parents=True)
    with h5py.File(file_path(simulated / "truth", file)) as known, h5py.File(target, "w") as hits:
        for detector in experiment.layout.detectors:
            _write(known[TABLE], hits, detector.address.rawid)
    return tmp_path


def _write(true: h5py.Group, hits: h5py.File, rawid: int) -> None:
    ends = true["hit_rawid/cumulative_length"][:].astype(int)
    mine = true["hit_rawid/flattened_data"][:] == rawid
    event = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))[mine]
    kind, energy, current, late = (
        true[f"hit_{name}/flattened_data"][:][mine] for name in ("kind", "energy", "current", "late")
    )
    escape = np.isin(kind, CLEAN) & (np.abs(energy - DEP) < 0.01)
    table = hits.create_group(f"ch{rawid:07d}/hit")
    table["timestamp"] = true["timestamp"][:][event]
    table["is_valid_0vbb"] = np.isin(kind, GOOD).astype(np.uint8)
    table["AoE_Low_Cut"] = (current >= np.quantile(current[escape], 0.1)).astype(np.uint8)
    middle, spread = _spread(late[escape])
    table["LQ_Cut"] = (late < middle + 10 * spread).astype(np.uint8)


def _spread(values: NDArray[Any]) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))


def edit(cycle: Path, change: Callable[[h5py.Group], None], only: str = "") -> None:
    with h5py.File(next(cycle.rglob("*-tier_hit.lh5")), "a") as file:
        for name in file:
            if only in name:
                change(file[f"{name}/hit"])


def test_perfect_cuts_are_what_is_demanded(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = checkpulses.compare(cycle)
    assert checkpulses.report(found) == 0
    lines = {(each.cut, each.pulses): each for each in together(found.values())}
    single, escapes = lines["quality", "single-site"], lines["A/E", "1592.5 keV"]
    assert single.total > 800 and single.share == 1
    assert escapes.total > 700 and escapes.share == pytest.approx(0.9, abs=0.01)
    assert lines["late charge", "prompt"].share == 1 and lines["late charge", "late"].share == 0
    assert lines["late charge", "late"].total > 100
    said = capsys.readouterr().out
    assert "at least 99 %" in said and "90.0 +- 2.0 %" in said and "!" not in said


def _drops_good(hits: h5py.Group) -> None:
    hits["is_valid_0vbb"][: len(hits["timestamp"]) // 20] = 0


def _keeps_all(hits: h5py.Group) -> None:
    hits["is_valid_0vbb"][:] = 1


def _too_strict(hits: h5py.Group) -> None:
    hits["AoE_Low_Cut"][::8] = 0


def _too_loose(hits: h5py.Group) -> None:
    hits["AoE_Low_Cut"][:] = 1


def _late_kept(hits: h5py.Group) -> None:
    hits["LQ_Cut"][:] = 1


def _prompt_lost(hits: h5py.Group) -> None:
    hits["LQ_Cut"][::20] = 0


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (_drops_good, {("quality", "single-site"), ("quality", "multi-site")}),
        (_keeps_all, {("quality", "pre-trigger, visible")}),
        (_too_strict, {("A/E", "1592.5 keV")}),
        (_too_loose, {("A/E", "1592.5 keV"), ("A/E", "2614.5 keV")}),
        (_late_kept, {("late charge", "late")}),
        (_prompt_lost, {("late charge", "prompt")}),
    ],
)
def test_each_cut_that_is_wrong_is_found(
    cycle: Path, change: Callable[[h5py.Group], None], wrong: set[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    edit(cycle, change)
    found = checkpulses.compare(cycle)
    assert checkpulses.report(found) == 1
    assert "sigma !" in capsys.readouterr().out
    assert wrong <= {(each.cut, each.pulses) for each in together(found.values()) if each.excess > 3}


def labelled(cycle: Path, wrong: Callable[[NDArray[np.float64]], None] = lambda _: None) -> None:
    """Give all detectors the labels of a machine that knows all classes but bursts, made wrong afterwards."""
    hits = next(cycle.rglob("*-tier_hit.lh5"))
    truth = next((cycle / "truth").rglob("*-cal-*-truth.lh5"))
    dsp = Path(str(hits).replace("/hit/", "/dsp/").replace("tier_hit", "tier_dsp"))
    dsp.parent.mkdir(parents=True)
    of_kind = {kind: float(label_for(kind) or 0) for kind in Kind} | {Kind.BURST: 0.0}
    with h5py.File(hits) as file, h5py.File(truth) as known, h5py.File(dsp, "w") as written:
        rawid, kind = (known[f"{TABLE}/hit_{name}/flattened_data"][:] for name in ("rawid", "kind"))
        for name in file:
            labels = np.array([of_kind[Kind(each)] for each in kind[rawid == int(name[2:])]])
            wrong(labels)
            written.create_dataset(f"{name}/dsp/svm_label", data=labels)


def trained(cycle: Path) -> None:
    """Let the labels of a machine be a part of the cycle's experiment."""
    record = (cycle / "inputs/experiment.yaml").read_text()
    (cycle / "inputs").unlink()
    (cycle / "inputs").mkdir()
    (cycle / "inputs/experiment.yaml").write_text(f"{record}training: true\n")


def test_labels_of_a_machine_that_are_right_are_counted(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labelled(cycle)
    found = checkpulses.compare(cycle)
    assert checkpulses.report(found) == 0
    lines = {(each.cut, each.pulses): each for each in together(found.values())}
    assert lines["svm", "single-site"].total == lines["quality", "single-site"].total
    assert (lines["svm", "single-site"].share, lines["svm", "discharge"].share) == (1, 0)
    assert lines["svm", "burst"].share == 1 and lines["svm", "burst"].words == ""
    called = {pulses: line.share for (cut, pulses), line in lines.items() if cut == "svm label"}
    names = ("discharge", "negative", "forced", "pile-up, in the trace", "pre-trigger, in the trace")
    assert called == dict.fromkeys(names, 1)
    parts = [lines["svm", f"pre-trigger, {which}"].total for which in ("in the trace", "others")]
    early = [lines["quality", f"pre-trigger, {which}"].total for which in ("visible", "below 100 keV")]
    assert sum(parts) == sum(early) and min(parts) > 0
    assert "svm          discharge" in capsys.readouterr().out


def test_the_table_tells_what_labels_keep_of_each_detector(cycle: Path) -> None:
    labelled(cycle, _some_good)
    kept = checkpulses.compare(cycle)
    truth = [Residual("p03", "r000", detector, "tau", 1, 1, 1, 0, "us") for _, detector in kept]
    assert [column[0] for column in columns_of(truth, kept)][-2:] == ["SVM good", "SVM bad"]
    rows = shape_rows(truth, kept)
    assert len(rows) == 4
    for row in rows:
        assert 40 < float(row[-2].removesuffix(" %")) < 60  # every second one
        assert row[-1] == "0.0 %"


def _some_good(labels: NDArray[np.float64]) -> None:
    labels[np.flatnonzero(labels == 0)[::2]] = 3


def _shifted(labels: NDArray[np.float64]) -> None:
    labels[:] = np.roll(labels, 1)


def _all_good(labels: NDArray[np.float64]) -> None:
    labels[:] = 0


def _called_otherwise(labels: NDArray[np.float64]) -> None:
    labels[labels == 6] = 5
    labels[labels == 2] = 1


def _gaps(labels: NDArray[np.float64]) -> None:
    labels[:10] = np.nan


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (_shifted, ("svm", "single-site")),
        (_some_good, ("svm", "surface")),
        (_all_good, ("svm", "forced")),
        (_all_good, ("svm", "pre-trigger, in the trace")),
        (_called_otherwise, ("svm label", "forced")),
        (_called_otherwise, ("svm label", "pre-trigger, in the trace")),
        (_gaps, ("svm", "labelled")),
    ],
)
def test_labels_of_a_machine_that_are_wrong_are_found(
    cycle: Path, wrong: Callable[[NDArray[np.float64]], None], where: tuple[str, str]
) -> None:
    labelled(cycle, wrong)
    found = checkpulses.compare(cycle)
    assert checkpulses.report(found) == 1
    assert where in {(each.cut, each.pulses) for each in together(found.values()) if each.excess > 3}


def _none(labels: NDArray[np.float64]) -> None:
    labels[:] = np.nan


def test_labels_that_are_all_missing_are_of_no_machine(cycle: Path) -> None:
    labelled(cycle, _none)
    assert "svm" not in {each.cut for each in together(checkpulses.compare(cycle).values())}


def test_labels_that_the_experiment_trains_may_not_be_missing(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(cycle)
    labelled(cycle, _none)
    found = checkpulses.compare(cycle)
    assert checkpulses.report(found) == 1
    assert "V01001A in p03 r000: the cut on svm keeps 0.00 % of labelled pulses" in capsys.readouterr().out


def test_one_wrong_detector_is_named(cycle: Path, experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    first = experiment.layout.detectors[0]
    edit(cycle, _drops_good, only=str(first.address.rawid))
    assert checkpulses.report(checkpulses.compare(cycle)) == 1
    said = capsys.readouterr().out
    assert f"{first.name} in p03 r000: the cut on quality keeps 9" in said


def test_cuts_that_are_not_there_are_not_demanded(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def bare(hits: h5py.Group) -> None:
        del hits["AoE_Low_Cut"], hits["LQ_Cut"]

    edit(cycle, bare)
    found = checkpulses.compare(cycle)
    assert {each.cut for each in together(found.values())} == {"quality"}
    assert checkpulses.report(found) == 0
    assert "the cut on A/E is not compared" in capsys.readouterr().out


def test_without_hits_nothing_is_said(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next(cycle.rglob("*-tier_hit.lh5")).unlink()
    assert checkpulses.report(checkpulses.compare(cycle)) == 0
    assert capsys.readouterr().out == ""


def test_few_pulses_prove_nothing() -> None:
    """One of two rejected is no proof of less than 99 %; ten of a thousand are none either, 30 are one."""
    assert Demand("quality", "single-site", 1, 2, least=0.99).excess < 3
    assert Demand("quality", "single-site", 990, 1000, least=0.99).excess == 0
    assert Demand("quality", "single-site", 970, 1000, least=0.99).excess > 3
    assert Demand("quality", "burst", 1, 1, most=0.01).excess < 3
    assert Demand("quality", "burst", 9, 50, most=0.01).excess > 3
    assert Demand("quality", "pile-up", 1, 10).excess == 0
