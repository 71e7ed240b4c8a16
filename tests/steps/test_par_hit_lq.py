"""Late charge: what was put in is found again, late pulses go, real data agree with pygama, weak data say why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
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
from dataflow.physics.operations import value_of
from dataflow.physics.pulseshape.energies import operations_of, widths_of
from dataflow.steps.par_hit_aoe import build as aoe
from dataflow.steps.par_hit_aoe.report import entry as aoe_entry
from dataflow.steps.par_hit_aoe.settings import Settings as AoeSettings
from dataflow.steps.par_hit_ecal.build import calibrate as calibrate_energy
from dataflow.steps.par_hit_ecal.report import entry as energy_entry
from dataflow.steps.par_hit_ecal.settings import Settings as EnergySettings
from dataflow.steps.par_hit_ecal.settings import Sources
from dataflow.steps.par_hit_ecal.source import source_of
from dataflow.steps.par_hit_lq import build as lq
from dataflow.steps.par_hit_lq.calibrate import background, calibrate, expected, fit_peak
from dataflow.steps.par_hit_lq.figure import draw
from dataflow.steps.par_hit_lq.report import LATE_CHARGE, entry
from dataflow.steps.par_hit_lq.result import Result
from dataflow.steps.par_hit_lq.settings import Settings

PLACE = "lh5/prod-ref-l200/generated/tier/dsp/cal/p03/r000/l200-p03-r000-cal-20230311T235840Z-tier_dsp.lh5"
WIDTHS = Curve("(a+b*x)**(0.5)", {"a": 0.6, "b": 0.0022}, {"a": 0.1, "b": 1e-4}, np.zeros((2, 2)), 1.0, 3)
MEAN, SIGMA, SLOPE = 0.48, 0.04, 1.2e-4
"""Truth: late charge over energy of prompt events at a drift time of 700 ns, its spread, and its slope per ns."""


class Simulated:
    """Energies and late charges; ``late`` says which events are slow, ``prompt`` how far others are off, in sigma."""

    def __init__(self, size: int = 30_000, *, seed: int = 5, dep: int = 3000, share: float = 0.25) -> None:
        draw_ = np.random.default_rng(seed)
        lines = {1592.5: dep, 1620.5: dep // 2, 2103.53: dep, 2614.5: 4 * dep}
        energies = [draw_.uniform(800, 2600, size)]
        energies += [
            draw_.normal(line, np.sqrt(0.6 + 0.0022 * line) / 2.3548, counts) for line, counts in lines.items()
        ]
        self.energy = np.concatenate(energies)
        total = len(self.energy)
        self.drift = draw_.uniform(200, 1200, total)
        self.late = draw_.random(total) < share
        self.late[size : size + dep] = False
        self.prompt = draw_.normal(0, 1, total)
        excess = np.where(self.late, draw_.exponential(1.0, total) + 8 * SIGMA, 0.0)
        relative = MEAN * (1 + SLOPE * (self.drift - 700)) + SIGMA * self.prompt + excess
        self.amplitude = self.energy / 0.2
        self.charge = relative * self.amplitude

    def calibrated(self, aoe_mask: Any = None) -> Result:
        return calibrate(self.energy, self.charge, self.amplitude, self.drift, WIDTHS, aoe_mask)


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return Simulated()


@pytest.fixture(scope="module")
def found(simulated: Simulated) -> Result:
    return simulated.calibrated()


def test_slope_and_width_are_those_that_were_simulated(found: Result) -> None:
    assert found.before.mean == pytest.approx(MEAN, abs=3 * found.before.mean_error)
    scale = found.before.mean / MEAN
    assert found.line.slope * scale == pytest.approx(SLOPE, abs=3 * found.line.slope_error)
    assert found.line.slope_error < 0.07 * SLOPE
    assert found.after.sigma * found.before.mean == pytest.approx(SIGMA, abs=3 * found.after.sigma_error * MEAN)
    assert found.after.sigma < 0.96 * found.before.sigma / found.before.mean
    assert found.warnings == []


def test_the_classifier_is_the_deviation_that_was_simulated(simulated: Simulated, found: Result) -> None:
    prompt = ~simulated.late
    assert np.mean(found.classifier[prompt]) == pytest.approx(0, abs=0.06)
    assert np.std(found.classifier[prompt]) == pytest.approx(1, abs=0.04)
    assert np.corrcoef(found.classifier[prompt], simulated.drift[prompt])[0, 1] == pytest.approx(0, abs=0.06)


def test_prompt_events_stay_and_late_ones_go(simulated: Simulated, found: Result) -> None:
    kept = found.classifier < found.cut
    assert np.mean(kept[~simulated.late]) >= 0.99
    assert np.mean(kept[simulated.late]) == 0.0


def test_survival_is_that_of_the_truth(simulated: Simulated, found: Result) -> None:
    for line, start, counts in ((2103.53, 30_000 + 4500, 3000), (2614.5, 30_000 + 7500, 12_000)):
        truth = float(np.mean(found.classifier[start : start + counts] < found.cut))
        one = found.survival[line]
        assert one.fraction == pytest.approx(truth, abs=3.5 * one.error), line
        assert one.error < 0.02
    assert found.survival[1592.5].fraction == pytest.approx(0.9987, abs=3 * found.survival[1592.5].error)


def test_errors_are_the_scatter_over_many_runs() -> None:
    results = [Simulated(6000, seed=seed, dep=400).calibrated() for seed in range(25)]
    values = {
        "sigma": [(each.after.sigma, each.after.sigma_error) for each in results],
        "mean": [(each.before.mean, each.before.mean_error) for each in results],
        "slope": [(each.line.slope, each.line.slope_error) for each in results],
    }
    truth = {"sigma": SIGMA / MEAN, "mean": MEAN, "slope": SLOPE}
    for name, pairs in values.items():
        pulls = np.array([(value - truth[name]) / error for value, error in pairs])
        assert 0.6 < np.std(pulls, ddof=1) < 1.5, name
        assert abs(np.mean(pulls)) < 3.5 / np.sqrt(len(pulls)), name


def test_the_width_of_few_events_is_not_too_large() -> None:
    """The published fit sets negative differences of peak and side band to 0."""
    import pandas as pd
    from pygama.pargen.lq_cal import binned_lq_fit

    ours, theirs = [], []
    for seed in range(25):
        draw_ = np.random.default_rng(seed)
        energies = np.concatenate([draw_.normal(1592.5, 0.9, 300), draw_.uniform(1580, 1616, 1700)])
        values = np.concatenate([draw_.normal(1, 0.1, 300), draw_.normal(1.0, 0.3, 1700)])
        ours.append(fit_peak(values, energies).sigma)
        frame = pd.DataFrame({"lq": values, "energy": energies})
        theirs.append(float(binned_lq_fit(frame, "lq", "energy", 1592.5)[0]["sigma"]))
    assert np.mean(ours) == pytest.approx(0.1, rel=0.06)
    assert np.mean(theirs) > 0.125, "as published"


def test_the_background_is_what_describes_both_numbers_best() -> None:
    """Against a scan."""
    on, off, signal, ratio = np.array([12.0]), np.array([7.0]), np.array([4.0]), 1.0
    grid = np.linspace(0.01, 30, 30_000)
    cost = signal + ratio * grid + grid - on * np.log(signal + ratio * grid) - off * np.log(grid)
    assert background(signal, on, off, ratio)[0] == pytest.approx(grid[np.argmin(cost)], abs=2e-3)
    np.testing.assert_allclose(background(np.array([1e-12]), np.array([3.0]), np.array([0.0]), 1.0), 1.5, atol=1e-3)
    assert expected(np.array([-50.0, 0.0, 50.0]), 10.0, 0.0, 1.0).tolist() == [5.0, 5.0]


def test_no_slope_is_found_where_there_is_none() -> None:
    data = Simulated(seed=11)
    relative = data.charge / data.amplitude - MEAN * SLOPE * (data.drift - 700)
    data.charge = relative * data.amplitude
    line = data.calibrated().line
    assert abs(line.slope) < 3 * line.slope_error


# real data ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def columns(shared_data: Path) -> dict[str, Any]:
    """All columns of the real file."""
    with h5py.File(shared_data / PLACE) as file:
        table = file["ch1104000/dsp"]
        return {name: table[name][:] for name in table if table[name].ndim == 1}


@pytest.fixture(scope="module")
def calibrated(columns: dict[str, Any]) -> tuple[dict[str, Any], Curve]:
    """Operations of energy and A/E of the real file, and its resolution curve."""
    table = yaml.safe_load((shipped_folder("pars_hit_ecal") / "sources.yaml").read_text())
    settings, accepted = EnergySettings(energy_params=("cuspEmax",)), np.ones(len(columns["cuspEmax"]), dtype=bool)
    source = source_of(settings, Sources.read(table).nuclides)
    energies = plain(energy_entry(calibrate_energy(columns, accepted, settings, source, {}), settings, {}))
    operations = dict(operations_of(energies, AoeSettings(), "V02160A"))
    widths = widths_of(energies, AoeSettings(), "V02160A")
    found = aoe.calibrate_sets(columns, accepted, operations, widths, AoeSettings())
    return operations | plain(aoe_entry(found, AoeSettings(), "t"))["pars"]["operations"], widths


@pytest.fixture(scope="module")
def real(columns: dict[str, Any], calibrated: tuple[dict[str, Any], Curve]) -> Result:
    accepted = np.ones(len(columns["cuspEmax"]), dtype=bool)
    return lq.calibrate_sets(columns, accepted, *calibrated, Settings())[""]


@pytest.fixture(scope="module")
def expectation() -> dict[str, Any]:
    """The committed expectations of the real file."""
    return dict(yaml.safe_load((Path(__file__).parent / "expected_p03_r000.yaml").read_text())["lq"])


def test_a_real_detector_agrees_with_pygama(real: Result, expectation: dict[str, Any]) -> None:
    values = {
        "mean": (real.before.mean, real.before.mean_error),
        "slope": (real.line.slope, real.line.slope_error),
        "sigma": (real.after.sigma, real.after.sigma_error),
        **{f"sf_{energy:g}": (100 * one.fraction, 100 * one.error) for energy, one in real.survival.items()},
    }
    for name, each in expectation["values"].items():
        value, error = values[name]
        assert value == pytest.approx(each["value"], abs=each["within"] * np.hypot(error, each["error"])), name
        assert error < 1.6 * each["error"] + 1e-12 or name in ("mean", "slope", "sigma"), name


def test_late_charge_and_ae_together(real: Result) -> None:
    assert real.with_aoe[1592.5].fraction == pytest.approx(0.87, abs=0.06)
    assert real.with_aoe[2614.5].fraction == pytest.approx(0.082, abs=0.01)
    for energy, one in real.with_aoe.items():
        assert one.fraction <= real.survival[energy].fraction


def test_hit_makes_the_classifier_that_was_calibrated(
    columns: dict[str, Any], calibrated: tuple[dict[str, Any], Curve], real: Result, shared_data: Path, tmp_path: Path
) -> None:
    from dataflow.steps.tier_hit.build import calibrate as make_hit

    made = plain(entry({"": real}, Settings(), "20230311T235840Z"))
    operations = calibrated[0] | made["pars"]["operations"]
    names = ["LQ_Ecorr", "LQ_Classifier", "LQ_Cut"]
    checked = {name: each | {"expression": parsed(each["expression"]).rewritten} for name, each in operations.items()}
    target = tmp_path / "hit.lh5"
    make_hit(shared_data / PLACE, "ch1104000/dsp", {"outputs": names, "operations": checked}, target, "ch1104000/hit")
    with h5py.File(target) as file:
        hit = {name: file[f"ch1104000/hit/{name}"][:] for name in names}
    good = _selected(columns, calibrated[0])
    good &= np.isfinite(hit["LQ_Classifier"])
    np.testing.assert_allclose(hit["LQ_Classifier"][good], real.classifier, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(hit["LQ_Cut"][good].astype(bool), real.classifier < 3)


def _selected(columns: dict[str, Any], operations: dict[str, Any]) -> Any:
    from dataflow.physics.quality import clean

    good, _ = clean(columns, np.ones(len(columns["cuspEmax"]), dtype=bool), 20.0)
    return good & (value_of("cuspEmax_ctc_cal", operations, columns) > 800)


def test_events_that_fail_the_quality_cuts_do_not_enter(
    columns: dict[str, Any], calibrated: tuple[dict[str, Any], Curve], real: Result
) -> None:
    """In the published flow the drift-time correction and the fit of the peak take all events."""
    spoiled = {name: np.concatenate([each, each[:8000]]) for name, each in columns.items()}
    spoiled["lq80"] = np.concatenate([columns["lq80"], 1.5 * columns["lq80"][:8000]])
    spoiled["bad"] = np.arange(len(spoiled["lq80"])) >= len(columns["lq80"])
    operations = calibrated[0] | {"is_valid_cal": {"expression": "bad == 0"}}
    accepted = np.ones(len(spoiled["lq80"]), dtype=bool)
    found = lq.calibrate_sets(spoiled, accepted, operations, calibrated[1], Settings())[""]
    assert len(found.energies) <= np.count_nonzero(~spoiled["bad"])
    assert found.after.sigma == pytest.approx(real.after.sigma, rel=0.05)
    accepted[: len(columns["lq80"]) // 2] = False
    fewer = lq.calibrate_sets(spoiled, accepted, operations, calibrated[1], Settings(threshold=1200))[""]
    assert len(fewer.energies) < 0.5 * len(found.energies)
    assert fewer.energies.min() > 1200


# parameter files, settings, weak data -------------------------------------------------------------------------------


def test_parameter_files_have_what_dashboards_look_for(found: Result) -> None:
    content = plain(entry({"": found}, Settings(), "20230311T235840Z"))
    results = yaml.safe_load(yaml.safe_dump(content))["results"]["lq"]
    assert results["DEP_means"]["20230311T235840Z"].keys() == {
        "mean", "mean_err", "sigma", "sigma_err", "res", "res_err",
    }  # fmt: skip
    assert list(results["sfs"]) == [1592.5, 1620.5, 2039.0, 2103.53, 2614.5]
    assert results["sfs"][1592.5]["sf"] == pytest.approx(99.9, abs=0.8)
    assert results["cut_value"] == 3.0 and results["aoe_lq_sfs"] == {}
    operations = content["pars"]["operations"]
    assert list(operations) == ["LQ_Ecorr", "LQ_Timecorr", "LQ_Corrected", "LQ_Classifier", "LQ_Cut"]
    assert operations["LQ_Corrected"]["expression"] == "LQ_Timecorr - dt_eff*a - b"


def test_several_classifiers_stand_side_by_side(
    columns: dict[str, Any], calibrated: tuple[dict[str, Any], Curve]
) -> None:
    sets = {"cusp": {"suffix": "cusp"}, "trap": {"energy_param": "trapEmax", "suffix": "trap"}}
    settings = Settings.read({"params": sets}, "lqcal_config")
    accepted = np.ones(len(columns["cuspEmax"]), dtype=bool)
    content = entry(lq.calibrate_sets(columns, accepted, *calibrated, settings), settings, "20230311T235840Z")
    assert list(content["results"]["lq"]) == ["cusp", "trap"]
    assert content["pars"]["operations"]["LQ_Ecorr_trap"]["expression"] == "lq80/trapEmax"
    assert content["pars"]["operations"]["LQ_Cut_trap"]["expression"] == "(LQ_Classifier_trap < a)"
    with pytest.raises(UserError, match="lqcal_config.params: one and two have the same suffix ''"):
        Settings.read({"params": {"one": {}, "two": {}}}, "lqcal_config")


def test_entries_of_the_published_flow_are_accepted_and_others_not() -> None:
    upstream = {"run_lq": True, "cdf": "gaussian", "debug_mode": False, "cut_field": "is_valid_cal", "plot_options": {}}
    assert Settings.read(upstream, "lqcal_config") == Settings()
    with pytest.raises(UserError, match="lqcal_config has no entry 'treshold'"):
        Settings.read({"treshold": 800}, "lqcal_config")


@pytest.mark.parametrize(
    ("size", "dep", "sentence"),
    [
        (0, 0, r"no double-escape peak at 1592.5 keV: 0 ± 0 counts above background"),
        (40_000, 0, r"no double-escape peak at 1592.5 keV: -?\d+ ± \d+ counts above background"),
    ],
)
def test_weak_data_say_what_is_missing(size: int, dep: int, sentence: str) -> None:
    with pytest.raises(WorkFailed, match=sentence):
        Simulated(size, dep=dep).calibrated()


def test_late_charge_that_is_the_same_everywhere_is_told() -> None:
    data = Simulated()
    with pytest.raises(WorkFailed, match="is the same"):
        calibrate(data.energy, 0.5 * data.amplitude, data.amplitude, data.drift, WIDTHS)
    with pytest.raises(WorkFailed, match="drift times do not allow a correction"):
        calibrate(data.energy, data.charge, data.amplitude, np.full(len(data.energy), 500.0), WIDTHS)
    shifted = data.charge - MEAN * data.amplitude
    with pytest.raises(WorkFailed, match="it cannot be the unit"):
        calibrate(data.energy, shifted, data.amplitude, data.drift, WIDTHS)


def test_a_failure_is_that_of_late_charge_alone() -> None:
    content = LATE_CHARGE.failed("0 events")
    assert content["results"] == {"lq": {}, "lq_failed": "0 events"}
    assert content["warnings"] == ["late charge is not calibrated: 0 events"]
    assert "status" not in content and "pars" not in content


def test_the_page_shows_cut_and_survival(found: Result) -> None:
    page = draw("V02160A", "l200-p03-r000-cal-20230311T235840Z", found)
    assert len(render(page).axes) == 8, "two of six have residuals"
    texts = said_on(page)
    assert "kept: below 3 σ" in texts
    assert f"1592.5 keV {100 * found.survival[1592.5].fraction:.1f}" in texts


def test_what_the_dashboard_draws_is_written_also_for_the_only_classifier(found: Result, tmp_path: Path) -> None:
    from dataflow.steps.par_hit_lq.plotdata import plot_data

    plotdata.write(tmp_path / "one.lh5", plot_data({"": found}))
    plotdata.write(tmp_path / "two.lh5", plot_data({"first": found, "second": found}))
    with h5py.File(tmp_path / "one.lh5") as one, h5py.File(tmp_path / "two.lh5") as two:
        before = one["lq/spectrum_data/before"][:]
        inside = (found.energies >= 700) & (found.energies < 3000)
        assert before.sum() == np.count_nonzero(inside)
        kept = one["lq/spectrum_data/after_cut"][:].sum()
        assert kept == np.count_nonzero(found.classifier < found.cut)
        np.testing.assert_array_equal(two["lq/second/spectrum_data/before"][:], before)
        assert absent("lq", one["lq"]) == [] and absent("lq", two["lq/second"]) == []
        assert one["lq/drift_time_data/counts"][:].sum() == len(found.line.times)
        for line, one_line in one["lq/survival_fractions_data/peaks"].items():
            at_cut = np.interp(found.cut, one_line["cut_vals"][:], one_line["sf"][:])
            assert at_cut == pytest.approx(100 * found.survival[float(line.replace("p", "."))].fraction, abs=0.5)


def test_fits_are_shown_with_their_residuals_and_probabilities(found: Result) -> None:
    panels = draw("V", "key", found).panels
    strips = [curve.arrays["deviations"] for each in panels for curve in each.curves if curve.kind == "residuals"]
    assert len(strips) == 2 and all(np.std(each) < 1.6 for each in strips)
    titles = [each.labels["title"] for each in panels if "χ²" in each.labels["title"]]
    assert [title.rpartition("p = ")[2] for title in titles] == [
        f"{fit.p_value:.2g}" for fit in (found.before, found.after)
    ]


def test_line_and_peak_stand_where_the_dashboard_takes_them(found: Result) -> None:
    results = entry({"": found}, Settings(), "t")["results"]["lq"]
    assert results["rt_correction"] == [found.line.slope, found.line.offset]
    assert (results["cut_fit_pars"]["mu"], results["cut_fit_pars"]["sigma"]) == (found.after.mean, found.after.sigma)
