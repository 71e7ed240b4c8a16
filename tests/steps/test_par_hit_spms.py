"""Photo-electron scale, dark rate and cross-talk: the simulation's truth, real traces, and data that is too weak."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import lh5
import numpy as np
import pytest
from tests.physics.conftest import SmallCycle, make_cycle
from tests.physics.traces import raw_file, waveform
from tests.steps.light import pulses, traces, unit_step

from dataflow.base.errors import UserError
from dataflow.jobs.errors import WorkFailed
from dataflow.steps.par_hit_spms.calibrate import Pulses, calibrate, cross_talk, isolated, living
from dataflow.steps.par_hit_spms.peaks import first_guess, fit_peaks, shares
from dataflow.steps.par_hit_spms.settings import Settings
from gebox.signals import light

KEY = "l200-p03-r001-phy-20230318T015140Z"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Pulses:
    return pulses(tmp_path_factory.mktemp("light"), traces(3, 6000))


def part(all_pulses: Pulses, rows: slice) -> Pulses:
    names = ("times", "heights", "number", "highest", "noise")
    return replace(all_pulses, **{name: getattr(all_pulses, name)[rows] for name in names})


def test_the_truth_is_found(simulated: Pulses) -> None:
    found = calibrate(simulated, Settings())
    assert found.comb.gain == pytest.approx(unit_step(), rel=0.01)
    assert found.comb.gain_err / found.comb.gain < 0.005
    assert found.comb.width == pytest.approx(light.SPREAD * unit_step(), rel=0.08)
    assert found.dark_rate == pytest.approx(light.DARK_HZ, abs=3 * found.dark_rate_err)
    assert found.cross_talk == pytest.approx(light.CROSSTALK, abs=3 * found.cross_talk_err)
    assert found.dark_rate_err == pytest.approx(np.sqrt(found.dark) / found.lifetime)
    assert found.lifetime == pytest.approx(6000 * 22.5e-6, rel=0.01)


def test_errors_are_those_of_many_runs(simulated: Pulses) -> None:
    results = [calibrate(part(simulated, slice(first, first + 300)), Settings()) for first in range(0, 6000, 300)]
    gains = np.array([(each.comb.gain - unit_step()) / each.comb.gain_err for each in results])
    rates = np.array([(each.dark_rate - light.DARK_HZ) / each.dark_rate_err for each in results])
    talks = np.array([(each.cross_talk - light.CROSSTALK) / each.cross_talk_err for each in results])
    for pulls in (gains, rates, talks):
        assert abs(pulls.mean()) < 0.7
        assert 0.5 < pulls.std() < 1.5
    assert max(abs(each.comb.gain / unit_step() - 1) for each in results) < 0.04


def test_the_entry_calibrates_hit(simulated: Pulses) -> None:
    found = calibrate(simulated, Settings(valid_from=0.7)).entry()
    operations = found["pars"]["operations"]
    assert operations["energy_in_pe"]["expression"] == "energies * a"
    assert operations["energy_in_pe"]["parameters"]["a"] * unit_step() == pytest.approx(1.0, rel=0.01)
    assert operations["is_valid_hit"] == {"expression": "energy_in_pe > a", "parameters": {"a": 0.7}}
    assert found["results"]["spms"]["gain"] == pytest.approx(1 / operations["energy_in_pe"]["parameters"]["a"], 1e-4)


def test_isolation_and_lifetime_by_hand() -> None:
    times = np.array([[1.0, 10.0, 11.0, 14.0], [24.0, np.nan, np.nan, np.nan], [np.nan] * 4])
    assert isolated(times, 2.0).tolist() == [[False, True, False, True], [True, False, False, False], [False] * 4]
    settings = Settings(isolation=2.0, dark_window=(2.5, 25.0))
    dead = 0.5 + 1.0 + 2.0 + 2.0 + 1.0  # of 1-3 within the window, 10-11, 11-13, 14-16, 24-25
    assert living(times, settings) == pytest.approx(3 * 22.5 - dead)


@pytest.mark.parametrize("gain", [12.0, 47.0, 300.0])
@pytest.mark.parametrize("talk", [0.05, 0.5])
def test_a_comb_of_any_height_is_found(gain: float, talk: float) -> None:
    random = np.random.default_rng(2)
    number = np.minimum(random.geometric(1 - talk, 2000), 6)
    heights = random.normal(number * gain, np.hypot(0.05, 0.1 * np.sqrt(number)) * gain)
    comb = fit_peaks(heights, 0.05 * gain, first_guess(heights, 0.05 * gain), 4)
    assert comb.gain == pytest.approx(gain, abs=4 * comb.gain_err)
    assert comb.gain_err < 0.01 * gain
    assert comb.width == pytest.approx(0.1 * gain, rel=0.15)
    share, error = cross_talk(heights, comb)
    assert share == pytest.approx(np.mean(number > 1), abs=4 * error)
    assert shares(heights, comb).sum() == pytest.approx(1.0)


def test_a_flash_among_dark_pulses_is_more_than_one_photo_electron() -> None:
    random = np.random.default_rng(6)
    heights = np.concatenate([random.normal(50, 5, 900), random.normal(100, 7, 80), np.full(20, 2e6)])
    comb = fit_peaks(heights, 2.0, first_guess(heights, 2.0), 4)
    assert cross_talk(heights, comb)[0] == pytest.approx(0.1, abs=0.005)
    assert len(shares(heights, comb)) == 12


def test_noise_below_the_first_photo_electron_is_no_photo_electron() -> None:
    random = np.random.default_rng(3)
    heights = np.concatenate([random.normal(50 * random.geometric(0.8, 600), 6), 12 + random.exponential(3, 500)])
    assert first_guess(heights, 2.0) == pytest.approx(50, rel=0.05)


def test_heights_without_peaks_are_refused() -> None:
    heights = np.random.default_rng(4).uniform(15, 400, 3000)
    with pytest.raises(WorkFailed, match="the heights of 3000 pulses show no peaks of photo-electrons"):
        first_guess(heights, 2.0)


def test_few_pulses_are_refused_with_their_number(simulated: Pulses) -> None:
    few = part(simulated, slice(0, 20))
    alone = int(isolated(few.times / 1000, 2.0).sum())
    assert alone < 30
    with pytest.raises(WorkFailed, match=f"{alone} single pulses in 20 traces are too few, 30 are needed"):
        calibrate(few, Settings())


def test_a_dark_channel_is_refused(simulated: Pulses) -> None:
    none = replace(part(simulated, slice(0, 100)), times=np.full((100, 50), np.nan), heights=np.full((100, 50), np.nan))
    with pytest.raises(WorkFailed, match="0 single pulses in 100 traces are too few"):
        calibrate(replace(none, number=np.zeros(100, int)), Settings())


def test_saturated_traces_are_left_out(simulated: Pulses) -> None:
    highest = simulated.highest.copy()
    highest[:4000] = 65535
    found = calibrate(replace(simulated, highest=highest), Settings())
    assert found.traces == 2000
    assert any("67% of the traces are saturated" in said for said in found.warnings)
    with pytest.raises(WorkFailed, match="all of its 6000 traces are saturated"):
        calibrate(replace(simulated, ceiling=0.0), Settings())


def test_without_dark_pulses_there_is_no_cross_talk(simulated: Pulses) -> None:
    times = np.where(simulated.times < 26_000, np.nan, simulated.times)
    order = np.argsort(times, axis=1)
    moved = replace(
        simulated,
        times=np.take_along_axis(times, order, axis=1),
        heights=np.take_along_axis(simulated.heights, order, axis=1),
    )
    found = calibrate(moved, Settings())
    assert (found.dark, found.dark_rate, found.cross_talk) == (0, 0.0, None)
    assert found.dark_rate_err == pytest.approx(1 / found.lifetime)
    assert "cross_talk" not in found.entry()["results"]["spms"]


def test_a_window_within_the_isolation_is_refused() -> None:
    with pytest.raises(UserError, match="dark_window"):
        Settings.read({"dark_window": [1.0, 25.0]})


def test_real_photo_electrons(tmp_path: Path, shared_data: Path) -> None:
    """Commissioning data of LEGEND-200, 50 traces a channel: singles of about 50 ADC counts."""
    from tests.physics.traces import flashcam_traces

    gains = {}
    for place, values in flashcam_traces(shared_data / "fcio/L200-comm-20211130-phy-spms.fcio").items():
        try:
            found = calibrate(pulses(tmp_path, values), Settings())
        except WorkFailed as error:
            gains[place] = str(error)
        else:
            gains[place] = found.comb.gain
    known = [gain for gain in gains.values() if isinstance(gain, float)]
    assert len(known) >= 3
    assert all(35 < gain < 60 for gain in known), gains


def cycle_with_light(tmp_path: Path, number: int = 600) -> SmallCycle:
    file = raw_file(tmp_path / "raw.lh5", {"waveform": waveform(traces(5, number))})
    cycle = make_cycle(tmp_path / "cycle", file, KEY, {"S001": {"rawid": 1, "system": "spms"}}, "raw")
    cycle.set(
        paths={"tier": "$_/generated/tier"},
        table_format={tier: f"ch{{ch}}/{tier}" for tier in ("raw", "dsp", "hit")},
        allow_none_par=True,
    )
    return cycle


def test_hit_is_in_photo_electrons(tmp_path: Path) -> None:
    cycle = cycle_with_light(tmp_path)
    cycle.run("tier_dsp", "tier_hit")
    dsp, hit = (lh5.read(f"ch1/{tier}", str(cycle.output(f"tier_{tier}"))) for tier in ("dsp", "hit"))
    a = cycle.pars("par_hit_spms")["S001"]["pars"]["operations"]["energy_in_pe"]["parameters"]["a"]
    np.testing.assert_allclose(hit["energy_in_pe"].nda, dsp["energies"].nda * a, rtol=1e-6)
    np.testing.assert_array_equal(hit["is_valid_hit"].nda.astype(bool), dsp["energies"].nda * a > 0.5)
    assert np.nanmedian(hit["energy_in_pe"].nda) == pytest.approx(1.0, abs=0.1)
    assert cycle.output("par_hit_spms", "par").name == f"{KEY}-par_hit_spms.yaml"
    assert cycle.output("par_hit_spms", "par").parent == cycle.folder / "generated/par/hit/phy/p03/r001"


def test_without_calibration_energies_stay_in_adc_counts_and_it_is_said(tmp_path: Path) -> None:
    cycle = cycle_with_light(tmp_path, 10)
    cycle.run("tier_dsp", "tier_hit")
    entry = cycle.pars("par_hit_spms")["S001"]
    assert "too few, 30 are needed" in entry["status"]["reason"]
    dsp, hit = (lh5.read(f"ch1/{tier}", str(cycle.output(f"tier_{tier}"))) for tier in ("dsp", "hit"))
    np.testing.assert_array_equal(hit["energy_in_pe"].nda, dsp["energies"].nda)
    np.testing.assert_array_equal(hit["is_valid_hit"].nda.astype(bool), np.isfinite(dsp["energies"].nda))


def test_an_override_sets_the_scale(tmp_path: Path) -> None:
    cycle = cycle_with_light(tmp_path, 200)
    folder: Any = cycle.folder / "inputs/dataprod/overrides/hit"
    folder.mkdir(parents=True)
    (folder / "validity.yaml").write_text("[{valid_from: 20230101T000000Z, apply: [s.yaml]}]")
    (folder / "s.yaml").write_text("S001: {pars: {operations: {energy_in_pe: {parameters: {a: 0.5}}}}}")
    cycle.run("tier_dsp", "tier_hit")
    dsp, hit = (lh5.read(f"ch1/{tier}", str(cycle.output(f"tier_{tier}"))) for tier in ("dsp", "hit"))
    np.testing.assert_allclose(hit["energy_in_pe"].nda, 0.5 * dsp["energies"].nda, rtol=1e-6)


def test_what_the_figure_shows_is_there_as_data(tmp_path: Path) -> None:
    cycle = cycle_with_light(tmp_path)
    cycle.run("tier_dsp", "par_hit_spms")
    path = cycle.output("par_hit_spms", "data")
    assert path == cycle.folder / f"generated/plt/hit/phy/p03/r001/{KEY}-plt_hit_spms.lh5"
    with h5py.File(path) as file:
        found: list[str] = []
        file.visititems(lambda name, node: found.append(name) if isinstance(node, h5py.Dataset) else None)
    assert found and all(name.startswith("S001/") for name in found)
