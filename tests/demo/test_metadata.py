"""The metadata tree is what the collaboration's readers expect, and follows from the seed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gebox.cli import main
from gebox.experiment import Experiment, build
from gebox.metadata import write_tree
from gebox.metadata.hardware import mass
from gebox.metadata.tree import tree


@pytest.fixture(scope="module")
def full() -> Experiment:
    """All detectors and datatypes."""
    return build(seed=11, preset="full")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, full: Experiment) -> None:
    write_tree(full, tmp_path / "a")
    write_tree(build(seed=11, preset="full"), tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_another_seed_gives_other_constants() -> None:
    one, two = build(seed=1), build(seed=2)
    detector = one.layout.detectors[0]
    assert one.constants(detector, one.files[0]).gain != two.constants(detector, two.files[0]).gain


def test_writing_metadata_needs_no_numpy(repository: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from gebox.cli import main\n"
        f"assert main(['metadata', '--out', {str(tmp_path)!r}]) == 0\n"
        "assert not {'numpy', 'numba', 'h5py'} & set(sys.modules)\n"
    )
    path = str(repository / "demo" / "src")
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": path}, capture_output=True)


def test_legendmeta_and_dbetto_read_the_tree(tmp_path: Path, full: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METADATA_NO_GIT_REPO", "1")
    legendmeta = pytest.importorskip("legendmeta")
    write_tree(full, tmp_path)
    metadata = legendmeta.LegendMetadata(tmp_path)
    for file in full.files:
        stamp = file.key.rsplit("-", 1)[1]
        channels = metadata.channelmap(stamp, category=file.datatype)
        names = {d.name for d in full.layout.detectors} | {a.name for a in full.layout.auxiliaries}
        assert set(channels) == names
        assert channels.V01001A.daq.rawid == 1104000
        assert channels.V01001A.type == "icpc"
        assert channels.V01003A.analysis.processable is False
        assert channels.B02002B.analysis.usability == "ac"
    assert metadata.datasets.runinfo.p03.r000.cal.start_key == full.files[0].key.rsplit("-", 1)[1]
    assert set(metadata.hardware.detectors.germanium.diodes) == {d.name for d in full.layout.detectors}


def test_what_the_experiment_must_have_is_there(full: Experiment) -> None:
    found = tree(full)
    statuses = found["datasets/statuses/l200-p03-r%-T%-all-config.yaml"]
    assert [name for name, entry in statuses.items() if not entry["processable"]] == ["V01003A"]
    assert [name for name, entry in statuses.items() if entry["usability"] == "ac"] == ["B02002B"]
    assert statuses["C04001A"]["psd"]["status"]["low_aoe"] == "missing"
    assert {file.datatype for file in full.files} == {"cal", "phy", "fft", "pzc", "lar"}
    assert len({(f.period, f.run) for f in full.files if f.datatype == "cal"}) >= 5
    assert {f.period for f in full.files} == {"p03", "p04"}
    ignored = found["datasets/ignored_daq_cycles.yaml"]
    assert len(ignored["unprocessable"] + ignored["removed"]) == 2
    assert set(ignored["unprocessable"] + ignored["removed"]) <= {file.key for file in full.files}
    assert len(found["datasets/cal_groupings.yaml"]) == 2
    assert found["datasets/run_override.yaml"]
    assert len(found["dataprod/overrides/dsp/validity.yaml"]) == 3
    kinds = {detector.kind for detector in full.layout.detectors}
    assert kinds == {"icpc", "bege", "ppc", "coax"}
    assert sum(a.system == "spms" for a in full.layout.auxiliaries) == 4


def test_a_machine_that_labels_traces_is_configured_where_it_is_asked_for() -> None:
    plain, asked = tree(build(seed=11)), tree(build(seed=11, training=True))
    name = "dataprod/config/l200-all-config.yaml"
    assert plain[name] == {}
    rules = asked[name]["snakemake_rules"]
    assert set(rules) == {"pars_dsp_svm", "pars_hit_qc", "tier_hit"}
    named = [path for rule in rules.values() for entry in rule["inputs"].values() for path in entry.values()]
    assert {f"dataprod/config/{path}" for path in named} == asked.keys() - plain.keys()
    assert asked["dataprod/config/svm/l200-svm-config.yaml"]["training_data"] == "$_/l200-svm-train.lh5"


def test_a_source_and_a_machine_are_configured_together() -> None:
    rules = tree(build(source="Co60", training=True))["dataprod/config/l200-all-config.yaml"]["snakemake_rules"]
    assert {"pars_hit_ecal", "pars_dsp_peak_selection", "pars_dsp_svm"} < rules.keys()


def test_constants_drift_and_jump_where_they_should(full: Experiment) -> None:
    by_name = {detector.name: detector for detector in full.layout.detectors}
    first = {run: files[0] for run, files in full.runs().items()}
    jumping = [full.constants(by_name["V01002B"], file).gain for file in first.values()]
    assert jumping[2] / jumping[1] == pytest.approx(0.985, abs=0.002)
    assert jumping[1] / jumping[0] == pytest.approx(1.0, abs=0.002)
    changing = [full.constants(by_name["P03001A"], file).tau for file in first.values()]
    assert changing[3] / changing[2] == pytest.approx(0.72, abs=0.01)
    steady = [full.constants(by_name["V01001A"], file).gain for file in first.values()]
    assert len(set(steady)) == len(steady)
    assert max(steady) / min(steady) < 1.002


def test_raw_ids_are_unique_and_follow_the_address(full: Experiment) -> None:
    channels = tree(full)["hardware/configuration/channelmaps/l200-p03-r%-T%-all-config.yaml"]
    rawids = [entry["daq"]["rawid"] for entry in channels.values()]
    assert len(set(rawids)) == len(rawids)
    for entry in channels.values():
        daq = entry["daq"]
        assert daq["rawid"] == daq["fcid"] * 1_000_000 + int(daq["card"]["address"], 16) * 100 + daq["channel"]


def test_detectors_weigh_what_such_detectors_weigh(full: Experiment) -> None:
    # GERDA and LEGEND: BEGe 0.5 to 0.8 kg, inverted coaxial 1.5 to 4 kg, PPC 0.5 to 1.2 kg, semi-coaxial 2 to 3 kg
    limits = {"bege": (500, 850), "icpc": (1500, 4000), "ppc": (500, 1200), "coax": (1700, 3100)}
    for detector in full.layout.detectors:
        low, high = limits[detector.kind]
        assert low < mass(detector) < high


def test_detectors_do_not_overlap(full: Experiment) -> None:
    for experiment in (full, build()):
        for one in experiment.layout.detectors:
            for two in experiment.layout.detectors:
                apart = ((one.x - two.x) ** 2 + (one.y - two.y) ** 2) ** 0.5
                beside = apart > one.geometry.radius + two.geometry.radius
                above = one.z >= two.z + two.geometry.height or two.z >= one.z + one.geometry.height
                assert one is two or beside or above


def test_files_of_a_run_follow_each_other_by_the_hour(full: Experiment) -> None:
    for files in full.runs().values():
        for datatype in {file.datatype for file in files}:
            same = [file for file in files if file.datatype == datatype]
            for one, two in zip(same, same[1:], strict=False):
                assert two.start - one.start == 3600
                assert one.duration <= 3600


def test_keys_are_those_of_the_collaboration(full: Experiment) -> None:
    for file in full.files:
        experiment, period, run, datatype, stamp = file.key.split("-")
        assert (experiment, period, run, datatype) == ("l200", file.period, file.run, file.datatype)
        assert len(stamp) == 16


def test_the_tree_is_safe_yaml(tmp_path: Path, full: Experiment) -> None:
    write_tree(full, tmp_path)
    for path in tmp_path.rglob("*.yaml"):
        assert yaml.safe_load(path.read_text()) is not None


@pytest.mark.parametrize("preset", ["small", "full"])
def test_nothing_of_it_is_without_effect(tmp_path: Path, preset: str) -> None:
    from dataflow.plan import open_cycle
    from dataflow.plan.noeffect import findings

    experiment = build(seed=1, preset=preset)
    write_tree(experiment, tmp_path / "inputs")
    for file in experiment.files:
        path = tmp_path / "generated/tier/daq" / f"{file.key}.fcio"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "config.json").write_text('{"experiment": "demo", "paths": {}}')
    cycle = open_cycle(tmp_path / "config.json")
    ignored = cycle.metadata.datasets.ignored
    assert {str(key) for key in cycle.keys} == {file.key for file in experiment.files} - ignored
    assert findings(cycle) == ()


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["metadata", "--out", str(tmp_path / "file/inputs")]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: Not a directory: {tmp_path / 'file/inputs'}") and said.count("\n") == 1
