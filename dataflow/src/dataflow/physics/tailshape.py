"""The tail of incomplete charge in the lines of a detector: what one line tells about it is known at the others.

Trapped charge is a part of the charge there is: the slope of the tail grows with the energy, and the part of events in
the tail does not. In the simulated detectors the cube root of the third moment of the loss at 238.6, 583 and 2614.5 keV
is the same part of the energy within a third; beside the widths of the lines it would change by a factor of five. What
is lost to noise and to earlier pulses does not grow: the power is 1 within 0.5. Photons of low energy stop elsewhere
than those of high energy: each line has that tail within 15 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

POWER, POWER_SPREAD = 1.0, 0.5
"""Power of the energy with which slopes grow, and its error before lines tell it."""
SLOPE, SLOPE_SPREAD = 1.5, 0.5
"""Slope of a tail in standard deviations of the line, before lines tell it, and the error of its logarithm: a shorter
one cannot be told from a shift, a longer one not from the background."""
PART_SPREAD = 0.25
"""Error of the part of events in the tail before lines tell it: hardly a constraint."""
SCATTER = 0.15
"""Part of events and slope of one line differ from those of all by this part of themselves."""
LARGEST = 0.8
"""Part of events in the tail above which it would be the line."""


@dataclass(frozen=True)
class Tail:
    """What is known of the tail of a line: a normal distribution.

    Attributes
    ----------
    mean
        Part of events in the tail, and the logarithm of its slope in keV; shape (2,). The part that is estimated may
        be negative, for it has an error.
    covariance
        Shape (2, 2).
    """

    mean: Floats
    covariance: Floats

    @property
    def htail(self) -> float:
        """Most probable part of events in the tail."""
        return float(self.mean[0])

    @property
    def tau(self) -> float:
        """Most probable slope in keV."""
        return math.exp(self.mean[1])

    @property
    def root(self) -> Floats:
        """Cholesky's root of the covariance, shape (2, 2)."""
        return np.linalg.cholesky(self.covariance)

    def penalty(self, other: Tail) -> float:
        """Square of the distance of another tail, in standard deviations."""
        distance = np.linalg.solve(self.root, other.mean - self.mean)
        return float(distance @ distance)


@dataclass(frozen=True)
class TailShape:
    """The tail over energy.

    Attributes
    ----------
    energy
        Where the slope is stated, in keV.
    mean
        Part of events, logarithm of the slope in keV, power of the energy; shape (3,).
    covariance
        Shape (3, 3).
    """

    energy: float
    mean: Floats
    covariance: Floats

    @classmethod
    def unknown(cls, energy: float, sigma: float) -> TailShape:
        """Before any line is fitted: at a line with this standard deviation in keV, which is to be the first."""
        errors = np.array([PART_SPREAD, SLOPE_SPREAD, POWER_SPREAD])
        return cls(energy, np.array([0.0, math.log(SLOPE * sigma), POWER]), np.diag(errors**2))

    def at(self, energy: float) -> Tail:
        """The tail of a line."""
        gradient = self._gradient(energy)
        scatter = np.diag([SCATTER * self.mean[0], SCATTER if self.mean[0] else 0.0]) ** 2
        return Tail(gradient @ self.mean, gradient @ self.covariance @ gradient.T + scatter)

    def learned(self, energy: float, found: Tail) -> TailShape:
        """With the tail that the fit of a line found, which was constrained by what was known of it here."""
        before, gradient = self.at(energy), self._gradient(energy)
        gain = self.covariance @ gradient.T @ np.linalg.inv(before.covariance)
        mean = self.mean + gain @ (found.mean - before.mean)
        return TailShape(self.energy, mean, self.covariance + gain @ (found.covariance - before.covariance) @ gain.T)

    def _gradient(self, energy: float) -> Floats:
        return np.array([[1.0, 0.0, 0.0], [0.0, 1.0, math.log(energy / self.energy)]])


def own_tail(sigma: float) -> Tail:
    """What is known of the tail of a line from its standard deviation in keV alone."""
    return TailShape.unknown(1.0, sigma).at(1.0)
