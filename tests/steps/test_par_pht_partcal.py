"""The energy calibration of partitions: what is planned, what is found in runs with known gains, what hit applies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from tests.figures import figures_of

from dataflow.base.errors import UserError
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.runner import main
from dataflow.metadata.stepconfig import shipped_folder
from dataflow.physics import curves
from dataflow.physics.linefit import LineFit
from dataflow.physics.lines import QBB, TL208, Source
from dataflow.physics.peakmodel import FWHM
from dataflow.plan import Cycle, open_cycle
from dataflow.plan.survey import all_jobs
from dataflow.plan.targets import resolve
from dataflow.registry.steps import BY_NAME, REGISTRY
from dataflow.steps.par_hit_ecal.build import calibrate_one
from dataflow.steps.par_hit_ecal.settings import Settings, Sources
from dataflow.steps.par_hit_ecal.source import source_of
from dataflow.steps.par_pht_partcal.calibrate import RunData, calibrate, composed
from dataflow.steps.par_pht_partcal.report import polynomial_of
from dataflow.steps.par_pht_partcal.settings import PartitionSettings

Floats = NDArray[np.floating[Any]]
NAME = "cuspEmax_ctc"
GAINS = {"l200-p03-r000": 0.0650, "l200-p03-r001": 0.0655, "l200-p03-r002": 0.0641}
KEYS = {
    "r000": "l200-p03-r000-cal-20230311T235840Z",
    "r001": "l200-p03-r001-cal-20230317T211819Z",
    "r002": "l200-p03-r002-cal-20230325T000000Z",
}
PHY = "l200-p03-r001-phy-20230318T015140Z"
GAP = "no grouping holds l200-p03-r002: it is a partition of its own"
LINES = {
    238.632: 2400,
    240.986: 227,
    583.187: 900,
    727.330: 180,
    860.557: 110,
    1592.513: 60,
    1620.50: 40,
    2103.512: 80,
    TL208: 500,
}
"""Counts of lines in one run."""


def sigma_at(energy: float) -> float:
    """0.8 keV FWHM of noise and 2.6 keV FWHM at 2.6 MeV."""
    return float(np.sqrt(0.8**2 + energy * (2.6**2 - 0.8**2) / TL208)) / FWHM


def spectrum(seed: int) -> Floats:
    """True energies of one run in keV, shape (events,)."""
    random = np.random.default_rng(seed)
    parts = [random.normal(e, sigma_at(e), random.poisson(n)) for e, n in LINES.items()]
    continuum = random.exponential(700, 6000)
    return random.permutation(np.concatenate([*parts, continuum[continuum < 2700]]))


@pytest.fixture(scope="module")
def th228() -> Source:
    """The lines of 228Th."""
    table = Sources.read(yaml.safe_load((shipped_folder("pars_hit_ecal") / "sources.yaml").read_text())).nuclides
    return source_of(Settings(energy_params=(NAME,)), table)


@pytest.fixture(scope="module")
def runs(th228: Source) -> dict[str, RunData]:
    """Three runs with gains of their own, each calibrated alone."""
    found = {}
    for seed, (run, gain) in enumerate(GAINS.items()):
        amplitudes = spectrum(seed) / gain
        own = calibrate_one(amplitudes, NAME, Settings(energy_params=(NAME,)), th228)
        curve = {NAME: list(own.curve.parameters.values())}
        found[run] = RunData({NAME: amplitudes}, np.ones(len(amplitudes), dtype=bool), curve)
    return found


# physics ------------------------------------------------------------------------------------------------------------


def test_runs_with_different_gains_have_their_lines_in_one_place(runs: dict[str, RunData], th228: Source) -> None:
    (found,) = calibrate(runs, PartitionSettings(), th228).results
    assert [fit.line.energy for fit in found.joint.fits][-1] == pytest.approx(TL208)
    assert found.position == pytest.approx(TL208, abs=max(4 * found.peak.position_error, 0.1))
    for run, gain in GAINS.items():
        offset, slope = found.runs[run].parameters
        peak = found.runs[run].peak
        assert isinstance(peak, LineFit)
        assert peak.position == pytest.approx(TL208, abs=4 * peak.position_error + 0.1)
        assert slope == pytest.approx(gain, rel=3e-4)
        assert offset + slope * (QBB / gain) == pytest.approx(QBB, abs=0.4)
    assert found.warnings == []


def test_the_resolution_of_the_sum_is_that_of_the_detector(runs: dict[str, RunData], th228: Source) -> None:
    (found,) = calibrate(runs, PartitionSettings(), th228).results
    assert found.joint.resolution is not None
    width, error = curves.width_at(found.joint.resolution, QBB)
    assert width == pytest.approx(sigma_at(QBB) * FWHM, abs=4 * error)
    assert found.peak.fwhm == pytest.approx(sigma_at(TL208) * FWHM, abs=4 * found.peak.fwhm_error)
    alone = [peak.fwhm_error for each in found.runs.values() if isinstance(peak := each.peak, LineFit)]
    assert found.peak.fwhm_error < 0.8 * min(alone)


def test_a_run_applies_the_calibration_of_the_sum_after_its_own(runs: dict[str, RunData], th228: Source) -> None:
    (found,) = calibrate(runs, PartitionSettings(), th228).results
    run = "l200-p03-r001"
    twice = curves.apply(found.joint.curve, runs[run].energies(NAME))
    once = np.polynomial.polynomial.polyval(runs[run].amplitudes[NAME], found.runs[run].parameters)
    assert once == pytest.approx(twice, abs=1e-8)
    assert sum(each.events for each in found.runs.values()) == len(found.joint.energies)


def test_a_run_with_a_wrong_calibration_is_warned_of(runs: dict[str, RunData], th228: Source) -> None:
    wrong = runs["l200-p03-r002"]
    offset, slope = wrong.parameters[NAME]
    moved = RunData(wrong.amplitudes, wrong.selected, {NAME: [offset + 1.5, slope]})
    (found,) = calibrate(runs | {"l200-p03-r002": moved}, PartitionSettings(), th228).results
    assert any(text.startswith("in l200-p03-r002 the line at 2614.5") and "+" in text for text in found.warnings)
    shift = found.shift("l200-p03-r002")
    assert shift is not None and 0.5 < shift[0] < 1.6


def test_a_partition_without_a_calibrated_run_fails_with_the_reasons(th228: Source) -> None:
    with pytest.raises(WorkFailed, match=r"no run can be used: r1: par_hit_ecal: no peak"):
        calibrate({}, PartitionSettings(), th228, {"r1": "par_hit_ecal: no peak"})


def test_an_estimator_that_a_run_lacks_is_not_calibrated(runs: dict[str, RunData], th228: Source) -> None:
    found = calibrate(runs, PartitionSettings(energy_params=("cuspEmax_ctc_cal", "zacEmax")), th228)
    assert [each.joint.parameter for each in found.results] == [NAME]
    assert found.failed == {"zacEmax_ctc": f"it is not calibrated in {', '.join(GAINS)}"}


def test_polynomials_are_applied_one_after_the_other() -> None:
    assert composed([1.0, 2.0], [3.0, 4.0]) == [7.0, 8.0]
    assert composed([0.0, 1.0, 1.0], [1.0, 2.0]) == [2.0, 6.0, 4.0]
    assert composed([5.0], [1.0, 2.0]) == [5.0, 0.0]
    made = polynomial_of("E", [2.0, 6.0, 4.0])
    assert made == {"expression": "a + b * E + c * E**2", "parameters": {"a": 2.0, "b": 6.0, "c": 4.0}}


# the plan -----------------------------------------------------------------------------------------------------------


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cycle with three calibrations, of which one detector groups only two; DAQ files are empty."""
    root = tmp_path / "cycle"
    for key in (*KEYS.values(), PHY):
        _, period, run, datatype, _ = key.split("-")
        write(root / f"generated/tier/daq/{datatype}/{period}/{run}/{key}.fcio", "")
    names = ("V0000A", "V0000B")
    contents = {
        "hardware/configuration/channelmaps": {
            name: {"name": name, "system": "geds", "daq": {"rawid": 1104000 + n}} for n, name in enumerate(names)
        },
        "datasets/statuses": {name: {"processable": True, "usability": "on"} for name in names},
    }
    for folder, content in contents.items():
        write(root / "inputs" / folder / "all.yaml", json.dumps(content))
        write(root / "inputs" / folder / "validity.yaml", '[{"valid_from": "20200101T000000Z", "apply": ["all.yaml"]}]')
    write(
        root / "inputs/datasets/cal_groupings.yaml",
        "default: {calgroup001a: {p03: r000..r002}}\nV0000B: {calgroup001a: {p03: r000..r001}}\n",
    )
    write(root / "config.json", json.dumps({"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}))
    return root


def opened(root: Path) -> Cycle:
    return open_cycle(root / "config.json")


def test_a_detector_with_a_grouping_of_its_own_is_calibrated_by_it(root: Path) -> None:
    cycle = opened(root)
    units = cycle.units.of(cycle.step("par_pht_partcal"))
    found = {unit.group: (unit.runs, set(unit.detectors or ()), unit.note) for unit in units}
    assert found == {
        "calgroup001a": (tuple(GAINS), {"V0000A"}, ""),
        "calgroup001a.V0000B": (tuple(GAINS)[:2], {"V0000B"}, ""),
        "p03_r002": (tuple(GAINS)[2:], {"V0000B"}, GAP),
    }


def test_each_run_takes_the_entries_of_all_partitions_that_hold_it(root: Path) -> None:
    cycle = opened(root)
    names = {
        run: [path.name for path in cycle.job("par_pht", key).inputs["par_pht_partcal"]] for run, key in KEYS.items()
    }
    own = ["l200-calgroup001a-par_pht_partcal.yaml", "l200-calgroup001a.V0000B-par_pht_partcal.yaml"]
    assert names == {"r000": own, "r001": own, "r002": [own[0], "l200-p03_r002-par_pht_partcal.yaml"]}


def test_a_target_of_pht_needs_the_calibrations_of_all_runs_of_the_partition(root: Path) -> None:
    cycle = opened(root)
    (wanted,) = resolve("all-l200-p03-r001-phy-pht.gen", cycle).jobs
    assert (wanted[0], str(wanted[1])) == ("tier_pht", PHY)
    cycle.check([wanted])
    job = cycle.job(*wanted)
    assert (job.module, job.table("hit", job.channels[0])) == ("steps.tier_hit.build", "ch1104000/hit")
    assert [path.name for path in job.inputs["dsp"]] == [f"{PHY}-tier_dsp.lh5"]
    assert [path.name for path in job.inputs["par_hit"]] == [f"{KEYS['r001']}-par_pht.yaml"]
    ahead, seen = [wanted], {wanted}
    while ahead:
        new = [need for need in cycle.needs(*ahead.pop()) if need not in seen]
        seen.update(new)
        ahead += new
    assert sorted(str(unit) for step, unit in seen if step == "par_hit_ecal") == sorted(KEYS.values())
    without = {"par_dsp_spms", "par_pht_spms", "par_dsp_svm"}  # there is no SiPM here, and no training data
    assert {step for step, _ in seen} == cycle.upstream(["tier_pht"]) - without
    assert "par_hit" not in {step for step, _ in seen}


def test_pht_is_made_only_where_it_is_asked_for(root: Path) -> None:
    cycle = opened(root)
    of_pht = {step.name for step in REGISTRY.steps if step.tier == "pht"}
    parts = {"par_pht_qc", "par_pht_partcal", "par_pht_aoe", "par_pht_lq", "par_pht_spms"}
    figures = {f"plt_{name}" for name in ("pht_qc", "pht_partcal", "pht_aoe", "pht_lq", "pht")}
    assert of_pht == {"tier_pht", *parts, "par_pht", *figures, "validity_pht"}
    assert of_pht <= {step.name for step in cycle.steps}
    for target in ("all-l200-p03-*-phy-hit.gen", "all-l200-p03-*-phy-evt.gen", "all-l200-p03-*-phy-skm.gen"):
        jobs = resolve(target, cycle).jobs
        assert jobs and of_pht.isdisjoint(cycle.upstream({step for step, _ in jobs}))
    assert of_pht.isdisjoint(step for step, _ in all_jobs(cycle))
    (root / "generated/par/pht").mkdir(parents=True)
    assert of_pht - {"par_pht_spms"} <= {step for step, _ in all_jobs(opened(root))}  # no SiPM here


def test_a_wrong_setting_is_refused_while_planning(root: Path) -> None:
    place = root / "inputs/dataprod/config"
    write(place / "part.yaml", "deg: 1\nsource: Th282\n")
    rules = {"snakemake_rules": {"pars_pht_partcal": {"inputs": {"pars_pht_partcal_config": "part.yaml"}}}}
    write(place / "all.yaml", json.dumps(rules))
    write(place / "validity.yaml", '[{"valid_from": "20200101T000000Z", "apply": ["all.yaml"]}]')
    with pytest.raises(UserError, match=r"part.yaml:2: pars_pht_partcal_config.source: there is no source 'Th282'"):
        opened(root).job("par_pht_partcal", "l200-calgroup001a")


def test_the_pht_tier_is_the_hit_tier_with_other_parameters() -> None:
    pht, hit = BY_NAME["tier_pht"], BY_NAME["tier_hit"]
    assert (pht.module, pht.rule, pht.configs) == (hit.module, "tier_pht", hit.configs)
    assert [(each.of, each.name) for each in pht.inputs] == [
        ("dsp", "dsp"),
        ("par_pht", "par_hit"),
        ("par_pht_spms", "spms"),
    ]
    assert shipped_folder("tier_pht") == shipped_folder("tier_hit")


# jobs ---------------------------------------------------------------------------------------------------------------


def quality(amplitudes: Floats, seed: int) -> dict[str, Floats]:
    """The columns of the quality cuts for good pulses; the baseline is noisier in each run than in the one before."""
    random, count = np.random.default_rng(seed), len(amplitudes)
    zero = np.zeros(count)
    names = ("n_sat_lo", "n_sat_hi", "bl_mean", "wf_min")
    return dict.fromkeys(names, zero) | {
        "trapTmax": amplitudes, "wf_max": amplitudes, "timestamp": 1e6 * seed + np.arange(count, dtype=float),
        "bl_slope": random.normal(0, 1, count), "tp_0_est": random.normal(48_000, 10, count), "tp_01": zero + 47_000,
        "pz_bl_std": random.normal(5 + seed, 0.5, count), "pz_after_std": random.normal(6 + seed, 0.5, count),
    }  # fmt: skip


def make_inputs(cycle: Cycle, th228: Source, failed: str = "", who: str = "V0000A") -> None:
    """The dsp and calibration files of the runs, and masks without marks, as earlier steps would have left them."""
    import lh5
    from lgdo import Array, Struct, Table

    for seed, (run, key_name) in enumerate(zip(GAINS, KEYS.values(), strict=True)):
        key = cycle.scheme.key(key_name)
        path, energies = cycle.output("tier_dsp", key), {name: spectrum(10 * seed + n) for n, name in enumerate("AB")}
        path.parent.mkdir(parents=True, exist_ok=True)
        pars = {}
        for number, (name, values) in enumerate(energies.items()):
            amplitudes = values / GAINS[run]
            columns = {"cuspEmax": amplitudes, "dt_eff": np.zeros(len(values))} | quality(amplitudes, seed)
            table = Table(col_dict={column: Array(array) for column, array in columns.items()})
            lh5.write(table, "dsp", str(path), group=f"ch{1104000 + number}", wo_mode="a" if number else "of")
            found = calibrate_one(amplitudes, NAME, Settings(energy_params=(NAME,)), th228)
            pars[f"V0000{name}"] = {
                "pars": {
                    "operations": {
                        NAME: {"expression": "cuspEmax * (1 + dt_eff * a)", "parameters": {"a": 0.0}},
                        f"{NAME}_cal": polynomial_of(NAME, list(found.curve.parameters.values())),
                    }
                },
                "results": {"ecal": {f"{NAME}_cal": {}}},
            }
        if failed == run:
            pars[who] = {"status": {"state": "failed", "step": "par_hit_ecal", "reason": "no peak"}}
        write(cycle.output("par_hit_ecal", key), yaml.safe_dump(pars))
        masks = cycle.output("par_tcm_pulser", key, "masks")
        masks.parent.mkdir(parents=True, exist_ok=True)
        nothing = Struct({"files": Array(np.array([key_name], dtype="S"))})
        lh5.write(nothing, "masks", str(masks), wo_mode="of")


def run_jobs(root: Path) -> dict[str, dict[str, Any]]:
    """Make the parameters of all partitions and runs; the merged ones by run."""
    cycle = opened(root)
    parts = ("par_pht_qc", "par_pht_partcal", "par_pht_aoe", "par_pht_lq")
    jobs = [(part, str(unit)) for part in parts for unit in cycle.units.of(cycle.step(part))]
    for step, name in (*jobs, *(("par_pht", key) for key in KEYS.values())):
        assert main([step, "--config", str(root / "config.json"), "--key", name]) == 0, (step, name)
    outputs = {run: cycle.output("par_pht", cycle.scheme.key(key)) for run, key in KEYS.items()}
    return {run: dict(yaml.safe_load(path.read_text())) for run, path in outputs.items()}


def test_the_jobs_make_parameters_for_each_run_that_say_where_there_is_a_gap(root: Path, th228: Source) -> None:
    make_inputs(opened(root), th228)
    pars = run_jobs(root)
    for number, (run, gain) in enumerate(GAINS.items()):
        for detector in ("V0000A", "V0000B"):
            operations = pars[f"r00{number}"][detector]["pars"]["operations"]
            assert list(operations)[-2:] == [NAME, f"{NAME}_cal"], run
            assert operations[f"{NAME}_cal"]["parameters"]["b"] == pytest.approx(gain, rel=5e-4)
            assert "by_run" not in pars[f"r00{number}"][detector]
    alone = pars["r002"]["V0000B"]
    assert alone["results"]["partition"] == {"name": "p03_r002", "runs": ["l200-p03-r002"], "note": GAP}
    assert next(iter(alone["warnings"].values())).startswith(GAP)
    shared = pars["r002"]["V0000A"]["results"]
    assert shared["partition"] == {"name": "calgroup001a", "runs": list(GAINS)}
    found = shared["partition_ecal"][f"{NAME}_cal"]
    assert found["eres_linear"]["Qbb_fwhm_in_kev"] == pytest.approx(
        sigma_at(QBB) * FWHM, abs=4 * found["eres_linear"]["Qbb_fwhm_err_in_kev"]
    )
    assert set(found["runs"]) == set(GAINS)
    figure = figures_of(opened(root), "par_pht_partcal", "l200-calgroup001a")
    assert figure.read_bytes().startswith(b"%PDF")


def test_the_runs_of_a_partition_have_the_same_quality_cuts(root: Path, th228: Source) -> None:
    """From the events of all of them: no run has the scatter of the baseline that lies in the middle of them."""
    make_inputs(opened(root), th228)
    pars = run_jobs(root)
    classifier = "is_valid_baseline_classifier"
    cuts = {
        (run, name): pars[run][name]["pars"]["operations"][classifier]["parameters"]
        for run in ("r000", "r001", "r002")
        for name in ("V0000A", "V0000B")
    }
    assert cuts["r000", "V0000A"] == cuts["r001", "V0000A"] == cuts["r002", "V0000A"]
    assert cuts["r000", "V0000B"] == cuts["r001", "V0000B"]
    assert cuts["r000", "V0000A"]["a"] == pytest.approx(6, abs=0.6)  # of means of 5, 6 and 7
    assert cuts["r000", "V0000A"]["b"] > 0.8
    assert (cuts["r002", "V0000B"]["a"], cuts["r002", "V0000B"]["b"]) == pytest.approx((7, 0.5), abs=0.15)
    events = [pars[run]["V0000A"]["results"]["qc_events"]["cal"] for run in ("r000", "r002")]
    amplitudes = (spectrum(10 * number) / gain for number, gain in enumerate(GAINS.values()))
    assert events[0] == events[1] == sum(int(np.count_nonzero(each > 25)) for each in amplitudes)


def test_status_tells_of_the_gap(root: Path, th228: Source) -> None:
    from dataflow.door.detectors import detectors

    make_inputs(opened(root), th228)
    run_jobs(root)
    found = detectors({"config": str(root / "config.json"), "experiment": None})
    said = {each["detector"]: each for each in found["detectors"] if each["reason"] == GAP}
    assert set(said) == {"V0000B"}
    assert said["V0000B"]["line"].startswith("warning: V0000B in par_pht_qc: no grouping holds l200-p03-r002")
    assert said["V0000B"]["runs"] == ["l200-p03_r002"]


def test_status_and_plan_tell_of_the_gap_before_anything_is_made(root: Path) -> None:
    from dataflow.door.planning import plan
    from dataflow.door.status import status

    question = {"config": str(root / "config.json"), "experiment": None, "cores": 1}
    said = (
        "par_pht_partcal: no grouping in datasets/cal_groupings.yaml holds l200-p03-r002 (V0000B): "
        "each of these runs is a partition of its own"
    )
    assert said in status(question)["warnings"]
    assert said in plan(question | {"targets": ["all-l200-p03-r002-cal-par_pht.gen"]})["warnings"]
    assert said not in plan(question | {"targets": ["all-l200-p03-r002-cal-par_hit.gen"]})["warnings"]


def test_status_looks_at_no_partition_that_a_grouping_holds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred runs with their own groupings of detectors that takes longer than all else."""
    from dataflow.door.status import status
    from dataflow.plan.survey import Survey

    seen = []
    item = Survey.item
    monkeypatch.setattr(Survey, "item", lambda self, *place: seen.append(place) or item(self, *place))
    status({"config": str(root / "config.json"), "experiment": None, "cores": 1})
    assert {(unit.name, bool(unit.note)) for _, unit in seen if unit.group} == {("l200-p03_r002", True)}


def test_status_tells_of_no_gap_where_nothing_is_grouped(root: Path) -> None:
    """As in the empty tree of a new cycle."""
    from dataflow.door.status import status

    (root / "inputs/datasets/cal_groupings.yaml").write_text("default: {}\n", encoding="utf-8")
    found = status({"config": str(root / "config.json"), "experiment": None, "cores": 1})["warnings"]
    assert not [text for text in found if "no grouping" in text]


def test_a_detector_that_fails_in_a_gap_says_both(root: Path, th228: Source) -> None:
    make_inputs(opened(root), th228, failed="l200-p03-r002", who="V0000B")
    alone = run_jobs(root)["r002"]["V0000B"]
    assert alone["status"]["reason"] == "no run can be used: l200-p03-r002: par_hit_ecal: no peak"
    assert list(alone["warnings"].values()) == [GAP]


def test_a_run_that_could_not_be_calibrated_is_left_out_and_fails_alone(root: Path, th228: Source) -> None:
    make_inputs(opened(root), th228, failed="l200-p03-r001")
    pars = run_jobs(root)
    assert pars["r001"]["V0000A"]["status"]["reason"] == "par_hit_ecal: no peak"
    assert f"{NAME}_cal" not in pars["r001"]["V0000A"]["pars"]["operations"]
    assert "is_valid_0vbb" in pars["r001"]["V0000A"]["pars"]["operations"]
    partition = pars["r000"]["V0000A"]["results"]["partition"]
    assert partition["left_out"] == {"l200-p03-r001": "par_hit_ecal: no peak"}
    assert partition["runs"] == ["l200-p03-r000", "l200-p03-r002"]
    assert "status" not in pars["r000"]["V0000A"] and "status" not in pars["r001"]["V0000B"]
