"""What the energy calibration of a partition found, and what a user of it must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from dataflow.physics.linefit import LineFit, NoLine
from dataflow.steps.par_hit_ecal.result import EnergyCalibration

SHIFTED = 3.0
"""Errors of the difference between a run's line and that of all runs above which it is a warning..."""
LEAST_SHIFT = 0.2
"""...if it is at least this much, in keV."""


@dataclass(frozen=True)
class OfRun:
    """What one run has to do with the calibration of its partition.

    Attributes
    ----------
    events
        Selected events of the run.
    parameters
        Coefficients of the calibration from the estimator's unit to keV, the constant first.
    peak
        The highest line of the partition in the events of this run, energies in keV after the calibration.
    """

    events: int
    parameters: tuple[float, ...]
    peak: LineFit | NoLine


@dataclass(frozen=True)
class PartitionCalibration:
    """The calibration of one energy estimator.

    Attributes
    ----------
    joint
        The calibration of all events, from the energies of the runs to keV.
    peak
        The highest line of all events, energies in keV before the calibration.
    runs
        By run.
    """

    joint: EnergyCalibration
    peak: LineFit
    runs: Mapping[str, OfRun]

    @property
    def position(self) -> float:
        """Where the highest line of all events is after the calibration, in keV."""
        values = list(self.joint.curve.parameters.values())
        return float(np.polynomial.polynomial.polyval(self.peak.position, values))

    def shift(self, run: str) -> tuple[float, float] | None:
        """How far the highest line of a run is from that of all events, with its error, in keV; None without a line."""
        peak = self.runs[run].peak
        return None if isinstance(peak, NoLine) else (peak.position - self.position, peak.position_error)

    @property
    def warnings(self) -> list[str]:
        """What a user of this calibration must know."""
        shifts = {run: self.shift(run) for run in self.runs}
        line = self.peak.line.key
        shifted = [
            f"in {run} the line at {line:g} keV is {found[0]:+.2f} ± {found[1]:.2f} keV from where all runs have it"
            for run, found in shifts.items()
            if found is not None and abs(found[0]) > max(SHIFTED * found[1], LEAST_SHIFT)
        ]
        without = [
            f"the line at {line:g} keV cannot be fitted in {run} alone ({of_run.peak.reason}): its calibration is not "
            "compared with that of the partition"
            for run, of_run in self.runs.items()
            if isinstance(of_run.peak, NoLine)
        ]
        return [*self.joint.warnings, *shifted, *without]


@dataclass(frozen=True)
class DetectorPartition:
    """What was found for a detector.

    Attributes
    ----------
    results
        The calibrations that succeeded.
    failed
        Why others did not, by estimator.
    left_out
        Why runs of the partition are not in it, by run.
    note
        What is to be said about the partition: that no grouping holds its run.
    """

    results: tuple[PartitionCalibration, ...]
    failed: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def warnings(self) -> list[str]:
        """All sentences, with the estimator that each is about."""
        found = [self.note] if self.note else []
        found += [f"{run} is left out: {reason}" for run, reason in self.left_out.items()]
        found += [f"{name} is not calibrated: {reason}" for name, reason in self.failed.items()]
        return found + [f"{each.joint.parameter}: {text}" for each in self.results for text in each.warnings]
