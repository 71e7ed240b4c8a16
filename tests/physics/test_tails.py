"""Energies of pulses on the tails of earlier ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import lh5
import numpy as np
import pytest

from dataflow.steps.par_hit_ecal.build import Settings, calibrate_one
from gebox.physics import rng
from gebox.signals import noise as gebox_noise

from .traces import digitised, germanium_traces, processed, pulse, raw_file, whole

if TYPE_CHECKING:
    from tests.physics.conftest import SmallCycle

    from dataflow.physics.lines import Source

TAU = 400_000.0
PARS = {"pz": {"tau1": f"{TAU}*ns"}}
SAMPLES, START = 4096, 1850
HEIGHTS = (500.0, 1000.0, 2000.0)
ENERGIES = ("trapTmax", "trapEmax", "trapEftp", "cuspEmax", "cuspEftp", "zacEmax", "zacEftp")


@pytest.mark.parametrize("tail", [300.0, 2000.0, 12_000.0, -800.0])
def test_a_pulse_on_a_tail_has_its_own_energy(tmp_path: Path, tail: float) -> None:
    noise = np.random.default_rng(11).normal(0, 3, (3, SAMPLES))
    earlier = tail * np.exp(-np.arange(SAMPLES) * 16.0 / TAU)
    shape = pulse(SAMPLES, START, TAU)
    pulses = np.array(HEIGHTS)[:, None] * shape
    alone = processed(raw_file(tmp_path / "alone.lh5", whole(digitised(15_000 + noise + pulses))), pars=PARS)
    found = processed(raw_file(tmp_path / "tail.lh5", whole(digitised(15_000 + noise + pulses + earlier))), pars=PARS)
    assert (alone["tail_height"] == 0).all()
    middle = tail * np.exp(-0.17 * SAMPLES * 16.0 / TAU)
    np.testing.assert_allclose(found["tail_height"], middle, rtol=0.02, atol=15)
    for name in ENERGIES:
        np.testing.assert_allclose(alone[name], HEIGHTS, rtol=0.004, err_msg=name)
        np.testing.assert_allclose(found[name], alone[name], atol=2.0, err_msg=name)
    for name in ("tp_0_est", "tp_50", "tp_99", "drift_time"):
        np.testing.assert_allclose(found[name], alone[name], atol=150, err_msg=name)
    np.testing.assert_allclose(found["A_max"], alone["A_max"], rtol=0.01)


def test_pulses_on_real_tails_have_their_own_energy(tmp_path: Path, shared_data: Path) -> None:
    """The part of real traces after their pulse is the tail; what is added on it is 500, 1000 and 2000 ADC high."""
    checked = 0
    for rawid, traces in germanium_traces(shared_data).items():
        first = processed(raw_file(tmp_path / "first.lh5", whole(traces)))
        clean = (first["trapEmax"] > 1000) & (first["trapEmax"] < 5000) & (first["tail_height"] == 0)
        tails = traces[clean, 4300:]
        nothing = processed(raw_file(tmp_path / "tails.lh5", whole(tails)), pars=PARS)
        one = np.abs(nothing["tail_height"] / first["trapEmax"][clean] - 0.8) < 0.2  # some have a second pulse in it
        tails, height_of_tail = tails[one].astype(float), nothing["tail_height"][one]
        shape = pulse(tails.shape[1], 1500, TAU)
        for height in HEIGHTS:
            rows = digitised(tails + height * shape)
            found = processed(raw_file(tmp_path / "pulses.lh5", whole(rows)), pars=PARS)
            for name in ("trapTmax", "trapEmax", "cuspEmax", "zacEmax"):  # tau is not known: half a percent of the tail
                error = np.abs(found[name] - height)
                assert (error < 10 + 0.005 * height_of_tail).all(), (rawid, name, height)
            for name in ("tp_99", "drift_time", "A_max"):
                assert np.isfinite(found[name]).all(), (rawid, name, height)
            assert np.abs(found["tp_50"] - (1500 * 16 + 250)).max() < 100
        checked += int(one.sum())
    assert checked >= 20


def test_the_tails_of_real_traces_do_not_hide_their_pulses(tmp_path: Path, shared_data: Path) -> None:
    """A pulse added to that of a real trace on a tail raises its energy by its height."""
    checked = 0
    for traces in germanium_traces(shared_data).values():
        first = processed(raw_file(tmp_path / "first.lh5", whole(traces)), pars=PARS)
        for row in np.flatnonzero((np.abs(first["tail_height"]) > 250) & (first["trapEmax"] > 100)):
            start = int(first["tp_0_est"][row] / 16)
            rows = traces[row].astype(float) + np.array((0.0, *HEIGHTS))[:, None] * pulse(traces.shape[1], start, TAU)
            found = processed(raw_file(tmp_path / "more.lh5", whole(digitised(rows))), pars=PARS)
            for name in ("trapEmax", "cuspEmax", "zacEmax"):
                np.testing.assert_allclose(found[name][1:] - found[name][0], HEIGHTS, atol=1.0, err_msg=name)
            checked += 1
    assert checked >= 4


@pytest.mark.parametrize("name", ["trapEmax", "cuspEmax", "zacEmax"])
def test_tails_cost_no_resolution_in_real_data(th228_cycle: SmallCycle, th228: Source, name: str) -> None:
    """297 of 1000 pulses stand on tails. With their level alone restored: 81 to 101 counts, 3.4 to 4.5 keV."""
    table = lh5.read("ch0000000/dsp", str(th228_cycle.output("tier_dsp")))
    assert np.count_nonzero(table["tail_height"].nda) == pytest.approx(297, abs=5)
    started = table["tp_0_est"].nda > 0
    result = calibrate_one(table[name].nda[started], name, Settings(energy_params=(name,)), th228)
    fits = {round(fit.line.energy): fit for fit in result.fits}
    assert fits[239].counts > 100
    assert fits[239].fwhm < 1.35
    assert fits[2615].fwhm < 3.35


def test_two_decay_constants_on_a_tail(tmp_path: Path) -> None:
    noise = np.random.default_rng(12).normal(0, 3, (3, SAMPLES))
    time = np.arange(SAMPLES) * 16.0
    shape = 0.9 * pulse(SAMPLES, START, TAU) + 0.1 * pulse(SAMPLES, START, 20_000.0)
    traces = 15_000 + noise + np.array(HEIGHTS)[:, None] * shape + 3000 * np.exp(-time / TAU)
    pars = {"pz": {"tau1": "400*us", "tau2": "20*us", "frac": 0.1}}
    found = processed(raw_file(tmp_path / "tail.lh5", whole(digitised(traces))), pars=pars)
    for name in ("trapTmax", "trapEmax", "trapEftp"):
        np.testing.assert_allclose(found[name], HEIGHTS, rtol=0.004, atol=2.0, err_msg=name)


def test_noise_of_low_frequency_is_rarely_taken_for_a_tail(tmp_path: Path) -> None:
    """The simulated experiment's noisiest detector: 13 ADC of white and 3 of 1/f noise a sample."""
    state, rows = rng.seeded(3), np.zeros((600, SAMPLES))
    bank = gebox_noise.bank(state, 13.0, 3.0)
    for row in rows:
        gebox_noise.add(state, bank, row)
    traces = digitised(14_000 + rows + 1300 * pulse(SAMPLES, START, TAU))
    found = processed(raw_file(tmp_path / "noise.lh5", whole(traces)), pars=PARS)
    taken = found["tail_height"] != 0
    assert np.count_nonzero(taken) < 0.025 * len(rows)
    assert (found["tail_height"] >= 0).all()
    for name in ("trapEmax", "cuspEmax", "zacEmax"):
        assert found[name].std() < 1.2 * found[name][~taken].std(), name


def test_without_a_tail_nothing_is_subtracted(tmp_path: Path) -> None:
    """White noise is taken for a tail once in a million traces, and the resolution stays that of the filter."""
    noise = np.random.default_rng(13).normal(0, 5, (400, SAMPLES))
    traces = digitised(15_000 + noise + 1300 * pulse(SAMPLES, START, TAU))
    found = processed(raw_file(tmp_path / "noise.lh5", whole(traces)), pars=PARS)
    assert (found["tail_height"] == 0).all()
    rise = round(8000 / 96)
    expected = 5 / np.sqrt(6) * np.sqrt(2 / rise)
    assert found["trapEftp"].std() == pytest.approx(expected, rel=0.15)
