"""The noise of SiPMs of a file: right beside signals, taken by dsp, and defined where there is none."""

from __future__ import annotations

from pathlib import Path

import h5py
import lh5
import numpy as np
import pytest
from lgdo import Array, Table
from tests.physics.conftest import SmallCycle, make_cycle
from tests.physics.traces import digitised, processed, raw_file, waveform, whole
from tests.steps.light import traces

from dataflow.base.errors import UserError
from dataflow.jobs.errors import WorkFailed
from dataflow.plan import open_cycle
from dataflow.steps.par_dsp_spms.calibrate import noise_of
from dataflow.steps.par_dsp_spms.figure import draw
from gebox.signals import light

KEY = "l200-p03-r001-phy-20230318T015140Z"
FILTERED = np.sqrt(2 / 8)
"""Noise of a difference of means of eight samples over that of a sample."""


def made(tmp_path: Path, values: np.ndarray, key: str = KEY) -> SmallCycle:
    file = raw_file(tmp_path / "raw.lh5", {"waveform": waveform(values)})
    cycle = make_cycle(tmp_path / "cycle", file, key, {"S001": {"rawid": 1, "system": "spms"}}, "raw")
    cycle.set(
        paths={"tier": "$_/generated/tier"},
        table_format={tier: f"ch{{ch}}/{tier}" for tier in ("raw", "dsp", "hit")},
        allow_none_par=True,
    )
    return cycle


@pytest.mark.parametrize("sigma", [0.5, 3.0])
@pytest.mark.parametrize("busy", [0.0, 0.6])
def test_the_noise_is_that_of_the_parts_without_pulses(sigma: float, busy: float) -> None:
    random = np.random.default_rng(1)
    values = random.normal(0, sigma, (200, 6400))
    values[:, : int(busy * 6400)] += 500 * np.sin(np.arange(int(busy * 6400)) / 20.0)
    found = noise_of(values, 18, 5)
    assert found.fwhm == pytest.approx(2.35482 * sigma, rel=0.01)
    assert found.quiet == pytest.approx(1 - busy, abs=0.04)
    assert found.error == pytest.approx(np.nanstd(found.by_trace) / np.sqrt(200))
    assert 0 < found.error < 0.002 * found.fwhm


def test_the_simulations_noise_is_found(tmp_path: Path) -> None:
    cycle = made(tmp_path, traces(6, 100))
    cycle.run("par_dsp_spms")
    entry = cycle.pars("par_dsp_spms")["S001"]
    assert entry["baseline_curr_fwhm"] == pytest.approx(2.35482 * light.NOISE * FILTERED, rel=0.03)
    assert entry["n_events"] == 100
    assert cycle.output("par_dsp_spms", "par").parent == cycle.folder / "generated/par/dsp/phy/p03/r001"
    assert cycle.output("par_dsp_spms", "par").name == f"{KEY}-par_dsp_spms.yaml"


def test_the_figure_is_there_as_data(tmp_path: Path) -> None:
    cycle = made(tmp_path, traces(6, 40))
    cycle.run("par_dsp_spms")
    entry = cycle.pars("par_dsp_spms")["S001"]
    path = cycle.output("par_dsp_spms", "data")
    assert path == cycle.folder / f"generated/plt/dsp/phy/p03/r001/{KEY}-plt_dsp_spms.lh5"
    with h5py.File(path) as file:
        own = file["S001/spms"]
        assert own["baseline_curr_fwhm"][()] == pytest.approx(entry["baseline_curr_fwhm"], abs=1e-4)
        by_trace = own["fwhm_by_trace"][()]
        assert by_trace.shape == (40,)
        assert np.nanstd(by_trace) / np.sqrt(40) == pytest.approx(entry["baseline_curr_fwhm_err"], abs=1e-4)
        points = file["common/drawn/par_dsp_spms/axes0/curve0"]
        assert points["y"][()] == pytest.approx([entry["baseline_curr_fwhm"]])
        assert points["y_error"][()] == pytest.approx([entry["baseline_curr_fwhm_err"]])


def test_dsp_compares_pulses_with_it(tmp_path: Path) -> None:
    """Above 2.5 widths of the file's noise; a trace with much more keeps its own."""
    values = np.full((3, 4096), 8000.0) + np.random.default_rng(2).normal(0, 1.0, (3, 4096))
    values[2] += np.random.default_rng(3).normal(0, 8.0, 4096)
    after = np.clip(np.arange(4096) - 2000, 0, None)
    values += 30 * np.exp(-after / 40) * (after > 0)
    file = raw_file(tmp_path / "raw.lh5", whole(values.astype("u2")))
    alone = processed(file, "spms")["n_pulses"]
    assert alone.tolist()[:2] == [1, 1]
    told = processed(file, "spms", {"baseline_curr_fwhm": 2.0})
    assert told["n_pulses"].tolist() == alone.tolist()
    loud = processed(file, "spms", {"baseline_curr_fwhm": 15.0})
    assert loud["n_pulses"].tolist() == [0, 0, 0]


def test_dsp_of_the_same_file_takes_it(tmp_path: Path) -> None:
    cycle = made(tmp_path, traces(6, 60))
    cycle.run("tier_dsp")
    plain = lh5.read("ch1/dsp/n_pulses", str(cycle.output("tier_dsp"))).nda.sum()
    path = cycle.output("par_dsp_spms", "par")
    path.write_text("S001: {baseline_curr_fwhm: 40.0}\n")
    job = open_cycle(cycle.config).job("tier_dsp", KEY)
    assert job.inputs["spms"] == (path,)
    from dataflow.jobs.runner import run

    run(job, 1)
    assert 0 < lh5.read("ch1/dsp/n_pulses", str(cycle.output("tier_dsp"))).nda.sum() < 0.6 * plain


CHANNELS, ROWS, SIGMA, TRUE = 58, 8, 1.5, 240.0
LOUD = (7, 21, 33, 50)
"""Channels with large signals, and those that there are, as in a file of LEGEND-200's light read-out."""
AT, LARGE_AT = 3000, 700
"""Samples at which each trace has its true pulse, and those of :data:`LOUD` their large ones."""


def many_channels(folder: Path) -> Path:
    """A raw file of many SiPMs: white noise, a pulse in each trace, and large ones before it in a few channels."""
    random, samples = np.random.default_rng(58), np.arange(4096)
    file = folder / "many.lh5"
    for number in range(1, CHANNELS + 1):
        values = 9000 + random.normal(0, SIGMA, (ROWS, 4096)) + TRUE * decaying(samples - AT, 40)
        if number in LOUD:
            heights = random.uniform(10_000, 50_000, (ROWS, 1))
            values += heights * decaying(samples - LARGE_AT, 200) + 0.3 * heights * decaying(samples - 1600, 200)
        columns = {name: Array(np.zeros(ROWS, "u2")) for name in ("baseline", "daqenergy")}
        columns["timestamp"] = Array(np.arange(ROWS, dtype="f8"), attrs={"units": "s"})
        table = Table(col_dict={**columns, "waveform": waveform(digitised(values))})
        lh5.write(table, f"ch{number}/raw", str(file))
    return file


def decaying(after: np.ndarray, decay: float) -> np.ndarray:
    """A pulse of unit charge in samples after its begin, with a rise of two samples."""
    late = np.clip(after, 0, None)
    return (after >= 0) * np.exp(-late / decay) * (1 - np.exp(-late / 2))


def test_of_58_channels_four_with_large_signals_keep_noise_and_true_pulses(tmp_path: Path) -> None:
    entries = {f"S{number:03d}": {"rawid": number, "system": "spms"} for number in range(1, CHANNELS + 1)}
    cycle = make_cycle(tmp_path / "cycle", many_channels(tmp_path), KEY, entries, "raw")
    cycle.set(table_format={tier: f"ch{{ch}}/{tier}" for tier in ("raw", "dsp", "hit")}, allow_none_par=True)
    cycle.run("par_dsp_spms")
    cycle.run("tier_dsp")
    noise = {name: entry["baseline_curr_fwhm"] for name, entry in cycle.pars("par_dsp_spms").items()}
    assert len(noise) == CHANNELS
    assert list(noise.values()) == pytest.approx([2.35482 * SIGMA * FILTERED] * CHANNELS, rel=0.1)
    for number in range(1, CHANNELS + 1):
        found = lh5.read(f"ch{number}/dsp", str(cycle.output("tier_dsp")))
        near = np.abs(found["trigger_pos"].nda - 16 * AT) < 300
        assert (near.sum(axis=1) == 1).all(), number
        assert found["energies"].nda[near] == pytest.approx(TRUE * step_of(40), rel=0.05), number
        assert (found["n_pulses"].nda == (3 if number in LOUD else 1)).all(), number


def step_of(decay: float) -> float:
    """The largest difference of means of eight samples of a pulse, by numpy alone."""
    means = np.convolve(decaying(np.arange(-50, 200), decay), np.full(8, 1 / 8), "valid")
    return float((means[10:] - means[:-10]).max())


def test_a_calibration_has_none(tmp_path: Path) -> None:
    key = KEY.replace("phy", "cal")
    cycle = made(tmp_path, traces(6, 60), key)
    assert "spms" not in open_cycle(cycle.config).job("tier_dsp", key).inputs
    with pytest.raises(UserError, match="par_dsp_spms is made of phy and lar and ssc and fft files"):
        open_cycle(cycle.config).job("par_dsp_spms", key)


def test_too_few_traces_and_silent_ones_are_refused() -> None:
    with pytest.raises(WorkFailed, match="4 traces are too few for the noise, 5 are needed"):
        noise_of(np.zeros((4, 6400)), 18, 5)
    with pytest.raises(WorkFailed, match="no noise: the channel is off, or saturated"):
        noise_of(np.full((10, 6400), 65535.0), 18, 5)


def test_a_failed_channel_is_processed_with_the_noise_of_each_trace(tmp_path: Path) -> None:
    cycle = made(tmp_path, np.full((20, 4096), 65535, dtype="u2"))
    cycle.run("tier_dsp")
    assert "no noise" in cycle.pars("par_dsp_spms")["S001"]["status"]["reason"]
    assert lh5.read("ch1/dsp/n_pulses", str(cycle.output("tier_dsp"))).nda.tolist() == [0] * 20


def test_a_page_shows_all_channels() -> None:
    entry = {"baseline_curr_fwhm": 4.7, "baseline_curr_fwhm_err": 0.1, "n_events": 10, "quiet_fraction": 0.9}
    page = draw("key", {"S001": entry, "S002": {"status": {"reason": "off"}}, "S003": {}})
    upper = page.panels[0]
    assert [curve.arrays["y"][0] for curve in upper.curves if curve.label == "threshold of pulses"] == [11.75]
    assert "1 failed: S002: off" in upper.labels["title"]
