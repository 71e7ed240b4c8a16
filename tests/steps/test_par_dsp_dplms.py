"""The DPLMS filter: against matrices and filters written here, with pulses and noise of which all is known."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import toeplitz
from scipy.signal import lfilter
from tests.dashboard import absent

from dataflow.base.errors import UserError
from dataflow.jobs.errors import WorkFailed
from dataflow.steps.par_dsp_dplms.calibrate import calibrate, candidate, filter_length
from dataflow.steps.par_dsp_dplms.noise import noise_matrix, structure_function
from dataflow.steps.par_dsp_dplms.plotdata import plot_data
from dataflow.steps.par_dsp_dplms.resolution import corrected, energies_of, trapping_of
from dataflow.steps.par_dsp_dplms.result import Candidate, Result
from dataflow.steps.par_dsp_dplms.settings import DplmsSettings, Grid
from dataflow.steps.par_dsp_dplms.signals import Decay, Signals, shapes_of
from dataflow.steps.par_dsp_dplms.synthesis import Terms, Weights, synthesised, tail_of

PERIOD, TAU, SAMPLES, START = 96.0, 200_000.0, 1000, 420
LENGTH, BASELINE = 600, 340
FIRST = START - LENGTH // 2
"""The first sample that the filter sees of a pulse."""
DECAY = Decay(TAU)
HEIGHT, LINE, FANO = 12_000.0, 2614.511, 1.9
FWHM = 2 * np.sqrt(2 * np.log(2))
ONE = Grid(nm=(1.0,), za=(1.0,), pl=(1000.0,), ft=(10.0,))
Floats = NDArray[np.float64]

NOISES: dict[str, tuple[float, float, float]] = {
    "white": (5.0, 0.0, 0.0),
    "1/f": (4.0, 3.0, 0.0),
    "pick-up": (4.0, 2.0, 6.0),
}
"""Standard deviations of white and of 1/f noise, and the amplitude of a sine, in ADC counts."""
SINE = 5000.0
"""Its period in ns."""


def noise(name: str, count: int, seed: int, samples: int = SAMPLES) -> Floats:
    """Traces with noise, above the mean of their first third, as the chain has them."""
    white, pink, sine = NOISES[name]
    rng = np.random.default_rng(seed)
    traces = rng.normal(0, white, (count, samples))
    if pink:
        frequency = np.fft.rfftfreq(8 * samples)
        frequency[0] = frequency[1]
        shaped = np.fft.irfft(np.fft.rfft(rng.normal(size=(count, 8 * samples))) / np.sqrt(frequency), axis=1)
        traces += pink / shaped.std() * shaped[:, :samples]
    phases = rng.uniform(0, 2 * np.pi, (count, 1))
    traces += sine * np.sin(phases + 2 * np.pi * np.arange(samples) * PERIOD / SINE)
    return np.asarray(traces - traces[:, : round(0.34 * samples)].mean(axis=1, keepdims=True))


def covariance(name: str) -> Floats:
    """The exact covariance of :func:`noise` where the filter sees it."""
    white, pink, sine = NOISES[name]
    times = np.arange(SAMPLES)
    frequency = np.fft.rfftfreq(8 * SAMPLES)
    frequency[0] = frequency[1]
    shaped = np.fft.irfft(1 / frequency)[:SAMPLES]
    each = white**2 * (times == 0) + pink**2 * shaped / shaped[0]
    whole = toeplitz(each + sine**2 / 2 * np.cos(2 * np.pi * times * PERIOD / SINE))
    above = np.eye(SAMPLES) - np.where(times < BASELINE, 1 / BASELINE, 0.0)[None]
    seen = slice(FIRST, FIRST + LENGTH)
    return np.asarray((above @ whole @ above.T)[seen, seen])


def pulse(rise: Any, start: Any = START, samples: int = SAMPLES) -> Floats:
    """Pulses of height 1: the charge comes within `rise` ns, and decays; by a recursion of its own."""
    times = (np.arange(samples) - np.reshape(start, (-1, 1))) * PERIOD
    charge = np.clip(times / np.reshape(rise, (-1, 1)), 0, 1) ** 1.5
    steps = np.diff(charge, prepend=0.0, axis=1)
    return np.asarray(lfilter([1.0], [1.0, -np.exp(-PERIOD / TAU)], steps, axis=1))


def signals(traces: Floats, seed: int, trapped: float = 0.0) -> Signals:
    """Pulses of the line on some noise; `trapped` is the part of the charge that is lost per ns of effective drift."""
    rng, count = np.random.default_rng(seed), len(traces)
    rise, begin = rng.uniform(300, 1500, count), rng.uniform(-0.5, 0.5, count)
    drift = 0.4 * rise
    heights = HEIGHT * (1 + rng.normal(0, FANO / FWHM / LINE, count)) * (1 - trapped * drift)
    made = pulse(rise, START + begin, traces.shape[1]) * heights[:, None] + traces
    starts = np.full(count, float(START))
    return Signals(made.astype("f4"), starts, heights, drift, rise + 0.5 * PERIOD, np.full(count, LINE))


def settings(**changes: Any) -> DplmsSettings:
    return DplmsSettings(dp_coeffs=ONE, length=LENGTH).model_copy(update=changes)


@cache
def found(name: str, trapped: float = 0.0) -> Result:
    return calibrate(noise(name, 800, 3), signals(noise(name, 1500, 4), 5, trapped), PERIOD, DECAY, settings())


def constrained(matrix: Floats, conditions: Floats, values: Floats) -> Floats:
    """The x of least xᵀ N x with Cᵀ x = b, by Lagrange's multipliers: one system of equations for all."""
    size, count = conditions.shape
    whole = np.block([[matrix, conditions], [conditions.T, np.zeros((count, count))]])
    return np.asarray(np.linalg.solve(whole, np.concatenate([np.zeros(size), values]))[:size])


# the mathematics ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NOISES)
def test_heavy_weights_give_the_filter_of_least_noise_under_exact_conditions(name: str) -> None:
    """Height 1 of the pulse, no area, nothing of a tail, the same height wherever it begins in the flat top."""
    length, times = 300, np.arange(300)
    white, pink, sine = NOISES[name]
    known = toeplitz(white**2 * (times == 0) + pink**2 * np.exp(-times / 50) + sine**2 / 2 * np.cos(0.12 * times))
    shifted = np.concatenate([pulse(600.0, 150 + shift, length) for shift in range(-4, 5)])
    reference = shifted[4]
    spread = HEIGHT**2 * np.mean([np.outer(each - reference, each - reference) for each in shifted], axis=0)
    tail = tail_of(length, TAU / PERIOD)
    np.testing.assert_allclose(tail[[0, 100]], [1.0, np.exp(-100 * PERIOD / TAU)])
    made = synthesised(Terms(known, spread, tail, reference), Weights(1.0, 1e7, 1e9, 1e4))
    conditions = np.stack(
        [reference, np.ones(length), tail, *(each - reference for each in np.delete(shifted, 4, 0))], 1
    )
    # the shifted pulses are nearly dependent: a small part of them suffices
    vectors, sizes, _ = np.linalg.svd(conditions[:, 3:], full_matrices=False)
    conditions = np.concatenate([conditions[:, :3], vectors[:, sizes > 1e-3 * sizes[0]]], axis=1)
    exact = constrained(known, conditions, np.eye(conditions.shape[1])[0])
    assert made @ reference == pytest.approx(1.0, abs=1e-9)
    assert made @ known @ made == pytest.approx(exact @ known @ exact, rel=0.01)
    np.testing.assert_allclose(made, exact, atol=0.02 * np.abs(exact).max())


def test_the_term_of_the_reference_only_scales_the_filter() -> None:
    """The published system (A + r rᵀ) x = r has the same solution but for its height."""
    length = 120
    rng = np.random.default_rng(1)
    root = rng.normal(size=(length, length))
    terms = Terms(root @ root.T, np.zeros((length, length)), tail_of(length, 2000.0), pulse(500.0, 60, length)[0])
    weights = Weights(2.0, 3.0, 4.0, 5.0)
    matrix = 2.0 * terms.noise + 3.0 * np.ones((length, length)) + 4.0 * np.outer(terms.tail, terms.tail)
    published = np.linalg.solve(matrix + np.outer(terms.reference, terms.reference), terms.reference)
    np.testing.assert_allclose(synthesised(terms, weights), published / (published @ terms.reference), rtol=1e-6)


def test_the_structure_function_is_that_of_all_pairs_of_samples() -> None:
    traces = noise("1/f", 30, 7, samples=60)
    own = [0.0] + [float(np.mean((traces[:, lag:] - traces[:, :-lag]) ** 2)) / 2 for lag in range(1, 40)]
    np.testing.assert_allclose(structure_function(traces, 40), own, rtol=1e-9, atol=1e-9)


def test_levels_of_traces_do_not_count_as_noise() -> None:
    traces = noise("white", 200, 8, samples=300)
    moved = traces + np.random.default_rng(1).normal(0, 1000, (200, 1))
    np.testing.assert_allclose(structure_function(moved, 100), structure_function(traces, 100), rtol=1e-9, atol=1e-9)


def test_the_noise_matrix_is_the_known_covariance_above_the_baseline() -> None:
    """White noise, a sine and a random walk: the latter has no covariance by itself, but above a baseline it has."""
    white, _, sine = NOISES["pick-up"]
    rng, (samples, first, length, baseline) = np.random.default_rng(2), (500, 60, 200, 150)
    traces = rng.normal(0, white, (4000, samples)) + np.cumsum(rng.normal(0, 0.1, (4000, samples)), axis=1)
    traces += sine * np.sin(rng.uniform(0, 2 * np.pi, (4000, 1)) + 2 * np.pi * np.arange(samples) * PERIOD / SINE)
    times = np.arange(samples)
    known = toeplitz(white**2 * (times == 0) + sine**2 / 2 * np.cos(2 * np.pi * times * PERIOD / SINE))
    known += 0.1**2 * (1 + np.minimum(times[:, None], times[None]))
    above = np.eye(samples) - np.where(times < baseline, 1 / baseline, 0.0)[None]
    known = (above @ known @ above.T)[first : first + length, first : first + length]
    matrix = noise_matrix(traces, length, first, baseline)
    seen = np.arange(length)
    for shape in (np.sin(seen / 9), np.exp(-(((seen - 80) / 5) ** 2)), rng.normal(size=length), (seen > 100) * 1.0):
        assert shape @ matrix @ shape == pytest.approx(shape @ known @ shape, rel=0.04)


def test_a_pure_sine_is_taken_out_and_traces_without_noise_fail() -> None:
    times = np.arange(400)
    phases = np.random.default_rng(3).uniform(0, 2 * np.pi, (300, 1))
    sines = 8.0 * np.sin(phases + 0.1 * times)
    matrix = noise_matrix(sines, 150, 100, 136)
    np.linalg.cholesky(matrix)
    terms = Terms(matrix, np.zeros((150, 150)), tail_of(150, 2000.0), pulse(500.0, 75, 150)[0])
    made = synthesised(terms, Weights(1.0, 1.0, 0.0, 0.0))
    assert np.std(np.correlate(sines[0], made, "valid")) < 0.01
    with pytest.raises(WorkFailed, match="the 60 traces have no noise: all their samples are the same"):
        noise_matrix(np.full((60, 200), 3.0), 100, 20, 60)


# what a filter does with pulses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NOISES)
def test_the_noise_is_that_predicted_and_no_more_than_that_of_trapezoid_and_cusp(name: str) -> None:
    result = found(name)
    fresh = noise(name, 1500, 21)
    measured = rms(fresh, result.best.samples)
    assert measured == pytest.approx(result.best.noise, rel=0.12)
    exact = covariance(name)
    shapes = shapes_of(signals(noise(name, 1500, 4), 5), LENGTH, PERIOD, DECAY, settings())
    conditions = Terms(exact, shapes.spread, tail_of(LENGTH, TAU / PERIOD), shapes.reference)
    best = synthesised(conditions, Weights(1.0, 1.0, 1000.0, 10.0))
    assert measured == pytest.approx(float(np.sqrt(result.best.samples @ exact @ result.best.samples)), rel=0.06)
    assert result.best.samples @ exact @ result.best.samples < 1.08 * (best @ exact @ best)
    assert result.noise == pytest.approx(result.best.noise, abs=5 * result.noise_error)
    flat = round(2500 / PERIOD)  # what 1500 ns of rise and half a microsecond on both sides take
    trapezoids = [rms(fresh, trapezoid(rise, flat)) for rise in range(10, 260, 10)]
    cusps = [rms(fresh, cusp(sigma, flat)) for sigma in (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)]
    assert measured < 0.99 * min(cusps) < min(trapezoids)


def rms(traces: Floats, weights: Floats) -> float:
    """What a filter makes of noise where its flat top has its middle in the middle of where filters see pulses."""
    first = FIRST + (LENGTH - len(weights)) // 2
    return float(np.sqrt(np.mean((traces[:, first : first + len(weights)] @ weights) ** 2)))


def trapezoid(rise: int, flat: int) -> Floats:
    """The weights of samples that see a pulse as the difference of two means sees a step."""
    ramp = np.arange(1, rise + 1) / rise
    return without_decay(np.concatenate([ramp, np.ones(flat), ramp[::-1]]))


def cusp(sigma: float, flat: int) -> Floats:
    """The textbook's cusp."""
    half = (LENGTH - flat) // 2
    rising = np.sinh(np.arange(1, half + 1) / sigma) / np.sinh(half / sigma)
    return without_decay(np.concatenate([rising, np.ones(flat), rising[::-1]]))


def without_decay(answer: Floats) -> Floats:
    """The weights by which the answer to a step becomes the answer to a pulse that decays."""
    return np.asarray(answer - np.exp(-PERIOD / TAU) * np.append(answer[1:], 0.0))


def test_the_other_filters_of_these_tests_measure_the_height_of_a_pulse() -> None:
    for weights in (trapezoid(100, 20), cusp(40.0, 20)):
        output = np.correlate(pulse(500.0)[0], weights, "valid")
        assert output.max() == pytest.approx(1.0, abs=3e-3)


def test_the_filter_has_a_flat_top_for_all_shapes() -> None:
    result = found("1/f")
    made = result.best.samples
    assert result.best.area == pytest.approx(float(made.sum()), abs=1e-12)
    assert result.coefficients.dtype == np.float32
    np.testing.assert_allclose(result.coefficients[::-1], made, atol=1e-7)
    outputs = [
        float(made @ pulse(rise, START + shift)[0, FIRST : FIRST + LENGTH])
        for rise in (300.0, 700.0, 1100.0, 1500.0)
        for shift in (-4.0, -2.0, 0.0, 2.0, 4.0)
    ]
    np.testing.assert_allclose(outputs, 1.0, atol=3e-4)


def test_the_term_of_the_area_takes_what_a_wrong_level_adds() -> None:
    traces, pulses, areas = noise("1/f", 300, 3), signals(noise("1/f", 500, 4), 5), []
    for weight in (0.0, 1e6):
        grid = Grid(nm=(1.0,), za=(weight,), pl=(0.0,), ft=(10.0,))
        areas.append(calibrate(traces, pulses, PERIOD, DECAY, settings(dp_coeffs=grid)).best.area)
    assert abs(areas[0]) > 0.05
    assert abs(areas[1]) < 1e-4


def test_without_the_term_of_shapes_slow_pulses_lose_height() -> None:
    traces, pulses = noise("1/f", 500, 3), signals(noise("1/f", 800, 4), 5)
    spreads = {}
    for weight in (0.0, 10.0):
        grid = Grid(nm=(1.0,), za=(1.0,), pl=(1000.0,), ft=(weight,))
        made = calibrate(traces, pulses, PERIOD, DECAY, settings(dp_coeffs=grid)).best.samples
        highest = [float(np.correlate(pulse(rise)[0], made, "valid").max()) for rise in (300.0, 1500.0)]
        spreads[weight] = highest[0] - highest[1]
    assert spreads[0.0] > 2e-3
    assert abs(spreads[10.0]) < 2e-4


def test_the_term_of_tails_takes_the_bias_by_earlier_pulses_as_predicted() -> None:
    """The published flow's pile-up matrix is zero, or a straight line in the place of an exponential."""
    traces, pulses = noise("white", 500, 3), signals(noise("white", 800, 4), 5)
    biases = {}
    for weight in (0.0, 10.0, 1e6):
        grid = Grid(nm=(1.0,), za=(0.0,), pl=(weight,), ft=(10.0,))
        best = calibrate(traces, pulses, PERIOD, DECAY, settings(dp_coeffs=grid)).best
        earlier = 4000.0 * np.exp(-(np.arange(SAMPLES) + 800) * PERIOD / TAU)
        clean = HEIGHT * pulse(600.0)[0]
        first = int(np.argmax(np.correlate(clean, best.samples, "valid")))
        outputs = [float(best.samples @ each[first : first + LENGTH]) for each in (clean, clean + earlier)]
        biases[weight] = outputs[1] - outputs[0]
        assert biases[weight] == pytest.approx(best.tail * earlier[first], rel=1e-6, abs=1e-6)
    assert abs(biases[0.0]) > 200  # ADC counts: 40 keV
    assert abs(biases[10.0]) < 0.3 * abs(biases[0.0])
    assert abs(biases[1e6]) < 0.002 * abs(biases[0.0])


def test_the_line_is_as_wide_as_noise_and_statistics_of_charge_allow() -> None:
    for name in NOISES:
        result = found(name)
        expected = np.hypot(FANO, FWHM * result.best.noise * LINE / HEIGHT)
        assert result.best.fwhm == pytest.approx(expected, abs=max(3 * result.best.fwhm_error, 0.03 * expected))


# trapped charge -------------------------------------------------------------------------------------------------


def test_trapped_charge_is_found_within_its_error_and_corrected() -> None:
    pulls = []
    rng = np.random.default_rng(9)
    for _ in range(60):
        drift = rng.uniform(100, 700, 800)
        lost = HEIGHT * (1 + rng.normal(0, 1e-3, 800)) * (1 - 3e-6 * drift)
        lost[:40] *= 1 - rng.exponential(0.01, 40)  # charge that is not collected: a tail
        lost[40:80] = rng.uniform(0.98, 1.02, 40) * HEIGHT
        trapping = trapping_of(lost, drift)
        assert trapping is not None
        pulls.append((trapping.factor - 3e-6) / trapping.error)
        assert trapping.error == pytest.approx(1e-3 / (600 / np.sqrt(12)) / np.sqrt(760), rel=0.25)
    assert abs(np.mean(pulls)) < 3 / np.sqrt(60)
    assert 0.75 < np.std(pulls) < 1.35
    result = found("white", 3e-6)
    assert result.best.trapping is not None
    assert result.best.trapping.factor == pytest.approx(3e-6, abs=3 * result.best.trapping.error)
    assert found("white").best.trapping.factor == pytest.approx(0.0, abs=3 * result.best.trapping.error)  # type: ignore[union-attr]
    assert result.best.fwhm == pytest.approx(found("white").best.fwhm, rel=0.05)


def test_the_correction_is_the_expression_of_the_entry() -> None:
    result = found("white", 3e-6)
    entry = result.entry("somewhere")["ctc_params"]["dplmsEmax_ctc"]
    assert entry["expression"] == "dplmsEmax*(1+dt_eff*a)"
    energies, drift = np.array([12000.0, 11980.0]), np.array([300.0, 600.0])
    after = corrected(energies, drift, result.best.trapping)
    np.testing.assert_allclose(after, energies * (1 + drift * entry["parameters"]["a"]), rtol=1e-8)
    found_there = result.entry("somewhere")["dplms"]["ctc"]["dplmsEmax"]
    assert result.best.trapping is not None
    assert found_there["a"] == entry["parameters"]["a"]
    assert found_there["a_err"] == pytest.approx(result.best.trapping.error, rel=1e-5)
    assert trapping_of(energies, drift) is None
    assert trapping_of(np.full(50, 12000.0), np.full(50, 300.0)) is None


# weak and bad data ----------------------------------------------------------------------------------------------


def test_few_traces_few_pulses_and_short_traces_fail_with_the_reason() -> None:
    traces, pulses = noise("white", 60, 3), signals(noise("white", 120, 4), 5)
    with pytest.raises(WorkFailed, match=r"\d+ traces without a pulse are too few for the noise, 50 are needed"):
        calibrate(traces[:40], pulses, PERIOD, DECAY, settings())
    few = pulses.chosen(np.arange(120) < 30)
    with pytest.raises(WorkFailed, match=r"\d+ pulses of 2614\.51 keV are too few for their shape, 50 are needed"):
        calibrate(traces, few, PERIOD, DECAY, settings())
    none = pulses.chosen(np.arange(120) < 0)
    with pytest.raises(WorkFailed, match=r"0 pulses of 2614\.51 keV are too few"):
        calibrate(traces, none, PERIOD, DECAY, settings())
    with pytest.raises(WorkFailed, match="a filter of 1200 samples does not fit into traces of 1000"):
        filter_length(SAMPLES, settings(length=1200))


def test_pulses_with_another_in_their_trace_do_not_give_the_shape() -> None:
    clean = signals(noise("white", 400, 4), 5)
    traces = clean.traces.copy()
    traces[:40, 600:] += (0.3 * HEIGHT * np.exp(-np.arange(400) * PERIOD / TAU)).astype("f4")
    traces[40:80] += (0.1 * HEIGHT * np.exp(-np.arange(SAMPLES) * PERIOD / TAU)).astype("f4")
    piled = Signals(traces, clean.starts, clean.heights, clean.drift, clean.rises, clean.lines)
    shapes = shapes_of(piled, LENGTH, PERIOD, DECAY, settings())
    assert 310 <= shapes.pulses <= 320
    kept = clean.chosen(np.arange(400) >= 80)
    assert np.abs(shapes.reference - shapes_of(kept, LENGTH, PERIOD, DECAY, settings()).reference).max() < 3e-4


def test_weights_that_give_no_good_line_are_refused_and_the_default_ones_are_used() -> None:
    traces, pulses = noise("white", 100, 3), signals(noise("white", 300, 4), 5)
    result = calibrate(traces, pulses, PERIOD, DECAY, settings(fwhm_limit=0.5))
    assert result.best.weights == Weights(1.0, 1.0, 100.0, 1.0)
    assert result.warning.startswith("none of 1 filters is good (the line is ")
    assert result.entry("x")["warnings"] == [result.warning]
    narrow = calibrate(traces, pulses, PERIOD, DECAY, settings(err_limit=1e-3))
    assert "the error of its width is" in narrow.candidates[0].reason
    assert found("white").warning == ""
    assert "warnings" not in found("white").entry("x")


def test_of_good_weights_those_of_the_narrowest_line_are_taken() -> None:
    grid = Grid(nm=(1.0,), za=(1.0,), pl=(100.0,), ft=(0.0, 10.0, 1e6))
    result = calibrate(noise("1/f", 300, 3), signals(noise("1/f", 900, 4), 5), PERIOD, DECAY, settings(dp_coeffs=grid))
    assert [each.weights.ft for each in result.candidates] == [0.0, 10.0, 1e6]
    assert result.best.fwhm == min(each.fwhm for each in result.candidates if not each.reason)


def test_the_entry_says_what_the_filter_is() -> None:
    entry = found("white").entry("loadlh5('$_/x.lh5', 'V01/dplms/coefficients')")["dplms"]
    assert entry["length"] == LENGTH
    assert entry["period"] == "96*ns"
    assert entry["coefficients"] == "loadlh5('$_/x.lh5', 'V01/dplms/coefficients')"
    assert entry["dp_coeffs"] == {"nm": 1.0, "za": 1.0, "pl": 1000.0, "ft": 10.0}
    assert entry["n_baselines"] == found("white").traces >= 780
    assert entry["noise"] == pytest.approx(found("white").noise, abs=1e-5)


def test_what_the_dashboard_draws_is_there() -> None:
    drawn = plot_data(found("white"))["dplms"]
    assert absent("dplms", drawn) == []
    np.testing.assert_array_equal(drawn["coefficients"], found("white").coefficients)


def test_energies_are_the_highest_output_wherever_the_filter_fits() -> None:
    rng = np.random.default_rng(4)
    traces, samples = rng.normal(size=(700, 90)), rng.normal(size=40)
    own = [max(float(samples @ trace[first : first + 40]) for first in range(51)) for trace in traces[::100]]
    np.testing.assert_allclose(energies_of(traces, samples)[::100], own, rtol=1e-5)
    assert len(energies_of(traces[:0], samples)) == 0


def test_predictions_of_a_candidate_are_its_quadratic_forms() -> None:
    rng = np.random.default_rng(6)
    root, other = rng.normal(size=(50, 50)), rng.normal(size=(50, 3))
    terms = Terms(root @ root.T, other @ other.T, tail_of(50, 100.0), pulse(300.0, 25, 50)[0])
    made: Candidate = candidate(terms, Weights(1.0, 1.0, 1.0, 1.0))
    assert made.noise == pytest.approx(np.linalg.norm(root.T @ made.samples))
    assert made.spread == pytest.approx(np.linalg.norm(other.T @ made.samples))


# settings -------------------------------------------------------------------------------------------------------


def test_the_published_configuration_is_taken() -> None:
    published = {
        "run_dplms": True, "n_baselines": 1000, "peaks_kev": [1592.5, 2614.5], "kev_widths": [[10, 10], [70, 70]],
        "bls_cut_pars": {}, "bl_field": "wf_bl", "bsize": 1000, "length": 800, "wsize": 900, "wf_field": "wf_presum",
        "dp_coeffs": {"nm": [0.01, 1], "za": [100], "pl": [0], "ft": [50, 100], "rt": [95], "pt": [20]},
        "dp_def": {"nm": 1, "za": 1, "pl": 1, "ft": 1, "rt": 90, "pt": 20}, "fwhm_limit": 5, "err_limit": 1,
        "p_val_lim": 1e-10, "rt_low": 0, "rt_high": 1, "peak_lim": 1, "centroid_lim": 1, "period": 16, "zoom": 1,
        "n_plot": 20, "fom_func": "gauss_on_step", "use_log_pdf": False,
    }  # fmt: skip
    read = DplmsSettings.read(published, "dplms_pars")
    assert read.dp_coeffs == Grid(nm=(0.01, 1), za=(100,), pl=(0,), ft=(50, 100))
    assert (read.length, read.n_baselines, read.peaks_kev) == (800, 1000, (1592.5, 2614.5))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"run_dplm": True}, "dplms_pars has no entry 'run_dplm'"),
        ({"dp_coeffs": {"nm": []}}, r"dplms_pars\.dp_coeffs\.nm"),
        ({"dp_coeffs": {"nm": [0]}}, r"dplms_pars\.dp_coeffs\.nm"),
        ({"dp_coeffs": {"pl": [-1]}}, r"dplms_pars\.dp_coeffs\.pl"),
        ({"kernel": 1.5}, r"dplms_pars\.kernel must be a number below 1"),
    ],
)
def test_settings_are_checked(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DplmsSettings.read(config, "dplms_pars")
