"""The support vector machine in a cycle: planned only with training data, its model beside the parameters, labels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from tests.figures import figures_of
from tests.steps.pulses import CAL, CHANNELS, TAU, make_cycle, traces, truth, write_raw

from dataflow.base.errors import UserError
from dataflow.checks.verify import How, check_all, groups_of, joined
from dataflow.door.cleaning import Selection, chosen
from dataflow.door.contents import contents_of
from dataflow.jobs.figures import plotdata
from dataflow.jobs.runner import main
from dataflow.physics.svm import ARRAYS, Model
from dataflow.plan import open_cycle
from dataflow.registry.step import DATA
from dataflow.registry.steps import BY_NAME, STEPS, parts_of
from dataflow.steps.par_dsp_svm.settings import SvmSettings
from dataflow.steps.tier_hit.build import config_of
from gebox.experiment import build
from gebox.metadata import write_tree
from gebox.metadata.tree import samples
from gebox.simulate import daq_path

FEATURES = 171
NAMES = ("normal", "negative")


def training(path: Path, *, features: int = FEATURES, seed: int = 5, each: int = 30) -> Path:
    """Shapes of pulses, and of the same upside down, in the published form with names."""
    rng = np.random.default_rng(seed)
    times = np.arange(features) / features
    pulse = np.where(times > 0.44, np.exp(-(times - 0.44) / 4), 0.0)
    shapes = np.concatenate([sign * pulse + rng.normal(0, 0.01, (each, features)) for sign in (1, -1)])
    with h5py.File(path, "w") as file:
        file["ml_train/dsp/dwt_norm"] = shapes.astype("f4")
        file["ml_train/dsp/dc_label"] = np.repeat([0, 5], each)
        file["ml_train/dsp/dc_label"].attrs["label_names"] = "0:normal,5:negative"
    return path


def cycle_with(folder: Path, **config: Any) -> Path:
    """A cycle of two detectors with pulses, every third upside down, and with an `svm_config` if one is given."""
    folder.mkdir()
    rules = {"pars_dsp_svm": {"svm_config": config}} if config else {}
    make_cycle(folder, **rules)
    cycle = open_cycle(folder / "config.json")
    tables = {}
    for system, number in CHANNELS.values():
        if system == "geds":
            of = truth(number, counts={2614.511: 60}, flat=0)
            values = traces(of, trapping=0, noise=5)
            values[::3] = 30_000 - values[::3]
            tables[f"ch{number:07d}/raw"] = of, values
    write_raw(cycle.job("tier_raw", CAL).outputs["tier"], tables)
    for part in parts_of("dsp"):
        if not part.only_with:
            outputs = cycle.job(part.name, CAL).outputs
            outputs["par"].parent.mkdir(parents=True, exist_ok=True)
            for path in outputs.values():
                if path.suffix == ".lh5":
                    path.parent.mkdir(parents=True, exist_ok=True)
                    plotdata.write(path, {})
            plotdata.write(outputs[DATA], {})
            found = {"pz": {"tau1": f"{TAU}*ns"}} if part.name == "par_dsp_pz" else {}
            outputs["par"].write_text(yaml.safe_dump(dict.fromkeys(("V01A", "V02B"), found)))
    return folder


def run_all(folder: Path, *steps: str) -> None:
    """Run jobs as Snakemake does, with records."""
    for step in steps:
        assert main([step, "--config", str(folder / "config.json"), "--key", CAL]) == 0, step


def pars(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(open_cycle(folder / "config.json").job("par_dsp", CAL).outputs["par"].read_text()))


def labels(folder: Path, number: int) -> Any:
    with h5py.File(open_cycle(folder / "config.json").job("tier_dsp", CAL).outputs["tier"]) as file:
        return file[f"ch{number:07d}/dsp/svm_label"][:]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cycle in which a machine was trained, and dsp made with it."""
    root = tmp_path_factory.mktemp("svm")
    data = training(root / "train.lh5")
    folder = cycle_with(root / "cycle", training_data=str(data), C=10.0, gamma=0.05)
    run_all(folder, "par_dsp_svm", "par_dsp", "tier_dsp")
    return folder


def test_dsp_has_the_labels_of_the_machine(made: Path) -> None:
    for number in (1, 2):
        np.testing.assert_array_equal(labels(made, number), np.where(np.arange(60) % 3 == 0, 5.0, 0.0))


def test_the_parameter_file_names_the_arrays_of_the_model(made: Path) -> None:
    entry, model = pars(made)["V02B"], f"{CAL}-par_dsp_svm.lh5"
    assert entry["svm"]["vectors"] == f"loadlh5('$_/{model}', 'svm/model_0/vectors')"  # one for both detectors
    assert entry["svm"]["vectors"] == pars(made)["V01A"]["svm"]["vectors"]
    assert entry["svm"]["period"] == "384*ns"  # as the run has it: the training data do not tell
    assert entry["results"]["svm"]["run"]["negative"] == pytest.approx(100 / 3, abs=1e-3)
    assert entry["results"]["svm"]["good_kept"] == 100
    assert entry["results"]["svm"]["judged_by"] == "cross-validation"
    with h5py.File(made / f"generated/par/dsp/cal/p03/r000/{model}") as file:
        assert set(file["svm"]) == {"model_0"}
        found = Model.of({name: file[f"svm/model_0/{name}"][()] for name in ARRAYS}, file["svm/model_0/gamma"][()])
    assert (found.vectors.shape[1], found.classes.tolist(), found.gamma) == (FEATURES, [0, 5], 0.05)
    cycle = open_cycle(made / "config.json")
    assert figures_of(cycle, "par_dsp_svm", CAL).read_bytes().startswith(b"%PDF")
    with h5py.File(figures_of(cycle, "par_dsp", CAL)) as file:
        assert [name.decode() for name in file["V01A/svm/names"][()]] == list(NAMES)
        assert file["V01A/svm/run"][()].tolist() == [40, 20]


def test_verify_show_and_clean_know_the_model_also_where_the_cycle_was_moved(made: Path, tmp_path: Path) -> None:
    moved, model = tmp_path / "moved", f"generated/par/dsp/cal/p03/r000/{CAL}-par_dsp_svm.lh5"
    shutil.copytree(made, moved)
    root, groups = groups_of(moved / "config.json")
    assert any("par_dsp_svm.model" in group for group in groups.values())
    mine = {CAL: {"par_dsp_svm.model": model}}
    assert joined(check_all(root, mine, jobs=1, how=How())).findings == ()
    found = contents_of({"config": str(moved / "config.json"), "setup": None})
    assert {output.path: output.step for output in found.outputs()}[model] == "par_dsp_svm"
    going, _ = chosen(found, Selection(("par_dsp_svm",), (), False, False, ""))
    assert model in {each.path for each in going}
    open_cycle(moved / "config.json").job("tier_dsp", CAL).outputs["tier"].unlink()
    run_all(moved, "tier_dsp")
    np.testing.assert_array_equal(labels(moved, 1), labels(made, 1))
    with h5py.File(moved / model, "a") as file:
        file["svm/model_0/intercept"][:] *= 2
    findings = joined(check_all(root, mine, jobs=1, how=How())).findings
    assert [(each.file, each.problem) for each in findings] == [(model, "it is not what its job wrote")]


def test_the_job_of_dsp_reads_the_model(made: Path) -> None:
    cycle = open_cycle(made / "config.json")
    assert cycle.job("tier_dsp", CAL).inputs["svm"] == (cycle.job("par_dsp_svm", CAL).outputs["model"],)
    assert ("par_dsp_svm", cycle.unit("par_dsp_svm", CAL)) in cycle.needs("par_dsp", cycle.unit("par_dsp", CAL))


def test_a_cut_of_hit_can_use_the_label(made: Path, tmp_path: Path) -> None:
    """The operation of a flag on the column of dsp, in the form that quality cuts have."""
    cycle = open_cycle(made / "config.json")
    channel = cycle.job("tier_hit", CAL).channels[0]
    operation = {"expression": "svm_label == a", "parameters": {"a": 0}}
    config = config_of(cycle.job("tier_hit", CAL), channel, {"pars": {"operations": {"is_valid_svm": operation}}})
    assert config["operations"]["is_valid_svm"]["parameters"] == {"a": 0.0}


def test_without_training_data_nothing_of_it_is_planned(tmp_path: Path) -> None:
    for name, config in (("nothing", {}), ("settings", {"C": 10.0})):
        folder = cycle_with(tmp_path / name, **config)
        cycle = open_cycle(folder / "config.json")
        assert cycle.units.of(BY_NAME["par_dsp_svm"]) == []
        assert "svm" not in cycle.job("tier_dsp", CAL).inputs
        assert not any("svm" in role for role in cycle.job("par_dsp", CAL).inputs)
        needed = {step for step, _ in cycle.needs("par_dsp", cycle.unit("par_dsp", CAL))}
        assert needed == {part.name for part in parts_of("dsp")} - {"par_dsp_svm"}
        with pytest.raises(UserError, match=r"no svm_config\.training_data for it") as refused:
            cycle.job("par_dsp_svm", CAL)
        assert refused.value.hint == "configure it in svm_config of pars_dsp_svm in dataprod/config"
        before = cycle.lineage("tier_dsp", cycle.unit("tier_dsp", CAL))
        run_all(folder, "par_dsp", "tier_dsp")
        again = open_cycle(folder / "config.json")
        assert again.lineage("tier_dsp", again.unit("tier_dsp", CAL)) == before
        assert np.isnan(labels(folder, 1)).all()
        assert "svm" not in pars(folder)["V01A"]


def test_a_detector_can_have_training_data_alone(tmp_path: Path) -> None:
    data = training(tmp_path / "train.lh5")
    folder = cycle_with(tmp_path / "cycle")
    config = folder / "inputs/dataprod/config"
    (config / "svm.yaml").write_text(f"training_data: {data}\ngamma: 0.05\n")
    rule = {"pars_dsp_svm": {"inputs": {"svm_config": {"V02B": "svm.yaml"}}}}
    (config / "config.yaml").write_text(yaml.safe_dump({"snakemake_rules": rule}))
    run_all(folder, "par_dsp_svm", "par_dsp", "tier_dsp")
    assert "svm" not in pars(folder)["V01A"] and "svm" in pars(folder)["V02B"]
    assert np.isnan(labels(folder, 1)).all()
    np.testing.assert_array_equal(labels(folder, 2), np.where(np.arange(60) % 3 == 0, 5.0, 0.0))


def test_other_training_data_are_another_lineage(tmp_path: Path) -> None:
    data = training(tmp_path / "train.lh5")
    folder = cycle_with(tmp_path / "cycle", training_data=str(data))

    def lineages() -> list[str]:
        cycle = open_cycle(folder / "config.json")
        return [cycle.lineage(step, cycle.unit(step, CAL)) for step in ("par_dsp_svm", "tier_dsp", "par_dsp_pz")]

    before = lineages()
    elsewhere = data.rename(tmp_path / "moved.lh5")
    elsewhere.rename(data)
    assert lineages() == before
    training(data, seed=6)
    after = lineages()
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, False, True]


@pytest.fixture
def simulated(tmp_path: Path) -> Path:
    """A cycle with the metadata of the simulated experiment, the names of its DAQ files and other training data."""
    experiment = build(scale=0.01, training=True)
    write_tree(experiment, tmp_path / "inputs")
    for number, path in enumerate(samples(tmp_path / "inputs").values()):
        training(path, seed=number)
    for file in experiment.files:
        path = daq_path(tmp_path / "generated/tier/daq", file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.key.encode())
    (tmp_path / "config.json").write_text('{"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}')
    return tmp_path


def test_all_detectors_of_the_simulated_experiment_have_a_machine(simulated: Path) -> None:
    cycle = open_cycle(simulated / "config.json")
    job = cycle.job("par_dsp_svm", CAL)
    assert [channel.name for channel in job.channels] == ["B02001A", "P03001A", "V01001A", "V01002B"]
    for channel in job.channels:
        settings = job.config.settings("svm_config", SvmSettings, channel)
        assert Path(settings.training_data or "") == samples(simulated / "inputs")["training"]
        assert Path(settings.test_data or "") == samples(simulated / "inputs")["test"]
        assert settings.class_weight is None
    hit = cycle.job("tier_hit", CAL)
    assert "is_valid_svm" in hit.config.read("hit_config", hit.channels[0])["outputs_if_calibrated"]


REMADE = {"par_dsp_svm", "par_dsp", "tier_dsp", "par_hit_qc", "par_hit_ecal", "par_hit_aoe", "par_hit_lq", "par_hit"}
REMADE |= {"tier_hit", "tier_evt", "tier_skm", "par_pht_qc", "par_pht_partcal", "par_pht", "tier_pht"}
REMADE |= {"par_pht_aoe", "par_pht_lq"}
REMADE |= {"par_hit_spms", "par_pht_spms"}  # dsp has the SiPMs in the same file
REMADE |= {"plt_dsp_svm", "plt_dsp", "plt_hit"}
REMADE |= {f"plt_pht{name}" for name in ("", "_qc", "_partcal", "_aoe", "_lq")}
KEPT = {"tier_raw", "tier_tcm", "par_tcm_pulser", "par_dsp_pz", "par_dsp_evtsel", "par_dsp_nopt", "par_dsp_eopt"}
KEPT |= {"par_dsp_dplms", "par_dsp_spms", "validity_dsp", "validity_hit", "validity_pht"}


def lineages(folder: Path) -> dict[tuple[str, str], str]:
    """Of all steps and units of a cycle."""
    cycle = open_cycle(folder / "config.json")
    return {(step.name, str(unit)): cycle.lineage(step.name, unit) for step in STEPS for unit in cycle.units.of(step)}


def test_other_training_data_remake_the_machine_and_what_follows_and_nothing_else(simulated: Path) -> None:
    before = lineages(simulated)
    training(samples(simulated / "inputs")["training"], seed=9)
    after = lineages(simulated)
    changed = {place for place in before if before[place] != after[place]}
    assert before.keys() == after.keys()
    assert {step for step, _ in changed} == REMADE
    assert {step for step, _ in before.keys() - changed} == KEPT


def test_training_data_hold_from_their_time_on(simulated: Path) -> None:
    """Another file for the second run: the first one keeps its machine, and physics take that of their own run."""
    before = lineages(simulated)
    config = simulated / "inputs/dataprod/config"
    training(config / "later.lh5", seed=9)
    (config / "later.yaml").write_text("training_data: $_/later.lh5\n")
    rules = {"pars_dsp_svm": {"inputs": {"svm_config": {"__default__": "later.yaml"}}}}
    (config / "rules.yaml").write_text(yaml.safe_dump({"snakemake_rules": rules}))
    timeline = yaml.safe_load((config / "validity.yaml").read_text())
    timeline.append({"valid_from": "20240308T000000Z", "category": "all", "mode": "append", "apply": ["rules.yaml"]})
    (config / "validity.yaml").write_text(yaml.safe_dump(timeline))
    after = lineages(simulated)
    for step in ("par_dsp_svm", "tier_dsp"):
        same = {unit: before[step, unit] == after[step, unit] for name, unit in before if name == step}
        assert same == {unit: "-r000-" in unit for unit in same}
        assert set(same.values()) == {True, False}


def test_training_data_that_do_not_fit_fail_in_this_step_alone(tmp_path: Path) -> None:
    data = training(tmp_path / "train.lh5", features=256)
    folder = cycle_with(tmp_path / "cycle", training_data=str(data))
    run_all(folder, "par_dsp_svm", "par_dsp", "tier_dsp")
    entry = pars(folder)["V01A"]
    assert entry["status"] == {
        "state": "failed",
        "step": "par_dsp_svm",
        "reason": "the traces of this run have 171 features of 384 ns, those of the training data 256 of nan ns",
    }
    assert entry["pz"] == {"tau1": f"{TAU}*ns"}
    assert np.isnan(labels(folder, 1)).all()


def test_a_pickled_machine_stops_the_plan(tmp_path: Path) -> None:
    (tmp_path / "svm.sav").write_bytes(b"\x80\x04N.")
    folder = cycle_with(tmp_path / "cycle", training_data=str(tmp_path / "svm.sav"))
    with pytest.raises(UserError, match=r"svm_config\.yaml:1: svm_config\.training_data: .*svm\.sav is no LH5 file"):
        open_cycle(folder / "config.json").job("par_dsp_svm", CAL)
