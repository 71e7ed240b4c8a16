"""The correction for charge trapping: against the truth of toys, and against a scan of corrections with fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dataflow.physics.linefit import LineFit, fit_line
from dataflow.physics.lines import Line
from dataflow.physics.trapping import FWHM, fit_peaks, joined, usable_drifts

ENERGY, WINDOW = 2614.511, 35.0
LINE = Line(ENERGY, WINDOW, WINDOW)
TRUE = 8e-7


def toy(
    seed: int,
    *,
    events: int = 400,
    background: int = 60,
    a: float = TRUE,
    sigma: float = 1.0,
    energy: float = ENERGY,
    window: float = WINDOW,
) -> tuple[Any, Any]:
    """Energies in keV and drift times in ns; the line is at its energy after the correction of the mean."""
    rng = np.random.default_rng(seed)
    drift = np.concatenate([rng.gamma(6.0, 110.0, events), rng.gamma(6.0, 110.0, background)])
    line = rng.normal(energy, sigma, events) * (1 + a * 660.0) / (1 + a * drift[:events])
    return np.concatenate([line, rng.uniform(energy - window, energy + window, background)]), drift


def test_correction_width_and_counts_are_those_of_the_toys_and_errors_their_scatter() -> None:
    fits = []
    for seed in range(120):
        energies, drift = toy(seed)
        fits.append(fit_peaks(energies[None], drift, 2 * WINDOW))
    pulls = np.array([(fit.factor[0] - TRUE) / fit.factor_error[0] for fit in fits])
    assert abs(pulls.mean()) < 0.25
    assert 0.8 < pulls.std(ddof=1) < 1.2
    widths = np.array([fit.fwhm[0] for fit in fits])
    assert widths.mean() == pytest.approx(FWHM, rel=0.015)
    assert widths.std(ddof=1) == pytest.approx(FWHM / np.sqrt(2 * 400), rel=0.2)
    assert np.mean([fit.counts[0] for fit in fits]) == pytest.approx(400, rel=0.01)
    assert np.mean([fit.factor_error[0] for fit in fits]) == pytest.approx(
        1.0 / (ENERGY * np.sqrt(6) * 110 * np.sqrt(400)), rel=0.03
    )


@pytest.mark.parametrize(("events", "window"), [(30, 35.0), (50, 13.0), (80, 13.0)])
def test_errors_of_few_counts_on_as_many_of_background_are_their_scatter(events: int, window: float) -> None:
    """Those of a regression, for which events belong to the line or not, are too small by a quarter to a half."""
    factors, widths, positions = [], [], []
    for seed in range(600):
        energies, drift = toy(seed, events=events, background=events, a=0.0, window=window)
        fit = fit_peaks(energies[None], drift, 2 * window)
        factors.append(fit.factor[0] / fit.factor_error[0])
        widths.append((fit.fwhm[0] - FWHM) / fit.fwhm_error[0])
        positions.append((fit.position[0] - ENERGY) / fit.position_error[0])
    for pulls in (factors, positions):
        assert abs(np.mean(pulls)) < 0.15
        assert 0.9 < np.std(pulls, ddof=1) < 1.22
    for pulls in (factors, positions, widths):
        assert 0.9 < np.median(np.abs(pulls)) / 0.6745 < 1.16


def test_events_that_do_not_tell_a_slope_give_it_no_error() -> None:
    fit = fit_peaks(np.full((1, 40), ENERGY), np.linspace(100.0, 900.0, 40), 2 * WINDOW)
    assert np.isinf(fit.factor_error[0])
    assert joined([(ENERGY, float(fit.factor[0]), float(fit.factor_error[0]), 40.0)]) is None


def test_without_trapping_the_correction_is_zero_within_its_error() -> None:
    pulls = []
    for seed in range(80):
        energies, drift = toy(seed, a=0.0)
        fit = fit_peaks(energies[None], drift, 2 * WINDOW)
        pulls.append(fit.factor[0] / fit.factor_error[0])
    assert abs(np.mean(pulls)) < 0.3
    assert 0.8 < np.std(pulls, ddof=1) < 1.25


def test_the_correction_is_that_of_a_scan_with_a_fit_at_each_value() -> None:
    """As the published flow finds it: the factor at which a fitted line is narrowest."""
    energies, drift = toy(3, events=3000, background=300)
    factors = np.linspace(4e-7, 12e-7, 17)
    widths = []
    for factor in factors:
        fit = fit_line(energies * (1 + factor * drift) / (1 + factor * 660), LINE)
        assert isinstance(fit, LineFit)
        widths.append(fit.fwhm)
    curve = np.polyfit(factors * 1e7, widths, 2)
    of_scan = -curve[1] / (2 * curve[0]) / 1e7
    found = fit_peaks(energies[None], drift, 2 * WINDOW)
    assert found.factor[0] == pytest.approx(of_scan, abs=found.factor_error[0])
    corrected = fit_line(energies * (1 + found.factor[0] * drift) / (1 + found.factor[0] * 660), LINE)
    assert isinstance(corrected, LineFit)
    assert found.fwhm[0] == pytest.approx(corrected.fwhm, rel=0.01)
    uncorrected = fit_peaks(energies[None], drift, 2 * WINDOW, corrected=False)
    assert uncorrected.slope[0] == 0
    assert uncorrected.fwhm[0] == pytest.approx(FWHM * np.hypot(1.0, ENERGY * TRUE * np.sqrt(6) * 110), rel=0.03)


def test_many_filters_at_once_give_what_each_gives_alone() -> None:
    energies, drift = toy(5)
    noisy = np.random.default_rng(1).normal(0, 0.5, len(energies)) + energies
    both = fit_peaks(np.stack([energies, noisy]), drift, 2 * WINDOW)
    for number, one in enumerate((energies, noisy)):
        alone = fit_peaks(one[None], drift, 2 * WINDOW)
        assert both.factor[number] == pytest.approx(alone.factor[0], rel=1e-3)
        assert both.sigma[number] == pytest.approx(alone.sigma[0], rel=1e-3)


def test_a_neighbour_does_not_widen_the_line() -> None:
    """238.6 keV of 212Pb and 241.0 keV of 224Ra: nine counts in a hundred, less than two widths away."""
    energies, drift = toy(2, events=4000, energy=238.632, a=0.0, sigma=0.45)
    second, more = toy(3, events=378, background=0, energy=240.986, a=0.0, sigma=0.45)
    together, drifts = np.concatenate([energies, second]), np.concatenate([drift, more])
    alone = fit_peaks(together[None], drifts, 2 * WINDOW)
    found = fit_peaks(together[None], drifts, 2 * WINDOW, neighbours=((240.986 - 238.632, 0.0945),))
    assert found.fwhm[0] == pytest.approx(0.45 * FWHM, rel=0.02)
    assert found.position[0] == pytest.approx(238.632, abs=0.02)
    assert found.counts[0] == pytest.approx(4000, rel=0.02)
    assert alone.fwhm[0] > found.fwhm[0] * 1.02


def test_events_that_are_left_out_do_not_count() -> None:
    energies, drift = toy(7, events=600)
    weights = (np.arange(len(energies)) % 2).astype(float)
    some = fit_peaks(energies[None], drift, 2 * WINDOW, weights=weights, start=fit_peaks(energies[None], drift, 70.0))
    alone = fit_peaks(energies[None, 1::2], drift[1::2], 2 * WINDOW)
    assert some.factor[0] == pytest.approx(alone.factor[0], rel=2e-3)
    assert some.counts[0] == pytest.approx(alone.counts[0], rel=1e-3)


def test_slow_pulses_and_unknown_drift_times_do_not_count() -> None:
    drift = np.concatenate([np.random.default_rng(1).normal(600, 100, 200), [np.nan, 3900.0, -2000.0]])
    assert usable_drifts(drift).tolist() == [True] * 200 + [False] * 3


def test_lines_are_joined_by_their_errors_which_grow_where_they_contradict() -> None:
    agree = joined([(583.2, 8e-7, 2e-7, 500.0), (2614.5, 7e-7, 1e-7, 300.0)])
    assert agree is not None
    assert agree.factor == pytest.approx(7.2e-7)
    assert agree.error == pytest.approx(1e-7 * np.sqrt(0.8))
    assert agree.ndf == 1 and agree.p_value == pytest.approx(0.6547, abs=1e-3)
    contradict = joined([(583.2, 30e-7, 2e-7, 500.0), (2614.5, 7e-7, 1e-7, 300.0)])
    assert contradict is not None
    assert contradict.error == pytest.approx(agree.error * np.sqrt(contradict.chi2))
    assert joined([(583.2, np.nan, 2e-7, 5.0)]) is None


def test_errors_with_background_are_the_scatter_over_many_samples() -> None:
    """Half of the information on the width is in the wings, which a tenth of the line's density hides."""
    rng = np.random.default_rng(3)
    samples, events, width = 600, 260, 50.0
    line = rng.random((samples, events)) < 0.5
    energies = np.where(line, rng.normal(860.0, 0.7, line.shape), rng.uniform(835.0, 885.0, line.shape))
    found = fit_peaks(energies, rng.uniform(300, 1200, events), width)
    assert np.std(found.fwhm) == pytest.approx(np.mean(found.fwhm_error), rel=0.1)
    assert np.std(found.factor) == pytest.approx(np.mean(found.factor_error), rel=0.1)
    assert np.mean(found.fwhm_error) > 1.15 * np.mean(found.fwhm / np.sqrt(2 * found.counts))
