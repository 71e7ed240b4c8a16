"""Simulated pulses: shapes, noise, and what calibration must find in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gebox import shape
from gebox.experiment import Experiment, build
from gebox.files import fcio
from gebox.physics import rng
from gebox.readout import events
from gebox.resolution import noise_fwhm, response
from gebox.signals import charge, light, noise, trace
from gebox.truth import Kind

FWHM = np.sqrt(8 * np.log(2))


def hits(experiment: Experiment, number: int, threshold: float) -> np.ndarray:
    """Detector, class, energy, charge, drift time, own trapezoid (keV) and A/E of every trace in calibration data."""
    first = next(file for file in experiment.files if file.datatype == "cal")
    order = [address.rawid for address in experiment.layout.tracemap]
    rows = []
    for triggered in events(experiment, replace(first, events=number, threshold=threshold)):
        for hit in triggered.happening.hits:
            detector = experiment.layout.detectors[hit.detector]
            row = order.index(detector.address.rawid)
            if row not in triggered.channels or hit.charge < 100:
                continue
            true = experiment.constants(detector, first)
            samples = triggered.rows[row, 4:]
            height = shape.height(shape.restored(samples, true.tau))
            ratio = shape.peak_current(samples) / max(height, 1.0)
            rows.append(
                (hit.detector, hit.kind, hit.energy, hit.charge, hit.drift, height * true.gain + true.offset, ratio)
            )
    return np.array(rows)


@pytest.fixture(scope="module")
def high() -> tuple[Experiment, np.ndarray]:
    """Hits above 1 MeV, where A/E is used."""
    experiment = build(seed=3)
    return experiment, hits(experiment, 14_000, 1000.0)


@pytest.fixture(scope="module")
def low() -> tuple[Experiment, np.ndarray]:
    """Hits above the usual threshold."""
    experiment = build(seed=3)
    return experiment, hits(experiment, 8_000, 150.0)


def test_the_electronic_noise_of_an_energy_is_the_true_one(low: tuple[Experiment, np.ndarray]) -> None:
    experiment, table = low
    first = experiment.files[0]
    for index, detector in enumerate(experiment.layout.detectors):
        clean = (table[:, 0] == index) & (table[:, 1] <= Kind.MULTI)
        residual = (table[:, 5] - table[:, 3])[clean]
        residual = residual[np.abs(residual - np.median(residual)) < 4]
        expected = noise_fwhm(experiment.constants(detector, first))
        assert FWHM * residual.std() == pytest.approx(expected, rel=0.08)
        assert abs(residual.mean()) < 0.05


def test_the_width_of_charge_is_fano_and_trapping(low: tuple[Experiment, np.ndarray]) -> None:
    experiment, table = low
    for index, detector in enumerate(experiment.layout.detectors):
        true = experiment.constants(detector, experiment.files[0])
        clean = (table[:, 0] == index) & (table[:, 1] <= Kind.MULTI)
        _, _, energy, charges, drift = table[clean, :5].T
        mean = charge.crystal(detector, true).mean_drift
        corrected = charges / (1 - true.trapping * 1e-3 * (drift - mean))
        pulls = (corrected - energy) / np.sqrt(true.fano * energy)
        assert pulls.std() == pytest.approx(1.0, abs=0.06)


def test_correcting_for_drift_time_improves_the_resolution(high: tuple[Experiment, np.ndarray]) -> None:
    experiment, table = high
    gains = []
    for index, detector in enumerate(experiment.layout.detectors):
        true = experiment.constants(detector, experiment.files[0])
        peak = (table[:, 0] == index) & (table[:, 1] <= Kind.MULTI) & (np.abs(table[:, 2] - 2614.511) < 0.01)
        charges, drift = table[peak, 3], table[peak, 4]
        corrected = charges * (1 + true.trapping * 1e-3 * drift)
        gains.append(charges.std() / corrected.std() * corrected.mean() / charges.mean())
    assert min(gains) > 0.97
    assert max(gains) > 1.03


def survival(table: np.ndarray, detector: int, line: float, cut: float) -> tuple[int, int]:
    """How many clean hits of a line are there, and how many are above an A/E cut."""
    chosen = (table[:, 0] == detector) & (table[:, 1] <= Kind.MULTI) & (np.abs(table[:, 2] - line) < 0.01)
    return int(chosen.sum()), int((table[chosen, 6] > cut).sum())


def test_pulse_shapes_separate_single_from_multi_site_events(high: tuple[Experiment, np.ndarray]) -> None:
    """Cut at 90 % of the double escape peak.

    LEGEND-200's p03 r000 in legend-testdata keeps 10.6 % of the single escape peak and 12.9 % of the full energy peak.
    """
    experiment, table = high
    left = {1592.513: [0, 0], 1620.50: [0, 0], 2103.512: [0, 0], 2614.511: [0, 0]}
    for index, detector in enumerate(experiment.layout.detectors):
        if detector.kind == "bege":
            continue  # too few double escapes at this size of test
        double = (table[:, 0] == index) & (table[:, 1] == Kind.SINGLE) & (table[:, 2] > 1000) & (table[:, 2] < 2300)
        cut = float(np.quantile(table[double, 6], 0.1))
        for line, sums in left.items():
            number, passed = survival(table, index, line, cut)
            sums[0] += number
            sums[1] += passed
    share = {line: passed / number for line, (number, passed) in left.items() if number}
    assert left[2614.511][0] > 300
    assert left[1592.513][0] > 20
    assert share[1592.513] > 0.75
    assert share[2103.512] < 0.3
    assert share[2614.511] < 0.25
    assert share[2614.511] > 0.04


def test_slow_surface_pulses_have_small_current(high: tuple[Experiment, np.ndarray]) -> None:
    _, table = high
    icpc = np.isin(table[:, 0], [2, 3])
    lost = icpc & (table[:, 1] == Kind.SURFACE) & (table[:, 3] < 0.5 * table[:, 2])
    single = icpc & (table[:, 1] == Kind.SINGLE)
    assert np.median(table[lost, 6]) < 0.7 * np.median(table[single, 6])


def test_drift_times_are_those_of_such_detectors(high: tuple[Experiment, np.ndarray]) -> None:
    _, table = high
    drift = table[(table[:, 1] <= Kind.MULTI), 4]
    assert np.quantile(drift, 0.01) > 80
    assert 900 < np.quantile(drift, 0.99) < 2000


def test_line_ratios_and_continuum_are_those_of_real_data(
    shared_data: Path, low: tuple[Experiment, np.ndarray]
) -> None:
    """Counts of an inverted-coaxial detector beside those in th228.fcio: peaks, and the ratio of peak to continuum."""
    real = _real_energies(shared_data / "fcio" / "th228.fcio")
    experiment, table = low
    index = [detector.name for detector in experiment.layout.detectors].index("V01001A")
    ours = table[(table[:, 0] == index) & (table[:, 1] != Kind.PULSER), 5]
    windows = [(228, 250), (575, 591), (720, 735), (2600, 2630), (1000, 2300)]
    number = [((values > low) & (values < high)).sum() for values in (real, ours) for low, high in windows]
    one, two = np.array(number[:5], float), np.array(number[5:], float)
    ratio = (one / one.sum()) / (two / two.sum())
    error = ratio * np.sqrt(1 / one + 1 / two)
    # another detector in another place: within 40 %, or three times the statistical error
    assert np.all(np.abs(ratio - 1) < np.maximum(0.4, 3 * error))


def _real_energies(path: Path) -> np.ndarray:
    """Energies of the real file by a short trapezoid, scaled by its 2614.5 and 583 keV lines."""
    heights = []
    for tag, frames in fcio.records(path):
        if tag == fcio.EVENT:
            wave = np.frombuffer(frames[4], "<u2")[2:].astype(float)
            wave -= wave[:600].mean()
            before = np.concatenate([[0.0], np.cumsum(wave)[:-1]])
            restored = wave + (1 - np.exp(-16 / 82_700)) * before
            heights.append(restored[1050:1350].mean() - restored[500:800].mean())
    values = np.array(heights)
    counts, edges = np.histogram(values, np.arange(100, 60_000, 40))
    strongest = edges[np.argmax(counts[:150])] + 20  # 238.6 keV
    near = values[np.abs(values / strongest - 2614.511 / 238.632) < 0.25]
    return values * 2614.511 / np.median(near)


def test_noise_has_the_wanted_power_and_spectrum() -> None:
    bank = np.sqrt(2) * noise.bank(rng.seeded(1), 10.0, 3.0).astype(float)
    assert bank.std() == pytest.approx(np.hypot(10.0, 3.0), rel=1e-3)
    white = np.sqrt(2) * noise.bank(rng.seeded(1), 10.0, 0.0).astype(float)
    spectrum = np.abs(np.fft.rfft(white)[1:-1]) ** 2
    assert spectrum.std() < 1e-3 * spectrum.mean()


def test_the_response_answers_a_step_with_its_height() -> None:
    # a pulse that decays is restored to a step, whose trapezoid is its height
    tau = 200_000.0
    pulse = np.exp(-np.arange(3000) * 16 / tau)
    assert np.convolve(pulse, response(tau))[:3000].max() == pytest.approx(1.0, rel=1e-9)


def test_charge_of_a_site_ends_at_its_energy() -> None:
    experiment = build()
    for detector in experiment.layout.detectors:
        model = charge.crystal(detector, experiment.constants(detector, experiment.files[0]))._replace(trapping=0.0)
        signal, slow = np.zeros(charge.FINE), np.zeros(charge.FINE)
        place = np.array([[0.5 * detector.geometry.radius, 0.0, 0.5 * detector.geometry.height]])
        total, drift = charge.collect(model, place, np.array([1000.0]), 0.0, signal, slow)
        assert total == 1000.0
        assert signal[-1] == pytest.approx(1000.0, rel=1e-6)
        assert np.all(np.diff(signal) > -1e-6)
        half = charge.FINE_NS * np.argmax(signal > 500.0)
        assert half < drift + 200


def test_a_trace_decays_with_its_time_constant() -> None:
    chain = trace.plain(1000.0, tau=50_000.0)
    steps, wave = np.zeros(4096), np.zeros(4096)
    steps[1000] = 5000.0
    trace.respond(steps, chain, wave)
    assert wave[999] == 0
    assert wave[1000] == 5000
    assert wave[2000] == pytest.approx(5000 * np.exp(-16_000 / 50_000))


def test_two_decay_constants_add_up() -> None:
    chain = trace.plain(0.0, tau=200_000.0)._replace(tau_fraction=0.1, tau_second=10_000.0)
    steps, wave = np.zeros(3000), np.zeros(3000)
    steps[0] = 1.0
    trace.respond(steps, chain, wave)
    time = np.arange(3000) * 16
    np.testing.assert_allclose(wave, 0.9 * np.exp(-time / 200_000) + 0.1 * np.exp(-time / 10_000), rtol=1e-9)


def test_a_digitiser_of_fourteen_bits_saturates_at_its_ceiling() -> None:
    experiment = build(preset="full", scale=0.01)
    first = next(file for file in experiment.files if file.datatype == "phy")
    row = [address.rawid for address in experiment.layout.tracemap].index(
        next(d for d in experiment.layout.detectors if d.name == "C04001A").address.rawid
    )
    highest = max(int(triggered.rows[row, 4:].max()) for triggered in events(experiment, replace(first, events=250)))
    assert highest == 16383


def test_light_sensors_see_single_photo_electrons_and_flashes() -> None:
    state = rng.seeded(2)
    heights, wave = np.zeros(4096), np.zeros(4096)
    heights[1000] = light.SINGLE
    light.pulses(heights, wave)
    assert wave.max() == pytest.approx(light.SINGLE, rel=0.02)
    found = []
    for _ in range(400):
        heights[:] = 0
        found.append(light.photons(state, 20.0, 10_000.0, heights))
    assert np.mean(found) == pytest.approx(20.0, abs=1.0)
