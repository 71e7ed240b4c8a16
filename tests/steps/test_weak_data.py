"""A calibration without a source, and one with a dozen counts in a line: what each step gives, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import yaml
from tests.figures import figures_of
from tests.reading import counted
from tests.reasons import reasons, texts, unexplained

from dataflow.jobs.runner import run
from dataflow.plan import open_cycle

from .pulses import CAL, CHANNELS, fill, make_cycle, traces, truth

if TYPE_CHECKING:
    from tests.steps.conftest import Simulated

BACKGROUND, FEW = "V01A", "V02B"
"""A detector that sees no source, whose usability is off, and one that sees little of it, whose usability is ac."""
COUNTS = {238.632: 80, 583.187: 40, 727.33: 12, 860.557: 12, 2614.511: 25}
STEPS = (
    *("par_tcm_pulser", "par_dsp_pz", "par_dsp_evtsel", "par_dsp_nopt", "par_dsp_eopt", "par_dsp_dplms", "par_dsp"),
    *("tier_dsp", "par_hit_qc", "par_hit_ecal", "par_hit_aoe", "par_hit_lq", "par_hit", "tier_hit"),
)


@pytest.fixture(scope="module")
def cycle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without fft and pzc data, from the raw file to hit."""
    folder = make_cycle(tmp_path_factory.mktemp("weak"))
    usability = {BACKGROUND: "off", FEW: "ac", "PULS01": "on"}
    statuses = {name: {"processable": True, "usability": usability[name]} for name in CHANNELS}
    (folder / "inputs/datasets/statuses/config.yaml").write_text(yaml.safe_dump(statuses))
    of = {BACKGROUND: truth(1, counts={}, flat=500), FEW: truth(3, counts=COUNTS, flat=120)}
    fill(folder, {name: (each, traces(each, trapping=0.0, noise=12.0)) for name, each in of.items()})
    for step in STEPS:
        run(open_cycle(folder / "config.json").job(step, CAL))
    return folder


def outputs(cycle: Path, step: str) -> dict[str, Path]:
    return dict(open_cycle(cycle / "config.json").job(step, CAL).outputs)


@pytest.fixture(scope="module")
def dsp(cycle: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(outputs(cycle, "par_dsp")["par"].read_text()))


@pytest.fixture(scope="module")
def hit(cycle: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(outputs(cycle, "par_hit")["par"].read_text()))


def test_without_a_source_there_are_decay_constants_and_quality_cuts(dsp: dict[str, Any], hit: dict[str, Any]) -> None:
    assert float(dsp[BACKGROUND]["pz"]["tau1"].removesuffix("*ns")) == pytest.approx(250_000, rel=2e-3)
    assert hit[BACKGROUND]["results"]["qc"]["is_valid_0vbb"]["sf_cal"] > 99
    assert "is_valid_cal" in hit[BACKGROUND]["pars"]["operations"]
    assert "cuspEmax_ctc_cal" not in hit[BACKGROUND]["pars"]["operations"]


def test_without_a_source_each_step_says_that_there_is_none(
    cycle: Path, dsp: dict[str, Any], hit: dict[str, Any]
) -> None:
    none = "the lines of the source do not stand out of 490 events"
    assert dsp[BACKGROUND]["evtsel"]["failed"].startswith(none)
    assert dsp[BACKGROUND]["eopt"]["failed"].startswith(none)
    assert "status" not in dsp[BACKGROUND], "times of the chain hold, and dsp is made"
    status = hit[BACKGROUND]["status"]
    assert (status["state"], status["step"]) == ("failed", "par_hit_ecal")
    assert none in status["reason"]
    said = texts(figures_of(open_cycle(cycle / "config.json"), "par_hit", CAL), BACKGROUND)
    assert all(f"{BACKGROUND}: {step} failed" in said for step in ("par_hit_ecal", "par_hit_aoe", "par_hit_lq"))


def test_a_dozen_counts_are_calibrated_and_what_they_do_not_allow_is_said(
    dsp: dict[str, Any], hit: dict[str, Any]
) -> None:
    fits = hit[FEW]["results"]["ecal"]["cuspEmax_ctc_cal"]["pk_fits"]
    for energy, counts in COUNTS.items():
        (fit,) = (each for line, each in fits.items() if abs(line - energy) < 0.1)
        assert fit["position_in_kev"] == pytest.approx(energy, abs=4 * fit["position_err_in_kev"])
        assert fit["n_sig"] == pytest.approx(counts, abs=4 * fit["n_sig_err"])
    correction = dsp[FEW]["eopt"]["ctc"]["cuspEmax"]
    assert abs(correction["a"]) < 3 * correction["a_err"], "nothing is trapped"
    assert dsp[FEW]["eopt"]["zac"]["used"] is False, "of these events no time is better than others"
    assert "status" not in hit[FEW]
    assert hit[FEW]["results"]["aoe_failed"] and hit[FEW]["results"]["lq_failed"]


def test_a_run_without_fft_and_pzc_data_takes_what_the_calibration_tells(
    dsp: dict[str, Any], hit: dict[str, Any]
) -> None:
    for name in (BACKGROUND, FEW):
        assert dsp[name]["pz"]["datatype"] == "cal"
        assert "nopt_pars" not in dsp[name]
        assert dsp[name]["dplms"] == {"not_made": "no forced triggers (fft) in this run"}
        assert hit[name]["results"]["qc_events"]["fft"] == 0
        assert hit[name]["results"]["qc_levels"]["is_valid_baseline"]["source"] == "cal"


def test_detectors_that_are_ac_or_off_are_calibrated_as_others(cycle: Path, hit: dict[str, Any]) -> None:
    """Usability is decided on events: a change of it makes no calibration again."""
    assert set(hit) == {BACKGROUND, FEW}
    with h5py.File(outputs(cycle, "tier_hit")["tier"]) as file:
        tables = {name: file[f"ch{CHANNELS[name][1]:07d}/hit"] for name in (BACKGROUND, FEW)}
        energies = {name: table["cuspEmax_ctc_cal"][:] for name, table in tables.items()}
        valid = {name: table["is_valid_cal"][:].astype(bool) for name, table in tables.items()}
    assert np.isnan(energies[BACKGROUND]).all() and np.mean(valid[BACKGROUND]) > 0.99
    assert np.count_nonzero(np.abs(energies[FEW][valid[FEW]] - 583.2) < 2) == pytest.approx(COUNTS[583.187], abs=5)


@pytest.mark.parametrize("step", ["par_dsp", "par_hit"])
def test_what_is_empty_has_a_reason_in_the_parameter_file_and_on_a_page(cycle: Path, step: str) -> None:
    shown = figures_of(open_cycle(cycle / "config.json"), step, CAL)
    for name, entry in yaml.safe_load(outputs(cycle, step)["par"].read_text()).items():
        assert unexplained(entry) == []
        assert reasons(entry)
        said = texts(shown, name)
        assert [each for each in reasons(entry) if " ".join(each.split()) not in said] == []


def test_detectors_without_trouble_have_a_reason_for_what_is_empty_too(
    distorted: Simulated, qualified: dict[str, Any]
) -> None:
    """Eight detectors with a calibration of 300 events each: most of what there is cannot be known."""
    distorted.run("par_hit_ecal", "par_hit_aoe", "par_hit_lq", "par_hit")
    assert set(qualified) == set(distorted.rawids)
    for step in ("par_dsp", "par_hit"):
        shown = figures_of(open_cycle(distorted.folder / "config.json"), step, distorted.key)
        for name, entry in distorted.pars(step).items():
            assert unexplained(entry) == [], name
            said = texts(shown, name)
            assert [each for each in reasons(entry) if " ".join(each.split()) not in said] == [], name


READING = ("par_dsp_pz", "par_dsp_evtsel", "par_dsp_eopt", "tier_dsp", "par_hit_qc", "par_hit_ecal", "par_hit_aoe")


@pytest.mark.parametrize("step", [*READING, "par_hit_lq", "tier_hit"])
def test_no_step_reads_a_column_twice(cycle: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for its first row, by which a processing chain knows what it will read."""
    rows = counted(monkeypatch)
    run(open_cycle(cycle / "config.json").job(step, CAL))
    assert sum(rows.read.values()) > 1000
    assert rows.more_than_once(beyond=2) == {}


def test_the_walk_finds_what_has_no_reason() -> None:
    entry = {
        "results": {"fit": {"p_value": None, "chi_square": [3.0, 2]}, "a": [1.0, float("nan")], "b": None},
        "qc_levels": {"x": {"low": None, "high": None}},
        "aoe": {"low_side_sfs": {1620.5: {"sf": None}, 2103.53: {"sf": None}}},
        "warnings": {"par_hit_aoe": "no A/E survival fraction at 1620.5 keV: no counts there"},
    }
    assert unexplained(entry) == [
        *("results.fit.p_value", "results.a.1", "results.b", "qc_levels.x.low", "qc_levels.x.high"),
        "aoe.low_side_sfs.2103.53.sf",
    ]
    good = {
        "fit": {"p_value": None, "chi_square": [0.0, 0]},
        "qc_levels": {"x": {"low": None, "high": 3.0}},
        "aoe": {"rt_correction": False, "dt_correction": {"alpha": None}},
        "eopt": {"ctc": {"cuspEmax": {"Qbb_fwhm_in_kev": None}}},
        "warnings": ["the events are too few for some widths of cuspEmax"],
    }
    assert unexplained(good) == []
