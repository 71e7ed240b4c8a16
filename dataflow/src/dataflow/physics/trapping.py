"""Charge trapping: the energy of a line's events falls with their drift time.

A line is a Gaussian about a straight line in energy over drift time, on a flat background. Its likelihood is maximised
by weighted linear regression (:mod:`dataflow.physics.mixture`), for many filters at once, because all see the same
events. One fit gives the correction, its error, and the width that remains; a scan of corrections with a fit at each
gives the same and takes a dozen fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .goodness import p_value, scale_of
from .mixture import Fit, Window, errors, improved
from .selection import robust_limits

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

FWHM = 2 * math.sqrt(2 * math.log(2))
FAR = 6.0
"""Robust standard deviations within which a drift time may count: slow pulses from surfaces are no trapping."""
PASSES = 200
CLOSE, ROUGH = 1e-4, 1e-3
"""Changes of all parameters, in standard deviations of the line, below which a fit has ended; the latter is enough
where only its scatter counts."""
MISFIT = 1e-3
"""Probability of a chi square below which lines contradict each other: then the error grows."""
LEAST_EVENTS = 8


@dataclass(frozen=True)
class Peaks:
    """A line, fitted in the energies of several filters.

    Attributes
    ----------
    position
        Energy at the mean drift time, shape (filters,).
    slope
        Change of the energy with the drift time, per ns, shape (filters,).
    sigma
        Standard deviation about that, shape (filters,).
    counts
        Events in the line, shape (filters,).
    share
        What part of the events that is, shape (filters,).
    drift, spread
        Mean and standard deviation of the drift times of the line in ns, shape (filters,).
    position_error, slope_error, sigma_error
        Standard errors, shape (filters,); infinite where the events do not tell them.
    """

    position: Floats
    slope: Floats
    sigma: Floats
    counts: Floats
    share: Floats
    drift: Floats
    spread: Floats
    position_error: Floats
    slope_error: Floats
    sigma_error: Floats

    @property
    def fwhm(self) -> Floats:
        """Full width at half maximum, in the unit of the energies."""
        return FWHM * self.sigma

    @property
    def fwhm_error(self) -> Floats:
        """Its standard error."""
        return FWHM * self.sigma_error

    @property
    def factor(self) -> Floats:
        """a of energy · (1 + a · drift time), per ns."""
        relative = -self.slope / self.position
        return relative / (1 + relative * self.drift)

    @property
    def factor_error(self) -> Floats:
        """Its standard error."""
        return self.slope_error / self.position


def usable_drifts(drift: Floats) -> Mask:
    """Which drift times may count, shape (events,)."""
    limits = robust_limits(drift, FAR)
    return np.isfinite(drift) & (drift > limits.low) & (drift < limits.high)


def fit_peaks(
    energies: Floats,
    drift: Floats,
    width: float,
    *,
    neighbours: Sequence[tuple[float, float]] = (),
    corrected: bool = True,
    weights: Floats | None = None,
    start: Peaks | None = None,
    close: float = CLOSE,
) -> Peaks:
    """Fit a line in the energies of several filters.

    Parameters
    ----------
    energies
        Of the same events in a window around the line, shape (filters, events).
    drift
        Drift times in ns, shape (events,); finite.
    width
        Width of the window, over which the background is flat.
    neighbours
        Lines that overlap with it: distance in the unit of the energies, and counts as a part of this line's.
    corrected
        Whether the energy may depend on the drift time.
    weights
        How often each event counts, shape (events,).
    start
        A fit to start from.
    close
        Change of all parameters, in standard deviations of the line, below which the fit has ended.
    """
    total = np.ones(energies.shape[1]) if weights is None else weights
    middle = float(np.average(drift, weights=total))
    times = drift - middle
    if start is None:
        centre, sigma = _densest(energies, width)
        slope, share = np.zeros(len(energies)), np.full(len(energies), 0.5)
    else:
        centre, sigma, slope, share = start.position, start.sigma, start.slope, start.share
        centre = centre + slope * (middle - start.drift)
    found, window = Fit(centre, slope, sigma, share), Window(width, tuple(neighbours))
    for _ in range(PASSES):
        new, moments = improved(found, energies, times, total, window, corrected=corrected)
        change = found.distance(new, moments[2])
        found = new
        if np.all(change < close):
            break
    counts, mean, spread = moments
    position, own = found.centre + found.slope * mean, counts * window.parts[0]
    known = errors(found, energies, times, total, window, moments, corrected=corrected)
    return Peaks(position, found.slope, found.sigma, own, found.share, mean + middle, spread, *known)


def _densest(energies: Floats, width: float) -> tuple[Floats, Floats]:
    """Where events are densest, and a first standard deviation, for each filter."""
    centres, sigmas = np.empty(len(energies)), np.empty(len(energies))
    for number, values in enumerate(energies):
        ordered = np.sort(values)
        half = max(len(ordered) // 4, min(LEAST_EVENTS, len(ordered)))
        lengths = ordered[half - 1 :] - ordered[: len(ordered) - half + 1]
        first = int(np.argmin(lengths))
        centres[number] = np.median(ordered[first : first + half])
        sigmas[number] = max(float(lengths[first]), width * 1e-3)
    return centres, sigmas


@dataclass(frozen=True)
class Trapping:
    """The correction of one energy estimator.

    Attributes
    ----------
    factor, error
        a of energy · (1 + a · drift time) and its error, per ns.
    of_lines
        By energy of the line in keV: factor, error, and events in the line.
    chi2, ndf
        Of the lines about their mean.
    """

    factor: float
    error: float
    of_lines: dict[float, tuple[float, float, float]] = field(default_factory=dict)
    chi2: float = 0.0
    ndf: int = 0

    @property
    def p_value(self) -> float | None:
        """Probability of lines that differ more, None where there is only one."""
        return p_value(self.chi2, self.ndf)


def joined(lines: Sequence[tuple[float, float, float, float]]) -> Trapping | None:
    """The correction from several lines: mean weighted by errors, which grow where lines contradict each other.

    Parameters
    ----------
    lines
        Energy of the line, factor, error, events.

    Returns
    -------
    Trapping or None
        None where no line has a finite error.
    """
    good = [each for each in lines if np.isfinite(each[1:3]).all() and each[2] > 0]
    if not good:
        return None
    factors, errors = np.array([each[1] for each in good]), np.array([each[2] for each in good])
    weights = errors**-2.0
    mean = float(np.average(factors, weights=weights))
    chi2, ndf = float(((factors - mean) ** 2 * weights).sum()), len(good) - 1
    error = float(weights.sum() ** -0.5) * scale_of(chi2, ndf, MISFIT)
    return Trapping(mean, error, {each[0]: each[1:] for each in good}, chi2, ndf)
