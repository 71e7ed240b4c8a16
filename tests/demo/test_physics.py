"""Photons in germanium do what the tables and formulas say."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from gebox.compiled import compiled
from gebox.experiment import build
from gebox.experiment.build import SOURCES
from gebox.physics import crosssections, decays, rng, transport
from gebox.physics.generators import Escapes, Gammas, TwoNeutrino, shape_2nbb, stops


@pytest.mark.parametrize(
    ("energy", "attenuation"),
    [(150.0, 0.2491), (300.0, 0.1131), (500.0, 0.08212), (1000.0, 0.05727), (2000.0, 0.04086), (3000.0, 0.03524)],
)
def test_attenuation_is_that_of_nist(energy: float, attenuation: float) -> None:
    # Hubbell and Seltzer, NISTIR 5632: mu/rho of natural germanium in cm2/g, coherent scattering included,
    # which XCOM gives as 2.90, 0.776, 0.286, 0.0724, 0.0182, 0.0081 barn per atom
    coherent = {150.0: 2.903, 300.0: 0.7756, 500.0: 0.286, 1000.0: 0.07242, 2000.0: 0.01817, 3000.0: 0.00808}[energy]
    parts = crosssections.germanium(np.array([energy]))
    barn = float(sum(part[0] for part in parts)) + coherent
    assert barn * crosssections.AVOGADRO_BARN / 72.63 == pytest.approx(attenuation, rel=0.005)


@compiled
def _scatter(state: rng.State, energy: float, number: int) -> np.ndarray:
    left = np.empty((number, 2))
    for index in range(number):
        left[index, 0], left[index, 1] = transport.scattered(state, energy)
    return left


@pytest.mark.parametrize(("energy", "share"), [(500.0, 0.344), (1000.0, 0.440), (2000.0, 0.531)])
def test_compton_electrons_get_the_mean_share_of_klein_and_nishina(energy: float, share: float) -> None:
    # Attix, Introduction to Radiological Physics, fig. 7.6 / appendix D.1: mean fraction of the photon's energy
    left = _scatter(rng.seeded(1), energy, 200_000)
    assert 1 - left[:, 0].mean() / energy == pytest.approx(share, abs=0.004)


def test_scattered_photons_obey_the_kinematics_of_compton() -> None:
    left = _scatter(rng.seeded(2), 2614.511, 20_000)
    expected = 2614.511 / (1 + 2614.511 / crosssections.ELECTRON_MASS * (1 - left[:, 1]))
    np.testing.assert_allclose(left[:, 0], expected, rtol=1e-9)
    # no electron gets more than the Compton edge: 2381.8 keV
    assert (2614.511 - left[:, 0]).max() < 2381.8


def test_the_angular_distribution_is_that_of_klein_and_nishina() -> None:
    energy = 1000.0
    cosine = _scatter(rng.seeded(3), energy, 400_000)[:, 1]
    counts, edges = np.histogram(cosine, 40, (-1, 1))
    middle = (edges[1:] + edges[:-1]) / 2
    ratio = 1 / (1 + energy / crosssections.ELECTRON_MASS * (1 - middle))
    density = ratio**2 * (ratio + 1 / ratio - 1 + middle**2)
    expected = density / density.sum() * counts.sum()
    chi2 = float((((counts - expected) ** 2) / expected).sum())
    assert chi2 < 40 + 5 * math.sqrt(80) + 20  # the bins are integrated by their middle


@pytest.mark.parametrize(
    ("energy", "percent"),
    [(238.632, 43.6), (727.330, 6.65), (583.187, 30.55), (2614.511, 35.85), (860.564, 4.49), (1620.50, 1.51)],
)
def test_line_intensities_are_those_of_the_evaluated_data(energy: float, percent: float) -> None:
    # DDEP: per 100 decays of 228Th in equilibrium, 35.94 % of them through 208Tl
    assert decays.intensity(decays.TH228, energy) == pytest.approx(percent, rel=0.015)


def test_energy_is_conserved() -> None:
    layout = build().layout
    world, tables = transport.array(layout.detectors), crosssections.materials()
    lines = decays.tables((1.0, ((100.0, (2614.511,)),)))
    origin = np.array([0.0, 0.0, -60.0])
    state, found, argon = rng.seeded(4), transport.sites(), np.zeros(1)
    largest = 0.0
    for _ in range(20_000):
        argon[0] = 0.0
        count = transport.decay(state, world, tables, lines, origin, found, argon)
        total = float(found.energy[:count].sum() + argon[0])
        largest = max(largest, total)
        assert total <= 2614.511 + 1e-6
        for site in range(count):
            detector = layout.detectors[found.detector[site]]
            radius = math.hypot(found.place[site, 0], found.place[site, 1])
            assert radius <= detector.geometry.radius
            assert 0 <= found.place[site, 2] <= detector.geometry.height
    assert largest == pytest.approx(2614.511)


def test_escape_peaks_lie_511_and_1022_below_the_line() -> None:
    layout = build().layout
    world, tables = transport.array(layout.detectors), crosssections.materials()
    lines = decays.tables((1.0, ((100.0, (2614.511,)),)))
    origin = np.array([60.0, 0.0, -40.0])
    state, found, argon = rng.seeded(5), transport.sites(), np.zeros(1)
    energies = []
    for _ in range(150_000):
        count = transport.decay(state, world, tables, lines, origin, found, argon)
        inside = found.detector[:count] == 2
        energies.append(float(found.energy[:count][inside].sum()))
    values = np.array(energies)
    counts = {line: int((np.abs(values - line) < 1).sum()) for line in (2614.511, 2103.513, 1592.514)}
    around = {line: int((np.abs(np.abs(values - line) - 10) < 1).sum()) / 2 for line in counts}
    for line, number in counts.items():
        assert number > 5 * (around[line] + 1)
    # one gamma escapes more often than two, and both less often than none in a crystal of two kilograms
    assert counts[2614.511] > counts[2103.513] > counts[1592.514]


def test_two_neutrino_spectrum_has_its_shape() -> None:
    generator = TwoNeutrino(rng.seeded(6), build().layout.detectors)
    energies = []
    for _ in range(20_000):
        generator.generate(0.0)
        energies.append(generator.found.energy[0])
    counts, edges = np.histogram(energies, 20, (0, TwoNeutrino.Q))
    fine = np.linspace(0, TwoNeutrino.Q, 2001)
    density = np.array([shape_2nbb(energy) for energy in fine])
    expected = np.array(
        [density[(fine >= low) & (fine < high)].sum() for low, high in zip(edges[:-1], edges[1:], strict=True)]
    )
    expected *= counts.sum() / expected.sum()
    enough = expected > 20
    pulls = (counts - expected)[enough] / np.sqrt(expected[enough])
    assert np.abs(pulls).max() < 4.5
    # the most probable sum energy of 76Ge lies near a third of the Q value
    assert 500 < fine[np.argmax(density)] < 800


def test_random_numbers_are_the_same_everywhere() -> None:
    # xoshiro256++ seeded by splitmix64(0): computed with the authors' reference code in C
    state = rng.seeded(0)
    assert [int(word) for word in state] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
        0xF88BB8A8724C81EC,
    ]
    assert int(rng.bits(state)) == 0x53175D61490B23DF
    sample = rng.uniforms(rng.seeded(1), 100_000)
    assert sample.mean() == pytest.approx(0.5, abs=0.005)
    assert sample.var() == pytest.approx(1 / 12, abs=0.002)


@compiled
def _draws(state: rng.State, mean: float, number: int) -> np.ndarray:
    values = np.empty((number, 3))
    for index in range(number):
        values[index, 0] = rng.normal(state)
        values[index, 1] = rng.exponential(state)
        values[index, 2] = rng.poisson(state, mean)
    return values


@pytest.mark.parametrize("mean", [0.5, 8.0, 120.0])
def test_distributions_have_their_moments(mean: float) -> None:
    values = _draws(rng.seeded(8), mean, 100_000)
    np.testing.assert_allclose(values.mean(axis=0), [0, 1, mean], atol=0.02 * max(1.0, mean / 10))
    np.testing.assert_allclose(values.var(axis=0), [1, 1, mean], rtol=0.03)


@pytest.mark.parametrize("source", SOURCES)
def test_sources_emit_the_lines_that_calibrations_use(source: str, repository: Path) -> None:
    """The dataflow's table of evaluated data and the simulated decays were written independently of each other."""
    table = repository / "dataflow/src/dataflow/steps/par_hit_ecal/defaults/sources.yaml"
    lines = yaml.safe_load(table.read_text())[source]["lines"]
    used = [line for line in lines if line.get("calibrates", True) and "intensity" in line]
    assert used
    for line in used:
        emitted = {e for _, path in decays.SOURCES[source] for e in path if abs(e - line["energy"]) < 0.02}
        assert len(emitted) == 1, line
        assert decays.intensity(decays.SOURCES[source], emitted.pop()) == pytest.approx(line["intensity"], rel=0.02)


def test_chosen_double_escapes_are_those_of_the_source() -> None:
    """Of decays drawn as all are: the energy of the peak, and its share of events with a photon in another detector."""
    detectors = build().layout.detectors
    chosen = Escapes(rng.seeded(3), detectors, stops(detectors))
    shared = []
    for _ in range(400):
        count = chosen.generate(150.0)
        sums = np.bincount(chosen.found.detector[:count], chosen.found.energy[:count], len(detectors))
        assert np.abs(sums - (2614.511 - 2 * 510.999)).min() < 0.01
        shared.append(np.count_nonzero(sums > 0) > 1)
    plain = Gammas(rng.seeded(4), detectors, decays.tables((1.0, decays.TH228)), stops(detectors))
    natural = []
    while len(natural) < 60:
        count = plain.generate(1500.0)
        sums = np.bincount(plain.found.detector[:count], plain.found.energy[:count], len(detectors))
        if np.abs(sums - Escapes.ENERGY).min() < 0.01:
            natural.append(np.count_nonzero(sums > 0) > 1)
    error = math.sqrt(np.mean(shared) * (1 - np.mean(shared)) * (1 / 60 + 1 / 400))
    assert np.mean(natural) == pytest.approx(np.mean(shared), abs=3 * error)
    assert 0.1 < np.mean(shared) < 0.9
