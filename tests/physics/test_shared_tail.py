"""The tail of incomplete charge, which strong lines tell to weak ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

from dataflow.physics import densities
from dataflow.physics.likelihood import in_bins, wanted_tail
from dataflow.physics.linefit import FirstFit, LineFit, first_fit, fit_line
from dataflow.physics.lines import TL208, Line
from dataflow.physics.lineset import fit_lines
from dataflow.physics.peakmodel import FWHM, PeakModel, mode, width
from dataflow.physics.tailshape import Tail, TailShape, own_tail

if TYPE_CHECKING:
    from collections.abc import Mapping

Floats = NDArray[np.floating[Any]]

COUNTS = {583.187: 4000, 727.330: 750, 860.557: 450, TL208: 3000}
LINES = tuple(Line(energy, half, half) for energy, half in ((583.187, 20), (727.33, 24), (860.557, 27), (TL208, 35)))
PART, SLOPE = 0.1, 1.6
"""Of the tail at 2614.5 keV; keV."""


def shape_of(energy: float, power: float = 1.0, part: float = PART, slope: float = SLOPE) -> dict[str, float]:
    """A line about its energy, in keV."""
    sigma = float(np.sqrt(1.2 + 0.0019 * energy)) / FWHM
    return {"mu": 0.0, "sigma": sigma, "htail": part, "tau": slope * (energy / TL208) ** power}


def events_of(random: np.random.Generator, energy: float, counts: float, form: Mapping[str, float]) -> Floats:
    """Energies of a line with a tail, on a flat background, in keV."""
    peak = random.normal(energy, form["sigma"], random.poisson(counts))
    late = random.random(len(peak)) < form["htail"]
    peak[late] -= random.exponential(form["tau"], np.count_nonzero(late))
    return np.concatenate([peak, random.uniform(energy - 40, energy + 40, random.poisson(200 + counts / 10))])


def spectrum(seed: int, power: float = 1.0, part: float = PART) -> Floats:
    random = np.random.default_rng(seed)
    return np.concatenate([events_of(random, e, n, shape_of(e, power, part)) for e, n in COUNTS.items()])


def pulls_of(fit: LineFit, form: Mapping[str, float]) -> tuple[float, float]:
    """(Found - true) / error of position and width."""
    place = (fit.position - fit.line.energy - mode(form)) / fit.position_error
    return place, (fit.fwhm - width(form)) / fit.fwhm_error


@pytest.mark.parametrize("power", [1.0, 0.32], ids=["slope-over-energy", "slope-over-width"])
def test_weak_lines_have_the_tail_of_the_strong_ones(power: float) -> None:
    """Fitted without a tail 727 keV was 0.9 of its error low and 0.7 too wide, 860 keV 0.6 and 0.5.

    Errors of means of 30 pulls are 0.18.
    """
    pulls: dict[float, list[tuple[float, float]]] = {}
    for seed in range(40, 70):
        fits, left_out = fit_lines(spectrum(seed, power), LINES)
        assert not left_out
        for fit in fits:
            pulls.setdefault(fit.line.energy, []).append(pulls_of(fit, shape_of(fit.line.energy, power)))
    for energy, found in pulls.items():
        assert (np.abs(np.mean(found, axis=0)) < 0.5).all(), energy
        assert (np.abs(np.std(found, axis=0) - 1) < 0.3).all(), energy


def test_a_weak_line_alone_has_no_tail_and_is_low_by_its_error() -> None:
    """What the tail of strong lines is good for."""
    line, form = LINES[1], shape_of(727.33)
    fits = [fit_line(spectrum(seed), line) for seed in range(30)]
    assert all(isinstance(fit, LineFit) and fit.function == "gauss_on_step" for fit in fits)
    pulls = [pulls_of(fit, form) for fit in fits if isinstance(fit, LineFit)]
    assert np.mean(pulls, axis=0)[0] < -0.4


def test_lines_say_which_lines_told_their_tail() -> None:
    fits, _ = fit_lines(spectrum(3), LINES)
    told = {fit.line.energy: fit.tail_from for fit in fits}
    strong = (TL208, 583.187)
    assert told == {583.187: strong, 727.33: strong, 860.557: strong, TL208: (TL208,)}
    assert {fit.function for fit in fits} == {"hpge_peak"}


def test_without_a_tail_positions_and_widths_have_mean_0() -> None:
    """Half of the spectra show a bit of a tail by chance: then errors are larger, not the deviations."""
    pulls: dict[float, list[tuple[float, float]]] = {}
    for seed in range(40, 70):
        for fit in fit_lines(spectrum(seed, part=0.0), LINES)[0]:
            form = {"mu": 0.0, "sigma": shape_of(fit.line.energy)["sigma"]}
            pulls.setdefault(fit.line.energy, []).append(pulls_of(fit, form))
    for energy, found in pulls.items():
        assert (np.abs(np.mean(found, axis=0)) < 0.5).all(), energy


def test_a_strong_line_that_contradicts_the_tail_of_others_keeps_its_own() -> None:
    """2614.5 keV has a tail of 20 %, and at 583 keV, as strong, there is none."""
    random = np.random.default_rng(4)
    long = events_of(random, TL208, 40_000, shape_of(TL208, part=0.2, slope=2.5))
    none = events_of(random, 583.187, 40_000, shape_of(583.187, part=0.0))
    fits, _ = fit_lines(np.concatenate([long, none]), (LINES[0], LINES[3]))
    assert fits[1].parameters["htail"] == pytest.approx(0.2, abs=0.03)
    assert fits[0].parameters.get("htail", 0) * fits[0].parameters.get("tau", 0) < 0.02
    assert fits[0].position == pytest.approx(583.187, abs=4 * fits[0].position_error)
    assert fits[0].fwhm == pytest.approx(FWHM * shape_of(583.187)["sigma"], abs=4 * fits[0].fwhm_error)


def test_the_error_of_the_part_in_a_tail_is_its_scatter() -> None:
    """By its logarithm, for the error is a part of the value: with that of the part itself it was a quarter small."""
    line, form = LINES[3], shape_of(TL208)
    pulls = []
    for seed in range(50):
        fit = fit_line(events_of(np.random.default_rng(seed), TL208, 3000, form), line)
        assert isinstance(fit, LineFit)
        if fit.function == "hpge_peak":
            part, error = fit.parameters["htail"], fit.errors["htail"]
            pulls.append(np.log(part / PART) * part / error)
    assert len(pulls) >= 48
    assert abs(np.mean(pulls)) < 0.45
    assert 0.7 < np.std(pulls) < 1.3


def test_the_tail_that_a_spectrum_without_one_asks_for_is_zero_on_average() -> None:
    """A fitted part of events is never negative: what lines tell together would be too large by what chance gives."""
    line, known = LINES[3], own_tail(shape_of(TL208)["sigma"])
    pulls = []
    for seed in range(60):
        first = first_fit(events_of(np.random.default_rng(seed), TL208, 3000, shape_of(TL208, part=0.0)), line)
        assert isinstance(first, FirstFit)
        bins = in_bins(first.inside, first.model.window, first.sigma)
        errors = np.where(first.fit.fixed, 0, first.fit.errors)
        wanted = wanted_tail(first.model, bins, first.fit.values.to_dict(), errors, known)
        pulls.append(wanted.htail / np.sqrt(wanted.covariance[0, 0]))
    assert abs(np.mean(pulls)) < 0.4
    assert np.std(pulls) == pytest.approx(1, abs=0.3)
    assert 15 < np.count_nonzero(np.array(pulls) < 0) < 45


def test_the_slope_of_a_tail_grows_with_the_energy_and_its_part_does_not() -> None:
    told = Tail(np.array([0.1, np.log(1.5)]), np.diag([0.01, 0.1]) ** 2)
    shape = TailShape.unknown(TL208, 1.05).learned(TL208, told)
    there = shape.at(TL208 / 4)
    assert there.htail == pytest.approx(0.1)
    assert there.tau == pytest.approx(1.5 / 4)
    # besides the errors of what was told: 15 % from line to line, and the power, known to 0.5
    assert np.sqrt(there.covariance[0, 0]) == pytest.approx(np.hypot(0.01, 0.015))
    assert np.sqrt(there.covariance[1, 1]) == pytest.approx(np.sqrt(0.1**2 + 0.15**2 + (0.5 * np.log(4)) ** 2))


def test_two_lines_tell_the_power_of_the_energy() -> None:
    """Slopes of 1.5 keV at 2600 and 0.75 keV at 650 keV: the root of the energy, and what is between lies on it."""
    exact = np.diag([0.003, 0.003]) ** 2
    shape = TailShape.unknown(2600.0, 1.0).learned(2600.0, Tail(np.array([0.1, np.log(1.5)]), exact))
    shape = shape.learned(650.0, Tail(np.array([0.1, np.log(0.75)]), exact))
    assert shape.at(1300.0).tau == pytest.approx(1.5 / np.sqrt(2), rel=0.05)
    assert shape.mean[2] == pytest.approx(0.5, abs=0.06)
    assert np.sqrt(shape.covariance[2, 2]) < 0.15


def test_the_distance_of_tails_is_in_standard_deviations() -> None:
    covariance = np.array([[0.0009, -0.0036], [-0.0036, 0.0225]])
    known = Tail(np.array([0.1, 0.4]), covariance)
    other = Tail(np.array([0.13, 0.1]), covariance)
    offset = other.mean - known.mean
    assert known.penalty(other) == pytest.approx(offset @ np.linalg.inv(covariance) @ offset)
    assert known.penalty(known) == 0


@pytest.mark.parametrize("function", ["gauss_on_step", "hpge_peak"])
def test_a_line_is_the_sum_that_pygama_makes(function: str) -> None:
    model = PeakModel(function, (2580.0, 2650.0))
    values = {"n_sig": 3000.0, "mu": 2614.0, "sigma": 1.1, "htail": 0.1, "tau": 1.7, "n_bkg": 200.0, "hstep": -0.3}
    ordered = [values[name] for name in model.names]
    theirs = densities.distribution(function)
    x = np.linspace(2580, 2650, 301)
    total, density = model.density(x, *ordered)
    np.testing.assert_allclose(density, theirs.pdf_ext(x, *model.window, *ordered)[1], rtol=1e-12)
    np.testing.assert_allclose(model.cumulative(x, *ordered), theirs.cdf_ext(x, *model.window, *ordered), rtol=1e-12)
    assert total == pytest.approx(integrate.simpson(density, x=x), rel=1e-6)


@pytest.mark.parametrize("htail", [0.001, 0.1, 0.6])
@pytest.mark.parametrize("tau", [0.3, 1.5, 8.0])
def test_mode_and_width_are_those_of_the_density(htail: float, tau: float) -> None:
    from pygama.math.hpge_peak_fitting import hpge_peak_fwhm

    values = {"mu": 500.0, "sigma": 0.9, "htail": htail, "tau": tau}
    x = np.linspace(490, 502, 240_001)
    density = (1 - htail) * stats.norm.pdf(x, 500, 0.9) + htail * stats.exponnorm.pdf(500 - x, tau / 0.9, 0, 0.9)
    above = x[density > density.max() / 2]
    assert mode(values) == pytest.approx(x[density.argmax()], abs=2e-4)
    assert width(values) == pytest.approx(above[-1] - above[0], abs=2e-4)
    assert width(values) == pytest.approx(hpge_peak_fwhm(0.9, htail, tau), rel=1e-6)


def test_without_a_tail_mode_and_width_are_those_of_a_gaussian() -> None:
    assert mode({"mu": 500.0, "sigma": 0.9}) == mode({"mu": 500.0, "sigma": 0.9, "htail": 0.0, "tau": 1.0}) == 500
    assert width({"mu": 500.0, "sigma": 0.9}) == pytest.approx(2.35482 * 0.9)
