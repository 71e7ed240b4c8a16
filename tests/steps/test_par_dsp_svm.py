"""The support vector machine: equal to scikit-learn's, worth what the par file says, and never a pickle."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import lh5
import numpy as np
import pytest
import yaml
from dspeed.processors import discrete_wavelet_transform
from lgdo import Array, ArrayOfEqualSizedArrays, Table
from sklearn.svm import SVC

from dataflow.base.errors import UserError
from dataflow.base.textfile import read
from dataflow.jobs.errors import WorkFailed
from dataflow.metadata import overrides
from dataflow.metadata.quantities import quantities
from dataflow.metadata.stepconfig import shipped_folder
from dataflow.physics.chains import run_chain
from dataflow.physics.svm import ARRAYS, Model, shape_of, svm_label
from dataflow.steps.par_dsp_svm.calibrate import calibrate, table_of, trained
from dataflow.steps.par_dsp_svm.figure import draw
from dataflow.steps.par_dsp_svm.plotdata import plot_data
from dataflow.steps.par_dsp_svm.result import Result, Trained
from dataflow.steps.par_dsp_svm.settings import SvmSettings
from dataflow.steps.par_dsp_svm.training import Sample, read_sample
from gebox.experiment import build
from gebox.labels import NAMES
from gebox.training import write_training
from gebox.truth import Kind

if TYPE_CHECKING:
    from tests.steps.conftest import Simulated

CHAIN: dict[str, Any] = yaml.safe_load((shipped_folder("tier_dsp") / "processing_chain-geds.yaml").read_text())
SHIPPED = yaml.safe_load((shipped_folder("pars_dsp_svm") / "svm_config.yaml").read_text())
GOOD = (Kind.SINGLE, Kind.MULTI, Kind.SURFACE)
TRAINING, TEST = (1000, 200), (1200, 100)
"""Good traces, and traces of each defect."""


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Labelled traces of the simulated experiment: for training, and others."""
    folder = tmp_path_factory.mktemp("training")
    experiment = build(seed=3, preset="full")
    for number, (name, counts) in enumerate((("train", TRAINING), ("test", TEST))):
        write_training(experiment, folder / f"{name}.lh5", *counts, sample=number)
    return folder / "train.lh5", folder / "test.lh5"


@pytest.fixture(scope="session")
def samples(files: tuple[Path, Path]) -> tuple[Sample, Sample]:
    return read_sample(files[0], CHAIN), read_sample(files[1], CHAIN)


@pytest.fixture(scope="session")
def machine(samples: tuple[Sample, Sample]) -> Trained:
    """The machine of the shipped settings, judged by other traces."""
    return calibrate(*samples, SvmSettings.read(SHIPPED, "svm_config"))


def blobs(count: int, classes: tuple[int, ...], seed: int = 1) -> Sample:
    """Shapes around a centre for each class."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, count)
    centres = {label: rng.uniform(-1, 1, 20) for label in classes}
    shapes = np.array([centres[label] for label in labels]) + rng.normal(0, 0.35, (count, 20))
    return Sample(shapes.astype(np.float32), labels)


# evaluated as scikit-learn does -------------------------------------------------------------------------------------


def assert_equal(sample: Sample, shapes: Any, settings: SvmSettings, **options: Any) -> None:
    """Labels and decisions of our model are those of scikit-learn's."""
    ours = trained(sample, settings)
    scaled = (sample.shapes.astype(float) - ours.mean) / ours.scale
    theirs = SVC(C=settings.C, gamma=settings.gamma, decision_function_shape="ovo", **options).fit(
        scaled, sample.labels
    )
    there = (shapes.astype(float) - ours.mean) / ours.scale
    expected = theirs.decision_function(there).reshape(len(shapes), -1)
    np.testing.assert_allclose(ours.decisions(shapes), expected, rtol=1e-6, atol=1e-9)
    out = np.empty(len(shapes), np.float32)
    svm_label(shapes, *ours.arrays().values(), ours.gamma, 1.0, out)
    np.testing.assert_array_equal(out, theirs.predict(there))
    assert len(np.unique(out)) == len(np.unique(sample.labels))


def test_labels_and_decisions_of_traces_are_those_of_scikit_learn(samples: tuple[Sample, Sample]) -> None:
    train, test = samples
    rng = np.random.default_rng(4)
    disturbed = test.shapes + rng.normal(0, 0.05, test.shapes.shape).astype(np.float32)  # also far from all classes
    shapes = np.concatenate([test.shapes, disturbed])
    assert len(shapes) == 3600
    assert_equal(train, shapes, SvmSettings.read(SHIPPED, "svm_config"), class_weight="balanced")


@pytest.mark.parametrize("classes", [(0, 7), (2, 3, 11), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("standardise", [False, True])
def test_any_number_of_classes_is_decided_as_by_scikit_learn(classes: tuple[int, ...], standardise: bool) -> None:
    sample, others = blobs(300, classes), blobs(3000, classes, seed=2)
    settings = SvmSettings(C=3.0, gamma=0.05, class_weight=None, standardise=standardise, good=classes[:1])
    assert_equal(sample, others.shapes, settings)


def test_the_first_of_several_classes_with_as_many_votes_wins() -> None:
    """Three classes that beat each other in a circle: each has one vote."""
    model = Model.of(
        {
            "vectors": np.zeros((3, 1)), "dual_coef": np.zeros((2, 3)), "n_support": [1, 1, 1],
            "intercept": [1.0, -1.0, 1.0], "classes": [4, 5, 6], "mean": [0.0], "scale": [1.0],
        },
        1.0,
    )  # fmt: skip
    assert model.decisions(np.zeros((1, 1))).tolist() == [[1.0, -1.0, 1.0]]  # 4 before 5, 6 before 4, 5 before 6
    assert model.labels(np.zeros((1, 1))).tolist() == [4]


@pytest.mark.parametrize("length", [682, 684, 781, 1365])
def test_shapes_are_the_wavelets_of_the_library(length: int) -> None:
    rng = np.random.default_rng(length)
    traces = (15_000 + rng.normal(0, 4_000, (5, length))).astype(np.float32)
    baseline = traces[:, :100].mean(axis=1)
    features = (length + 3) // 4
    ours, wavelets = np.empty((5, features), np.float32), np.empty((5, features), np.float32)
    shape_of(traces, baseline, ours)
    above = traces - baseline[:, None]
    discrete_wavelet_transform(above, np.int32(2), np.int8(ord("h")), np.int8(ord("a")), wavelets)
    np.testing.assert_allclose(ours, wavelets / np.abs(wavelets).max(axis=1, keepdims=True), atol=2e-6)
    assert np.abs(ours).max(axis=1).tolist() == [1.0] * 5


def test_traces_without_a_shape_have_none() -> None:
    traces = np.array([[5.0] * 8, [5.0] * 7 + [np.nan], [5.0] * 6 + [1.0, 1.0]], np.float32)
    out = np.empty((3, 2), np.float32)
    shape_of(traces, np.full(3, 5.0, np.float32), out)
    assert np.isnan(out[:2]).all()
    assert out[2].tolist() == [0.0, -1.0]  # the published normalisation leaves a trace with no value above 0 as it is


def test_other_traces_have_no_label() -> None:
    model = trained(blobs(200, (0, 1)), SvmSettings(C=1.0, gamma=0.1))
    shapes = blobs(6, (0, 1)).shapes
    shapes[2, 3] = np.nan
    out = np.empty(6, np.float32)
    svm_label(shapes, *model.arrays().values(), 0.1, 1.0, out)
    assert np.flatnonzero(np.isnan(out)).tolist() == [2]
    svm_label(shapes, *model.arrays().values(), 0.1, 0.75, out)  # another sampling period
    assert np.isnan(out).all()
    svm_label(shapes[:, :15], *model.arrays().values(), 0.1, 1.0, out)  # a shorter trace
    assert np.isnan(out).all()


# worth what is said -------------------------------------------------------------------------------------------------


def shares(found: Trained) -> dict[str, dict[str, float]]:
    """By true class, what part of the traces has which label."""
    return {
        found.name(row): dict(zip(map(found.name, found.model.classes), counts / counts.sum(), strict=True))
        for row, counts in zip(found.rows, found.confusion, strict=True)
    }


def test_good_traces_are_kept_and_bad_ones_rejected(machine: Trained) -> None:
    """A confusion table of traces that the training has not seen, of other events."""
    table = shares(machine)
    assert set(table) == set(NAMES)
    assert machine.confusion.sum(axis=1).tolist() == [1200, *(100,) * 6]
    assert machine.kept.fraction >= 0.99
    assert machine.rejected.fraction >= 0.85
    least = {"pile_up": 0.95, "pre_trigger": 0.8, "discharge": 0.98, "negative": 1.0, "noise": 0.98}
    assert {name: 1 - table[name]["normal"] >= value for name, value in least.items()} == dict.fromkeys(least, True)
    assert table["pile_up"]["pile_up"] > 0.85
    assert table["discharge"]["discharge"] > 0.98
    assert table["negative"]["negative"] > 0.98
    # an oscillation of more than 1.3 MHz is not in means of 384 ns: half of the bursts, which is_valid_tail finds
    assert 0.3 < 1 - table["burst"]["normal"] < 0.75


def test_what_cross_validation_says_holds_for_other_traces(machine: Trained, samples: tuple[Sample, Sample]) -> None:
    unseen = calibrate(samples[0], None, SvmSettings.read(SHIPPED, "svm_config"))
    assert not unseen.independent and machine.independent
    assert unseen.confusion.sum() == len(samples[0].labels)
    for one, other in ((unseen.kept, machine.kept), (unseen.rejected, machine.rejected)):
        assert abs(one.fraction - other.fraction) < 4 * np.hypot(one.error, other.error)


def test_labels_of_a_run_agree_with_its_truth(distorted: Simulated, machine: Trained) -> None:
    """dsp of a calibration in which a fifth of the pulses are distorted, by the shipped chain."""
    (path,) = (distorted.folder / "generated/tier/raw/cal").rglob("*.lh5")
    pars = {"svm": {**machine.model.arrays(), "gamma": machine.model.gamma, "period": "384*ns"}}
    kinds, labels = [], []
    for name, rawid in distorted.rawids.items():
        found = run_chain(path, f"ch{rawid:07d}/raw", CHAIN, pars, outputs=("svm_label",))
        labels.append(found["svm_label"].nda)
        kinds.append(distorted.truth(name)["hit_kind"])
    kind, label = np.concatenate(kinds), np.concatenate(labels)
    assert not np.isnan(label).any()
    passed = {each: float(np.mean(label[kind == each] == 0)) for each in Kind if np.any(kind == each)}
    assert np.mean(label[np.isin(kind, GOOD)] == 0) >= 0.99
    assert passed[Kind.DISCHARGE] == 0
    assert passed[Kind.NEGATIVE] == 0
    assert passed[Kind.PILE_UP] < 0.25  # those with less than 5 % of the first pulse included


def test_the_par_file_has_the_table_with_errors(machine: Trained) -> None:
    entry = Result(machine, 384.0, machine.sample.shapes[:50], machine.sample.labels[:50]).entry(lambda name: name)
    found = quantities(entry, entry)
    kept, rejected = machine.kept, machine.rejected
    assert found["results.svm.good_kept"].value == pytest.approx(100 * kept.fraction, abs=1e-4)
    assert found["results.svm.good_kept"].error == pytest.approx(100 * kept.error, abs=1e-4)
    assert found["results.svm.bad_rejected"].value == pytest.approx(100 * rejected.fraction, abs=1e-4)
    names = [f"results.svm.confusion.{true}.{label}" for true in NAMES for label in NAMES]
    assert set(names) <= set(found)
    row = [found[f"results.svm.confusion.burst.{label}"].value for label in NAMES]
    assert sum(row) == pytest.approx(100, abs=1e-3)
    assert sum(found[f"results.svm.run.{label}"].value for label in NAMES) == pytest.approx(100, abs=1e-3)
    assert entry["svm"] == {"period": "384*ns", "gamma": 1.0} | {name: name for name in ARRAYS}
    assert entry["results"]["svm"]["n_training"]["normal"] == 1000


def test_figure_and_data_show_classes_and_table(machine: Trained) -> None:
    result = Result(machine, 384.0, machine.sample.shapes[:50], machine.sample.labels[:50])
    page = draw("V01A", "key", result)
    title = page.panels[0].labels["title"]
    assert title.startswith(f"test data: {100 * machine.kept.fraction:.2f} ± {100 * machine.kept.error:.2f} %")
    assert [curve.label for curve in page.panels[1].curves if curve.label][:2] == ["normal (1000)", "pile_up (200)"]
    data = plot_data(result)["svm"]
    assert data["names"].tolist() == list(NAMES)
    np.testing.assert_array_equal(data["confusion"], machine.confusion)
    of_class = machine.sample.shapes[machine.sample.labels == 3]
    np.testing.assert_allclose(data["shapes"][3], of_class.mean(axis=0))
    assert data["run"].tolist() == [int(np.sum(machine.sample.labels[:50] == label)) for label in range(7)]


def test_the_table_counts_pairs() -> None:
    true, found = np.array([0, 0, 9, 4, 9]), np.array([0, 4, 4, 4, 0])
    table = table_of(true, found, np.array([0, 4, 9]), np.array([0, 4]))
    assert table.tolist() == [[1, 1], [0, 1], [1, 1]]


@pytest.mark.parametrize(
    ("labels", "good", "sentence"),
    [
        ([0] * 30, (0,), "the training data have 1 classes, at least two are needed"),
        ([0] * 30 + [1] * 3, (0,), "the training data have 3 traces of label_1, 5 are needed"),
        ([0] * 30 + [1] * 9, (2,), "no trace of the training data has the label 2, which is good"),
    ],
)
def test_training_data_that_do_not_do_are_refused(labels: list[int], good: tuple[int, ...], sentence: str) -> None:
    shapes = np.random.default_rng(1).normal(size=(len(labels), 4)).astype(np.float32)
    with pytest.raises(WorkFailed, match=sentence):
        calibrate(Sample(shapes, np.array(labels)), None, SvmSettings(good=good))


# files --------------------------------------------------------------------------------------------------------------


def write_shapes(path: Path, shapes: Any, labels: Any) -> Path:
    """Labelled shapes in the published form."""
    columns = {"dwt_norm": ArrayOfEqualSizedArrays(nda=shapes), "dc_label": Array(labels)}
    lh5.write(Table(col_dict=columns), "dsp", str(path), group="ml_train", wo_mode="of")
    return path


def test_files_of_the_published_form_are_read(tmp_path: Path) -> None:
    shapes = np.arange(12, dtype=np.float32).reshape(3, 4)
    shapes[1, 2] = np.nan
    found = read_sample(write_shapes(tmp_path / "train.lh5", shapes, np.array([0.0, 3.0, 5.0])), {})
    assert found.labels.tolist() == [0, 5]
    np.testing.assert_array_equal(found.shapes, shapes[[0, 2]])
    assert (found.left_out, found.name(5)) == (1, "label_5")
    assert np.isnan(found.period)


def test_traces_are_read_with_the_names_of_their_labels(samples: tuple[Sample, Sample]) -> None:
    found = samples[0]
    assert (found.period, found.left_out) == (384.0, 0)
    assert [found.name(label) for label in range(7)] == list(NAMES)
    assert np.bincount(found.labels).tolist() == [1000, *(200,) * 6]


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [(np.array([0.5, 1, 2]), "whole numbers"), (np.array([0, 1]), "3 traces have 2 labels")],
)
def test_labels_that_are_none_are_refused(tmp_path: Path, labels: Any, sentence: str) -> None:
    path = tmp_path / "train.lh5"
    with h5py.File(path, "w") as file:
        file["ml_train/dsp/dwt_norm"], file["ml_train/dsp/dc_label"] = np.ones((3, 4)), labels
    with pytest.raises(WorkFailed, match=sentence):
        read_sample(path, {})
    with h5py.File(path, "a") as file:
        del file["ml_train/dsp/dc_label"]
    with pytest.raises(WorkFailed, match="has no dc_label in ml_train/dsp or ml_train/raw"):
        read_sample(path, {})


class Trap:
    """Something that runs code when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("name", ["svm.pkl", "svm.sav", "svm.lh5"])
def test_pickles_are_refused_whatever_they_are_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
    for entry in ("training_data", "test_data"):
        with pytest.raises(UserError, match=f"{name} is no LH5 file") as refused:
            SvmSettings.read({entry: str(path)}, "svm_config")
        assert "pickled machines are not read" in refused.value.hint
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"training_data": "/nowhere/train.lh5"}, "svm_config.training_data: there is no file /nowhere/train.lh5"),
        ({"training_data": "train.lh5"}, "'train.lh5' is no absolute path"),
        ({"kernel": "linear"}, "svm_config.kernel must be one of 'rbf', not 'linear'"),
        ({"C": 0}, "svm_config.C must be a number above 0"),
        ({"gama": 1.0}, "svm_config has no entry 'gama'"),
    ],
)
def test_wrong_settings_are_refused(config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        SvmSettings.read(config, "svm_config")


def test_an_override_with_a_pickled_machine_is_refused(tmp_path: Path) -> None:
    text = "V01A: {svm: {model_file: \"'$_/svm.pkl'\"}}"
    (tmp_path / "over.yaml").write_text(text)
    with pytest.raises(UserError, match=r"V01A\.svm\.model_file names a pickled machine"):
        overrides.check(read(tmp_path / "over.yaml"), "dsp")


PUBLISHED: Mapping[str, Any] = {
    "function": "svm_predict",
    "module": "dspeed.processors",
    "args": ["dwt_norm", "svm_label"],
    "unit": "",
    "prereqs": ["dwt_norm"],
    "init_args": ["db.svm.model_file"],
}


def test_published_chains_are_evaluated_by_our_machine(distorted: Simulated, machine: Trained, tmp_path: Path) -> None:
    """dspeed's processor would unpickle the file that the parameters name."""
    trap = tmp_path / "svm.pkl"
    trap.write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
    (path,) = (distorted.folder / "generated/tier/raw/cal").rglob("*.lh5")
    table = f"ch{next(iter(distorted.rawids.values())):07d}/raw"
    chain = {**CHAIN, "processors": {**CHAIN["processors"], "svm_label": PUBLISHED}}
    pars: dict[str, Any] = {"svm": {"model_file": f"'{trap}'"}}
    without = run_chain(path, table, chain, pars, rows=range(40), outputs=("svm_label",))["svm_label"].nda
    assert np.isnan(without).all()
    pars["svm"] |= {**machine.model.arrays(), "gamma": machine.model.gamma}
    found = run_chain(path, table, chain, pars, rows=range(40), outputs=("svm_label", "dwt_norm"))
    np.testing.assert_array_equal(found["svm_label"].nda, machine.model.labels(found["dwt_norm"].values.nda))
    assert not (tmp_path / "ran").exists()


def test_samples_of_the_simulation_are_other_events_and_the_same_each_time(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    experiment = build(seed=3, preset="full")
    made = [tmp_path / f"{number}.lh5" for number in range(3)]
    for path, sample in zip(made, (5, 5, 6), strict=True):
        counts = write_training(experiment, path, 20, 2, sample=sample)
        assert counts == dict.fromkeys(NAMES, 2) | {"normal": 20}
    assert made[0].read_bytes() == made[1].read_bytes()
    assert made[0].read_bytes() != made[2].read_bytes()
    traces = []
    for path in (*files, *made[1:]):
        with h5py.File(path) as file:
            traces.append({row.tobytes() for row in file["ml_train/raw/waveform/values"][:20]})
    assert all(one.isdisjoint(other) for one, other in pairwise(traces))
