"""A/E and late charge against the truth: cuts on what dsp and the calibrations make, and on pulses without noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dataflow.physics.curves import Curve
from dataflow.steps.par_hit_aoe.calibrate import calibrate as calibrate_aoe
from dataflow.steps.par_hit_aoe.result import Result as AoeResult
from dataflow.steps.par_hit_aoe.settings import Settings as AoeSettings
from dataflow.steps.par_hit_lq.calibrate import calibrate as calibrate_lq
from dataflow.steps.par_hit_lq.result import Result as LqResult

from .noiseless import LINES, Pulses, simulated

WIDTHS = Curve("(a+b*x)**(0.5)", {"a": 0.6, "b": 0.0021}, {"a": 0.1, "b": 1e-4}, np.zeros((2, 2)), 1.0, 3)
HIGH = 1500.0
"""keV above which the noise of the late charge is that of the double-escape peak or less."""


@pytest.fixture(scope="module")
def pulses(tmp_path_factory: pytest.TempPathFactory) -> Pulses:
    return simulated(tmp_path_factory.mktemp("pulses") / "raw.lh5")


@pytest.fixture(scope="module")
def energies(pulses: Pulses) -> NDArray[Any]:
    """Calibrated by the true gain, moved to where the peaks are: fast pulses lose a little."""
    found = pulses.offset + pulses.gain * np.asarray(pulses.dsp["cuspEmax"], dtype=np.float64)
    line = pulses.energy == 2614.5
    return np.asarray(found * 2614.5 / np.median(found[line & ~pulses.surface]))


@pytest.fixture(scope="module")
def aoe(pulses: Pulses, energies: NDArray[Any]) -> AoeResult:
    dsp = pulses.dsp
    return calibrate_aoe(energies, dsp["A_max"], dsp["cuspEmax"], dsp["dt_eff"], WIDTHS, AoeSettings())


@pytest.fixture(scope="module")
def lq(pulses: Pulses, energies: NDArray[Any]) -> LqResult:
    dsp = pulses.dsp
    return calibrate_lq(energies, dsp["lq80"], dsp["cuspEmax"], dsp["dt_eff"], WIDTHS)


def test_dsp_measures_the_true_current(pulses: Pulses) -> None:
    whole = ~pulses.surface & (pulses.energy > HIGH)
    measured = pulses.dsp["A_max"][whole] / pulses.dsp["cuspEmax"][whole]
    ratio = measured / pulses.current[whole]
    assert np.std(ratio) / np.mean(ratio) < 0.005
    assert np.corrcoef(measured, pulses.current[whole])[0, 1] > 0.999


def test_the_cut_on_ae_keeps_nine_tenths_of_the_double_escape_peak(pulses: Pulses, aoe: AoeResult) -> None:
    assert aoe.low_side[1592.5].fraction == pytest.approx(0.90, abs=0.02)
    line = (pulses.energy == 1592.5) & ~pulses.surface
    kept = _classifier_of(pulses, aoe)[line] > aoe.cut
    assert np.mean(kept) == pytest.approx(0.90, abs=0.035)


def _classifier_of(pulses: Pulses, found: AoeResult) -> NDArray[Any]:
    """By event: results hold those whose columns are finite, which all are."""
    assert len(found.classifier) == len(pulses.energy)
    return found.classifier


@pytest.mark.parametrize("line", [1620.5, 2103.53, 2614.5])
def test_survival_at_lines_is_that_of_a_cut_on_the_true_ae(pulses: Pulses, aoe: AoeResult, line: float) -> None:
    whole = ~pulses.surface
    escape = np.sort(pulses.current[whole & (pulses.energy == 1592.5)])
    of_line = pulses.current[whole & (pulses.energy == line)]
    low, cut, high = (np.quantile(escape, part) for part in (0.08, 0.1, 0.12))
    truth = float(np.mean(of_line > cut))
    # the true cut has an error too: that of nine tenths of the double-escape events
    error = np.hypot(aoe.low_side[line].error, (np.mean(of_line > low) - np.mean(of_line > high)) / 2)
    assert aoe.low_side[line].fraction == pytest.approx(truth, abs=3 * error)
    assert aoe.low_side[line].error < 0.03
    assert truth == pytest.approx(LINES[line][1], abs=0.12)


def test_survival_around_qbb_is_that_of_a_cut_on_the_true_ae(
    pulses: Pulses, energies: NDArray[Any], aoe: AoeResult
) -> None:
    whole = ~pulses.surface
    cut = np.quantile(pulses.current[whole & (pulses.energy == 1592.5)], 0.1)
    around = np.abs(energies - 2039) < 35
    truth = float(np.mean(pulses.current[around] > cut))
    one = aoe.low_side[2039.0]
    assert one.fraction == pytest.approx(truth, abs=3 * one.error)
    assert one.error < 0.035


def test_late_charge_keeps_prompt_pulses_and_rejects_late_ones(pulses: Pulses, lq: LqResult) -> None:
    """By a cut on the true late charge: half a width from the double-escape peak's, and ten."""
    usable = np.isfinite(pulses.dsp["lq80"] / pulses.dsp["cuspEmax"]) & np.isfinite(pulses.dsp["dt_eff"])
    kept = np.zeros(len(pulses.energy), dtype=bool)
    kept[usable] = lq.classifier < lq.cut
    usable &= pulses.energy > HIGH
    middle = float(np.median(pulses.late[(pulses.energy == 1592.5) & ~pulses.surface]))
    width = lq.before.sigma
    prompt = usable & (pulses.late < middle + 0.5 * width)
    late = usable & (pulses.late > middle + 10 * width)
    assert np.count_nonzero(prompt) > 2000 and np.count_nonzero(late) > 500
    assert np.mean(kept[prompt]) >= 0.99
    assert np.mean(~kept[late]) >= 0.99


def test_late_charge_rejects_what_comes_out_of_the_transition_layer(pulses: Pulses, lq: LqResult) -> None:
    usable = np.isfinite(pulses.dsp["lq80"] / pulses.dsp["cuspEmax"]) & np.isfinite(pulses.dsp["dt_eff"])
    kept = np.ones(len(pulses.energy), dtype=bool)
    kept[usable] = lq.classifier < lq.cut
    surface = pulses.surface & (pulses.energy > HIGH)
    assert np.count_nonzero(surface) > 300
    assert np.mean(~kept[surface]) > 0.8
