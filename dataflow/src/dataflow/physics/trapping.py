"""Charge trapping: the energy of a line's events falls with their drift time.

A line is a Gaussian about a straight line in energy over drift time, on a flat background. Its likelihood is maximised
by weighted linear regression (expectation maximisation: Dempster, Laird, Rubin, J. R. Stat. Soc. B 39 (1977) 1), for
many filters at once, because all see the same events. One fit gives the correction, its error, and the width that
remains; a scan of corrections with a fit at each gives the same and takes a dozen fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .goodness import p_value, scale_of
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
    """

    position: Floats
    slope: Floats
    sigma: Floats
    counts: Floats
    share: Floats
    drift: Floats
    spread: Floats

    @property
    def fwhm(self) -> Floats:
        """Full width at half maximum, in the unit of the energies."""
        return FWHM * self.sigma

    @property
    def fwhm_error(self) -> Floats:
        """Its standard error: that of a standard deviation."""
        found: Floats = self.fwhm / np.sqrt(2 * np.maximum(self.counts, 1.0))
        return found

    @property
    def factor(self) -> Floats:
        """a of energy · (1 + a · drift time), per ns."""
        relative = -self.slope / self.position
        return relative / (1 + relative * self.drift)

    @property
    def factor_error(self) -> Floats:
        """Its standard error."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.sigma / (self.position * self.spread * np.sqrt(self.counts))


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
    found, window = _Fit(centre, slope, sigma, share), _Window(width, tuple(neighbours))
    for _ in range(PASSES):
        new, moments = _improved(found, energies, times, total, window, corrected=corrected)
        change = found.distance(new, moments[2])
        found = new
        if np.all(change < close):
            break
    counts, mean, spread = moments
    position = found.centre + found.slope * mean
    return Peaks(position, found.slope, found.sigma, counts * window.parts[0], found.share, mean + middle, spread)


@dataclass(frozen=True)
class _Fit:
    """Parameters of a line: energy at time zero, slope, standard deviation, and share of the events."""

    centre: Floats
    slope: Floats
    sigma: Floats
    share: Floats

    def distance(self, other: _Fit, spread: Floats) -> Floats:
        return np.asarray(
            np.abs(self.centre - other.centre) / other.sigma
            + np.abs(self.slope - other.slope) * spread / other.sigma
            + np.abs(self.sigma / other.sigma - 1)
        )


Moments = tuple[Floats, Floats, Floats]


@dataclass(frozen=True)
class _Window:
    """Its width, and the neighbours in it."""

    width: float
    neighbours: tuple[tuple[float, float], ...]

    @property
    def distances(self) -> tuple[float, ...]:
        return (0.0, *(distance for distance, _ in self.neighbours))

    @property
    def parts(self) -> tuple[float, ...]:
        """What part of all lines each is, the line itself first."""
        total = 1 + sum(share for _, share in self.neighbours)
        return (1 / total, *(share / total for _, share in self.neighbours))


def _improved(
    fit: _Fit, energies: Floats, times: Floats, total: Floats, window: _Window, *, corrected: bool
) -> tuple[_Fit, Moments]:
    """One pass: the probability that each event belongs to a line, and the regression with these weights."""
    off = energies - fit.centre[:, None] - fit.slope[:, None] * times
    norm = (fit.share / (math.sqrt(2 * math.pi) * fit.sigma))[:, None]
    lines = [
        part * norm * np.exp(-0.5 * ((off - distance) / fit.sigma[:, None]) ** 2)
        for part, distance in zip(window.parts, window.distances, strict=True)
    ]
    scale = total / (np.sum(lines, axis=0) + ((1 - fit.share) / window.width)[:, None])
    each = [(line * scale, energies - distance) for line, distance in zip(lines, window.distances, strict=True)]
    weights = np.sum([own for own, _ in each], axis=0)
    counts = np.maximum(weights.sum(axis=1), 1e-9)
    mean_time = (weights @ times) / counts
    mean_energy = np.sum([(own * at).sum(axis=1) for own, at in each], axis=0) / counts
    late = times - mean_time[:, None]
    variance = np.maximum((weights * late * late).sum(axis=1) / counts, 1e-12)
    slope = np.zeros(len(energies))
    if corrected:
        slope = np.sum([(own * late * at).sum(axis=1) for own, at in each], axis=0) / counts / variance
    line_at = mean_energy[:, None] + slope[:, None] * late
    square = np.sum([(own * (at - line_at) ** 2).sum(axis=1) for own, at in each], axis=0) / counts
    share = np.clip(counts / total.sum(), 1e-3, 1 - 1e-3)
    sigma = np.sqrt(np.maximum(square, 1e-12))
    return _Fit(mean_energy - slope * mean_time, slope, sigma, share), (counts, mean_time, np.sqrt(variance))


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
