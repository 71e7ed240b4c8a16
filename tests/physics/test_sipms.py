"""SiPM traces: a noise estimate that holds, and no pulse lost among others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lh5
import numpy as np
import pytest

from dataflow.physics.traces import most_significant, quiet_scatter

from .traces import digitised, flashcam_traces, processed, raw_file, waveform, whole, windowed

SAMPLES = 6000
FILTERED = np.sqrt(2 / 8)
"""Noise of the step over that of a sample: differences of means of eight."""


def light(at: int, height: float, decay: float, rise: float = 2.0) -> Any:
    """A pulse as a SiPM gives it; decay and rise in samples."""
    after = np.clip(np.arange(SAMPLES) - at, 0, None)
    return height * np.exp(-after / decay) * (1 - np.exp(-after / rise))


def noisy(traces: Any, sigma: float, rows: int = 20) -> Any:
    return digitised(8000 + traces + np.random.default_rng(3).normal(0, sigma, (rows, SAMPLES)))


def found_at(found: dict[str, Any], at: int) -> Any:
    """The height of the pulse at a sample, NaN where it was not found."""
    near = np.abs(found["trigger_pos"] - 16 * at) < 400
    return np.nanmax(np.where(near, found["energies"], -np.inf), axis=1)


@pytest.mark.parametrize("decay", [30, 300, 1000, 3000])
@pytest.mark.parametrize("sigma", [0.2, 2.0, 6.0])
def test_the_noise_is_known_beside_large_signals(tmp_path: Path, sigma: float, decay: float) -> None:
    quiet = processed(raw_file(tmp_path / "quiet.lh5", whole(noisy(0, sigma))), "spms")
    signal = light(200, 50_000, decay) + light(4000, 20_000, decay)
    loud = processed(raw_file(tmp_path / "loud.lh5", whole(noisy(signal, sigma))), "spms")
    expected = 2.355 * FILTERED * max(sigma, 0.3)
    assert np.median(quiet["curr_fwhm"]) == pytest.approx(expected, rel=0.15)
    assert (quiet["n_pulses"] == 0).all()
    assert (loud["curr_fwhm"] > 0.8 * quiet["curr_fwhm"].min()).all()
    assert (loud["curr_fwhm"] < 6 * quiet["curr_fwhm"].max()).all()
    assert (loud["n_pulses"] == 2).all()
    assert found_at(loud, 4000) == pytest.approx(found_at(loud, 4000)[0], abs=6 * sigma + 1)
    assert np.isfinite(found_at(loud, 200)).all()
    assert loud["bl_mode"] == pytest.approx(8000, abs=max(sigma, 1))


@pytest.mark.parametrize("sigma", [0.1, 0.3, 1.0, 5.0])
def test_small_and_large_pulses_have_their_heights(tmp_path: Path, sigma: float) -> None:
    small = 60.0
    traces = light(1500, small, 30) + light(3000, 30_000, 30) + light(5000, small, 30)
    found = processed(raw_file(tmp_path / "raw.lh5", whole(noisy(traces, sigma))), "spms")
    assert (found["n_pulses"] == 3).all()
    share = max(float(light(0, 1.0, 30)[first : first + 8].mean()) for first in range(3))
    for at, height in ((1500, small), (3000, 30_000), (5000, small)):
        assert found_at(found, at) == pytest.approx(height * share, rel=0.03, abs=2 * sigma + 1)


def test_the_largest_pulse_is_not_lost_behind_many_small_ones(tmp_path: Path) -> None:
    starts = range(100, 3700, 64)
    traces = sum(light(at, 100, 12) for at in starts) + light(5700, 5000, 12)
    found = processed(raw_file(tmp_path / "raw.lh5", whole(noisy(traces, 1.0))), "spms")
    assert (found["n_pulses"] == len(starts) + 1).all()
    assert (np.isfinite(found["energies"]).sum(axis=1) == 50).all()
    assert (found_at(found, 5700) > 2500).all()
    assert (np.diff(found["trigger_pos"], axis=1) > 0).all()


def test_real_channels_have_the_noise_that_their_quiet_traces_have(tmp_path: Path, shared_data: Path) -> None:
    files = sorted((shared_data / "lh5/prod-ref-l200/generated/tier/raw/phy/p03/r001").glob("*.lh5"))
    traces = {
        rawid: np.concatenate([lh5.read(f"ch{rawid}/raw/waveform/values", str(file)).nda for file in files])
        for rawid in (1057600, 1059201, 1062405)
    }
    traces |= flashcam_traces(shared_data / "fcio/L200-comm-20211130-phy-spms.fcio")
    for name, values in traces.items():
        found = processed(raw_file(tmp_path / "raw.lh5", whole(values)), "spms")
        noise = found["curr_fwhm"] / 2.355
        sums = np.cumsum(values.astype(float), axis=1)
        means = (sums[:, 8:] - sums[:, :-8]) / 8
        steps = means[:, 10:] - means[:, :-10]
        deviation = 1.4826 * np.median(np.abs(steps - np.median(steps, axis=1)[:, None]), axis=1)
        assert (noise > 1.0).all(), name
        assert np.abs(np.median(noise / deviation) - 1) < 0.25, name
        assert found["n_pulses"].max() < 50, name
        kept = np.isfinite(found["energies"])
        np.testing.assert_array_equal(kept.sum(axis=1), found["n_pulses"])
        assert (found["energies"][kept] > 5 * np.repeat(noise[:, None], 50, axis=1)[kept]).all(), name


def test_the_noise_of_white_noise() -> None:
    traces = np.random.default_rng(1).normal(0, 3.0, (50, 8000)).astype("float32")
    found = np.zeros(50, dtype="float32")
    quiet_scatter(traces, 16, 1, 0.1, found)
    assert found == pytest.approx(3.0, rel=0.06)
    traces[:, :5000] += 1000 * np.random.default_rng(2).normal(0, 1, (50, 5000)).astype("float32")
    quiet_scatter(traces, 16, 1, 0.1, found)
    assert found == pytest.approx(3.0, rel=0.15)
    quiet_scatter(np.zeros((50, 800), dtype="float32"), 16, 1, 0.1, found)
    assert found == pytest.approx(0.1)


def test_the_highest_are_kept_in_the_order_of_time() -> None:
    traces = np.array([[0, 5, 0, 9, 0, 7, 0, 1], [0, 2, 0, 0, 0, 0, 0, 0]], dtype="float32")
    places = np.array([[1, 3, 5, 7], [1, np.nan, np.nan, np.nan]], dtype="float32")
    kept, heights = np.zeros((2, 2), dtype="float32"), np.zeros((2, 2), dtype="float32")
    count = np.zeros(2, dtype="uint32")
    most_significant(traces, places, kept, heights, count)
    np.testing.assert_array_equal(kept, [[3, 5], [1, np.nan]])
    np.testing.assert_array_equal(heights, [[9, 7], [2, np.nan]])
    assert count.tolist() == [4, 1]


STARTS = (300, 1100, 1900, 2900, 3500, 4600, 5400)


def photo_electrons(sigma: float, fall: float = 400.0) -> Any:
    """Traces with seven pulses each, three of them in the window; the phase of a pulse is any."""
    random = np.random.default_rng(4)
    traces = np.zeros((40, SAMPLES))
    for trace in traces:
        for start in np.add(STARTS, random.uniform(0, 300, len(STARTS))):
            after = np.clip(np.arange(SAMPLES) - start, 0, None) * 16
            trace += 200 * (np.exp(-after / fall) - np.exp(-after / 40))
    return digitised(8000 + traces + random.normal(0, sigma, traces.shape))


@pytest.mark.parametrize(("sigma", "spread"), [(0.3, 0.015), (4.0, 0.03)])
def test_pulses_of_windowed_tables_have_the_heights_of_whole_traces(
    tmp_path: Path, sigma: float, spread: float
) -> None:
    traces = photo_electrons(sigma)
    one = processed(raw_file(tmp_path / "whole.lh5", whole(traces)), "spms")
    other = processed(raw_file(tmp_path / "windowed.lh5", windowed(traces)), "spms")
    assert set(one) == set(other)
    assert (one["n_pulses"] == len(STARTS)).all()
    np.testing.assert_array_equal(other["n_pulses"], one["n_pulses"])
    inside = np.isin(STARTS, (2900, 3500))
    times, heights = (slice(0, len(STARTS)),) * 2
    ratio = other["energies"][:, heights] / one["energies"][:, heights]
    np.testing.assert_array_equal(ratio[:, inside], 1.0)
    np.testing.assert_array_equal((other["trigger_pos"] - one["trigger_pos"])[:, times][:, inside], 0.0)
    assert ratio[:, ~inside].mean() == pytest.approx(1.0, abs=0.003)
    assert ratio[:, ~inside].std() < spread
    assert np.abs((other["trigger_pos"] - one["trigger_pos"])[:, times][:, ~inside]).max() <= 160
    np.testing.assert_allclose(other["bl_mode"], one["bl_mode"], atol=max(sigma, 1))
    np.testing.assert_allclose(other["curr_fwhm"], one["curr_fwhm"], rtol=0.25)


def test_pulses_that_fall_slower_are_within_a_few_percent(tmp_path: Path) -> None:
    """Blocks know the shape of a pulse only roughly."""
    traces = photo_electrons(0.3, fall=600.0)
    one = processed(raw_file(tmp_path / "whole.lh5", whole(traces)), "spms")
    other = processed(raw_file(tmp_path / "windowed.lh5", windowed(traces)), "spms")
    ratio = other["energies"] / one["energies"]
    assert np.nanmean(ratio) == pytest.approx(1.0, abs=0.08)
    told = processed(raw_file(tmp_path / "windowed.lh5", windowed(traces)), "spms", {"pulse": {"fall": "600*ns"}})
    assert np.nanmean(told["energies"] / one["energies"]) == pytest.approx(1.0, abs=0.004)


def test_pulses_at_the_ends_of_the_window_are_found_once(tmp_path: Path) -> None:
    rows = []
    for start in (*range(2600, 2650), *range(4000, 4050)):
        after = np.clip(np.arange(SAMPLES) - start, 0, None) * 16
        rows.append(200 * (np.exp(-after / 400) - np.exp(-after / 40)))
    traces = digitised(8000 + np.array(rows) + np.random.default_rng(5).normal(0, 1, (100, SAMPLES)))
    one = processed(raw_file(tmp_path / "whole.lh5", whole(traces)), "spms")
    other = processed(raw_file(tmp_path / "windowed.lh5", windowed(traces)), "spms")
    assert (other["n_pulses"] == 1).all()
    np.testing.assert_allclose(other["energies"][:, 0], one["energies"][:, 0], rtol=0.1)


def test_real_pulses_of_windowed_tables_have_the_heights_of_whole_traces(tmp_path: Path, shared_data: Path) -> None:
    ratios, exact = [], []
    for traces in flashcam_traces(shared_data / "fcio/L200-comm-20211130-phy-spms.fcio").values():
        one = processed(raw_file(tmp_path / "whole.lh5", whole(traces)), "spms")
        other = processed(raw_file(tmp_path / "windowed.lh5", windowed(traces)), "spms")
        for row, (places, heights) in enumerate(zip(one["trigger_pos"], one["energies"], strict=True)):
            alone = np.array([np.nansum(np.abs(places - place) < 1500) == 1 for place in places])
            for place, height in zip(places[alone], heights[alone], strict=True):
                near = np.abs(other["trigger_pos"][row] - place)
                if height > 40 and np.nanmin(near) < 200:
                    ratio = other["energies"][row][np.nanargmin(near)] / height
                    (exact if 42_400 < place < 64_200 else ratios).append(ratio)
    assert len(exact) > 20 and len(ratios) > 50
    assert np.median(np.abs(np.array(exact) - 1)) == 0.0
    assert np.median(ratios) == pytest.approx(1.0, abs=0.03)


def test_traces_without_their_lowest_bits_are_taken_as_whole_ones(tmp_path: Path) -> None:
    traces = photo_electrons(4.0)
    file = raw_file(tmp_path / "dropped.lh5", {"waveform_bit_drop": waveform(traces & 0xFFFC)})
    one, other = processed(raw_file(tmp_path / "whole.lh5", whole(traces)), "spms"), processed(file, "spms")
    np.testing.assert_array_equal(other["n_pulses"], one["n_pulses"])
    np.testing.assert_allclose(other["energies"], one["energies"], atol=4)
