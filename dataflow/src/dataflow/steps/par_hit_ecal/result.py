"""What an energy calibration found, and what a user of it must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.physics import curves
from dataflow.physics.curves import Curve
from dataflow.physics.linefit import LineFit, NoLine
from dataflow.physics.lines import QBB
from dataflow.physics.selection import Spread

Floats = NDArray[np.floating[Any]]

BAD_LINE, BAD_CHANCE = 3.0, 1e-4
"""Chi square per degree of freedom above which, and its probability below which, the fit of a line is a warning."""
BEYOND = 1.15
"""The reference energy may lie this much, as a factor, outside of the lines of the resolution curve."""


@dataclass(frozen=True)
class EnergyCalibration:
    """The calibration of one energy estimator.

    Attributes
    ----------
    parameter
        Name of the estimator (uncalibrated).
    curve
        From its unit to keV.
    fits
        The fitted lines, in the guess's keV.
    scale
        The guess: keV per unit.
    resolution, resolution_quadratic
        Width curves, None where there are too few lines.
    energies
        Calibrated energies of the selected events, shape (events,), keV.
    left_out
        Lines that were looked for and are not used, with the reason.
    reference_energy
        Where the resolution is stated, in keV.
    before_cuts
        Calibrated energies of all events without the pulser, shape (events,), keV.
    """

    parameter: str
    curve: Curve
    fits: tuple[LineFit, ...]
    scale: float
    resolution: Curve | None
    resolution_quadratic: Curve | None
    energies: Floats = field(repr=False)
    left_out: tuple[NoLine, ...] = ()
    reference_energy: float = QBB
    before_cuts: Floats = field(repr=False, default_factory=lambda: np.empty(0))

    @property
    def slope(self) -> float:
        """Factor from the fits' unit to keV."""
        return self.curve.parameters["b"] / self.scale

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user of this calibration must know."""
        return (*self._of_curves(), *self._of_lines(), *self._of_resolution())

    def _of_curves(self) -> list[str]:
        named = {
            "calibration curve": self.curve,
            "resolution curve": self.resolution,
            "quadratic resolution curve": self.resolution_quadratic,
        }
        return curves.misfits(named, "points")

    def _of_lines(self) -> list[str]:
        return [
            f"the fit of {fit.line.key:g} keV does not describe the data (chi2/ndf = {fit.chi2 / fit.ndf:.1f})"
            for fit in self.fits
            if fit.chi2 > BAD_LINE * fit.ndf and fit.p_value is not None and fit.p_value < BAD_CHANCE
        ]

    def _of_resolution(self) -> list[str]:
        if len(self.fits) == 1:
            return ["calibrated with one line: a factor, without offset and without resolution curve"]
        used = [fit.line.energy for fit in self.fits if fit.line.for_resolution]
        if self.resolution is None:
            return [f"no resolution curve: {len(used)} of the 2 lines that it needs"]
        if min(used) / BEYOND <= self.reference_energy <= max(used) * BEYOND:
            return []
        return [
            f"the resolution at {self.reference_energy:g} keV is an extrapolation: "
            f"the fitted lines reach from {min(used):.0f} to {max(used):.0f} keV"
        ]


@dataclass(frozen=True)
class DetectorCalibration:
    """What was found for a detector.

    Attributes
    ----------
    results
        The calibrations that succeeded.
    failed
        Why others did not, by estimator.
    cut
        Column and upper limit of the cut on the baseline, None where dsp has no such column.
    monitored
        Mode and standard deviation of the monitored columns.
    absent
        Columns that were asked for, and are not there.
    left_out
        Estimators that dsp cannot have, and why.
    """

    results: tuple[EnergyCalibration, ...]
    failed: Mapping[str, str] = field(default_factory=dict)
    cut: tuple[str, float] | None = None
    monitored: Mapping[str, Spread] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """All sentences, with the estimator that each is about."""
        found = [f"{name} is not calibrated: {reason}" for name, reason in self.failed.items()]
        found += [f"{result.parameter}: {text}" for result in self.results for text in result.warnings]
        return found + [f"dsp has no column {name} to monitor" for name in self.absent]
