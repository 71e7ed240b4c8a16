"""The comparison with the truth: agreement, deviation, and what is missing."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gebox.check import Residual, Result, check, expected_at, expected_width, nanoseconds, noise_at, residuals
from gebox.cli import main
from gebox.demand import Demand
from gebox.report import columns_of, shape_rows
from gebox.summary import survival, without_trapping
from gebox.truth import Kind

STAMP = "20240301T080000Z"


def parameters(true: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a perfect production would find: entries of par_dsp and par_hit."""
    pz = {"pz": {"tau1": f"{true['tau']:.1f}*ns", "tau1_err": "50.0*ns"}}
    fits = {}
    for line in (583.187, 2614.511):
        known = true["calibration"][f"line_{int(line)}"]
        fits[line] = {
            "position_in_kev": line,
            "position_err_in_kev": 0.02,
            "fwhm_in_kev": expected_width(true, line),
            "fwhm_err_in_kev": 0.1,
            "n_sig": float(known["counts"]),
            "n_sig_err": max(known["counts"], 1) ** 0.5,
        }
    return pz, {"results": {"ecal": {"trapEmax_ctc_cal": {"pk_fits": fits}}}}


@pytest.fixture
def cycle(simulated: Path, tmp_path: Path) -> Path:
    """A cycle whose parameters of one run are perfect."""
    truth = yaml.safe_load((simulated / "truth" / "l200-p03-r000-truth.yaml").read_text())
    found = {name: parameters(true) for name, true in truth["detectors"].items()}
    for index, tier in enumerate(("dsp", "hit")):
        folder = tmp_path / "cycle" / "generated" / "par" / tier / "cal" / "p03" / "r000"
        folder.mkdir(parents=True)
        content = {name: entry[index] for name, entry in found.items()}
        (folder / f"l200-p03-r000-cal-{STAMP}-par_{tier}.yaml").write_text(yaml.safe_dump(content))
    inputs = tmp_path / "cycle" / "inputs"
    inputs.mkdir()
    record = {"seed": 7, "scale": 0.02, "preset": "small", "truth": str(simulated / "truth")}
    (inputs / "experiment.yaml").write_text(yaml.safe_dump(record))
    return tmp_path / "cycle"


def edit(cycle: Path, tier: str, change: Any) -> None:
    path = next((cycle / "generated" / "par" / tier).rglob("*.yaml"))
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def test_perfect_parameters_agree(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(cycle)]) == 0
    shown = capsys.readouterr().out
    assert "all 28 quantities agree with the truth within 5 sigma" in shown
    for name in ("B02001A", "P03001A", "V01001A", "V01002B"):
        assert name in shown


def test_without_rich_the_table_is_plain(
    cycle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich.table", None)
    assert main(["check", str(cycle)]) == 0
    header, *rows = capsys.readouterr().out.splitlines()[:5]
    columns = ["583 keV at", "FWHM", "true", "2614 keV at", "FWHM", "true", "worst pull"]
    assert re.split(r" {2,}", header.strip()) == ["run", "detector", "traces", "tau [us]", "true", *columns]
    assert [row.split()[2] for row in rows] == ["B02001A", "P03001A", "V01001A", "V01002B"]


def test_pulls_are_drawn_on_demand(cycle: Path, tmp_path: Path) -> None:
    assert main(["check", str(cycle), "--draw", str(tmp_path / "pulls.png")]) == 0
    assert (tmp_path / "pulls.png").read_bytes().startswith(b"\x89PNG")


def test_residuals_have_pulls(cycle: Path) -> None:
    found = check(cycle)
    assert len(found) == 4 * 7
    assert max(abs(residual.pull) for residual in found) < 0.05


def test_a_wrong_position_is_beyond_the_limit(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def shift(content: dict[str, Any]) -> None:
        content["V01001A"]["results"]["ecal"]["trapEmax_ctc_cal"]["pk_fits"][2614.511]["position_in_kev"] += 1.0

    edit(cycle, "hit", shift)
    assert main(["check", str(cycle)]) == 1
    assert "V01001A in p03 r000: position 2614 is 2615.511" in capsys.readouterr().out
    assert main(["check", str(cycle), "--limit", "20"]) == 0


def test_positions_of_all_lines_that_were_fitted_are_compared(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def more(content: dict[str, Any]) -> None:
        for entry in content.values():
            fits = entry["results"]["ecal"]["trapEmax_ctc_cal"]["pk_fits"]
            fits[860.564] = {"position_in_kev": 860.6, "position_err_in_kev": 0.1}
            fits[727.33] = {"position_in_kev": None, "position_err_in_kev": None}

    edit(cycle, "hit", more)
    assert main(["check", str(cycle)]) == 0
    assert "all 32 quantities agree" in capsys.readouterr().out

    def wrong(content: dict[str, Any]) -> None:
        content["V01001A"]["results"]["ecal"]["trapEmax_ctc_cal"]["pk_fits"][860.564]["position_in_kev"] = 861.6

    edit(cycle, "hit", wrong)
    assert main(["check", str(cycle)]) == 1
    assert "position 860" in capsys.readouterr().out


def test_what_has_no_error_or_counts_is_not_measured(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def forget(content: dict[str, Any]) -> None:
        fit = content["V01001A"]["results"]["ecal"]["trapEmax_ctc_cal"]["pk_fits"][583.187]
        fit["position_err_in_kev"] = float("nan")
        del fit["fwhm_err_in_kev"]

    edit(cycle, "hit", forget)
    truth = cycle / "truth"
    shutil.copytree(yaml.safe_load((cycle / "inputs" / "experiment.yaml").read_text())["truth"], truth)
    for path in truth.glob("*-truth.yaml"):
        content = yaml.safe_load(path.read_text())
        content["detectors"]["B02001A"]["calibration"]["line_2614"]["counts"] = 0
        path.write_text(yaml.safe_dump(content))
    edit(cycle, "hit", lambda content: _line(content, "B02001A").update(n_sig=0.0, n_sig_err=0.0))
    assert main(["check", str(cycle), "--truth", str(truth)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "too few events: counts 2614 of B02001A in p03 r000; position 583, FWHM 583 of V01001A in p03 r000" in said
    assert "all 25 quantities agree" in said


def test_a_cycle_in_which_nothing_is_measured_does_not_agree(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(cycle, "dsp", lambda content: [entry["pz"].pop("tau1_err") for entry in content.values()])
    edit(cycle, "hit", lambda content: [_results(entry)["pk_fits"].clear() for entry in content.values()])
    assert main(["check", str(cycle), "--draw", str(cycle / "pulls.png")]) == 1
    said = capsys.readouterr().out
    assert "not measured, because there are too few events: tau" in said
    assert "agree" not in said


def _results(entry: dict[str, Any]) -> dict[str, Any]:
    return entry["results"]["ecal"]["trapEmax_ctc_cal"]  # type: ignore[no-any-return]


def _line(content: dict[str, Any], detector: str) -> dict[str, Any]:
    return _results(content[detector])["pk_fits"][2614.511]  # type: ignore[no-any-return]


def test_a_failed_detector_is_told_with_its_reason(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(content: dict[str, Any]) -> None:
        content["P03001A"] = {"status": {"state": "failed", "step": "par_hit_ecal", "reason": "no line found"}}

    edit(cycle, "hit", fail)
    assert main(["check", str(cycle)]) == 1
    assert "P03001A in p03 r000 has no result: par_hit_ecal: no line found" in capsys.readouterr().out


def test_a_missing_detector_is_told(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(cycle, "hit", lambda content: content.pop("B02001A"))
    assert main(["check", str(cycle)]) == 1
    assert "B02001A in p03 r000 has no result: not in the parameter file" in capsys.readouterr().out


def test_a_cycle_without_parameters_is_an_error(
    tmp_path: Path, simulated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path), "--truth", str(simulated / "truth")]) == 2
    assert "has no parameter files" in capsys.readouterr().err


def test_truth_that_cannot_be_found_is_an_error(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cycle / "inputs" / "experiment.yaml").unlink()
    assert main(["check", str(cycle)]) == 2
    assert "no truth found" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "value"), [("173000.0*ns", 173e3), ("173*us", 173e3), (5.0, 5.0), ("12 ns", 12.0)])
def test_times_are_read_with_their_unit(text: Any, value: float) -> None:
    assert nanoseconds(text) == pytest.approx(value)


TRUE: dict[str, Any] = {
    "tau": 326_000.0, "tau_fraction": 0.02, "tau_second": 12_000.0, "trapping": 8e-4,
    "resolution": {"a": 1.44, "b": 2.0e-3},
    "calibration": {
        "traces": 9000,
        "line_583": {"counts": 400, "charge_fwhm": 1.2, "charge_fwhm_corrected": 1.1},
        "line_2614": {"counts": 150, "charge_fwhm": 2.7, "charge_fwhm_corrected": 2.3},
        "survival": {1592.513: {"counts": 30, "sf": 90.0, "sf_err": 1.0}, 2614.511: {"sf": 12.0, "sf_err": 1.0}},
    },
}  # fmt: skip


def compared(factor: float = 0.0, **pz: Any) -> dict[str, Residual]:
    """What is compared of a detector with all results."""
    ecal = {"pk_fits": {}, "eres_linear": {"Qbb_fwhm_in_kev": 2.5, "Qbb_fwhm_err_in_kev": 0.05}}
    low_side = {1592.5: {"sf": 91.0, "sf_err": 2.0}, 2614.5: {"sf": None, "sf_err": None}}
    hit = {
        "pars": {"operations": {"trapEmax_ctc": {"parameters": {"a": factor}}}},
        "results": {"ecal": {"trapEmax_ctc_cal": ecal}, "aoe": {"low_side_sfs": low_side}},
    }
    dsp = {"pz": pz, "eopt": {"ctc": {"trapEmax": {"a": 9e-7, "a_err": 1e-7}}}}
    return {each.quantity: each for each in residuals(Result("p03", "r000", "A", TRUE, dsp, hit))}


def test_both_decay_constants_and_their_parts_are_compared() -> None:
    found = compared(tau1="327*us", tau1_err="1*us", tau2="11.9*us", tau2_err="0.2*us", frac=0.0205, frac_err=0.0003)
    assert (found["tau"].true, found["tau"].tolerance) == (326.0, pytest.approx(0.05 * 326))
    assert (found["tau 2"].found, found["tau 2"].error, found["tau 2"].true) == (11.9, 0.2, 12.0)
    assert (found["tau fraction"].found, found["tau fraction"].true) == (pytest.approx(2.05), 2.0)


def test_one_decay_constant_where_there_are_two_is_compared_loosely() -> None:
    found = compared(tau1="302*us", tau1_err="0.1*us")
    assert found["tau"].tolerance == pytest.approx(32.6)
    assert "tau 2" not in found


def test_the_width_at_the_end_point_is_compared_with_noise_fano_and_trapping() -> None:
    """1.44 + 0.002 E of noise and Fano; at 2614 keV 2.7² + 1.44 with trapping, which grows with the energy's square."""
    share = (2.7**2 - 0.002 * 2614) * (2039.061 / 2614) ** 2
    assert expected_at(TRUE, 2039.061) == pytest.approx((1.44 + 0.002 * 2039.061 + share) ** 0.5)
    assert compared()["FWHM 2039"].true == pytest.approx(expected_at(TRUE, 2039.061))
    assert compared(1e-6)["FWHM 2039"].true == expected_at(TRUE, 2039.061, corrected=True)
    assert compared(1e-6)["FWHM 2039"].true < compared()["FWHM 2039"].true


def test_the_correction_for_trapping_and_the_survival_of_the_cut_are_compared() -> None:
    found = compared()
    assert (found["trapping"].found, found["trapping"].error, found["trapping"].true) == (
        pytest.approx(0.09), pytest.approx(0.01), pytest.approx(0.08),
    )  # fmt: skip
    kept = found["A/E survival 1592"]
    assert (kept.found, kept.error, kept.true, kept.unit) == (91.0, 2.0, 90.0, "%")
    assert kept.pull == pytest.approx(1 / 3.0)
    assert "A/E survival 2614" not in found, "what has no counts is not compared"


def test_the_second_table_shows_trapping_survival_and_late_charge_where_there_are_some() -> None:
    found = list(compared(tau1="326*us", tau1_err="1*us").values())
    late = {("p03-r000", "A"): [Demand("late charge", "prompt", 998, 1000, least=0.99)]}
    header = [name for column in columns_of(found, late) for name in column]
    assert header[:2] == ["trapping [%/us]", "true"]
    assert header[-3:] == ["A/E 1592 [%]", "true", "LQ prompt"]
    (row,) = shape_rows(found, late)
    assert row[:4] == ["p03 r000", "A", "0.090 +- 0.010", "0.080"]
    assert row[-3:] == ["91.0 +- 2.0", "90.0", "99.8 %"]
    assert columns_of([each for each in found if each.quantity == "tau"], {}) == []


def test_the_true_cut_keeps_nine_tenths_of_the_double_escape_peak() -> None:
    rng = np.random.default_rng(1)
    current = np.concatenate([rng.normal(6.0, 0.1, 2000), rng.normal(6.0, 0.1, 300), rng.normal(5.0, 0.1, 700)])
    energy = np.repeat([1592.513, 2614.511], [2000, 1000])
    found = survival(np.full(3000, int(Kind.SINGLE)), energy, energy, current)
    assert found[1592.511]["sf"] == pytest.approx(90.0, abs=0.1)
    assert found[2614.511]["sf"] == pytest.approx(27.0, abs=2.0)
    assert 1.0 < found[2614.511]["sf_err"] < 2.0
    assert 2039.061 not in found


@pytest.mark.parametrize(("rise", "noise"), [("11.000*us", (0.9 * 1.0) ** 0.5), ("8.000*us", 1.2)])
def test_the_time_of_the_filter_is_that_of_least_noise(rise: str, noise: float) -> None:
    true = TRUE | {"gain": 0.2, "resolution": TRUE["resolution"] | {"noise_by_rise": {8.0: 1.2, 10.0: 1.0, 12.0: 0.9}}}
    dsp = {"pz": {}, "nopt_pars": {"etrap": {"rise": rise, "noise": noise / 0.471, "noise_err": 0.02}}}
    found = {each.quantity: each for each in residuals(Result("p03", "r000", "A", true, dsp, {}))}
    assert abs(found["noise"].pull) < 0.1
    assert found["least noise"].pull == pytest.approx((noise / 0.9 - 1) / 0.01)


def test_what_trapping_adds_is_taken_out_of_the_charge() -> None:
    rng = np.random.default_rng(2)
    drift = rng.uniform(200, 1200, 4000)
    charge = 2614.5 * (1 - 1e-6 * (drift - 700)) + rng.normal(0, 0.9, 4000)
    assert np.std(charge) > 1.1
    assert without_trapping(charge, drift) == pytest.approx(0.9 * 2.3548, rel=0.03)


def test_noise_is_that_of_the_trapezoid_that_the_cycle_uses() -> None:
    true = TRUE | {"gain": 0.2, "resolution": TRUE["resolution"] | {"noise_by_rise": {8.0: 1.2, 10.0: 1.0, 12.0: 0.9}}}
    dsp = {
        "pz": {}, "etrap": {"rise": "11.000*us"},
        "nopt_pars": {"etrap": {"rise": "10.000*us", "noise": 2.2, "noise_err": 0.02}},
    }  # fmt: skip
    hit = {"results": {"ecal": {"trapEmax_cal": {"eres_linear": {"Qbb_fwhm_in_kev": 2.4, "Qbb_fwhm_err_in_kev": 0.1}}}}}
    found = {each.quantity: each for each in residuals(Result("p03", "r000", "A", true, dsp, hit))}
    assert noise_at(true, 9_000.0) == pytest.approx((1.2 * 1.0) ** 0.5)
    assert noise_at(true, 5_000.0) is None
    assert (found["noise"].found, found["noise"].true) == (pytest.approx(2.2 * 0.2 * 2.35482), 1.0)
    at_eleven = true | {"resolution": true["resolution"] | {"a": 0.9 * 1.0}}
    assert found["FWHM 2039"].true == pytest.approx(expected_at(at_eleven, 2039.061))
