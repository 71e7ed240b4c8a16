"""Filter times of least noise: against a scan of their own kernels, and the law of white noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lh5
import numpy as np
import pytest
import yaml
from lgdo import Array, ArrayOfEqualSizedArrays, Table, WaveformTable
from tests.dashboard import absent
from tests.figures import figures_of

from dataflow.base.errors import UserError
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.figures import plotdata
from dataflow.jobs.runner import run
from dataflow.metadata.stepconfig import shipped_folder
from dataflow.physics.chains import run_chain
from dataflow.physics.noisetraces import nanoseconds, quiet_traces
from dataflow.plan import open_cycle
from dataflow.registry.step import DATA
from dataflow.registry.steps import parts_of
from dataflow.steps.par_dsp_nopt.calibrate import calibrate, impulse_response
from dataflow.steps.par_dsp_nopt.plotdata import plot_data
from dataflow.steps.par_dsp_nopt.result import Result
from dataflow.steps.par_dsp_nopt.settings import NoptSettings

PERIOD, TAU, SAMPLES = 96.0, 400_000.0, 1365
SETTINGS = NoptSettings()
CAL = "l200-p03-r000-cal-20240301T080000Z"
FFT = "l200-p03-r000-fft-20240301T120000Z"


def coloured(count: int, white: float, pink: float, walk: float = 0.0, samples: int = SAMPLES, seed: int = 3) -> Any:
    """Noise with a flat and a 1/f power spectrum, and a random walk; above the mean of the baseline."""
    rng = np.random.default_rng(seed)
    traces = rng.normal(0, white, (count, samples))
    if pink:
        frequency = np.fft.rfftfreq(4 * samples)
        frequency[0] = frequency[1]
        shaped = np.fft.irfft(np.fft.rfft(rng.normal(size=(count, 4 * samples))) / np.sqrt(frequency), axis=1)
        traces += pink / shaped.std() * shaped[:, :samples]
    if walk:
        traces += np.cumsum(rng.normal(0, walk, (count, samples)), axis=1)
    return traces - traces[:, : round(0.34 * samples)].mean(axis=1, keepdims=True)


def found(noise: Any, **changes: Any) -> Result:
    return calibrate({"wf_blsub": noise, "wf_pz": noise}, PERIOD, TAU, SETTINGS.model_copy(update=changes))


PLACES = [round(part * SAMPLES) for part in np.linspace(0.36, 0.60, 9)]


def own_trapezoid(noise: Any, rise: int, flat: int) -> float:
    """Noise of the difference of two means, where pulses that begin at the places would be measured."""
    ends = [place + rise + round(0.8 * flat) + 1 for place in PLACES]
    later = [noise[:, end - rise : end].mean(axis=1) for end in ends]
    before = [noise[:, end - 2 * rise - flat : end - rise - flat].mean(axis=1) for end in ends]
    return float(np.sqrt(np.mean(np.var(np.subtract(later, before), axis=1))))


def own_cusp(noise: Any, sigma: float, flat: int) -> float:
    """Noise of the textbook's cusp with its decay taken out."""
    half = (round(0.6 * SAMPLES) - flat) // 2
    rising = np.sinh(np.arange(half) / sigma) / np.sinh(half / sigma)
    kernel = np.convolve(np.concatenate([rising, np.ones(flat), rising[::-1]]), [1, -np.exp(-PERIOD / TAU)])
    firsts = [place + round(0.3 * SAMPLES + 0.3 * flat) - len(kernel) for place in PLACES]
    energies = [noise[:, first : first + len(kernel)] @ kernel[::-1] for first in firsts]
    return float(np.sqrt(np.mean(np.var(energies, axis=1))))


def test_the_optimum_is_that_of_a_full_scan_with_filters_written_here() -> None:
    noise = coloured(800, 4.0, 1.0, 0.1)
    result = {scan.filter: scan for scan in found(noise).scans}
    flat = round(3000 / PERIOD)
    rises = np.unique(np.round(np.arange(1, 20.1, 0.5) * 1000 / PERIOD)).astype(int)
    own = np.array([own_trapezoid(noise, rise, flat) for rise in rises])
    best = rises[np.argmin(own)] * PERIOD / 1000
    assert 2 < best < 19
    assert result["etrap"].best == pytest.approx(best, abs=0.5 + PERIOD / 2000)
    np.testing.assert_allclose(result["etrap"].noises, own, rtol=0.015)
    sigmas = np.arange(1, 20.1, 0.5)
    own = np.array([own_cusp(noise, sigma * 1000 / PERIOD, flat) for sigma in sigmas])
    assert 1.5 < sigmas[np.argmin(own)] < 19.5
    assert result["cusp"].best == pytest.approx(sigmas[np.argmin(own)], abs=0.5)
    np.testing.assert_allclose(result["cusp"].noises, own, rtol=0.015)
    for scan in result.values():
        assert scan.edge == ""
        assert abs(scan.best - scan.times[np.argmin(scan.noises)]) <= 0.5 + PERIOD / 2000
        assert 0 < scan.error < 1.5


def test_white_noise_of_a_trapezoid_falls_with_the_root_of_its_rise_time() -> None:
    (scan,) = found(coloured(1000, 5.0, 0.0), optimization={"a": SETTINGS.optimization["etrap"]}).scans
    expected = 5.0 * np.sqrt(2 / (scan.times * 1000 / PERIOD))
    np.testing.assert_allclose(scan.noises, expected, rtol=0.05)
    np.testing.assert_array_less(np.abs(scan.noises - expected) / scan.errors, 5)
    assert scan.edge == "end"
    assert scan.best == pytest.approx(20.0, abs=0.05)


def test_the_best_trapezoid_for_white_noise_and_a_random_walk_is_the_known_one() -> None:
    """2 w²/rise + s² (2 rise/3 + flat) in samples is least at sqrt(3) w/s."""
    (scan,) = found(coloured(1500, 4.0, 0.0, 0.1), optimization={"a": SETTINGS.optimization["etrap"]}).scans
    assert scan.best == pytest.approx(np.sqrt(3) * 4.0 / 0.1 * PERIOD / 1000, abs=max(0.5, 3 * scan.error))
    rises, flat = scan.times * 1000 / PERIOD, round(3000 / PERIOD)
    expected = np.sqrt(2 * 4.0**2 / rises + 0.1**2 * (2 * rises / 3 + flat))
    np.testing.assert_allclose(scan.noises, expected, rtol=0.05)


def test_errors_are_the_scatter_over_many_sets_of_traces() -> None:
    only = {"a": SETTINGS.optimization["etrap"]}
    scans = [
        found(coloured(300, 4.0, 0.0, 0.1, samples=SAMPLES, seed=seed), optimization=only, step=1.0).scans[0]
        for seed in range(16)
    ]
    for values, errors in (
        ([scan.best for scan in scans], [scan.error for scan in scans]),
        ([scan.noises[10] for scan in scans], [scan.errors[10] for scan in scans]),
    ):
        assert 0.55 < np.std(values, ddof=1) / np.mean(errors) < 1.7


def test_the_power_spectrum_holds_the_variance_of_the_traces() -> None:
    result = found(coloured(300, 5.0, 0.0))
    assert np.sum(result.density) * (result.frequency[1] - result.frequency[0]) == pytest.approx(25.0, rel=0.03)
    assert result.frequency[-1] == pytest.approx(500 / PERIOD, rel=0.01)


def test_the_end_of_the_scan_is_a_warning_with_its_place() -> None:
    result = found(coloured(300, 5.0, 0.0), optimization={"a": SETTINGS.optimization["etrap"]}, stop=6.0)
    assert result.entry()["warnings"] == ["the noise of etrap is least at the end of the scan, 5.952 us"]


def test_twice_the_noise_has_the_same_optimum() -> None:
    noise = coloured(400, 4.0, 1.0, 0.1)
    for one, two in zip(found(noise).scans, found(2 * noise).scans, strict=True):
        assert two.best == pytest.approx(one.best, rel=1e-6)
        assert two.noise == pytest.approx(2 * one.noise, rel=1e-6)


def test_the_same_traces_give_the_same_entry() -> None:
    noise = coloured(200, 4.0, 4.0)
    assert found(noise).entry() == found(noise).entry()


def test_traces_with_pulses_do_not_count() -> None:
    noise = coloured(600, 4.0, 1.0)
    with_pulses = noise.copy()
    with_pulses[::10, 500:] += 80 * np.exp(-np.arange(SAMPLES - 500) * PERIOD / TAU)
    quiet = quiet_traces(with_pulses, PERIOD)
    assert not quiet[::10].any()
    assert np.count_nonzero(quiet) >= 535
    plain, cleaned = found(np.delete(noise, np.s_[::10], axis=0)), found(with_pulses)
    assert cleaned.rejected >= 60
    for one, two in zip(plain.scans, cleaned.scans, strict=True):
        assert two.noise == pytest.approx(one.noise, rel=0.02)


def test_few_traces_and_short_ones_fail_with_the_reason() -> None:
    with pytest.raises(WorkFailed, match="20 traces without a pulse are too few for the noise, 50 are needed"):
        found(np.random.default_rng(1).uniform(-1, 1, (20, SAMPLES)))
    with pytest.raises(WorkFailed, match=r"0 times of etrap fit into traces of 2\.88 us"):
        found(coloured(100, 1.0, 0.0, samples=30), optimization={"a": SETTINGS.optimization["etrap"]})


def test_the_entry_is_what_the_shipped_chain_and_the_published_readers_look_for() -> None:
    entry = found(coloured(300, 4.0, 4.0)).entry()
    chain = (shipped_folder("tier_dsp") / "processing_chain-geds.yaml").read_text()
    for name, time in (("cusp", "sigma"), ("zac", "sigma"), ("etrap", "rise")):
        assert f"db.{name}.{time}" in chain
        assert f"db.{name}.flat" in chain
        assert entry[name]["flat"] == "3*us"
        assert entry["nopt_pars"][name][time] == entry[name][time]
        assert nanoseconds(entry[name][time]) > 1000
        assert nanoseconds(entry["nopt_pars"][name][f"{time}_err"]) > 0
    assert nanoseconds(entry["etrap"]["rise"]) / PERIOD == pytest.approx(
        round(nanoseconds(entry["etrap"]["rise"]) / PERIOD)
    )


def test_what_the_dashboard_draws_is_there() -> None:
    result = found(coloured(300, 4.0, 4.0))
    drawn = plot_data(result)["noise_optimisation"]["nopt"]
    assert absent("nopt", drawn) == []
    for scan in result.scans:
        one = drawn[scan.filter]["optimization_data"]
        assert one["best_val"] == scan.noise <= min(one["fom"]) * 1.02
        assert np.interp(one["best_par"], one["spline_x"], one["spline_y"]) == pytest.approx(scan.noise, rel=0.02)


@pytest.mark.parametrize("name", ["cusp", "zac", "etrap"])
def test_energies_are_those_of_the_shipped_chain(tmp_path: Path, name: str) -> None:
    """The response here, applied to the chain's own trace, is the chain's filtered trace, sample by sample."""
    path = raw(tmp_path / "raw.lh5", np.rint(15_000 + coloured(4, 10.0, 0.0, samples=6 * SAMPLES)), "ch1/raw")
    chain = yaml.safe_load((shipped_folder("tier_dsp") / "processing_chain-geds.yaml").read_text())
    time = {"etrap": {"rise": "8.064*us", "flat": "3*us"}}.get(name, {"sigma": "6.5*us", "flat": "3*us"})
    pars = {"pz": {"tau1": "400*us"}, name: time}
    of_chain = run_chain(path, "ch1/raw", chain, pars, outputs=["wf_blsub", "wf_pz", f"wf_{name}"])
    trace = of_chain["wf_pz" if name == "etrap" else "wf_blsub"].values.nda[0].astype(float)
    length = 8.064e3 / PERIOD if name == "etrap" else 6.5e3 / PERIOD
    response, _ = impulse_response(name, length, 31, len(trace), TAU / PERIOD, SETTINGS)
    own = np.convolve(trace, response)
    first = 0 if name == "etrap" else len(response) - 1
    made = of_chain[f"wf_{name}"].values.nda[0]
    np.testing.assert_allclose(made, own[first : first + len(made)], atol=2e-3 * own.std() + 1e-3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"stat": 1.0}, "optimiser_config has no entry 'stat'"),
        ({"step": 0.0}, "optimiser_config.step must be a number above 0"),
        ({"optimization": {"a": {"dict_str": "etrap", "filter_par": "sigma"}}}, "must be a time that etrap has"),
    ],
)
def test_settings_are_checked(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        NoptSettings.read(config, "optimiser_config")


def test_the_published_configuration_is_taken() -> None:
    published = {
        "run_nopt": True, "n_events": 10000, "fft_field": "wf_psd", "start": 1, "stop": 10, "step": 1, "step_val": 0.1,
        "cut_pars": {}, "perform_fit": False, "dx": 0.4, "percentile_low": 10, "percentile_high": 90,
        "n_bootstrap_samples": 100, "fit_deg": 3, "plot_range": [-10, 10],
        "optimization": {"cuspEftp": {"dict_str": "cusp", "filter_par": "sigma", "ene_str": "cuspEftp"}},
    }  # fmt: skip
    settings = NoptSettings.read(published, "optimiser_config")
    assert [each.dict_str for each in settings.optimization.values()] == ["cusp"]
    assert (settings.start, settings.stop, settings.n_events) == (1.0, 10.0, 10000)


def raw(path: Path, traces: Any, *tables: str) -> Path:
    """A raw file whose tables hold the same traces."""
    rows = len(traces)
    for table in tables:
        values = ArrayOfEqualSizedArrays(nda=traces.astype("uint16"))
        columns = {
            "timestamp": Array(np.arange(rows, dtype="float64"), attrs={"units": "s"}),
            "baseline": Array(np.zeros(rows, dtype="uint16")),
            "daqenergy": Array(np.zeros(rows, dtype="uint16")),
            "waveform": WaveformTable(values=values, dt=16.0, dt_units="ns", t0=0.0, t0_units="ns"),
        }
        lh5.write(Table(col_dict=columns), table, str(path))
    return path


@pytest.fixture
def cycle(tmp_path: Path) -> Path:
    """A cycle with the raw files of a calibration, and the decay constants of two detectors."""
    (tmp_path / "config.json").write_text('{"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}')
    for place, content in (
        (
            "hardware/configuration/channelmaps",
            {n: {"name": n, "system": "geds", "daq": {"rawid": i}} for n, i in CHANNELS},
        ),
        ("datasets/statuses", {name: {"processable": True, "usability": "on"} for name, _ in CHANNELS}),
        ("dataprod/config", {}),
    ):
        folder = tmp_path / "inputs" / place
        folder.mkdir(parents=True)
        (folder / "validity.yaml").write_text('[{valid_from: "20240101T000000Z", apply: [config.yaml]}]')
        (folder / "config.yaml").write_text(yaml.safe_dump(content))
    daq_file(tmp_path, CAL)
    return tmp_path


CHANNELS = (("V01A", 1), ("V02B", 2))


def daq_file(cycle: Path, key: str) -> None:
    place = cycle / "generated/tier/daq" / key.split("-")[3] / "p03/r000"
    place.mkdir(parents=True)
    (place / f"{key}.fcio").touch()


def entries(cycle: Path) -> dict[str, Any]:
    """Run the step, and the merge after it; returns the merged parameters."""
    opened = open_cycle(cycle / "config.json")
    for part in (part for part in parts_of("dsp") if not part.only_with):
        outputs = opened.job(part.name, CAL).outputs
        path = outputs["par"]
        path.parent.mkdir(parents=True, exist_ok=True)
        plotdata.write(outputs[DATA], {})
        found = {"pz": {"tau1": "400000.0*ns"}} if part.name == "par_dsp_pz" else {}
        path.write_text(yaml.safe_dump({name: found for name, _ in CHANNELS}))
    for step in ("par_dsp_nopt", "par_dsp"):
        run(opened.job(step, CAL), 1)
    assert figures_of(opened, "par_dsp_nopt", CAL).read_bytes().startswith(b"%PDF")
    return dict(yaml.safe_load(opened.job("par_dsp", CAL).outputs["par"].read_text()))


def test_a_run_without_fft_data_has_the_parameters_that_it_had(cycle: Path) -> None:
    assert "noise" not in open_cycle(cycle / "config.json").job("par_dsp_nopt", CAL).inputs
    assert entries(cycle) == {name: {"pz": {"tau1": "400000.0*ns"}} for name, _ in CHANNELS}


def test_the_fft_files_of_the_run_give_the_times_and_a_detector_with_few_traces_fails_alone(cycle: Path) -> None:
    daq_file(cycle, FFT)
    (path,) = open_cycle(cycle / "config.json").job("par_dsp_nopt", CAL).inputs["noise"]
    path.parent.mkdir(parents=True)
    traces = np.rint(15_000 + coloured(120, 12.0, 4.0, samples=6 * SAMPLES))
    raw(path, traces, "ch0000001/raw")
    raw(path, traces[:10], "ch0000002/raw")
    pars = entries(cycle)
    assert pars["V01A"]["pz"] == pars["V02B"]["pz"] == {"tau1": "400000.0*ns"}
    assert pars["V01A"]["nopt_pars"]["n_events"] >= 105
    assert nanoseconds(pars["V01A"]["cusp"]["sigma"]) > 1000
    assert pars["V02B"]["status"]["step"] == "par_dsp_nopt"
    assert "traces without a pulse are too few for the noise, 50 are needed" in pars["V02B"]["status"]["reason"]
    assert "cusp" not in pars["V02B"]
