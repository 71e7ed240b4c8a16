"""A/E: what was put in is found again, real data have the survival fractions of a BEGe, weak data say why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from scipy import special
from tests.dashboard import absent
from tests.figures import said_on

from dataflow.base.errors import UserError
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.figures import plotdata
from dataflow.jobs.figures.render import render
from dataflow.jobs.parfiles import plain
from dataflow.metadata.expressions import parsed
from dataflow.metadata.stepconfig import shipped_folder
from dataflow.physics.curves import Curve
from dataflow.physics.goodness import p_value
from dataflow.physics.pulseshape.energies import operations_of, widths_of
from dataflow.physics.pulseshape.survival import ENERGIES, survival, survival_fractions
from dataflow.steps.par_hit_aoe import build as aoe
from dataflow.steps.par_hit_aoe.bands import cumulative, fit_band
from dataflow.steps.par_hit_aoe.calibrate import calibrate, fit_bands, mean_curve, sigma_at
from dataflow.steps.par_hit_aoe.cut import cut_at
from dataflow.steps.par_hit_aoe.figure import draw
from dataflow.steps.par_hit_aoe.report import AOE, entry
from dataflow.steps.par_hit_aoe.result import BandFit, NoBand, Result
from dataflow.steps.par_hit_aoe.settings import Settings
from dataflow.steps.par_hit_ecal.build import calibrate as calibrate_energy
from dataflow.steps.par_hit_ecal.report import entry as energy_entry
from dataflow.steps.par_hit_ecal.settings import Settings as EnergySettings
from dataflow.steps.par_hit_ecal.settings import Sources
from dataflow.steps.par_hit_ecal.source import source_of

PLACE = "lh5/prod-ref-l200/generated/tier/dsp/cal/p03/r000/l200-p03-r000-cal-20230311T235840Z-tier_dsp.lh5"
KEY = "l200-p03-r000-cal-20230311T235840Z"
WIDTHS = Curve("(a+b*x)**(0.5)", {"a": 0.6, "b": 0.0022}, {"a": 0.1, "b": 1e-4}, np.zeros((2, 2)), 1.0, 3)
SINGLE = {1592.5: (3000, 0.95), 1620.5: (1500, 0.12), 2103.53: (3500, 0.06), 2614.5: (20_000, 0.09)}
"""Events of each simulated line, and which part of them is single-site."""
MEAN_SLOPE, NOISE, PLATEAU = -4e-6, 9.0, 6e-3
"""Truth: change of the mean of A/E per keV; width as a part (PLATEAU) and as keV of noise over the energy."""


class Simulated:
    """Energies and currents with a known mean and width of A/E; ``single`` says which events are single-site."""

    def __init__(self, size: int = 90_000, *, seed: int = 7, trapping: float = 0.0, dep: bool = True) -> None:
        draw_ = np.random.default_rng(seed)
        energies, single = [draw_.uniform(800, 2400, size)], [draw_.random(size) < 0.4]
        for line, (counts, part) in SINGLE.items():
            number = counts if dep or line != 1592.5 else 0
            width = float(np.sqrt(0.6 + 0.0022 * line + (9 if line == 2103.53 else 0))) / 2.3548
            energies.append(draw_.normal(line, width, number))
            single.append(draw_.random(number) < part)
        self.energy, self.single = np.concatenate(energies), np.concatenate(single)
        total = len(self.energy)
        self.drift = draw_.uniform(200, 1200, total)
        mean = (1 + MEAN_SLOPE * self.energy) * (1 - trapping * self.drift)
        self.true_sigma = np.sqrt(PLATEAU**2 + (NOISE / self.energy) ** 2)
        multiple = np.where(self.single, 0.0, draw_.exponential(0.12, total))
        self.deviation = draw_.normal(0, 1, total) - multiple / self.true_sigma
        self.amplitude = self.energy / 0.2
        self.current = 0.07 * self.amplitude * mean * (1 + self.true_sigma * self.deviation)

    def calibrated(self, **settings: Any) -> Result:
        return calibrate(
            self.energy, self.current, self.amplitude, self.drift, WIDTHS, Settings.read(settings, "aoecal_config")
        )


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return Simulated()


@pytest.fixture(scope="module")
def found(simulated: Simulated) -> Result:
    return simulated.calibrated()


def test_mean_and_width_over_the_energy_are_those_that_were_simulated(found: Result) -> None:
    grid = np.array([1000.0, 1592.5, 2039.0, 2300.0])
    relative = (found.mean.parameters["a"] * grid + found.mean.parameters["b"]) * found.time.mean / 0.07
    np.testing.assert_allclose(relative, 1 + MEAN_SLOPE * grid, atol=6e-4)
    slope = found.mean.parameters["a"] * found.time.mean / 0.07
    assert slope == pytest.approx(MEAN_SLOPE, abs=4 * found.mean.errors["a"])
    truth = np.sqrt(PLATEAU**2 + (NOISE / grid) ** 2) / (1 + MEAN_SLOPE * grid)
    np.testing.assert_allclose(sigma_at(found.sigma, grid), truth, rtol=0.04)


def test_the_classifier_is_the_deviation_that_was_simulated(simulated: Simulated, found: Result) -> None:
    assert len(found.classifier) == len(simulated.energy)
    single = found.classifier[simulated.single]
    assert np.mean(single) == pytest.approx(0, abs=0.1)
    assert np.std(single) == pytest.approx(1, abs=0.04)


def test_the_cut_keeps_nine_tenths_of_the_double_escape_peak(simulated: Simulated, found: Result) -> None:
    """By the truth, not by the side bands: 3000 events make an error of 0.6 %, background some more."""
    line = len(simulated.energy) - sum(counts for counts, _ in SINGLE.values())
    kept = found.classifier[line : line + 3000] > found.cut
    assert np.mean(kept) == pytest.approx(0.90, abs=0.02)
    assert found.low_side[1592.5].fraction == pytest.approx(0.90, abs=0.005)


def test_the_cut_agrees_with_one_on_the_true_deviation(simulated: Simulated, found: Result) -> None:
    same = (found.classifier > found.cut) == (simulated.deviation > found.cut)
    assert np.mean(same) > 0.97


def test_errors_of_cut_and_curves_are_the_scatter_over_many_runs() -> None:
    found = [Simulated(25_000, seed=seed).calibrated() for seed in range(12)]
    values = {
        "cut": [(each.cut, each.cut_error) for each in found],
        "noise": [(each.sigma.parameters["b"], each.sigma.errors["b"]) for each in found],
        "slope": [(each.mean.parameters["a"], each.mean.errors["a"]) for each in found],
    }
    for name, pairs in values.items():
        scatter, error = np.std([value for value, _ in pairs], ddof=1), np.mean([error for _, error in pairs])
        assert 0.6 < scatter / error < 1.6, name
    assert np.mean([error for _, error in values["cut"]]) < 0.08


def test_survival_at_lines_is_that_of_a_cut_on_the_truth(simulated: Simulated, found: Result) -> None:
    start = len(simulated.energy) - sum(counts for counts, _ in SINGLE.values())
    for line, (counts, _) in SINGLE.items():
        truth = float(np.mean(simulated.deviation[start : start + counts] > found.cut))
        one = found.low_side[line]
        assert one.fraction == pytest.approx(truth, abs=3.5 * one.error), line
        assert one.error < 0.03
        start += counts
    assert list(found.low_side) == list(ENERGIES)
    assert found.two_sided[2614.5].fraction <= found.low_side[2614.5].fraction


def test_errors_of_survival_hold_that_of_the_cut(simulated: Simulated, found: Result) -> None:
    """The 20,000 counts at 2614.5 keV alone are known to 0.3 %; at the peak that defines the cut nothing is added."""
    energy = simulated.energy
    passes = found.classifier > found.cut
    bare = survival_fractions(energy, passes, WIDTHS)
    for line in (1620.5, 2614.5):
        shift = [
            survival(energy, found.classifier > found.cut + sign * found.cut_error, line, WIDTHS).fraction
            for sign in (-1, 1)
        ]
        expected = np.hypot(bare[line].error, (shift[0] - shift[1]) / 2)
        assert found.low_side[line].error == pytest.approx(expected)
        assert found.low_side[line].fraction == bare[line].fraction
    assert found.low_side[2614.5].error > 1.3 * bare[2614.5].error
    assert found.low_side[1592.5].error == bare[1592.5].error


def test_a_slope_over_the_drift_time_is_found_and_removed() -> None:
    slope = 2e-5
    data = Simulated(trapping=slope)
    with_it, without = data.calibrated(dt_corr=True), data.calibrated()
    assert with_it.alpha is not None and with_it.alpha_error is not None and without.alpha is None
    # A/E of the mean drift time of 700 ns is 1 - 700 slope: relative to that at 0 the factor is larger
    assert with_it.alpha == pytest.approx(slope, rel=0.08)
    assert with_it.alpha_error < 0.05 * slope
    assert sigma_at(with_it.sigma, np.array([2000.0])) < 0.85 * sigma_at(without.sigma, np.array([2000.0]))


def test_no_slope_is_found_where_there_is_none(simulated: Simulated) -> None:
    result = simulated.calibrated(dt_corr=True)
    assert result.alpha is not None and result.alpha_error is not None
    assert abs(result.alpha) < 4 * result.alpha_error


@pytest.mark.parametrize(
    ("size", "dep", "sentence"),
    [
        (0, True, r"A/E cannot be fitted between 1000 and 1300 keV: 0 events"),
        (300, True, r"A/E cannot be fitted between 1000 and 1300 keV: \d\d events"),
        (40_000, False, r"no double-escape peak at 1592.5 keV: -?\d+ ± \d+ counts above background"),
    ],
)
def test_weak_data_say_what_is_missing(size: int, *, dep: bool, sentence: str) -> None:
    with pytest.raises(WorkFailed, match=sentence):
        Simulated(size, dep=dep).calibrated()


def test_too_few_events_for_the_curves_are_told_by_the_bands() -> None:
    few = np.random.default_rng(3)
    sentence = r"A/E can be fitted in 0 of 9 bands of the Compton continuum \(\d+ events\), and 4 are needed"
    with pytest.raises(WorkFailed, match=sentence):
        fit_bands(few.normal(1, 0.01, 300), few.uniform(900, 2350, 300), 20.0)


@pytest.mark.parametrize(("events", "width"), [(50_000, 160), (200_000, 40)])
def test_the_curve_of_the_mean_is_right_where_a_tenth_of_the_events_is_single_site(events: int, width: int) -> None:
    """With the errors of the means themselves as weights, 0.4 ± 0.1 and 1.1 ± 0.2 of its errors low: low means have the
    smaller errors."""
    pulls = []
    for seed in range(16):
        draw_ = np.random.default_rng(seed)
        energies = draw_.uniform(900, 2340, events)
        beyond = np.where(draw_.random(events) < 0.1, 0, draw_.exponential(0.12, events))
        bands, _ = fit_bands(draw_.normal(1, 0.01, events) - beyond, energies, 20.0)
        assert {band.high - band.low for band in bands} == {width}
        curve, at = mean_curve(bands), np.array([1600.0, 1.0])
        value = at @ np.array([curve.parameters["a"], curve.parameters["b"]])
        pulls.append((value - 1) / np.sqrt(at @ curve.covariance @ at))
    assert abs(np.mean(pulls)) < 0.2 + 2 / np.sqrt(len(pulls)) and 0.6 < np.std(pulls) < 1.5


def test_the_model_of_a_band_is_normalised_and_falls_to_zero_below() -> None:
    x = np.array([-50.0, 0.9, 1.2])
    low, middle, high = cumulative(x, 100.0, 1.0, 0.01, 40.0, 0.05)
    assert low == pytest.approx(0, abs=1e-9)
    assert high == pytest.approx(140, abs=1e-6)
    # an exponential of 0.05 below 1, folded: exp(-0.1/0.05 + (0.01/0.05)²/2) of 40 events lie below 0.9
    assert middle == pytest.approx(40 * np.exp(-2 + 0.02), rel=1e-6)


def test_events_above_the_peak_do_not_make_it_wider() -> None:
    """Pulses near the p+ contact have a higher A/E: a tenth of the single-site events, anywhere above."""
    draw_ = np.random.default_rng(6)
    single, tail = draw_.normal(1, 0.01, 3000), 1 - draw_.exponential(0.05, 2000)
    everywhere = draw_.uniform(0.5, 1.6, 3000)
    values = np.concatenate([single, tail, everywhere])
    fit = fit_band(values, np.full(len(values), 1100.0), 1000.0, 1300.0)
    assert isinstance(fit, BandFit)
    assert fit.sigma == pytest.approx(0.01, abs=3.5 * fit.sigma_error) and fit.sigma_error < 0.0006
    assert fit.mean == pytest.approx(1.0, abs=3.5 * fit.mean_error)
    assert fit.flat == pytest.approx(3000 / 1.1, rel=0.35)
    assert fit.chi2 < fit.ndf + 4 * np.sqrt(2 * fit.ndf)


@pytest.mark.parametrize("seed", [11, 15, 27, 42])
def test_a_short_tail_does_not_take_the_place_of_the_peak_of_few_events(seed: int) -> None:
    """With a tail, fits of these samples tell no single-site peak, though five of six events are in it."""
    fit = _band(seed, single=100, multiple=20)
    assert isinstance(fit, BandFit)
    assert (fit.tail, fit.mean) == (0, pytest.approx(1.0, abs=3.5 * fit.mean_error))
    assert fit.sigma == pytest.approx(0.01, abs=3.5 * fit.sigma_error) and fit.sigma_error < 0.0015
    assert fit.signal == pytest.approx(100, abs=35)


@pytest.mark.parametrize(("events", "part"), [(1500, 0.4), (1500, 0.1), (300, 0.5)])
def test_pulls_of_a_band_have_mean_0_and_width_1(events: int, part: float) -> None:
    """Where only fits with single-site events beyond doubt are kept, means are 0.7 errors low for 150 of 1500."""
    pulls = []
    for seed in range(60):
        draw_ = np.random.default_rng(seed)
        number = draw_.poisson(events)
        single = draw_.random(number) < part
        values = 1 + draw_.normal(0, 0.01, number) - np.where(single, 0, draw_.exponential(0.12, number))
        fit = fit_band(values, np.full(number, 1000.0), 980.0, 1020.0)
        if isinstance(fit, BandFit):
            pulls.append([(fit.mean - 1) / fit.mean_error, (fit.sigma - 0.01) / fit.sigma_error])
    assert len(pulls) > 45
    mean, width = np.mean(pulls, axis=0), np.std(pulls, axis=0, ddof=1)
    assert np.abs(mean).max() < 0.2 + 2 / np.sqrt(len(pulls)), mean
    assert width.min() > 0.8 - 0.18 and width.max() < 1.2 + 0.18, width


def test_pulls_of_the_cut_have_mean_0_and_width_1() -> None:
    """Twelve events lie within an error of the survival: by them alone, the width is 1.16 ± 0.04."""
    truth = float(special.ndtri(0.1))
    pulls = []
    for seed in range(300):
        draw_ = np.random.default_rng(seed)
        energies = np.concatenate([draw_.uniform(1560, 1620, 2200), draw_.normal(1592.5, 0.86, draw_.poisson(1500))])
        tail = np.where(draw_.random(len(energies)) < 0.4, 0, draw_.exponential(15, len(energies)))
        tail[2200:] = 0
        cut, error = cut_at(energies, draw_.normal(0, 1, len(energies)) - tail, WIDTHS)
        pulls.append((cut - truth) / error)
    assert np.mean(pulls) == pytest.approx(0, abs=0.15)
    assert np.std(pulls, ddof=1) == pytest.approx(1, abs=0.1)


def test_a_cut_that_keeps_too_little_at_the_end_of_the_range_is_none() -> None:
    """The published search takes the end of its range for the cut where the classifier is in a wrong unit."""
    draw_ = np.random.default_rng(2)
    energies = np.concatenate([draw_.uniform(1560, 1620, 500), draw_.normal(1592.5, 0.86, 500)])
    with pytest.raises(WorkFailed, match=r"no cut keeps 90% of the double-escape peak: it would be at -1[1-6]\d\d\.\d"):
        cut_at(energies, 1000 * draw_.normal(0, 1, 1000), WIDTHS)


def test_a_tail_that_the_likelihood_tells_is_not_left_out() -> None:
    """Half of the events are multi-site ones: without a tail, the peak would be theirs, too."""
    assert isinstance(_band(13, single=60, multiple=60), NoBand)


def _band(seed: int, single: int, multiple: int) -> BandFit | NoBand:
    draw_ = np.random.default_rng(seed)
    values = np.concatenate([draw_.normal(1, 0.01, single), 1 - draw_.exponential(0.05, multiple)])
    return fit_band(values, np.full(len(values), 1100.0), 1000.0, 1300.0)


def _energies(columns: dict[str, Any]) -> dict[str, Any]:
    table = yaml.safe_load((shipped_folder("pars_hit_ecal") / "sources.yaml").read_text())
    settings = EnergySettings(energy_params=("cuspEmax",))
    source = source_of(settings, Sources.read(table).nuclides)
    result = calibrate_energy(columns, np.ones(len(columns["cuspEmax"]), dtype=bool), settings, source, {})
    return dict(plain(energy_entry(result, settings, {})))


@pytest.fixture(scope="module")
def columns(shared_data: Path) -> dict[str, Any]:
    """All columns of the real file."""
    with h5py.File(shared_data / PLACE) as file:
        table = file["ch1104000/dsp"]
        return {name: table[name][:] for name in table if table[name].ndim == 1}


@pytest.fixture(scope="module")
def energies(columns: dict[str, Any]) -> dict[str, Any]:
    """The energy calibration of the real file."""
    return _energies(columns)


def _real(columns: dict[str, Any], energies: dict[str, Any], settings: Settings) -> dict[str, Result]:
    operations = operations_of(energies, settings, "V02160A")
    accepted = np.ones(len(columns["cuspEmax"]), dtype=bool)
    return aoe.calibrate_sets(columns, accepted, operations, widths_of(energies, settings, "V02160A"), settings)


@pytest.fixture(scope="module")
def real(columns: dict[str, Any], energies: dict[str, Any]) -> Result:
    return _real(columns, energies, Settings())[""]


def test_a_real_detector_has_the_survival_fractions_of_its_kind(real: Result) -> None:
    """Of 182 events of the double-escape peak; multi-site lines survive by a tenth, the continuum at Qbb by two fifths.

    The survival is flat at 90 % between -3.0 and -2.1: windows wider by one percent cut at -2.9, with an error of 1.3.
    """
    assert real.cut == pytest.approx(-2.10, abs=0.1)
    assert real.cut_error == pytest.approx(0.53, abs=0.15)
    assert real.low_side[1592.5].counts == pytest.approx(182, abs=2)
    expected = {1592.5: 0.902, 1620.5: 0.123, 2039.0: 0.373, 2103.53: 0.071, 2614.5: 0.103}
    for energy, fraction in expected.items():
        assert real.low_side[energy].fraction == pytest.approx(fraction, abs=0.01)
    assert real.low_side[1592.5].error == pytest.approx(0.049, abs=0.005)
    assert real.two_sided[2614.5].fraction == pytest.approx(0.084, abs=0.01)


def test_a_real_detector_agrees_with_pygama(real: Result) -> None:
    """As a committed file says, with the way in which each number was obtained."""
    expectation = yaml.safe_load((Path(__file__).parent / "expected_p03_r000.yaml").read_text())["aoe"]
    for name, each in expectation["values"].items():
        one = real.low_side[float(name.removeprefix("sf_"))]
        allowed = each["within"] * np.hypot(100 * one.error, each["error"])
        assert 100 * one.fraction == pytest.approx(each["value"], abs=allowed), name


def test_pulser_events_and_low_energies_do_not_enter(columns: dict[str, Any], energies: dict[str, Any]) -> None:
    settings = Settings(threshold=1000)
    operations, widths = operations_of(energies, settings, "V02160A"), widths_of(energies, settings, "V02160A")
    accepted = np.arange(len(columns["cuspEmax"])) % 4 > 0
    result = aoe.calibrate_sets(columns, accepted, operations, widths, settings)[""]
    assert result.energies.min() > 1000
    used = np.flatnonzero(np.isin(columns["A_max"] / columns["cuspEmax"], result.uncorrected))
    assert len(used) == len(result.energies) > 20_000
    assert accepted[used].all()


def test_real_curves_fit_their_bands(real: Result) -> None:
    assert len(real.bands) == 9 and real.left_out == ()
    assert real.mean.fits and real.sigma.fits and real.warnings == []
    assert real.time.mean == pytest.approx(0.07449, abs=2e-4)
    assert real.time.sigma / real.time.mean == pytest.approx(0.0101, abs=0.0007)


def test_hit_makes_the_classifier_that_was_calibrated(
    columns: dict[str, Any], energies: dict[str, Any], shared_data: Path, tmp_path: Path
) -> None:
    from dataflow.steps.tier_hit.build import calibrate as make_hit

    settings = Settings(dt_corr=True)
    result = _real(columns, energies, settings)
    made = plain(entry(result, settings, "20230311T235840Z"))
    operations = energies["pars"]["operations"] | made["pars"]["operations"]
    names = ["cuspEmax_ctc_cal", "AoE_Uncorr", "AoE_Corrected", "AoE_Classifier", "AoE_Low_Cut", "AoE_Double_Sided_Cut"]
    checked = {name: each | {"expression": parsed(each["expression"]).rewritten} for name, each in operations.items()}
    target = tmp_path / "hit.lh5"
    make_hit(
        shared_data / PLACE, "ch1104000/dsp", {"outputs": names, "operations": checked}, target, "ch1104000/hit"
    )  # fmt: skip
    with h5py.File(target) as file:
        hit = {name: file[f"ch1104000/hit/{name}"][:] for name in names}
    by_ratio = dict(zip(hit["AoE_Uncorr"], hit["AoE_Classifier"], strict=True))
    assert len(by_ratio) > 38_000, "A/E tells the events apart"
    of_hit = np.array([by_ratio[ratio] for ratio in result[""].uncorrected])
    np.testing.assert_allclose(of_hit, result[""].classifier, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(hit["AoE_Low_Cut"].astype(bool), hit["AoE_Classifier"] > result[""].cut)
    both = (hit["AoE_Classifier"] > result[""].cut) & (hit["AoE_Classifier"] < 3)
    np.testing.assert_array_equal(hit["AoE_Double_Sided_Cut"].astype(bool), both)


def test_parameter_files_have_what_dashboards_look_for(real: Result) -> None:
    content = plain(entry({"": real}, Settings(), "20230311T235840Z"))
    found = yaml.safe_load(yaml.safe_dump(content))["results"]["aoe"]
    assert found["1000-1300keV"]["20230311T235840Z"].keys() == {
        "mean",
        "mean_err",
        "sigma",
        "sigma_err",
        "res",
        "res_err",
    }
    whole = found["1000-1300keV"]["20230311T235840Z"]
    parts = whole["sigma_err"] / whole["sigma"], whole["mean_err"] / whole["mean"]
    assert whole["res_err"] == pytest.approx(whole["res"] * np.hypot(*parts)), "the published error is no square root"
    assert not {name for name in found if name.endswith("_by_run")}, "the published ones are those of both cuts"
    assert list(found["low_side_sfs"]) == [1592.5, 1620.5, 2039.0, 2103.53, 2614.5] == list(found["2_side_sfs"])
    assert found["low_side_sfs"][1592.5]["sf"] == pytest.approx(90.2, abs=0.5)
    assert found["correction_fit_results"]["mean_fits"]["pars"].keys() == {"a", "b"}
    assert found["correction_fit_results"]["SigmaFits"]["pars"].keys() == {"a", "b", "c"}
    assert (found["low_cut"], found["high_cut"]) == (pytest.approx(-2.10, abs=0.1), 3.0)
    operations = content["pars"]["operations"]
    names = ["AoE_Uncorr", "AoE_Timecorr", "AoE_Corrected", "AoE_Classifier", "AoE_Low_Cut", "AoE_High_Side_Cut"]
    assert list(operations) == [*names, "AoE_Double_Sided_Cut"]


def test_several_classifiers_stand_side_by_side(columns: dict[str, Any], energies: dict[str, Any]) -> None:
    sets = {"plain": {"suffix": "plain"}, "trap": {"energy_param": "trapEmax", "suffix": "trap"}}
    settings = Settings.read({"params": sets}, "aoecal_config")
    content = entry(_real(columns, energies, settings), settings, "20230311T235840Z")
    assert list(content["results"]["aoe"]) == ["plain", "trap"]
    assert content["pars"]["operations"]["AoE_Uncorr_trap"]["expression"] == "A_max/trapEmax"
    assert content["pars"]["operations"]["AoE_Low_Cut_trap"]["expression"] == "AoE_Classifier_trap>a"


def test_two_classifiers_need_different_names() -> None:
    with pytest.raises(UserError, match="aoecal_config.params: one and two have the same suffix ''"):
        Settings.read({"params": {"one": {}, "two": {}}}, "aoecal_config")


def test_entries_of_the_published_flow_are_accepted_and_others_not() -> None:
    upstream = {
        "run_aoe": True,
        "pdf": "aoe_peak",
        "mean_func": "Pol1",
        "debug_mode": False,
        "cut_field": "is_valid_cal",
    }
    assert Settings.read(upstream, "aoecal_config") == Settings()
    with pytest.raises(UserError, match="aoecal_config has no entry 'treshold'"):
        Settings.read({"treshold": 800}, "aoecal_config")


@pytest.mark.parametrize(
    ("failed", "reason"), [({}, "cuspEmax_ctc_cal$"), ({"cuspEmax_ctc": "no peak"}, "cuspEmax_ctc_cal: no peak$")]
)
def test_an_energy_that_is_not_calibrated_is_named_with_the_reason(failed: dict[str, str], reason: str) -> None:
    operations = {"trapEmax_ctc_cal": {"expression": "a + b * trapEmax", "parameters": {"a": 0.0, "b": 0.1}}}
    calibrated = {"pars": {"operations": operations}, "results": {"ecal_failed": failed}}
    with pytest.raises(WorkFailed, match=f"V02160A has no calibrated energy {reason}"):
        operations_of(calibrated, Settings(), "V02160A")


def test_where_energies_are_there_a_failure_is_that_of_ae_alone() -> None:
    content = AOE.failed("0 events")
    assert content["results"] == {"aoe": {}, "aoe_failed": "0 events"}
    assert content["warnings"] == ["A/E is not calibrated: 0 events"]
    assert "status" not in content and "pars" not in content


def test_the_page_shows_cut_and_survival(found: Result) -> None:
    page = draw("V02160A", KEY, {"": found})
    assert len(render(page).axes) == 9, "one of eight has residuals"
    texts = said_on(page)
    assert f"kept: {found.cut:.2f}" in texts
    assert "1592.5 keV 90.0" in texts


def test_the_fit_is_shown_with_its_residuals_and_probability(found: Result) -> None:
    page = draw("V", "key", {"": found})
    (peak,) = [each for each in page.panels if each.labels["title"].startswith("1000 to 1300 keV")]
    (strip,) = [curve.arrays for curve in peak.curves if curve.kind == "residuals"]
    told = strip["deviations"][np.isfinite(strip["deviations"])]
    assert (strip["edges"] == found.time.edges).all() and np.std(told) == pytest.approx(1, abs=0.4)
    (below,) = [axes for axes in render(page).axes if axes.get_ylabel() == "σ"]
    assert below.get_xlabel() == peak.labels["xlabel"] == "A/E as in dsp"
    curves = [each for each in page.panels if each.labels["ylabel"] in {"mean of A/E, relative", "σ of A/E [%]"}]
    assert len(curves) == 2 and all("p = " in each.labels["title"] for each in curves)
    assert f"p = {p_value(found.time.chi2, found.time.ndf):.2g}" in peak.labels["title"]


def test_the_page_names_the_cuts_of_all_classifiers(found: Result) -> None:
    texts = [text.text for text in draw("V02160A", KEY, {"one": found, "two": found}).texts]
    assert any(f"two: kept: {found.cut:.2f}" in text for text in texts)


def test_a_drift_within_the_run_is_told() -> None:
    """A/E falls by half a percent: the width of its distribution is 1.1 % there."""
    data = Simulated(seed=4)
    stamps = np.random.default_rng(1).uniform(0, 3600, len(data.energy))
    arguments = (data.energy, data.current, data.amplitude, data.drift, WIDTHS, Settings())
    steady = calibrate(*arguments, stamps)
    assert len(steady.slices) == 12 and steady.warnings == []
    chi2, ndf = steady.stability
    assert ndf == 11 and chi2 < 35
    data.current = data.current * (1 - 0.005 * stamps / 3600)
    moving = calibrate(data.energy, data.current, *arguments[2:], stamps)
    assert moving.slices[0].mean - moving.slices[-1].mean == pytest.approx(0.005 * 11 / 12, abs=0.0012)
    assert moving.warnings[0].startswith("A/E changes by 0.")
    assert entry({"": moving}, Settings(), "t")["results"]["aoe"]["stability"]["p_val"] < 1e-4
    assert Simulated(6000).calibrated().slices == ()


def test_what_the_dashboard_draws_is_written_also_for_the_only_classifier(found: Result, tmp_path: Path) -> None:
    from dataflow.steps.par_hit_aoe.plotdata import plot_data

    plotdata.write(tmp_path / "one.lh5", plot_data({"": found}))
    plotdata.write(tmp_path / "two.lh5", plot_data({"first": found, "second": found}))
    with h5py.File(tmp_path / "one.lh5") as one, h5py.File(tmp_path / "two.lh5") as two:
        before = one["aoe/spectrum_data/before"][:]
        inside = (found.energies >= 700) & (found.energies < 3000)
        assert before.sum() == np.count_nonzero(inside)
        kept = one["aoe/spectrum_data/low_cut"][:].sum()
        assert kept == np.count_nonzero(found.classifier > found.cut)
        np.testing.assert_array_equal(two["aoe/second/spectrum_data/before"][:], before)
        assert absent("aoe", one["aoe"]) == [] and absent("aoe", two["aoe/second"]) == []


def test_survival_over_the_cut_goes_through_what_is_stated_at_the_cut(found: Result) -> None:
    from dataflow.steps.par_hit_aoe.plotdata import plot_data

    drawn = plot_data({"": found})["aoe"]
    for line, one in drawn["survival_fractions_data"]["peaks"].items():
        at_cut = float(np.interp(found.cut, one["cut_vals"], one["sf"]))
        assert at_cut == pytest.approx(100 * found.low_side[line].fraction, abs=3)
        assert (np.diff(one["sf"]) <= 3).all(), "fewer remain above a higher cut, but for side bands"
    dep = drawn["cut_fit_data"]
    assert np.interp(dep["low_cut"], dep["cut_vals"], dep["sf"]) == pytest.approx(100 * dep["dep_acc"], abs=3)


def test_the_peaks_of_corrected_bands_lie_at_one(found: Result) -> None:
    from dataflow.steps.par_hit_aoe.plotdata import plot_data

    drawn = plot_data({"": found})["aoe"]
    bands = drawn["compt_bands_corrected_data"]
    assert len(bands) == len(found.bands)
    for band in bands.values():
        assert (band["edges"][:-1] + 0.001)[np.argmax(band["counts"])] == pytest.approx(1.0, abs=0.008)
    for each in drawn["plot_dt_dep_data"].values():
        assert each["counts"].shape == (len(each["x_edges"]) - 1, len(each["y_edges"]) - 1)
        assert each["counts"].sum() > 0
