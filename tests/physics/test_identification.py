"""What identifies a source, and what does not: one peak can be taken for any line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.jobs.errors import WorkFailed
from dataflow.physics.linefit import LineFit, fit_line
from dataflow.physics.lines import Source
from dataflow.steps.merge.build import _of_detector
from dataflow.steps.par_hit_ecal.build import calibrate, calibrate_one
from dataflow.steps.par_hit_ecal.settings import Nuclide, Settings
from dataflow.steps.par_hit_ecal.source import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping

Floats = NDArray[np.floating[Any]]
GAIN = 0.1835


def lines(random: np.random.Generator, counts: Mapping[float, int], width: float = 0.9) -> Floats:
    """Gaussian lines, energies in keV."""
    return np.concatenate([random.normal(energy, width, number) for energy, number in counts.items()])


def background(random: np.random.Generator, number: int = 4000) -> Floats:
    """A continuum to 2.7 MeV with the strongest line of natural potassium."""
    continuum = random.exponential(600, number)
    return np.concatenate([continuum[(continuum > 20) & (continuum < 2700)], random.normal(1460.8, 0.9, number // 20)])


def settings(**more: Any) -> Settings:
    """Settings of one estimator."""
    return Settings(energy_params=("trapTmax",), **more)


def source(table: Mapping[str, Nuclide], name: str = "Th228", **more: Any) -> Source:
    """The lines of a source."""
    return source_of(settings(source=name, **more), table)


@pytest.mark.parametrize("seed", range(8))
def test_a_pulser_in_every_event_is_no_calibration(seed: int, th228: Source) -> None:
    pulser = np.random.default_rng(seed).normal(7400, 5, 8000)
    with pytest.raises(WorkFailed, match="one line identifies nothing"):
        calibrate_one(pulser, "trapTmax", settings(), th228)


@pytest.mark.parametrize("seed", range(8))
def test_background_with_a_pulser_is_no_calibration(seed: int, th228: Source) -> None:
    random = np.random.default_rng(seed)
    energies = np.concatenate([background(random), random.normal(random.uniform(800, 1900), 0.8, 4000)])
    with pytest.raises(WorkFailed, match="identifies nothing|do not stand out"):
        calibrate_one(energies / GAIN, "trapTmax", settings(), th228)


@pytest.mark.parametrize("seed", range(8))
def test_a_run_without_source_is_no_calibration(seed: int, th228: Source) -> None:
    with pytest.raises(WorkFailed, match="identifies nothing|do not stand out"):
        calibrate_one(background(np.random.default_rng(seed)) / GAIN, "trapTmax", settings(), th228)


@pytest.mark.parametrize("seed", range(4))
def test_inverted_pulses_are_no_calibration(seed: int, th228: Source) -> None:
    """A filter sees of an inverted pulse its noise alone: a broad peak at a few counts, and what is negative."""
    random = np.random.default_rng(seed)
    amplitudes = np.concatenate([random.normal(25, 6, 6000), -random.exponential(3000, 6000)])
    with pytest.raises(WorkFailed, match="identifies nothing|do not stand out"):
        calibrate_one(amplitudes, "trapTmax", settings(), th228)


def test_negative_amplitudes_alone_are_named(th228: Source) -> None:
    with pytest.raises(WorkFailed, match="none of 500 events has an amplitude above 0"):
        calibrate_one(-np.arange(1.0, 501.0), "trapTmax", settings(), th228)


def test_two_lines_of_60co_identify_it(sources: Mapping[str, Nuclide]) -> None:
    random = np.random.default_rng(4)
    energies = np.concatenate([lines(random, {1173.228: 300, 1332.492: 280}), random.uniform(100, 1100, 4000)])
    result = calibrate_one((energies - 0.3) / GAIN, "trapTmax", settings(), source(sources, "Co60"))
    assert [fit.line.key for fit in result.fits] == [1173.228, 1332.492]
    assert result.curve.parameters["b"] == pytest.approx(GAIN, abs=4 * result.curve.errors["b"])
    assert result.curve.errors["b"] < 1e-3 * GAIN
    assert result.curve.p_value is None
    assert result.reference_energy == 1332.492


def test_the_ratio_of_intensities_counts(sources: Mapping[str, Nuclide]) -> None:
    """A large and a tiny peak at the distance of the lines of 60Co are not 60Co."""
    random = np.random.default_rng(4)
    energies = np.concatenate([lines(random, {1173.228: 30_000, 1332.492: 300}), random.uniform(100, 2000, 2000)])
    with pytest.raises(WorkFailed, match="identifies nothing|do not stand out"):
        calibrate_one(energies / GAIN, "trapTmax", settings(), source(sources, "Co60"))


def test_241am_alone_needs_the_word_of_the_user(sources: Mapping[str, Nuclide]) -> None:
    random = np.random.default_rng(9)
    energies = np.concatenate([random.normal(59.5409, 0.5, 3000), random.exponential(300, 2000)])
    with pytest.raises(WorkFailed, match="one line identifies nothing"):
        calibrate_one(energies / GAIN, "trapTmax", settings(), source(sources, "Am241"))
    told = settings(expected_gain=(0.1, 0.3))
    result = calibrate_one(energies / GAIN, "trapTmax", told, source(sources, "Am241"))
    assert result.curve.parameters["b"] == pytest.approx(GAIN, rel=1e-3)
    assert result.curve.parameters["a"] == 0.0
    assert result.resolution is None
    assert result.warnings == ("calibrated with one line: a factor, without offset and without resolution curve",)


def test_the_low_lines_of_241am_identify_it_where_they_are_seen(sources: Mapping[str, Nuclide]) -> None:
    random = np.random.default_rng(9)
    energies = np.concatenate([lines(random, {26.3446: 900, 59.5409: 20_000}, 0.4), random.uniform(10, 130, 3000)])
    result = calibrate_one(energies / GAIN, "trapTmax", settings(), source(sources, "Am241"))
    assert result.curve.parameters["b"] == pytest.approx(GAIN, rel=1e-3)


@pytest.mark.parametrize("name", ["K40", "Cs137", "Mn54"])
def test_a_source_with_one_line_is_refused_while_planning(name: str, sources: Mapping[str, Nuclide]) -> None:
    with pytest.raises(UserError, match="identifies nothing"):
        source(sources, name)
    assert len(source(sources, name, expected_gain=(0.1, 0.3)).lines) == 1


def test_two_nuclides_may_be_one_source(sources: Mapping[str, Nuclide]) -> None:
    both = source_of(settings(source=("Cs137", "K40")), sources)
    assert [line.energy for line in both.lines] == [661.6553, 1460.822]


def test_an_unknown_source_is_refused_with_the_nearest(sources: Mapping[str, Nuclide]) -> None:
    with pytest.raises(UserError, match="there is no source 'Th288'") as caught:
        source(sources, "Th288")
    assert "Th228" in caught.value.hint


def test_lines_are_left_out_by_their_place_and_not_by_all_digits(sources: Mapping[str, Nuclide]) -> None:
    kept = source(sources, excluded_lines=(1592.5, 583.2))
    assert [line.key for line in kept.lines] == [238.632, 727.33, 860.564, 1620.5, 2103.511, 2614.511]
    with pytest.raises(UserError, match="no line at 1333 keV"):
        source(sources, excluded_lines=(1333.0,))


def test_lines_that_are_asked_for_are_taken_from_the_source(sources: Mapping[str, Nuclide]) -> None:
    chosen = source(sources, lines=(583.2, 2614.5, 1460.8))
    assert [line.energy for line in chosen.lines] == [583.187, 1460.8, 2614.511]
    assert chosen.lines[0].intensity == 30.54


def test_224ra_stands_beside_212pb_in_the_model(th228: Source) -> None:
    lead = th228.lines[0]
    assert lead.energy == 238.632
    assert lead.neighbours == (pytest.approx((2.354, 4.12 / 43.6)),)
    bismuth = next(line for line in th228.lines if line.energy == 727.33)
    assert bismuth.neighbours == (pytest.approx((-5.07, 0.086 / 6.65)),)
    assert all(not line.neighbours for line in th228.lines if line not in (lead, bismuth))


@pytest.mark.parametrize(
    ("name", "energy", "beside"),
    [
        # what DDEP lists within the window, photons per 100 decays
        ("Ra226", 1377.669, {1377.669: 3.968, 1385.31: 0.795, 1401.5: 1.33, 1407.98: 2.389}),
        ("Ra226", 768.356, {768.356: 4.892, 765.96: 0.053, 785.96: 1.064, 786.1: 0.31, 752.84: 0.126}),
        ("Co56", 3253.402, {3253.402: 7.87, 3272.978: 1.855}),
        ("Eu152", 411.1165, {411.1165: 2.238, 416.048: 0.109}),
        ("Eu152", 1085.837, {1085.837: 10.13, 1084.0: 0.244, 1089.737: 1.73}),
        ("Eu152", 1299.142, {1299.142: 1.633, 1292.778: 0.104}),
    ],
)
def test_lines_beside_a_line_do_not_move_it(
    name: str, energy: float, beside: Mapping[float, float], sources: Mapping[str, Nuclide]
) -> None:
    line = next(line for line in source(sources, name).lines if line.energy == energy)
    random, width = np.random.default_rng(21), 0.5 + 0.0002 * energy
    counts = {gamma: round(30_000 * share / beside[energy]) for gamma, share in beside.items()}
    data = np.concatenate([lines(random, counts, width), random.uniform(energy - 45, energy + 45, 20_000)])
    fit = fit_line(data, line)
    assert isinstance(fit, LineFit)
    assert fit.position == pytest.approx(energy, abs=4 * fit.position_error)
    assert fit.position_error < 0.02
    assert fit.fwhm == pytest.approx(2.3548 * width, abs=4 * fit.fwhm_error)
    assert fit.p_value is None or fit.p_value > 1e-3


def test_configuration_of_the_published_flow_is_read_and_what_nobody_knows_refused() -> None:
    published = {"energy_params": ["cuspEmax_ctc"], "threshold": 50, "plot_options": {}, "n_events": 15000, "deg": 1}
    assert Settings.read(published, "ecal_config").energy_params == ("cuspEmax_ctc",)
    with pytest.raises(UserError, match="ecal_config has no entry 'sorce'"):
        Settings.read({"energy_params": ["cuspEmax"], "sorce": "Co60"}, "ecal_config")
    with pytest.raises(UserError, match=r"ecal_config\.deg must be one of 0, 1, 2"):
        Settings.read({"energy_params": ["cuspEmax"], "deg": 3}, "ecal_config")


def test_one_estimator_that_fails_is_a_warning_and_all_a_failure(th228: Source) -> None:
    random = np.random.default_rng(2)
    energies = np.concatenate(
        [lines(random, {238.632: 4000, 583.187: 2000, 727.33: 400, 2614.511: 900}), background(random)]
    )
    data = {"trapTmax": energies / GAIN, "cuspEmax": np.full(len(energies), np.nan)}
    every = np.ones(len(energies), dtype=bool)
    both = Settings(energy_params=("cuspEmax", "trapTmax", "zacEmax"))
    found = calibrate(data, every, both, th228, {})
    assert [result.parameter for result in found.results] == ["trapTmax"]
    assert found.failed == {
        "cuspEmax_ctc": f"none of {len(energies)} events has an amplitude above 0",
        "zacEmax_ctc": "dsp has no column zacEmax",
    }
    assert len([text for text in found.warnings if "is not calibrated" in text]) == 2
    with pytest.raises(WorkFailed, match="cuspEmax_ctc: none of"):
        calibrate(data, every, Settings(energy_params=("cuspEmax",)), th228, {})


def test_warnings_of_all_steps_are_in_the_parameter_file_of_the_tier() -> None:
    failed = {"status": {"state": "failed", "step": "par_hit_aoe", "reason": "too few events"}}
    ecal = {"results": {"ecal": {}}, "warnings": ["a curve does not fit", "one peak"]}
    merged = _of_detector({"par_hit_ecal": ecal, "par_hit_aoe": failed | {"warnings": ["one peak", "few events"]}})
    assert merged["warnings"] == {"par_hit_ecal": "a curve does not fit; one peak", "par_hit_aoe": "few events"}
    assert merged["status"]["step"] == "par_hit_aoe"
    assert merged["results"] == {"ecal": {}}
