"""The tail of incomplete charge in the lines of a detector: what one line tells about it is known at the others.

Trapped charge is a part of the charge there is: the mean loss and the slope of the tail grow with the energy, and the
part of events in the tail does not. In the simulated detectors the cube root of the third moment of the loss at 238.6,
583 and 2614.5 keV is the same part of the energy within a third, and not the same part of the width, which would
differ by a factor of five. What is lost to noise and to earlier pulses does not grow: the power is 1 within 0.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

POWER, POWER_SPREAD = 1.0, 0.3
"""Power of the energy with which tails grow, and how well it is known before lines tell it."""
SLOPE, SLOPE_SPREAD = 1.5, 0.5
"""Slope of a tail in standard deviations of the line, before lines tell it, and the error of its logarithm: a shorter
one cannot be told from a shift, a longer one not from the background."""
LARGEST = 0.5
"""Part of events in the tail above which it is the line."""
WIDE = 5.0
"""Error of the mean loss, in standard deviations of the line, before lines tell it: no constraint."""


@dataclass(frozen=True)
class Tail:
    """The tail of a line: a normal distribution of its mean loss and of the logarithm of its slope.

    These two hardly depend on each other, while the part of events in a tail and its slope do (by -0.9).

    Attributes
    ----------
    mean
        Part of events in the tail times slope, in keV, and the logarithm of the slope in keV; shape (2,).
    covariance
        Shape (2, 2).
    """

    mean: Floats
    covariance: Floats

    @property
    def tau(self) -> float:
        """Most probable slope in keV."""
        return math.exp(self.mean[1])

    @property
    def htail(self) -> float:
        """Most probable part of events in the tail."""
        return float(self.mean[0]) / self.tau

    @property
    def root(self) -> Floats:
        """Cholesky's root of the covariance, shape (2, 2)."""
        return np.linalg.cholesky(self.covariance)

    def moved(self, loss: float, slope: float) -> tuple[float, float]:
        """Part of events and slope in keV, so many standard deviations (independent ones) from the most probable."""
        (own, _), (mixed, other) = self.root.tolist()
        tau = math.exp(self.mean[1] + mixed * loss + other * slope)
        return min(max((float(self.mean[0]) + own * loss) / tau, 0.0), LARGEST), tau

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
        Where loss and slope are stated, in keV.
    mean
        Mean loss in keV, logarithm of the slope in keV, power of the energy; shape (3,).
    covariance
        Shape (3, 3).
    """

    energy: float
    mean: Floats
    covariance: Floats

    @classmethod
    def unknown(cls, energy: float, sigma: float) -> TailShape:
        """Before any line is fitted: at a line with this standard deviation in keV, which is to be the first."""
        errors = np.array([WIDE * sigma, SLOPE_SPREAD, POWER_SPREAD])
        return cls(energy, np.array([0.0, math.log(SLOPE * sigma), POWER]), np.diag(errors**2))

    def at(self, energy: float) -> Tail:
        """The tail of a line."""
        mean, gradient = self._at(energy)
        return Tail(mean, gradient @ self.covariance @ gradient.T)

    def learned(self, energy: float, found: Tail) -> TailShape:
        """With the tail that the fit of a line found, which was constrained by what was known of it here."""
        before, gradient = self.at(energy), self._at(energy)[1]
        gain = self.covariance @ gradient.T @ np.linalg.inv(before.covariance)
        mean = self.mean + gain @ (found.mean - before.mean)
        covariance = self.covariance + gain @ (found.covariance - before.covariance) @ gain.T
        return TailShape(self.energy, mean, covariance)

    def _at(self, energy: float) -> tuple[Floats, Floats]:
        """Loss and logarithm of the slope of a line, and their derivatives by what is known."""
        loss, slope, power = self.mean
        distance = math.log(energy / self.energy)
        growth = math.exp(power * distance)
        mean = np.array([loss * growth, slope + power * distance])
        return mean, np.array([[growth, 0.0, mean[0] * distance], [0.0, 1.0, distance]])


def own_tail(sigma: float) -> Tail:
    """What is known of the tail of a line from its standard deviation in keV alone."""
    return TailShape.unknown(1.0, sigma).at(1.0)
