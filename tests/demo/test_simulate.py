"""Simulating: the same bytes again, whatever the number of processes; nothing half-written; the truth beside."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from gebox import training
from gebox.acquisition import record
from gebox.cli import main
from gebox.experiment import Experiment, build, load
from gebox.metadata import write_tree
from gebox.metadata.datasets import ignored
from gebox.metadata.tree import samples
from gebox.readout import events
from gebox.simulate import simulate
from gebox.truth import TABLE, Kind, file_path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_two_processes_write_the_same_as_one(small: Experiment, simulated: Path, tmp_path: Path) -> None:
    simulate(small, tmp_path / "daq", tmp_path / "truth", jobs=2)
    ours, theirs = content(tmp_path), content(simulated)
    assert ours.keys() == theirs.keys()
    for name in ours:
        if name.endswith(".lh5"):  # HDF5 promises what a file holds, and not each of its bytes
            assert values(tmp_path / name) == values(simulated / name)
        else:
            assert ours[name] == theirs[name], name


def values(path: Path) -> dict[str, tuple[bytes, str, str]]:
    """The data of all datasets, and all attributes, by name."""
    found: dict[str, tuple[bytes, str, str]] = {}

    def look(name: str, node: h5py.Group | h5py.Dataset) -> None:
        data = node[()] if isinstance(node, h5py.Dataset) else np.zeros(0)
        found[name] = np.asarray(data).tobytes(), str(data.dtype), str(sorted(node.attrs.items()))

    with h5py.File(path) as file:
        file.visititems(look)
    assert found
    return found


def test_what_is_there_is_not_made_again(small: Experiment, simulated: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in simulated.rglob("*") if path.is_file()}
    done = simulate(small, simulated / "daq", simulated / "truth")
    assert (done.written, done.skipped) == (0, len(small.files))
    assert before == {path: path.stat().st_mtime_ns for path in simulated.rglob("*") if path.is_file()}


def test_a_missing_file_is_made_again_as_it_was(small: Experiment, tmp_path: Path) -> None:
    simulate(small, tmp_path / "daq", tmp_path / "truth", only="phy")
    first = sorted((tmp_path / "daq").rglob("*.fcio"))[0]
    bytes_before = first.read_bytes()
    first.unlink()
    assert simulate(small, tmp_path / "daq", tmp_path / "truth", only="phy").written == 1
    assert first.read_bytes() == bytes_before


def test_nothing_is_left_when_the_disk_says_no(
    small: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gebox.simulate.record", full_disk)
    with pytest.raises(OSError, match="No space"):
        simulate(small, tmp_path / "daq", tmp_path / "truth")
    assert [path for path in (tmp_path / "daq").rglob("*") if path.is_file()] == []


def test_the_truth_has_a_row_for_every_event(small: Experiment, simulated: Path) -> None:
    for file in small.files:
        with h5py.File(file_path(simulated / "truth", file)) as truth:
            table = truth[TABLE]
            assert table.attrs["datatype"].startswith("table{")
            times = table["timestamp"][:]
            assert np.all(np.diff(times) > 0)
            for name in ("hit_rawid", "site_energy", "photoelectrons"):
                ends = table[name]["cumulative_length"][:]
                assert len(ends) == len(times)
                assert ends[-1] == len(table[name]["flattened_data"])


def test_lh5_reads_the_truth(small: Experiment, simulated: Path) -> None:
    lh5 = pytest.importorskip("lh5")
    table = lh5.read(TABLE, str(file_path(simulated / "truth", small.files[0])))
    assert len(table["timestamp"]) == len(table["hit_energy"])
    assert table["hit_energy"].flattened_data.attrs["units"] == "keV"


def test_the_yaml_of_a_run_has_every_constant(small: Experiment, simulated: Path) -> None:
    truth = yaml.safe_load((simulated / "truth" / "l200-p03-r000-truth.yaml").read_text())
    assert truth["seed"] == small.seed
    for detector in small.layout.detectors:
        entry = truth["detectors"][detector.name]
        true = small.constants(detector, small.files[0])
        assert (entry["gain"], entry["tau"]) == (true.gain, true.tau)
        assert entry["calibration"]["traces"] > 20
        assert entry["resolution"]["fwhm_2039"] == pytest.approx(2.2, abs=0.4)


def test_energy_of_sites_adds_up_to_that_of_hits(small: Experiment, simulated: Path) -> None:
    with h5py.File(file_path(simulated / "truth", small.files[0])) as truth:
        table = truth[TABLE]
        hits = table["hit_energy"]["flattened_data"][:][table["hit_kind"]["flattened_data"][:] != Kind.PULSER]
        sites = table["site_energy"]["flattened_data"][:]
    assert hits.sum() == pytest.approx(sites.sum(), rel=1e-5)


def test_the_truth_of_a_pile_up_has_both_pulses() -> None:
    experiment = build(seed=2)
    first = next(file for file in experiment.files if file.datatype == "cal")
    seen = 0
    for triggered in events(experiment, replace(first, events=3000)):
        for hit in triggered.happening.hits:
            if hit.kind is Kind.PILE_UP:
                seen += 1
                assert hit.second_charge > 0
                assert hit.second_start > hit.start + 1000
    assert seen > 3


def test_ignored_files_do_not_count(tmp_path: Path) -> None:
    experiment = build(seed=2, preset="full", scale=0.01)
    simulate(experiment, tmp_path / "daq", tmp_path / "truth", only="r001-cal")
    truth = yaml.safe_load((tmp_path / "truth" / "l200-p03-r001-truth.yaml").read_text())
    first, second = (
        file for file in experiment.files if (file.period, file.run, file.datatype) == ("p03", "r001", "cal")
    )
    assert second.key in ignored(experiment)["unprocessable"]
    with h5py.File(file_path(tmp_path / "truth", first)) as table:
        rawids = table[TABLE]["hit_rawid"]["flattened_data"][:]
    counted = {name: entry["calibration"]["traces"] for name, entry in truth["detectors"].items()}
    assert counted["V01001A"] == int((rawids == 1104000).sum())


def test_every_class_of_event_occurs() -> None:
    experiment = build(seed=2, preset="full")
    counts: Counter[Kind] = Counter()
    for datatype, number in (("cal", 6000), ("phy", 300), ("lar", 30), ("fft", 30)):
        first = next(file for file in experiment.files if file.datatype == datatype)
        for triggered in events(experiment, replace(first, events=number)):
            counts[triggered.happening.source] += 1
            counts.update(hit.kind for hit in triggered.happening.hits)
    assert {kind for kind in Kind if counts[kind] == 0} == set()


def test_pulser_events_reach_every_detector_and_the_pulser_channel(small: Experiment) -> None:
    first = next(file for file in small.files if file.datatype == "cal")
    order = [address.rawid for address in small.layout.tracemap]
    pulser = order.index(next(a for a in small.layout.auxiliaries if a.system == "puls").address.rawid)
    germanium = {order.index(d.address.rawid) for d in small.layout.detectors}
    seen = 0
    for triggered in events(small, replace(first, events=20)):
        if triggered.happening.source is Kind.PULSER:
            seen += 1
            assert set(triggered.channels) == germanium | {pulser}
            height = int(triggered.rows[pulser, 4:].max()) - int(triggered.rows[pulser, 2])
            assert height == pytest.approx(22_000, rel=0.02)
    assert seen == first.duration // 20


def test_cross_talk_appears_in_the_target() -> None:
    experiment = build(seed=4, preset="full")
    first = next(file for file in experiment.files if file.datatype == "phy")
    pair = experiment.layout.crosstalk[0]
    order = [address.rawid for address in experiment.layout.tracemap]
    by_name = {d.name: order.index(d.address.rawid) for d in experiment.layout.detectors}
    names = [d.name for d in experiment.layout.detectors]
    shares = []
    for triggered in events(experiment, replace(first, events=600)):
        struck = {names[hit.detector]: hit for hit in triggered.happening.hits}
        if set(struck) == {pair.source} and struck[pair.source].kind in {Kind.SINGLE, Kind.MULTI, Kind.ALPHA}:
            source, target = (_step(triggered.rows[by_name[name], 4:]) for name in (pair.source, pair.target))
            if source > 3000:
                shares.append(target / source)
    assert np.mean(shares) == pytest.approx(pair.coefficient, abs=4e-4)


def _step(trace: np.ndarray) -> float:
    samples = trace.astype(float)
    return float(samples[1950:2400].mean() - samples[1300:1750].mean())


def test_light_comes_with_energy_in_argon() -> None:
    experiment = build(seed=5, preset="full")
    first = next(file for file in experiment.files if file.datatype == "lar")
    dark, bright = [], []
    for triggered in events(experiment, replace(first, events=120)):
        found = sum(triggered.photoelectrons.values())
        (bright if triggered.happening.argon > 1000 else dark if triggered.happening.argon == 0 else []).append(found)
    assert np.mean(bright) > 10
    assert max(dark) == 0


def test_memory_does_not_grow_with_the_file(small: Experiment) -> None:
    class Nowhere:
        def write(self, data: bytes) -> int:
            return len(data)

    first = next(file for file in small.files if file.datatype == "cal")
    truth = record(small, replace(first, events=300), Nowhere())  # type: ignore[arg-type]
    assert len(truth) > 250


def test_the_commands_work_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = {name: str(tmp_path / name) for name in ("metadata", "daq", "truth", "png")}
    assert main(["metadata", "--out", folders["metadata"], "--scale", "0.005"]) == 0
    places = ["--metadata", folders["metadata"], "--daq", folders["daq"], "--truth", folders["truth"]]
    assert main(["simulate", *places]) == 0
    assert "6 DAQ files written" in capsys.readouterr().out
    assert main(["simulate", *places]) == 0
    assert "0 DAQ files written, 6 were there already" in capsys.readouterr().out
    assert main(["draw", "--metadata", folders["metadata"], "--out", folders["png"], "--events", "150"]) == 0
    pictures = sorted(path.name for path in (tmp_path / "png").iterdir())
    assert pictures == ["aoe.png", "edges.png", "spectra.png", "waveforms.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["metadata", "--out", "x", "--scale", "-1"], "scale of -1"),
        (["simulate", "--metadata", "nowhere", "--daq", "d", "--truth", "t"], "it has no experiment.yaml"),
        (["check", "nowhere"], "there is no folder nowhere"),
        (["corrupt", "nowhere", "there"], "there is no file nowhere"),
    ],
)
def test_slips_are_one_sentence(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert not (tmp_path / "x").exists()


def test_a_key_that_is_not_there_is_refused(small: Experiment, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no DAQ file of this experiment"):
        simulate(small, tmp_path / "daq", tmp_path / "truth", only="p99")


def test_the_share_of_chosen_double_escapes_is_kept_and_told(tmp_path: Path) -> None:
    assert main(["metadata", "--out", str(tmp_path / "inputs"), "--scale", "0.02", "--escapes", "0.25"]) == 0
    assert yaml.safe_load((tmp_path / "inputs/experiment.yaml").read_text())["escapes"] == 0.25
    experiment = load(tmp_path / "inputs")
    assert {file.escapes for file in experiment.files if file.datatype == "phy"} == {0.0}
    file = next(file for file in experiment.files if file.datatype == "cal")
    found = [hit.energy for each in events(experiment, replace(file, events=400)) for hit in each.happening.hits]
    number = np.count_nonzero(np.abs(np.array(found) - 1592.513) < 0.01)
    assert number == pytest.approx(100, abs=4 * (400 * 0.25 * 0.75) ** 0.5)


def test_labelled_traces_that_the_metadata_name_are_written_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {use: (sample, 6, 2) for use, (sample, _, _) in training.SIZES.items()}
    monkeypatch.setattr(training, "SIZES", sizes)
    inputs = tmp_path / "inputs"
    assert main(["metadata", "--out", str(inputs), "--scale", "0.005", "--training"]) == 0
    words = ["simulate", "--metadata", str(inputs), "--daq", str(tmp_path / "daq"), "--truth", str(tmp_path / "truth")]
    assert main([*words, "--only", "r000-phy"]) == 0
    paths = list(samples(inputs).values())
    said = capsys.readouterr().out
    assert [f"labelled traces written: {path}" in said for path in paths] == [True, True]
    labels, traces = [], []
    for path in paths:
        with h5py.File(path) as file:
            labels.append(sorted(file["ml_train/raw/dc_label"][:].tolist()))
            traces.append({row.tobytes() for row in file["ml_train/raw/waveform/values"][:]})
    assert labels == [[0] * 6 + [number for number in range(1, 7) for _ in range(2)]] * 2
    assert traces[0].isdisjoint(traces[1])
    before = [path.stat().st_mtime_ns for path in paths]
    assert main([*words, "--only", "r000-phy"]) == 0
    assert [path.stat().st_mtime_ns for path in paths] == before
    assert "labelled traces" not in capsys.readouterr().out


def test_without_training_no_labelled_traces_are_named_or_written(small: Experiment, tmp_path: Path) -> None:
    write_tree(small, tmp_path)
    assert training.write_samples(small, tmp_path) == []
    assert not list(tmp_path.rglob("*svm*"))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [(["--escapes", "1.5"], "a share of 1.5"), (["--escapes", "0.1", "--source", "Co60"], "Co60 has no double")],
)
def test_impossible_double_escapes_are_refused(
    more: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["metadata", "--out", str(tmp_path / "inputs"), *more]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "inputs").exists()
