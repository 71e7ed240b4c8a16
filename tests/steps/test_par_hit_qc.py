"""Quality cuts: good pulses stay, distorted ones go, by class; levels and forms are those of the published flow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import yaml
from scipy import stats
from tests.dashboard import absent
from tests.figures import said_on

from dataflow.base.errors import UserError
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.parfiles import plain
from dataflow.metadata.stepconfig import shipped_folder
from dataflow.physics.operations import value_of
from dataflow.physics.selection import core_of
from dataflow.steps.par_hit_qc.calibrate import calibrate, recovering, sample
from dataflow.steps.par_hit_qc.figure import draw
from dataflow.steps.par_hit_qc.report import entry, failed_entry
from dataflow.steps.par_hit_qc.result import Result, Survival
from dataflow.steps.par_hit_qc.settings import Settings
from gebox.truth import Kind

if TYPE_CHECKING:
    from tests.steps.conftest import Simulated

NOISE_EVENTS = 100
GOOD = (Kind.SINGLE, Kind.MULTI, Kind.SURFACE)
SHIPPED = yaml.safe_load((shipped_folder("pars_hit_qc") / "qc_config.yaml").read_text())
VISIBLE = 10.0
"""keV above which the tail of another pulse can be told from noise."""


def settings(cuts: dict[str, Any], part: str = "cal_fields", **more: Any) -> Settings:
    return Settings.read({part: {"cut_parameters": cuts}} | more, "qc_config")


def normal(size: int = 5000, *, mean: float = 3.0, sigma: float = 0.5, seed: int = 1) -> dict[str, Any]:
    draw_ = np.random.default_rng(seed)
    return {"value": draw_.normal(mean, sigma, size), "other": draw_.normal(0, 1, size)}


def derived(data: dict[str, Any], cuts: dict[str, Any], **more: Any) -> Result:
    return calibrate(data, np.ones(len(data["value"]), dtype=bool), {}, settings(cuts, **more))


# the truth of the simulated experiment ------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def confusion(distorted: Simulated, qualified: dict[str, Any]) -> dict[Kind, tuple[int, int]]:
    """By class, the pulses that pass and all of them, over all detectors."""
    found = {kind: [0, 0] for kind in Kind}
    for name in distorted.rawids:
        data, truth = distorted.columns(name), distorted.truth(name)
        passes = value_of("is_valid_0vbb", qualified[name]["pars"]["operations"], data).astype(bool)
        kinds = truth["hit_kind"].copy()
        start, charge = truth["hit_second_start"], truth["hit_second_charge"]
        tail = charge * np.exp(np.minimum(start, 0) / 100_000)  # the shortest decay constant there is
        kinds[(kinds == Kind.PRE_TRIGGER) & (tail < VISIBLE)] = np.nan
        for kind in Kind:
            found[kind][0] += int(np.count_nonzero(passes & (kinds == kind)))
            found[kind][1] += int(np.count_nonzero(kinds == kind))
    return {kind: (passed, total) for kind, (passed, total) in found.items()}


@pytest.mark.parametrize("kind", GOOD)
def test_good_pulses_of_each_class_stay(confusion: dict[Kind, tuple[int, int]], kind: Kind) -> None:
    passed, total = confusion[kind]
    assert total > 200
    assert passed / total >= 0.99, confusion


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        (Kind.DISCHARGE, 1.0), (Kind.BURST, 0.97), (Kind.NEGATIVE, 1.0), (Kind.PRE_TRIGGER, 0.97), (Kind.PILE_UP, 0.85),
    ],
)  # fmt: skip
def test_distorted_pulses_go(confusion: dict[Kind, tuple[int, int]], kind: Kind, least: float) -> None:
    passed, total = confusion[kind]
    assert total > 45
    assert 1 - passed / total >= least, confusion


def test_what_each_class_is_called(distorted: Simulated, qualified: dict[str, Any]) -> None:
    """The flags say what is wrong: each of the first three classes has its own."""
    found: dict[str, list[float]] = {"is_discharge": [], "is_negative": [], "is_saturated": []}
    for name in distorted.rawids:
        data, kinds = distorted.columns(name), distorted.truth(name)["hit_kind"]
        operations = qualified[name]["pars"]["operations"]
        of_kind = {"is_discharge": Kind.DISCHARGE, "is_negative": Kind.NEGATIVE, "is_saturated": Kind.DISCHARGE}
        for flag, kind in of_kind.items():
            found[flag].extend(value_of(flag, operations, data)[kinds == kind])
        good = np.isin(kinds, GOOD)
        assert not value_of("is_negative", operations, data)[good].any()
        assert not value_of("is_discharge", operations, data)[good].any()
    assert {flag: float(np.mean(values)) for flag, values in found.items()} == pytest.approx(
        {"is_discharge": 1.0, "is_negative": 1.0, "is_saturated": 1.0}, abs=0.01
    )


def test_survival_is_stated_for_pulses_and_for_traces_without(qualified: dict[str, Any]) -> None:
    for name, found in qualified.items():
        results = found["results"]
        assert results["qc_events"]["fft"] == NOISE_EVENTS + 20, name  # and not the 20 of the pulser
        assert results["qc_events"]["removed"]["masked"] > 20
        assert results["qc"]["is_valid_baseline"]["sf_fft"] > 99, name
        assert 75 < results["qc"]["is_valid_0vbb"]["sf_cal"] < 90, name
        assert "qc_left_out" not in results and "warnings" not in found


def test_hit_has_flags_classifiers_and_their_names(distorted: Simulated, qualified: dict[str, Any]) -> None:
    distorted.run("par_hit_ecal", "par_hit_aoe", "par_hit_lq", "par_hit", "tier_hit")
    (path,) = (distorted.folder / "generated/tier/hit/cal").rglob("*.lh5")
    for name, rawid in distorted.rawids.items():
        data, operations = distorted.columns(name), qualified[name]["pars"]["operations"]
        with h5py.File(path) as file:
            hit = file[f"ch{rawid:07d}/hit"]
            bits = hit["quality_flags"][:]
            names = hit["quality_flags"].attrs["bit_names"].split(",")
            for number, flag in enumerate(names):
                expected = value_of(flag, operations, data).astype(bool)
                np.testing.assert_array_equal((bits >> number) & 1, expected, err_msg=flag)
                np.testing.assert_array_equal(hit[flag][:].astype(bool), expected, err_msg=flag)
            classifier = value_of("is_valid_tail_classifier", operations, data)
            np.testing.assert_allclose(hit["is_valid_tail_classifier"][:], classifier, rtol=1e-4, atol=1e-4)
    assert names == [
        "is_saturated", "is_negative", "is_valid_baseline", "is_valid_t0", "is_discharge", "is_downgoing_baseline",
        "is_upgoing_baseline", "is_valid_rt", "is_valid_tail",
    ]  # fmt: skip


def test_energies_are_calibrated_with_the_events_that_pass(distorted: Simulated, qualified: dict[str, Any]) -> None:
    found = distorted.pars("par_hit")
    for name, each in found.items():
        if "status" in each:
            continue
        operations = each["pars"]["operations"]
        assert operations["is_valid_baseline"] == qualified[name]["pars"]["operations"]["is_valid_baseline"]
        energies = value_of("cuspEmax_ctc_cal", operations, distorted.columns(name))
        passes = value_of("is_valid_cal", operations, distorted.columns(name)).astype(bool)
        pulser = distorted.truth(name)["hit_kind"] == Kind.PULSER
        in_window = (energies > 2604) & (energies < 2624) & ~pulser
        result = each["results"]["ecal"]["cuspEmax_ctc_cal"]
        assert result["pass_fep"] == np.count_nonzero(in_window & passes), name
        assert result["total_fep"] == np.count_nonzero(in_window), name


def test_the_page_shows_every_classifier(distorted: Simulated) -> None:
    name = next(iter(distorted.rawids))
    data = distorted.columns(name)
    found = calibrate(data, np.ones(len(data["timestamp"]), dtype=bool), {}, Settings.read(SHIPPED, "qc_config"))
    page = draw(name, distorted.key, found)
    assert [panel.labels["title"].partition(",")[0] for panel in page.panels] == list(found.levels)
    texts = said_on(page)
    assert f"is_valid_0vbb{'':11s}{100 * found.cal['is_valid_0vbb'].fraction:7.2f}" in texts
    assert "no fft data" in texts


# levels and forms ---------------------------------------------------------------------------------------------------


def test_mode_and_width_are_those_of_a_normal_distribution_whatever_the_other_third_does() -> None:
    data = normal(20_000)["value"]
    mixed = np.concatenate([data, np.random.default_rng(2).uniform(5, 500, 10_000)])
    assert core_of(data) == (pytest.approx(3.0, abs=0.03), pytest.approx(0.5, rel=0.02))
    mode, width = core_of(mixed) or (0, 0)
    assert mode == pytest.approx(3.0, abs=0.1)
    assert 0.5 < width < 1.0
    assert core_of(np.full(30, 2.0)) is None and core_of(np.array([np.nan, 1.0])) is None
    # repeated values: the shortest interval that has any length
    mode, width = core_of(np.repeat([0.0, 16.0, 32.0], [60, 30, 10])) or (0, 0)
    assert mode == 0.0 and width == pytest.approx(16 / 2, rel=1e-3)


def test_classifiers_are_those_of_pygama_on_well_behaved_data() -> None:
    """Same expressions; mode and width agree within what pygama's histogram scatters."""
    from pygama.pargen.data_cleaning import generate_cut_classifiers

    data = normal(4000)
    cuts = {
        "both": {"cut_parameter": "value", "cut_level": 4.0, "mode": "inclusive"},
        "above": {"cut_parameter": "value", "cut_level": {"high_side": 5.0}, "mode": "inclusive"},
        "beyond": {"cut_parameter": "value", "cut_level": {"low_side": -3.0, "high_side": 5.0}, "mode": "exclusive"},
        "taken": {"expression": "(value>a)&(value<b)", "parameters": {"a": "2", "b": "4"}},
    }
    theirs, ours = generate_cut_classifiers(data, cuts), derived(data, cuts)
    assert list(theirs) == list(ours.operations)
    for name, operation in ours.operations.items():
        expected = theirs[name]
        assert _plain(operation["expression"]) == _plain(expected["expression"]), name
        if name.endswith("_classifier"):
            assert operation["parameters"]["a"] == pytest.approx(expected["parameters"]["a"], abs=0.15 * 0.5)
            assert operation["parameters"]["b"] == pytest.approx(expected["parameters"]["b"], rel=0.15)
        else:
            assert operation["parameters"] == {key: float(each) for key, each in expected["parameters"].items()}, name


def _plain(expression: str) -> str:
    return expression.replace(" ", "")


def test_what_the_dashboard_draws_is_written(tmp_path: Path) -> None:
    from dataflow.jobs.figures import plotdata
    from dataflow.steps.par_hit_qc.plotdata import plot_data

    found = derived(normal(), {"ok": {"cut_parameter": "value", "cut_level": {"high_side": 4.0}}})
    plotdata.write(tmp_path / "qc.lh5", plot_data(found))
    assert absent("qc", plot_data(found)["qc"]) == []
    with h5py.File(tmp_path / "qc.lh5") as file:
        data = file["qc/ok_data"]
        assert data["counts"][:].sum() == 5000 and len(data["edges"]) == len(data["counts"]) + 1
        assert np.isnan(data["cuts"][0]) and data["cuts"][1] == 4.0
        assert data["xlabel"][()].decode().startswith("(value - 2.9")


def test_survival_is_the_probability_of_the_levels() -> None:
    found = derived(normal(50_000), {"ok": {"cut_parameter": "value", "cut_level": {"low_side": -2.0}}})
    one = found.cal["ok"]
    assert one.fraction == pytest.approx(stats.norm.sf(-2), abs=0.004)
    assert one.error == pytest.approx(np.sqrt(one.fraction * (1 - one.fraction) / 50_000), rel=0.01)


def test_all_of_few_events_is_no_certainty() -> None:
    """The published flow's binomial error is 0 where all events pass."""
    assert Survival(30, 30).error == pytest.approx(0.0303, abs=2e-4)
    assert Survival(0, 10).error > 0.07
    assert np.isnan(Survival(0, 0).fraction)


def test_a_quantity_may_be_an_expression() -> None:
    cuts = {"ok": {"cut_parameter": "value - 2 * other", "cut_level": 3, "mode": "inclusive"}}
    found = derived(normal(), cuts)
    assert found.operations["ok_classifier"]["expression"] == "((value - 2 * other)-a)/b"
    assert found.operations["ok_classifier"]["parameters"]["b"] == pytest.approx(np.sqrt(0.25 + 4), rel=0.05)


def test_percentiles_of_each_side_are_levels() -> None:
    """A mapping of percentiles ends in a TypeError in pygama, and ``default`` is looked up in the wrong mapping."""
    from pygama.pargen.data_cleaning import generate_cut_classifiers

    data = normal(50_000)
    cut = {"cut_parameter": "value", "cut_percentile": {"low_side": 97.5, "high_side": 99.0}, "method": "other"}
    levels = derived(data, {"ok": cut}).levels["ok"]
    assert levels.low == pytest.approx(stats.norm.ppf(0.025), abs=0.06)
    assert levels.high == pytest.approx(stats.norm.ppf(0.99), abs=0.06)
    limited = cut | {"default": {"value": {"low_side": -1.0, "high_side": 3.0}, "mode": "higher_limit"}}
    levels = derived(data, {"ok": limited}).levels["ok"]
    assert levels.low == -1.0 and levels.high == pytest.approx(stats.norm.ppf(0.99), abs=0.06)
    with pytest.raises(TypeError):
        generate_cut_classifiers(data, {"ok": cut | {"mode": "inclusive"}})


def test_a_percentile_beyond_the_events_is_that_of_a_normal_distribution() -> None:
    levels = derived(normal(100), {"ok": {"cut_parameter": "value", "cut_percentile": 99.9}}).levels["ok"]
    assert (levels.low, levels.high) == (pytest.approx(-3.09, abs=0.01), pytest.approx(3.09, abs=0.01))


def test_initial_cuts_clean_the_sample_and_are_not_in_hit() -> None:
    """Their low side is a positive number, as the published ``generate_cuts`` has it."""
    data = normal(20_000)
    data["other"] = np.where(np.arange(20_000) % 2 == 0, 30.0, data["other"])
    data["value"] = np.where(np.arange(20_000) % 2 == 0, data["value"] + 1.0, data["value"])
    first = {"quiet": {"expression": "other < 10"}}
    cuts = {"ok": {"cut_parameter": "value", "cut_level": 3}}
    with_it = derived(data, cuts, initial_cal_cuts={"cut_parameters": first})
    assert with_it.levels["ok"].mode == pytest.approx(3.0, abs=0.05)
    assert with_it.levels["ok"].width == pytest.approx(0.5, rel=0.04)
    assert derived(data, cuts).levels["ok"].width > 0.6
    assert list(with_it.operations) == ["ok_classifier", "ok"]
    second = {"quiet": {"cut_parameter": "other", "cut_level": {"low_side": 3, "high_side": 3}}}
    Settings.read({"initial_cal_cuts": {"cut_parameters": second}}, "qc_config")


@pytest.mark.parametrize(
    ("cut", "part", "sentence"),
    [
        ({"cut_parameter": "a"}, "cal_fields", "either a cut_level or a cut_percentile"),
        ({"cut_parameter": "a", "expression": "a"}, "cal_fields", "either an expression or a cut_parameter"),
        (
            {"cut_parameter": "a", "cut_level": {"low_side": 3}},
            "cal_fields",
            "low_side is a negative number here, not 3",
        ),
        (
            {"cut_parameter": "a", "cut_level": {"low_side": -3}},
            "initial_cal_cuts",
            "low_side is a positive number here, not -3",
        ),
        ({"cut_parameter": "a", "cut_level": {}}, "cal_fields", "a cut_level has a low_side, a high_side or both"),
        ({"expression": "__import__('os')"}, "cal_fields", "is_ok: "),
        ({"cut_parameter": "a", "cut_level": 3, "mode": "inside"}, "cal_fields", "inclusive"),
    ],
)
def test_a_wrong_cut_is_refused(cut: dict[str, Any], part: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        settings({"is_ok": cut}, part)


def test_entries_of_the_published_flow_are_accepted() -> None:
    published = {
        "rounding": 4,
        "threshold": 400,
        "cal_fields": {"threshold": 20, "cut_parameters": {"ok": {"cut_parameter": "value", "cut_level": 4}}},
        "fft_fields": {"cut_parameters": {}},
        "initial_cal_cuts": {"rounding": 4, "cut_parameters": {}},
    }
    assert list(Settings.read(published, "qc_config").cal_fields.cut_parameters) == ["ok"]


# which events count -------------------------------------------------------------------------------------------------


def test_events_soon_after_a_discharge_do_not_count() -> None:
    """The published flow takes the numbers of the discharges' rows for their times, so that none is ever found."""
    times = np.array([1000.0, 1000.005, 1000.0099, 1000.02, 2000.0, 2000.001])
    data = {"timestamp": times, "n_sat_lo": np.array([3, 0, 0, 0, 0, 0]), "trapTmax": np.full(6, 100.0)}
    fields = Settings().cal_fields
    assert recovering(data, fields).tolist() == [False, True, True, False, False, False]
    published = {"timestamp": times, "t_sat_lo": data["n_sat_lo"]}
    assert recovering(published, fields).tolist() == [False, True, True, False, False, False]
    discharges = np.where(times[data["n_sat_lo"] > 0])[0]
    assert not any(np.any((times - stamp > 0) & (times - stamp < 0.01)) for stamp in discharges), "as published"
    chosen, removed = sample(data, np.array([True, True, True, True, True, False]), fields)
    assert chosen.tolist() == [True, False, False, True, True, False]
    assert removed == {"masked": 1, "recovering": 2}


def test_cuts_of_traces_without_pulses_follow_from_what_those_before_leave() -> None:
    quiet = normal(2000, mean=0.0, sigma=1.0, seed=4)
    noise = {
        name: np.concatenate([each, np.full(1500, 40.0 if name == "other" else 2.0)]) for name, each in quiet.items()
    }
    cuts = {
        "first": {"expression": "other < 20"},
        "second": {"cut_parameter": "value", "cut_level": 4},
    }
    data = normal(3000)
    found = calibrate(data, np.ones(3000, dtype=bool), noise, settings(cuts, "fft_fields"))
    assert found.levels["second"].source == "fft"
    assert found.levels["second"].mode == pytest.approx(0.0, abs=0.1)
    assert found.levels["second"].width == pytest.approx(1.0, rel=0.06)
    assert found.fft["first"].fraction == pytest.approx(2000 / 3500)
    assert found.cal["second"].events == 3000


def test_without_traces_without_pulses_their_cuts_follow_from_the_calibration() -> None:
    found = calibrate(
        normal(),
        np.ones(5000, dtype=bool),
        {},
        settings({"ok": {"cut_parameter": "value", "cut_level": 4}}, "fft_fields"),
    )
    assert found.levels["ok"].source == "cal"
    assert found.levels["ok"].mode == pytest.approx(3.0, abs=0.05)
    assert found.fft == {} and found.fft_events == 0


# real data ----------------------------------------------------------------------------------------------------------

PLACE = "lh5/prod-ref-l200/generated/tier/dsp/cal/p03/r000/l200-p03-r000-cal-20230311T235840Z-tier_dsp.lh5"


def test_a_real_detector_has_the_cuts_that_pygama_finds(shared_data: Path) -> None:
    """As a committed file says, with the way in which each number was obtained."""
    expectation = yaml.safe_load((Path(__file__).parent / "expected_p03_r000.yaml").read_text())["qc"]
    with h5py.File(shared_data / PLACE) as file:
        table = file["ch1104000/dsp"]
        data = {name: table[name][:] for name in table if table[name].ndim == 1}
    found = calibrate(data, np.ones(38_343, dtype=bool), {}, settings(expectation["cuts"]))
    tolerance = expectation["tolerance"]
    for name, each in expectation["values"].items():
        levels = found.levels[name]
        assert levels.mode == pytest.approx(each["mode"], abs=tolerance["mode_in_widths"] * each["width"]), name
        assert levels.width == pytest.approx(each["width"], rel=tolerance["width"]), name
        assert 100 * found.cal[name].fraction == pytest.approx(each["survival"], abs=tolerance["survival"]), name
    assert 100 * found.cal["is_valid_cal"].fraction == pytest.approx(97.38, abs=0.02)
    assert found.cal["is_neg_energy"].passed == 0 and found.left_out == {}


# weak data ----------------------------------------------------------------------------------------------------------


def test_a_cut_that_cannot_be_derived_is_left_out_with_what_needs_it() -> None:
    data = normal(12)
    cuts = {
        "level": {"cut_parameter": "value", "cut_level": 4},
        "absent": {"cut_parameter": "nothing", "cut_level": 4},
        "plain": {"expression": "other > -100"},
        "all": {"expression": "level & plain"},
    }
    found = derived(data, cuts)
    assert list(found.operations) == ["plain"]
    assert found.left_out == {
        "level": "12 events with value, 20 are needed",
        "absent": "dsp has no column nothing",
        "all": "it needs level",
    }
    content = entry(found)
    assert content["results"]["qc"] == {"plain": {"sf_cal": 100.0, "sf_cal_err": pytest.approx(6.65, abs=0.01)}}
    assert content["results"]["qc_left_out"] == found.left_out
    assert content["warnings"][0] == "no quality cut level: 12 events with value, 20 are needed"


def test_no_events_are_a_sentence() -> None:
    with pytest.raises(WorkFailed, match="none of 3 events can be used: 3 masked"):
        calibrate(normal(3), np.zeros(3, dtype=bool), {}, settings({}))
    content = failed_entry("none of 0 events")
    assert content == {
        "results": {"qc": {}, "qc_failed": "none of 0 events"},
        "warnings": ["no quality cuts: none of 0 events"],
    }


def test_equal_values_have_no_width() -> None:
    found = derived({"value": np.full(100, 7.0)}, {"ok": {"cut_parameter": "value", "cut_level": 4}})
    assert found.left_out == {"ok": "value is 7 in all 100 events"}


def test_parameter_files_have_what_dashboards_look_for() -> None:
    content = plain(entry(derived(normal(), {"ok": {"cut_parameter": "value", "cut_level": 4}})))
    assert content["results"]["qc"]["ok"].keys() == {"sf_cal", "sf_cal_err"}
    assert content["results"]["qc"]["ok"]["sf_cal"] == pytest.approx(100, abs=0.2)
    assert yaml.safe_load(yaml.safe_dump(content)) == content
