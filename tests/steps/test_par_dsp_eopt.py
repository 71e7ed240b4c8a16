"""Filters by the widths of lines: against full scans with the chain itself, and the truth of pulses made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lh5
import numpy as np
import pytest
import yaml
from lgdo import Array, ArrayOfEqualSizedArrays, Table, WaveformTable
from tests.figures import figures_of

from dataflow.base.errors import UserError
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.runner import run
from dataflow.metadata.stepconfig import shipped_folder
from dataflow.physics.chains import continue_chain, run_chain
from dataflow.physics.lines import Line
from dataflow.physics.trapping import FWHM, Peaks, fit_peaks
from dataflow.plan import open_cycle
from dataflow.steps.par_dsp_eopt.build import ENERGIES, sample_of
from dataflow.steps.par_dsp_eopt.calibrate import Sample, calibrate, flat_top
from dataflow.steps.par_dsp_eopt.result import Result
from dataflow.steps.par_dsp_eopt.scan import Convolver, Scan, Trapezoid, edge_of, line_events, width_at
from dataflow.steps.par_dsp_eopt.settings import EoptSettings
from dataflow.steps.par_dsp_nopt.build import nanoseconds

from .pulses import CAL, GAIN, PERIOD, TAU, Truth, fill, make_cycle, traces, truth

CHAIN = yaml.safe_load((shipped_folder("tier_dsp") / "processing_chain-geds.yaml").read_text())
SETTINGS = EoptSettings()
LINE = Line(583.187, 25.0, 25.0)
TRAPPING = 1.2e-6
PZ = {"pz": {"tau1": f"{TAU}*ns"}}
WANTED = ["wf_blsub", "trapTmax", "tp_0_est", "tp_99", "dt_eff"]


def table_of(of: Truth, values: Any, folder: Path) -> Any:
    """A table of events of one line, as the selection writes it."""
    waveform = WaveformTable(
        values=ArrayOfEqualSizedArrays(nda=np.rint(values).astype("u2")),
        dt=PERIOD, dt_units="ns", t0=0.0, t0_units="ns",
    )  # fmt: skip
    path = folder / "raw.lh5"
    columns = {
        "waveform": waveform,
        "daqenergy": Array(np.zeros(len(values))),
        "baseline": Array(np.zeros(len(values))),
    }
    columns["timestamp"] = Array(np.arange(len(values), dtype="f8"), attrs={"units": "s"})
    lh5.write(Table(col_dict=columns), "ch1/raw", str(path))
    made = run_chain(path, "ch1/raw", CHAIN, PZ, outputs=WANTED)
    table = Table({name: made[name] for name in WANTED})
    table.add_field("trapTmax_cal", Array(made["trapTmax"].nda * GAIN))
    table.add_field("peak", Array(np.full(len(values), LINE.key)))
    return table


def result_of(table: Any, **changes: Any) -> Result:
    def energies(filters: Any) -> Any:
        return {name: each.nda for name, each in continue_chain(table, CHAIN, {**PZ, **filters}, ENERGIES).items()}

    settings = SETTINGS.model_copy(update=changes)
    return calibrate(sample_of(table, CHAIN, PZ), [LINE], LINE.energy, energies, settings)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """400 pulses of one energy, without trapping, in so much noise that the filter decides about the width."""
    rng = np.random.default_rng(9)
    of = Truth(np.full(400, 583.187), rng.uniform(50, 500, 400), np.zeros(400, dtype=bool))
    return table_of(of, traces(of, trapping=0.0, noise=40.0), tmp_path_factory.mktemp("noisy"))


@pytest.mark.parametrize(("name", "time", "estimator"), [("cusp", "sigma", "cuspEmax"), ("etrap", "rise", "trapEmax")])
def test_the_optimum_is_within_one_step_of_a_full_scan_with_the_chain(
    noisy: Any, name: str, time: str, estimator: str
) -> None:
    result = result_of(noisy)
    scan = next(each for each in result.scans if each.filter == name)
    low, high = SETTINGS.sigma if name == "cusp" else (SETTINGS.rise[0], 12.0)
    full = np.arange(low, high + 0.1, SETTINGS.step)
    widths = []
    for value in full:
        pars = {**PZ, name: {time: f"{value}*us", "flat": f"{result.flat}*us"}}
        values = continue_chain(noisy, CHAIN, pars, [estimator])[estimator].nda
        widths.append(np.std(values) / np.mean(values))
    best = full[int(np.argmin(widths))]
    assert full[1] < best < full[-2], "the noise has an optimum within the scan"
    assert scan.best == pytest.approx(best, abs=SETTINGS.step + 0.05)
    assert scan.edge == "" and scan.is_known
    assert result.filters()[name][time] == f"{scan.best:.3f}*us"
    at = np.interp(scan.times, full, np.array(widths) * FWHM * 583.187)
    np.testing.assert_allclose(scan.widths[2:], at[2:], rtol=0.03)
    assert len(scan.times) < 0.75 * len(full)


def test_maxima_are_those_of_the_chain(noisy: Any) -> None:
    from dspeed.processors import cusp_filter

    sample = sample_of(noisy, CHAIN, PZ)
    pars = {**PZ, "cusp": {"sigma": "5*us", "flat": "2.496*us"}, "etrap": {"rise": "6.048*us", "flat": "2.496*us"}}
    of_chain = continue_chain(noisy, CHAIN, pars, ["cuspEmax", "trapEmax"])
    kernel = np.zeros(round(0.6 * sample.blsub.shape[1]))
    cusp_filter(5000 / 96, 26, TAU / 96, kernel)
    np.testing.assert_allclose(Convolver(sample.blsub).maxima(kernel), of_chain["cuspEmax"].nda, rtol=2e-5)
    np.testing.assert_allclose(Trapezoid(sample.pz).maxima(63, 26), of_chain["trapEmax"].nda, rtol=2e-5)


def test_what_a_chain_does_from_kept_traces_is_what_it_does_from_raw(noisy: Any, tmp_path: Path) -> None:
    of = truth(6, counts={583.187: 20, 2614.511: 20}, flat=0)
    values = traces(of, trapping=0.0, noise=12.0)
    table = table_of(of, values, tmp_path)
    pars = {**PZ, "cusp": {"sigma": "7*us", "flat": "2*us"}}
    rest = continue_chain(table, CHAIN, pars, ENERGIES)
    whole = run_chain(tmp_path / "raw.lh5", "ch1/raw", CHAIN, pars, outputs=ENERGIES)
    for name in ENERGIES:
        np.testing.assert_allclose(rest[name].nda, whole[name].nda, rtol=1e-6)


def test_the_flat_top_is_a_whole_number_of_samples_that_holds_the_longest_drift() -> None:
    assert flat_top(1.3, 96.0, SETTINGS) == pytest.approx(18 * 0.096)  # 1.625, then 1.7, then 1.728 us
    assert flat_top(0.2, 96.0, SETTINGS) == pytest.approx(11 * 0.096)
    assert flat_top(9.0, 96.0, SETTINGS) == pytest.approx(42 * 0.096)


def test_a_line_of_few_events_that_lie_close_together_does_not_make_the_curve() -> None:
    """Weights are those of the curve: by its own width of 0.1 keV the line at 1620 keV would have nearly all."""

    def peaks(width: float, counts: float) -> Peaks:
        full = np.ones(1)
        sigma = width / FWHM
        errors = (full, full, full * sigma / np.sqrt(2 * counts))
        return Peaks(full, full, full * sigma, full * counts, full, full, full, *errors)

    widths = {583.2: (1.25, 500.0), 727.3: (1.36, 150.0), 2614.5: (2.37, 170.0)}
    lines = {energy: peaks(*each) for energy, each in widths.items()}
    known, error = width_at(lines, 2039.0)
    found, _ = width_at(lines | {1620.5: peaks(0.1, 6.0)}, 2039.0)
    assert error[0] == pytest.approx(0.1, abs=0.04)
    assert found[0] == pytest.approx(known[0], abs=0.1)


def test_the_width_at_an_energy_is_that_of_the_curve_through_the_lines() -> None:
    def peaks(*widths: float) -> Any:
        rng = np.random.default_rng(1)
        return fit_peaks(np.stack([rng.normal(1000, width / FWHM, 20_000) for width in widths]), np.ones(20_000), 60.0)

    lines = {583.0: peaks(1.3, 1.8), 2614.0: peaks(2.4, 2.7)}
    values, errors = width_at(lines, 2039.0)
    for number, (low, high) in enumerate(((1.3, 2.4), (1.8, 2.7))):
        slope = (high**2 - low**2) / (2614 - 583)
        assert values[number] == pytest.approx(np.sqrt(low**2 + slope * (2039 - 583)), rel=0.01)
    assert 0 < errors[0] < 0.02
    alone, _ = width_at({583.0: peaks(1.3)}, 2039.0)
    assert alone[0] == pytest.approx(1.3, rel=0.01)


@pytest.mark.parametrize(
    ("signal", "background", "known"), [(0, 30, False), (0, 300, False), (12, 3, True), (50, 60, True)]
)
def test_a_line_counts_where_it_stands_out(signal: int, background: int, known: bool) -> None:
    rng = np.random.default_rng(1)
    line, around = Line(1620.5, 20, 40), rng.uniform(1600.5, 1660.5, background)
    energy = np.concatenate([rng.normal(1620.5, 0.8, signal), around])
    peak, drift = np.full(len(energy), line.key), rng.normal(500, 50, len(energy))
    found = line_events(peak, energy, drift, [line], 10)
    assert [each.energy for each in found] == ([1620.5] if known else [])


def test_few_events_of_a_line_do_not_count() -> None:
    peak, drift = np.repeat([583.191, 2614.511], [60, 10]), np.random.default_rng(1).normal(500, 50, 70)
    lines = (Line(583.187, 20, 20, name=583.191), Line(2614.511, 35, 35))
    assert [each.energy for each in line_events(peak, peak, drift, lines, 50)] == [583.187]
    with pytest.raises(WorkFailed, match="60 events of a line are too few to optimise filters, 200 are needed"):
        sample = Sample(*(np.zeros((70, 9), dtype="f4"),) * 2, 96.0, 1e5, peak, peak, drift, drift, drift)
        calibrate(sample, lines, 2039.0, lambda _: {}, EoptSettings(least=200))


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Parameters of dsp of a detector with trapping, and of one with few events."""
    folder = make_cycle(tmp_path_factory.mktemp("eopt"))
    many, few = truth(), truth(3, counts={583.187: 8}, flat=10)
    fill(
        folder,
        {
            "V01A": (many, traces(many, trapping=TRAPPING, noise=12.0)),
            "V02B": (few, traces(few, trapping=TRAPPING, noise=12.0)),
        },
    )
    return parameters(folder)


def parameters(folder: Path) -> dict[str, Any]:
    cycle = open_cycle(folder / "config.json")
    for step in ("par_tcm_pulser", "par_dsp_evtsel", "par_dsp_nopt", "par_dsp_eopt", "par_dsp_dplms", "par_dsp"):
        run(cycle.job(step, CAL))
    assert figures_of(cycle, "par_dsp_eopt", CAL).read_bytes().startswith(b"%PDF")
    return dict(yaml.safe_load(cycle.job("par_dsp", CAL).outputs["par"].read_text()))


def test_the_correction_is_that_of_the_pulses_and_the_width_what_is_left(calibrated: dict[str, Any]) -> None:
    found = calibrated["V01A"]["eopt"]["ctc"]
    assert set(found) == set(ENERGIES)
    expected = np.sqrt(8 * np.log(2) * 3.6e-4 * 2614.511)
    spread = TRAPPING * 2614.511 * 600 / np.sqrt(12) * FWHM
    for name in ("cuspEftp", "zacEftp", "trapEftp"):  # what is picked off too early for the slowest is in it
        assert TRAPPING - 3 * found[name]["a_err"] < found[name]["a"] < 1.6 * TRAPPING
    for name in ("cuspEmax", "zacEmax", "trapEmax"):
        each = found[name]
        assert each["a"] == pytest.approx(TRAPPING, abs=3 * each["a_err"])
        assert each["a_err"] == pytest.approx(1.3e-7, rel=0.2)
        after, error = each["lines"][2614.511]["fwhm_in_kev"]
        before, more = each["lines"][2614.511]["fwhm_uncorrected_in_kev"]
        assert after == pytest.approx(np.hypot(expected, 0.5), abs=3 * error)
        assert np.sqrt(before**2 - after**2) == pytest.approx(spread, abs=3 * more * before / spread)
        drift = each["drift_time"]
        slope, corrected = (
            np.polyfit(drift["dt_eff_in_ns"], drift[name], 1)[0]
            for name in ("position_in_kev", "position_corrected_in_kev")
        )
        assert slope == pytest.approx(-TRAPPING * 2614.511, rel=0.25)
        assert abs(corrected) < 0.1 * abs(slope)


def test_the_entry_is_what_chain_and_published_readers_look_for(calibrated: dict[str, Any]) -> None:
    entry = calibrated["V01A"]
    for name, time in (("cusp", "sigma"), ("zac", "sigma"), ("etrap", "rise")):
        assert entry[name]["flat"] == entry["cusp"]["flat"]
        of_scan = entry["eopt"][name]
        assert nanoseconds(of_scan[time]) >= 500 and nanoseconds(of_scan[f"{time}_err"]) >= 0
        assert of_scan["used"] == (nanoseconds(of_scan[f"{time}_err"]) < 0.25e3 * (12 - 1 if name == "etrap" else 15.5))
        assert entry[name].get(time) == (of_scan[time] if of_scan["used"] else None)
        assert entry["eopt"][name]["Qbb_fwhm_in_kev"] == pytest.approx(2.1, abs=0.4)
    rise = nanoseconds(entry["eopt"]["etrap"]["rise"]) / 96
    assert rise == pytest.approx(round(rise), abs=1e-6)
    operation = entry["ctc_params"]["cuspEmax_ctc"]
    assert operation["expression"] == "cuspEmax*(1+dt_eff*a)"
    assert operation["parameters"] == {"a": entry["eopt"]["ctc"]["cuspEmax"]["a"]}
    assert set(entry["ctc_params"]) == {f"{name}_ctc" for name in ENERGIES}


def test_a_detector_without_events_keeps_what_it_has_and_says_why(calibrated: dict[str, Any]) -> None:
    entry = calibrated["V02B"]
    assert "status" not in entry and "cusp" not in entry and "ctc_params" not in entry
    assert entry["pz"] == PZ["pz"]
    ((step, warning),) = entry["warnings"].items()
    assert step == "par_dsp_eopt"
    said = "filters are not optimised, and there is no trapping correction: "
    assert warning == said + entry["eopt"]["failed"]
    assert "one line stands out of 18 events" in warning


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    folder = make_cycle(tmp_path, pars_dsp_eopt={"optimiser_config": {"run_eopt": False}})
    few = truth(3, counts={583.187: 8}, flat=10)
    fill(folder, {name: (few, traces(few, trapping=0.0, noise=12.0)) for name in ("V01A", "V02B")})
    entry = parameters(folder)["V01A"]
    assert entry["eopt"]["failed"].startswith("optimiser_config.run_eopt is false")
    assert "warnings" not in entry


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"n_iters": 3}, "optimiser_config has no entry 'n_iters'"),
        ({"sigma": [5.0, 2.0]}, "with sigma from low to high, which 5 to 2 is not"),
        ({"min_flat_value": 5.0}, "with min_flat_value up to max_flat_value"),
    ],
)
def test_settings_are_checked(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        EoptSettings.read(config, "optimiser_config")


def test_the_published_configuration_is_taken() -> None:
    published = {
        "run_eopt": True, "peaks": [238.632, 583.191, 2614.553], "kev_widths": [[10, 10], [25, 40], [50, 50]],
        "fom": "interpolate_energy_res", "fom_field": "y_val", "fom_err_field": "y_err", "n_iter": 10, "batch_size": 10,
        "initial_samples": [[1], [5], [10]], "acq_func": "ei", "nan_default": 15, "min_flat_value": 1,
        "max_flat_value": 4, "use_log_pdf": False,
    }  # fmt: skip
    settings = EoptSettings.read(published, "optimiser_config")
    assert settings.peaks == (238.632, 583.191, 2614.553)


def test_a_time_that_the_events_do_not_tell_is_not_used() -> None:
    """Then that of least noise, or of the chain, holds, and its end of the scan is nothing to be warned of."""
    times = np.array([0.5, 8.0, 16.0])
    known, unknown = (
        Scan("cusp", "sigma", 0.5, error, times, np.array([2.0, 2.1, 2.2]), np.full(3, 0.1), {}, "beginning")
        for error in (1.0, 9.0)
    )
    assert Result((known,), 2.0, 1.5, (), {}).filters() == {"cusp": {"sigma": "0.500*us", "flat": "2.000*us"}}
    assert Result((unknown,), 2.0, 1.5, (), {}).filters() == {"cusp": {"flat": "2.000*us"}}
    assert Result((unknown,), 2.0, 1.5, (), {}).warnings == []
    assert Result((known,), 2.0, 1.5, (), {}).warnings == [
        "lines are narrowest at the beginning of the scan of cusp, 0.5 us"
    ]
    assert Result((unknown,), 2.0, 1.5, (), {}).entry()["eopt"]["cusp"]["used"] is False


def test_an_end_of_the_scan_for_all_parts_of_the_events_has_no_error_but_a_warning() -> None:
    times, widths = np.linspace(8.0, 16.0, 17), np.linspace(2.0008, 2.0, 17)
    assert (edge_of(widths, 1.0), edge_of(widths, 0.0), edge_of(widths[::-1], 0.0)) == ("", "end", "beginning")
    scan = Scan("zac", "sigma", 16.0, 0.0, times, widths, np.full(17, 0.1), {}, edge_of(widths, 0.0))
    result = Result((scan,), 2.0, 1.5, (), {})
    entry = result.entry()
    assert entry["eopt"]["zac"]["sigma"] == "16.000*us" and "sigma_err" not in entry["eopt"]["zac"]
    assert entry["warnings"] == ["lines are narrowest at the end of the scan of zac, 16 us"]
