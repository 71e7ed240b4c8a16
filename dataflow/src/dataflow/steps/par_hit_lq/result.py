"""What a calibration of late charge found, and what a user of it must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.physics.curves import Curve
from dataflow.physics.goodness import p_value
from dataflow.physics.pulseshape.survival import Survival, without_counts

Floats = NDArray[np.floating[Any]]

BAD_CHANCE = 1e-3
"""Probability of a fit's chi square below which it is a warning."""


@dataclass(frozen=True)
class PeakFit:
    """Late charge of the double-escape peak above its side band: a normal distribution.

    Attributes
    ----------
    mean, mean_error, sigma, sigma_error
        In the unit of the late charge.
    events, events_error
        Above the side band.
    on, off, edges
        Bins in the peak and in the side band, shapes (bins,), (bins,) and (bins + 1,).
    ratio
        Width of the peak's range over that of the side band.
    chi2, ndf
        Of peak less side band, in bins with enough events.
    """

    mean: float
    mean_error: float
    sigma: float
    sigma_error: float
    events: float
    events_error: float
    on: Floats = field(repr=False)
    off: Floats = field(repr=False)
    edges: Floats = field(repr=False)
    ratio: float = 1.0
    chi2: float = 0.0
    ndf: int = 0

    @property
    def p_value(self) -> float | None:
        """Probability of a larger chi square."""
        return p_value(self.chi2, self.ndf)


@dataclass(frozen=True)
class DriftLine:
    """Late charge, relative to its mean, over the drift time: slope · time + offset.

    Attributes
    ----------
    slope, slope_error
        Per ns.
    offset, offset_error
        At drift time 0.
    times, values
        Events that it follows from, shape (events,).
    """

    slope: float
    slope_error: float
    offset: float
    offset_error: float
    times: Floats = field(repr=False)
    values: Floats = field(repr=False)


@dataclass(frozen=True)
class Result:
    """The calibration of one classifier.

    Attributes
    ----------
    before
        Late charge over energy in the double-escape peak, of the run: the late charge is divided by its mean.
    line
        The drift-time correction, which is subtracted.
    after
        What is left, in the double-escape peak: its sigma is the unit of the classifier.
    cut
        Highest classifier that is kept.
    survival
        By energy.
    with_aoe
        That of this cut and both cuts on A/E together; empty where A/E is not calibrated.
    energies, classifier
        Of the selected events, shape (events,): keV, and in standard deviations.
    drift
        Drift times of the selected events in ns, shape (events,).
    widths
        FWHM of lines over the energy, in keV.
    """

    before: PeakFit
    line: DriftLine
    after: PeakFit
    cut: float
    survival: Mapping[float, Survival]
    with_aoe: Mapping[float, Survival]
    energies: Floats = field(repr=False)
    classifier: Floats = field(repr=False)
    drift: Floats = field(repr=False)
    widths: Curve = field(repr=False)

    @property
    def warnings(self) -> list[str]:
        """What a user of this classifier must know."""
        found = []
        chance = self.after.p_value
        if chance is not None and chance < BAD_CHANCE:
            found.append(f"late charge is not normally distributed (chi2/ndf = {self.after.chi2 / self.after.ndf:.1f})")
        return found + without_counts("LQ", self.survival)
