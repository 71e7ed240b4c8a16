"""A/E and late charge of partitions: each run by its own mean, cuts of all, and what pht applies, against the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from tests.figures import figures_of
from tests.steps.test_par_hit_aoe import Simulated
from tests.steps.test_par_hit_lq import Simulated as SimulatedLate
from tests.steps.test_par_pht_partcal import quality

from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.runner import main
from dataflow.metadata.stepconfig import shipped_folder
from dataflow.physics.curves import Curve
from dataflow.plan import Cycle, open_cycle
from dataflow.registry.steps import BY_NAME
from dataflow.steps.par_hit_aoe.figure import draw
from dataflow.steps.par_hit_aoe.partition import Events, calibrate_runs
from dataflow.steps.par_hit_aoe.report import entry_of_runs
from dataflow.steps.par_hit_aoe.result import NoBand, Result
from dataflow.steps.par_hit_aoe.settings import Settings
from dataflow.steps.par_hit_lq import partition as lq
from dataflow.steps.par_hit_lq.report import entry_of_runs as lq_entry
from dataflow.steps.par_hit_lq.result import PeakFit
from dataflow.steps.par_hit_lq.settings import Settings as LqSettings

WIDTHS = Curve("(a+b*x)**(0.5)", {"a": 0.6, "b": 0.0022}, {"a": 0.1, "b": 1e-4}, np.zeros((2, 2)), 1.0, 3)
MEANS = {"l200-p03-r000": 1.0, "l200-p03-r001": 1.02, "l200-p03-r002": 0.985}
"""A/E of each run, relative to that of the simulation: 2 % is three widths."""
STAMPS = {run: f"2023030{number}T000000Z" for number, run in enumerate(MEANS)}
DEP = slice(90_000, 93_000)
"""The events of the double-escape peak in a simulated run."""


def events_of(one: Simulated, factor: float) -> Events:
    return Events(one.energy, one.current * factor, one.amplitude, one.drift, np.arange(len(one.energy), dtype=float))


@pytest.fixture(scope="module")
def simulated() -> dict[str, Simulated]:
    """Three runs, each with events of its own."""
    return {run: Simulated(seed=20 + number) for number, run in enumerate(MEANS)}


@pytest.fixture(scope="module")
def found(simulated: dict[str, Simulated]) -> Result:
    return calibrate_runs({run: events_of(one, MEANS[run]) for run, one in simulated.items()}, WIDTHS, Settings())


# A/E ----------------------------------------------------------------------------------------------------------------


def test_each_run_is_divided_by_its_own_mean(found: Result) -> None:
    scales = {run: each.scale for run, each in found.runs.items()}
    for run, mean in MEANS.items():
        error = found.runs[run].relative_error
        assert error is not None and error < 3e-4
        assert scales[run] / scales["l200-p03-r000"] == pytest.approx(mean, abs=5 * error)
    assert found.warnings == []


def test_the_classifier_is_the_deviation_that_was_simulated_in_every_run(
    simulated: dict[str, Simulated], found: Result
) -> None:
    """Without the means of the runs it would be wider: they are three widths apart."""
    classifiers = np.split(found.classifier, len(simulated))
    for one, classifier in zip(simulated.values(), classifiers, strict=True):
        assert np.mean(classifier[one.single]) == pytest.approx(0, abs=0.1)
        assert np.std(classifier[one.single]) == pytest.approx(1, abs=0.04)
        assert np.mean((classifier > found.cut) == (one.deviation > found.cut)) > 0.97


def test_the_cut_is_that_of_all_runs_and_has_their_error(simulated: dict[str, Simulated], found: Result) -> None:
    alone = events_of(simulated["l200-p03-r000"], 1.0).calibrated(WIDTHS, Settings())
    assert found.cut == pytest.approx(alone.cut, abs=3 * np.hypot(found.cut_error, alone.cut_error))
    assert found.cut_error == pytest.approx(alone.cut_error / np.sqrt(3), rel=0.2)
    for classifier in np.split(found.classifier, len(simulated)):
        assert np.mean(classifier[DEP] > found.cut) == pytest.approx(0.90, abs=0.02)


def test_survival_of_a_run_is_that_of_its_own_events(simulated: dict[str, Simulated], found: Result) -> None:
    parts = np.split(found.classifier, len(simulated))
    for (run, one), classifier in zip(simulated.items(), parts, strict=True):
        line = np.abs(one.energy - 2614.5) < 5
        low, both = found.runs[run].low_side[2614.5], found.runs[run].two_sided[2614.5]
        assert low.fraction == pytest.approx(np.mean(classifier[line] > found.cut), abs=0.005)
        kept = (classifier > found.cut) & (classifier < found.high)
        assert both.fraction == pytest.approx(np.mean(kept[line]), abs=0.005)
        assert both.fraction < low.fraction  # the published flow has the same numbers under both names
    counts = [each.low_side[1592.5].counts for each in found.runs.values()]
    assert sum(counts) == pytest.approx(found.low_side[1592.5].counts)


def test_what_hit_evaluates_in_a_run_has_the_mean_of_that_run(found: Result) -> None:
    entry = entry_of_runs({"": found}, Settings(), STAMPS)
    operations = {run: entry["by_run"][run]["pars"]["operations"] for run in MEANS}
    for run, of_run in operations.items():
        assert of_run["AoE_Timecorr"]["parameters"]["a"] == found.time.mean * found.runs[run].scale
    names = set(operations["l200-p03-r000"]) - {"AoE_Timecorr"}
    assert all(each[name] == operations["l200-p03-r000"][name] for each in operations.values() for name in names)
    report = entry["results"]["aoe"]
    assert list(report["1000-1300keV"]) == list(STAMPS.values())
    assert report["1000-1300keV"][STAMPS["l200-p03-r001"]]["mean"] == found.runs["l200-p03-r001"].time.mean  # type: ignore[union-attr]
    assert set(report["low_side_sfs_by_run"]) == set(report["2_side_sfs_by_run"]) == set(MEANS)


def test_a_run_with_few_events_takes_the_mean_of_all_and_says_so(simulated: dict[str, Simulated]) -> None:
    parts = {run: events_of(one, 1.0) for run, one in simulated.items()}
    few = Simulated(200, seed=3, dep=False)
    one = events_of(few, 1.0)
    small = Events(one.energies[:60], one.current[:60], one.amplitudes[:60], few.drift[:60], None)
    found = calibrate_runs(parts | {"l200-p03-r003": small}, WIDTHS, Settings())
    last = found.runs["l200-p03-r003"]
    assert isinstance(last.time, NoBand) and last.scale == 1.0 and last.relative_error is None
    (said,) = [text for text in found.warnings if "l200-p03-r003" in text]
    assert said.startswith("A/E of l200-p03-r003 is divided by the mean of all runs, having none: ")


def test_runs_without_a_double_escape_peak_fail_together() -> None:
    parts = {run: events_of(Simulated(20_000, seed=9, dep=False), 1.0) for run in MEANS}
    with pytest.raises(WorkFailed, match="double-escape peak"):
        calibrate_runs(parts, WIDTHS, Settings())


def test_the_figure_shows_the_runs(found: Result) -> None:
    panel = draw("V01A", "l200-calgroup001a", {"": found}).panels[1]
    assert panel.ticks["x"].labels == ["p03 r000", "p03 r001", "p03 r002"]
    assert np.diff(panel.curves[0].arrays["y"]) == pytest.approx([2.0, -3.5], abs=0.15)


# late charge --------------------------------------------------------------------------------------------------------


def late_events(one: SimulatedLate, factor: float = 1.0) -> lq.Events:
    return lq.Events(one.energy, one.charge * factor, one.amplitude, one.drift, None)


def test_late_charge_of_the_runs_is_calibrated_as_one() -> None:
    runs = {run: SimulatedLate(seed=30 + number) for number, run in enumerate(MEANS)}
    events = {run: late_events(one) for run, one in runs.items()}
    found = lq.joined(list(events.values())).calibrated(WIDTHS)
    alone = events["l200-p03-r000"].calibrated(WIDTHS)
    assert found.line.slope_error == pytest.approx(alone.line.slope_error / np.sqrt(3), rel=0.1)
    for one, classifier in zip(runs.values(), np.split(found.classifier, 3), strict=True):
        assert np.mean(classifier[~one.late] < found.cut) >= 0.99
        assert np.mean(classifier[one.late] < found.cut) == 0
    peaks = {run: each.peak() for run, each in events.items()}
    entry = lq_entry({"": found}, LqSettings(), {"": peaks}, STAMPS)
    assert "warnings" not in entry and "pars" not in entry
    operations = [entry["by_run"][run]["pars"]["operations"] for run in MEANS]
    assert operations[0] == operations[1] == operations[2]
    report = entry["results"]["lq"]
    assert list(report["DEP_means"]) == list(STAMPS.values())
    assert report["DEP_mean"]["mean"] == found.before.mean


def test_a_run_with_another_late_charge_is_warned_of_and_one_without_a_peak_named() -> None:
    runs = {run: SimulatedLate(seed=40 + number) for number, run in enumerate(MEANS)}
    events = {run: late_events(one, 1.1 if run.endswith("r001") else 1.0) for run, one in runs.items()}
    events["l200-p03-r002"] = late_events(SimulatedLate(500, seed=1, dep=0))
    found = lq.joined(list(events.values())).calibrated(WIDTHS)
    peaks = {run: each.peak() for run, each in events.items()}
    assert isinstance(peaks["l200-p03-r000"], PeakFit)
    entry = lq_entry({"": found}, LqSettings(), {"": peaks}, STAMPS)
    told = [text for text in entry["warnings"] if "late charge of the double-escape peak in l200-p03-r001 is +" in text]
    assert len(told) == 1
    (left_out,) = entry["results"]["lq"]["DEP_means_left_out"].items()
    assert left_out[0] == "l200-p03-r002" and left_out[1].startswith("no double-escape peak at 1592.5 keV")


def test_cuts_on_ae_that_a_run_lacks_are_not_used() -> None:
    one, cut = late_events(SimulatedLate(500)), np.ones(1, dtype=bool)
    with_cut = lq.Events(one.energies, one.late, one.amplitudes, one.drift, np.repeat(cut, len(one.energies)))
    assert lq.joined([with_cut, one]).aoe is None
    both = lq.joined([with_cut, with_cut]).aoe
    assert both is not None and len(both) == 2 * len(one.energies)


# jobs ---------------------------------------------------------------------------------------------------------------

KEYS = {"r000": "l200-p03-r000-cal-20230311T235840Z", "r001": "l200-p03-r001-cal-20230317T211819Z"}
GAINS = {"r000": 0.2, "r001": 0.201}
TIMES = {"r000": 1.0, "r001": 1.02}
"""A/E of the runs."""
LOWER_LINES = {583.187: 4000, 727.330: 2000, 860.557: 1500}
NAME = "cuspEmax_ctc"


class Run:
    """The columns of dsp of a run, and its true energies; the late charge of every tenth pulse is large."""

    def __init__(self, run: str, seed: int) -> None:
        one, random = Simulated(seed=seed), np.random.default_rng(seed + 100)
        lower = [random.normal(e, np.sqrt(0.6 + 0.0022 * e) / 2.3548, n) for e, n in LOWER_LINES.items()]
        self.energy = np.concatenate([one.energy, *lower])
        self.deviation, self.single = one.deviation, one.single
        amplitudes = self.energy / GAINS[run]
        ratio = np.concatenate([one.current / one.amplitude, np.full(len(self.energy) - len(one.energy), 0.07)])
        self.late = np.arange(len(self.energy)) % 10 == 0
        late = 0.0040 * (1 + 0.1 * random.normal(size=len(self.energy)) + 5.0 * self.late)
        drift = np.concatenate([one.drift, random.uniform(200, 1200, len(self.energy) - len(one.energy))])
        self.columns = quality(amplitudes, seed) | {
            "dt_eff": drift, "drift_time": drift, "A_max": ratio * amplitudes * TIMES[run], "lq80": late * amplitudes,
            **dict.fromkeys(("cuspEmax", "trapEmax", "zacEmax"), amplitudes),
        }  # fmt: skip


def own_energies(run: str) -> dict[str, Any]:
    """What the energy calibration of a run says."""
    operations = {
        NAME: {"expression": "cuspEmax * (1 + dt_eff * a)", "parameters": {"a": 0.0}},
        f"{NAME}_cal": {"expression": f"a + b * {NAME}", "parameters": {"a": 0.0, "b": GAINS[run]}},
    }
    return {"pars": {"operations": operations}, "results": {"ecal": {f"{NAME}_cal": {}}}}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def make_cycle(root: Path) -> Cycle:
    for run, key in KEYS.items():
        write(root / f"generated/tier/daq/cal/p03/{run}/{key}.fcio", "")
    content = {
        "hardware/configuration/channelmaps": {n: {"name": n, "system": "geds", "daq": {"rawid": r}} for n, r in NAMES},
        "datasets/statuses": {name: {"processable": True, "usability": "on"} for name, _ in NAMES},
    }
    for folder, found in content.items():
        write(root / "inputs" / folder / "all.yaml", json.dumps(found))
        write(root / "inputs" / folder / "validity.yaml", '[{"valid_from": "20200101T000000Z", "apply": ["all.yaml"]}]')
    write(root / "inputs/datasets/cal_groupings.yaml", "default: {calgroup001a: {p03: r000..r001}}\n")
    write(root / "config.json", json.dumps({"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}))
    return open_cycle(root / "config.json")


NAMES = (("V0000A", 1104000), ("V0000B", 1104001))
"""Detectors: the energies of the second one could not be calibrated in the second run."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Run]]:
    """A cycle with the parameters of a partition of two runs, and with pht."""
    import lh5
    from lgdo import Array, Struct, Table

    root = tmp_path_factory.mktemp("partition")
    cycle, runs = make_cycle(root), {run: Run(run, 50 + number) for number, run in enumerate(KEYS)}
    for run, name in KEYS.items():
        key = cycle.scheme.key(name)
        path, masks = cycle.output("tier_dsp", key), cycle.output("par_tcm_pulser", key, "masks")
        for each in (path, masks):
            each.parent.mkdir(parents=True, exist_ok=True)
        table = Table(col_dict={column: Array(values) for column, values in runs[run].columns.items()})
        for number, (_, rawid) in enumerate(NAMES):
            lh5.write(table, "dsp", str(path), group=f"ch{rawid}", wo_mode="a" if number else "of")
        lh5.write(Struct({"files": Array(np.array([name], dtype="S"))}), "masks", str(masks), wo_mode="of")
        pars = {detector: own_energies(run) for detector, _ in NAMES}
        if run == "r001":
            pars["V0000B"] = {"status": {"state": "failed", "step": "par_hit_ecal", "reason": "no peak"}}
        write(cycle.output("par_hit_ecal", key), yaml.safe_dump(pars))
    for step in ("par_pht_qc", "par_pht_partcal", "par_pht_aoe", "par_pht_lq"):
        run_job(root, step, "l200-calgroup001a")
    for step in ("par_pht", "tier_pht"):
        for name in KEYS.values():
            run_job(root, step, name)
    return root, runs


def run_job(root: Path, step: str, name: str) -> None:
    assert main([step, "--config", str(root / "config.json"), "--key", name]) == 0, (step, name)


def pars_of(root: Path, run: str) -> dict[str, Any]:
    cycle = open_cycle(root / "config.json")
    return dict(yaml.safe_load(cycle.output("par_pht", cycle.scheme.key(KEYS[run])).read_text()))


def column(root: Path, run: str, name: str, rawid: int = 1104000) -> NDArray[Any]:
    cycle = open_cycle(root / "config.json")
    with h5py.File(cycle.output("tier_pht", cycle.scheme.key(KEYS[run]))) as file:
        return np.asarray(file[f"ch{rawid}/hit/{name}"][:])


def test_pht_has_the_flags_that_the_truth_demands_in_each_run(made: tuple[Path, dict[str, Run]]) -> None:
    root, runs = made
    cut = pars_of(root, "r000")["V0000A"]["results"]["aoe"]["low_cut"]
    for run, one in runs.items():
        kept = column(root, run, "AoE_Low_Cut").astype(bool)
        assert np.mean(kept[DEP]) == pytest.approx(0.90, abs=0.02)
        assert np.mean(kept[: len(one.deviation)] == (one.deviation > cut)) > 0.97
        classifier = column(root, run, "AoE_Classifier")[: len(one.single)]
        assert np.mean(classifier[one.single]) == pytest.approx(0, abs=0.1)
        prompt = column(root, run, "LQ_Cut").astype(bool)
        assert np.mean(prompt[~one.late]) >= 0.99 and np.mean(prompt[one.late]) < 0.01
        energy = column(root, run, f"{NAME}_cal")
        assert np.median(energy[np.abs(one.energy - 2614.5) < 4]) == pytest.approx(2614.5, abs=0.1)


def test_the_parameters_of_the_runs_differ_in_the_mean_of_ae_alone(made: tuple[Path, dict[str, Run]]) -> None:
    first, second = (pars_of(made[0], run)["V0000A"] for run in KEYS)
    assert first["results"] == second["results"]
    operations = [entry["pars"]["operations"] for entry in (first, second)]
    unlike = {name for name in operations[0] if operations[0][name] != operations[1][name]}
    assert unlike == {"AoE_Timecorr", f"{NAME}_cal"}
    means = [each["AoE_Timecorr"]["parameters"]["a"] for each in operations]
    assert means[1] / means[0] == pytest.approx(TIMES["r001"], abs=1e-3)
    counts = first["results"]["aoe"]["low_side_sfs"][1592.5]["counts"]
    assert counts == pytest.approx(6000, abs=4 * first["results"]["aoe"]["low_side_sfs"][1592.5]["counts_err"])


def test_a_run_without_energies_is_left_out_and_the_other_has_all(made: tuple[Path, dict[str, Run]]) -> None:
    first, second = (pars_of(made[0], run)["V0000B"] for run in KEYS)
    assert list(first["results"]["aoe"]["low_side_sfs_by_run"]) == ["l200-p03-r000"]
    assert "AoE_Classifier" in first["pars"]["operations"] and "LQ_Cut" in first["pars"]["operations"]
    assert not {"AoE_Classifier", "LQ_Cut"} & second["pars"]["operations"].keys()
    assert second["status"]["reason"] == "par_hit_ecal: no peak"
    assert np.mean(column(made[0], "r000", "AoE_Low_Cut", 1104001)[DEP]) == pytest.approx(0.90, abs=0.02)


def test_figures_are_there(made: tuple[Path, dict[str, Run]]) -> None:
    cycle = open_cycle(made[0] / "config.json")
    for step in ("par_pht_aoe", "par_pht_lq"):
        assert figures_of(cycle, step, "l200-calgroup001a").read_bytes().startswith(b"%PDF")


def test_twins_share_module_and_settings_with_the_steps_of_runs() -> None:
    for name, of_run in (("par_pht_aoe", "par_hit_aoe"), ("par_pht_lq", "par_hit_lq")):
        assert BY_NAME[name].module == BY_NAME[of_run].module
        assert list(BY_NAME[name].configs.values()) == list(BY_NAME[of_run].configs.values())
        assert BY_NAME[name].channels == BY_NAME[of_run].channels
    assert (BY_NAME["par_pht_aoe"].rule, BY_NAME["par_pht_lq"].rule) == ("pars_pht_aoecal", "pars_pht_lqcal")
    shipped = [
        yaml.safe_load((shipped_folder(rule) / f"{name}.yaml").read_text())
        for rule, name in (("pars_hit_aoecal", "aoecal_config"), ("pars_pht_aoecal", "par_pht_aoecal_config"))
    ]
    assert shipped[0] == shipped[1]
