"""One energy calibration of several runs: their events on the scales of the runs, summed; lines and curves of the sum.

Each run has a calibration of its own, which takes out how the gain changed between runs. What it cannot do well is a
weak line: the sum has the events for it. The calibration of the sum is a polynomial of the runs' energies, and what a
run applies is that polynomial of its own one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.linefit import fit_line
from dataflow.physics.lines import Source
from dataflow.steps.par_hit_ecal.build import calibrate_at, each_estimator

from .result import DetectorPartition, OfRun, PartitionCalibration
from .settings import PartitionSettings

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class RunData:
    """The events of one run.

    Attributes
    ----------
    amplitudes
        By estimator, corrected for charge trapping, in its unit, without the pulser, shape (events,).
    selected
        Which of them are good, shape (events,).
    parameters
        By estimator, the coefficients of the run's own calibration to keV, the constant first.
    """

    amplitudes: Mapping[str, Floats] = field(repr=False)
    selected: Mask = field(repr=False)
    parameters: Mapping[str, Sequence[float]]

    def energies(self, name: str) -> Floats:
        """Energies in keV by the run's own calibration, shape (events,)."""
        found: Floats = polynomial.polyval(self.amplitudes[name], list(self.parameters[name]))
        return found


def calibrate(
    runs: Mapping[str, RunData],
    settings: PartitionSettings,
    source: Source,
    left_out: Mapping[str, str] | None = None,
    note: str = "",
) -> DetectorPartition:
    """Calibrate the estimators of one detector for all runs of a partition together.

    Parameters
    ----------
    runs
        The runs that are calibrated, in order.
    settings
        How.
    source
        With which lines.
    left_out
        Why other runs of the partition are not used, by run.
    note
        What is to be said about the partition.

    Raises
    ------
    WorkFailed
        If there is no run, or no estimator can be calibrated.
    """
    absent = dict(left_out or {})
    if not runs:
        raise WorkFailed("no run can be used: " + "; ".join(f"{run}: {reason}" for run, reason in absent.items()))
    everywhere = dict.fromkeys(name for run in runs.values() for name in run.parameters)
    results, failed = each_estimator(
        settings.estimators or everywhere, lambda name: calibrate_one(name, runs, settings, source)
    )
    return DetectorPartition(results, failed, absent, note)


def calibrate_one(
    name: str, runs: Mapping[str, RunData], settings: PartitionSettings, source: Source
) -> PartitionCalibration:
    """Calibrate one estimator.

    Raises
    ------
    WorkFailed
        If a run has no calibration of it, or no line can be fitted.
    """
    without = [run for run, data in runs.items() if name not in data.parameters]
    if without:
        raise WorkFailed(f"it is not calibrated in {', '.join(without)}")
    usable, kept = _summed(name, runs, settings.threshold)
    joint = calibrate_at(1.0, kept, usable, name, settings, source)
    peak = joint.fits[-1]
    outer = list(joint.curve.parameters.values())
    found = {}
    for run, data in runs.items():
        energies = polynomial.polyval(_kept(name, data, settings.threshold), outer)
        own = composed(outer, data.parameters[name])
        found[run] = OfRun(len(energies), tuple(own), fit_line(energies, peak.line))
    return PartitionCalibration(joint, peak, found)


def composed(outer: Sequence[float], inner: Sequence[float]) -> list[float]:
    """The coefficients of the polynomial outer(inner(x)), the constant first; Horner's scheme."""
    result: Floats = np.zeros(1)
    for coefficient in reversed(outer):
        result = polynomial.polyadd(polynomial.polymul(result, inner), [coefficient])
    padded = np.zeros(max(2, len(result)))
    padded[: len(result)] = result
    return [float(value) for value in padded]


def _summed(name: str, runs: Mapping[str, RunData], threshold: float) -> tuple[Floats, Floats]:
    """The energies of all events, and of the selected ones, of all runs, in keV by the runs' own calibrations."""
    usable = [_above(data.energies(name), threshold) for data in runs.values()]
    kept = [_kept(name, data, threshold) for data in runs.values()]
    if not sum(map(len, kept)):
        raise WorkFailed(f"none of {sum(map(len, usable))} events above {threshold:g} keV is selected")
    return np.concatenate(usable), np.concatenate(kept)


def _kept(name: str, data: RunData, threshold: float) -> Floats:
    return _above(data.energies(name)[data.selected], threshold)


def _above(energies: Floats, threshold: float) -> Floats:
    kept: Floats = energies[np.isfinite(energies) & (energies > threshold)]
    return kept
