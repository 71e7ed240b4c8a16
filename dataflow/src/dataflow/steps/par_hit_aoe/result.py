"""What a calibration of A/E found, and what a user of it must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.physics.curves import Curve, misfits

Floats = NDArray[np.floating[Any]]


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


@dataclass(frozen=True)
class NoBand:
    """A band that could not be fitted, with the reason."""

    low: float
    high: float
    reason: str


@dataclass(frozen=True)
class Survival:
    """The part of a line, or of the continuum, that a cut leaves.

    Attributes
    ----------
    energy
        In keV.
    fraction, error
        Of 1; NaN where there is no line to count.
    counts, counts_error
        Of the line above its side bands before the cut.
    """

    energy: float
    fraction: float
    error: float
    counts: float
    counts_error: float


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

    @property
    def warnings(self) -> list[str]:
        """What a user of this classifier must know."""
        named = {"curve of mean of A/E": self.mean, "curve of sigma of A/E": self.sigma}
        found = misfits(named, "bands")
        missing = [f"{energy:g} keV" for energy, one in self.low_side.items() if not np.isfinite(one.fraction)]
        return found + ([f"no A/E survival fraction at {', '.join(missing)}: no counts there"] if missing else [])
