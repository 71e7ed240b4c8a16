"""What a calibration of A/E found, and what a user of it must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.physics.curves import Curve, misfits
from dataflow.physics.goodness import p_value
from dataflow.physics.pulseshape.survival import Survival, without_counts

Floats = NDArray[np.floating[Any]]

UNSTABLE = 1e-4
"""Probability of the slices' chi square below which A/E is not constant in the run."""


@dataclass(frozen=True)
class BandFit:
    """The fitted A/E of the events between two energies.

    Attributes
    ----------
    low, high
        Limits of the energy in keV.
    energy
        Mean energy of the events in keV.
    mean, mean_error, sigma, sigma_error
        Of the single-site peak, in the unit of A/E.
    tail, tau
        Events in the tail, and its length in the unit of A/E.
    signal
        Events in the peak.
    counts, edges
        The fitted bins, shapes (bins,) and (bins + 1,).
    chi2, ndf
        Pearson's, in bins with at least five expected events.
    flat
        Density of what lies everywhere, in events per unit of A/E.
    """

    low: float
    high: float
    energy: float
    mean: float
    mean_error: float
    sigma: float
    sigma_error: float
    signal: float
    tail: float
    tau: float
    counts: Floats = field(repr=False)
    edges: Floats = field(repr=False)
    chi2: float = 0.0
    ndf: int = 0
    flat: float = 0.0


@dataclass(frozen=True)
class NoBand:
    """A band that could not be fitted, with the reason."""

    low: float
    high: float
    reason: str


@dataclass(frozen=True)
class Slice:
    """The fit of 1000 to 1300 keV in a part of the run.

    Attributes
    ----------
    time
        Mean of its events, in s.
    mean, mean_error
        Relative to the whole run.
    """

    time: float
    mean: float
    mean_error: float


@dataclass(frozen=True)
class OfRun:
    """What is known of one run of a partition.

    Attributes
    ----------
    time
        The fit of 1000 to 1300 keV in this run, or why there is none.
    scale
        Its mean over that of all runs, by which its A/E is divided; 1 where there is no fit.
    low_side, two_sided
        Survival fractions of its events by energy.
    """

    time: BandFit | NoBand
    scale: float
    low_side: Mapping[float, Survival] = field(default_factory=dict)
    two_sided: Mapping[float, Survival] = field(default_factory=dict)

    @property
    def relative_error(self) -> float | None:
        """That of the mean of A/E; None where there is no fit."""
        return self.time.mean_error / self.time.mean if isinstance(self.time, BandFit) else None


@dataclass(frozen=True)
class Result:
    """The calibration of one classifier.

    Attributes
    ----------
    time
        The fit of 1000 to 1300 keV in the whole run: A/E is divided by its mean.
    alpha, alpha_error
        Slope of the drift-time correction per ns; None where there is none.
    bands, left_out
        The Compton bands.
    mean, sigma
        Curves over the energy: of A/E after the corrections for time and drift time, and of the relative width.
    cut, cut_error
        Lowest classifier that is kept.
    high
        Highest classifier that is kept.
    low_side, two_sided
        Survival fractions by energy.
    energies, uncorrected, classifier
        Of the selected events, shape (events,): keV, A/E as in dsp, and in standard deviations.
    widths
        FWHM of lines over the energy, in keV.
    slices
        A/E along the run, in parts with equally many events; none where they are too few.
    drift
        Drift times of the selected events in ns, shape (events,); empty where dsp has none.
    used
        Which of the events that were given these are; those without A/E are left out.
    runs
        Of a partition: what is known of each run. What is uncorrected is then divided by the scale of its run.
    """

    time: BandFit
    alpha: float | None
    alpha_error: float | None
    bands: tuple[BandFit, ...]
    left_out: tuple[NoBand, ...]
    mean: Curve
    sigma: Curve
    cut: float
    cut_error: float
    high: float
    low_side: Mapping[float, Survival]
    two_sided: Mapping[float, Survival]
    energies: Floats = field(repr=False)
    uncorrected: Floats = field(repr=False)
    classifier: Floats = field(repr=False)
    widths: Curve = field(repr=False)
    slices: tuple[Slice, ...] = ()
    drift: Floats = field(repr=False, default_factory=lambda: np.empty(0))
    used: NDArray[np.bool_] = field(repr=False, default_factory=lambda: np.empty(0, dtype=bool))
    runs: Mapping[str, OfRun] = field(default_factory=dict)

    @property
    def stability(self) -> tuple[float, int]:
        """Chi square of the slices about their mean, and its degrees of freedom."""
        if len(self.slices) < 2:
            return 0.0, 0
        means, errors = np.array([[each.mean, each.mean_error] for each in self.slices]).T
        average = np.average(means, weights=errors**-2)
        return float((((means - average) / errors) ** 2).sum()), len(means) - 1

    @property
    def warnings(self) -> list[str]:
        """What a user of this classifier must know."""
        named = {"curve of mean of A/E": self.mean, "curve of sigma of A/E": self.sigma}
        found = misfits(named, "bands")
        chi2, ndf = self.stability
        chance = p_value(chi2, ndf)
        if chance is not None and chance < UNSTABLE:
            reach = 100 * float(np.ptp([each.mean for each in self.slices]))
            where = "between the runs, or within them," if len(self.runs) > 1 else "within the run"
            found.append(f"A/E changes by {reach:.2g} % {where} (chi2/ndf = {chi2 / ndf:.1f})")
        for run, each in self.runs.items():
            if isinstance(each.time, NoBand) and len(self.runs) > 1:
                found.append(f"A/E of {run} is divided by the mean of all runs, having none: {each.time.reason}")
        return found + without_counts("A/E", self.low_side)
