"""The peaks of one, two, … photo-electrons in a spectrum of pulse heights."""

from __future__ import annotations

import numpy as np
from iminuit import Minuit, cost
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks
from scipy.stats import norm

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.goodness import p_value, scale_of

from .result import Comb, Floats

FINE = 0.25
"""Width of a bin of the spectrum in which maxima are sought, in standard deviations of the noise."""
SMOOTH = 1.5
"""Width of the smoothing, in the same."""
PROMINENCE = 0.05
"""How far a maximum must stand out, as a part of the highest."""
BINS = 20
"""Bins a photo-electron of the fit."""
COMB = 0.3
"""Mean of cos(2π h/g) below which heights do not follow multiples of g: widths of a quarter of g give 0.29."""
BAD = 0.01
"""Probability of a worse fit below which errors grow with the misfit."""
MOST = 12
"""Peaks that dark pulses are told by, at most: a flash may be as large as it likes."""
EXPECTED = 5.0
"""Pulses that are expected in a bin of the test of the fit, at least."""


def first_guess(heights: Floats, noise: float) -> float:
    """The height of a photo-electron, roughly: the maximum of the spectrum whose multiples the heights follow best.

    Parameters
    ----------
    heights
        In ADC counts, shape (pulses,).
    noise
        Standard deviation of a height without signal, in ADC counts.

    Raises
    ------
    WorkFailed
        If heights do not cluster at multiples of anything.
    """
    top = float(np.quantile(heights, 0.98)) * 1.5
    edges = np.arange(0.0, top + FINE * noise, FINE * noise)
    smooth = gaussian_filter1d(np.histogram(heights, edges)[0].astype(np.float64), SMOOTH / FINE)
    places, _ = find_peaks(smooth, prominence=PROMINENCE * float(smooth.max()))
    candidates = (edges[:-1] + edges[1:])[places] / 2.0
    scores = np.array([_score(heights, float(each)) for each in candidates])
    if not len(scores) or float(np.max(scores)) <= 0.0:
        raise WorkFailed(f"the heights of {len(heights)} pulses show no peaks of photo-electrons")
    best = float(candidates[int(np.argmax(scores))])
    follow = _follow(heights, best)
    if np.mean(follow) < COMB:
        raise WorkFailed(
            f"the heights of {len(heights)} pulses show no peaks of photo-electrons: the best guess of {best:.1f} ADC "
            f"explains {np.mean(follow):.2f} of 1"
        )
    return best


def _follow(heights: Floats, gain: float) -> Floats:
    """How well each height within the first peaks is a multiple of a gain: 1 at multiples, -1 between them."""
    inside = heights[(heights > 0.5 * gain) & (heights < 4.5 * gain)]
    return np.cos(2.0 * np.pi * inside / gain)


def _score(heights: Floats, gain: float) -> float:
    """That sum over heights in standard deviations of heights that are no comb; a comb has a first tooth."""
    follow = _follow(heights, gain)
    first = np.count_nonzero(np.abs(heights - gain) < 0.5 * gain)
    second = np.count_nonzero(np.abs(heights - 2.0 * gain) < 0.5 * gain)
    return float(follow.sum() / np.sqrt(max(len(follow), 1))) if first >= second else 0.0


def fit_peaks(heights: Floats, noise: float, guess: float, most: int) -> Comb:
    """Fit the peaks.

    Parameters
    ----------
    heights, noise
        As above.
    guess
        Height of a photo-electron, roughly.
    most
        Peaks, at most.

    Raises
    ------
    WorkFailed
        If the fit does not end, or at a limit.
    """
    return _fit(heights, noise, _fit(heights, noise, guess, most).gain, most)  # the range follows the gain


def _fit(heights: Floats, noise: float, guess: float, most: int) -> Comb:
    peaks = _peaks(heights, guess, most)
    edges = np.linspace(0.5 * guess, (peaks + 0.5) * guess, BINS * peaks + 1)
    counts = np.histogram(heights, edges)[0].astype(np.float64)
    numbers = np.arange(1, peaks + 1)

    def model(at: Floats, *values: float) -> Floats:
        return _cumulative(at, edges, noise, values[0], values[1], values[2], np.asarray(values[3:]))

    areas = [max(float(np.count_nonzero(np.abs(heights - k * guess) < 0.5 * guess)), 1.0) for k in numbers]
    names = ("gain", "width", "flat", *(f"area{k}" for k in numbers))
    likelihood = cost.ExtendedBinnedNLL(counts, edges, model, grad=None, name=names)
    minuit = Minuit(likelihood, guess, 0.1 * guess, 0.02 * sum(areas) + 1.0, *areas, name=names)
    minuit.limits["gain"] = (0.75 * guess, 1.25 * guess)
    minuit.limits["width"] = (0.0, 0.4 * guess)
    for name in names[2:]:
        minuit.limits[name] = (0.0, None)
    minuit.strategy = 1
    minuit.migrad(ncall=4000)
    if not minuit.valid:
        minuit.simplex().migrad(ncall=8000)
    minuit.hesse()
    gain, width, flat = (float(minuit.values[name]) for name in names[:3])
    at_limit = not 0.76 * guess < gain < 1.24 * guess
    if not minuit.fmin.is_valid or at_limit or not np.isfinite(minuit.errors["gain"]):
        raise WorkFailed(f"the peaks of {len(heights)} pulses near {guess:.1f} ADC cannot be fitted")
    expected = np.diff(model(edges, *minuit.values))
    chi2, ndf = _chi_square(counts, expected, len(names))
    scale = scale_of(chi2, ndf, BAD)
    return Comb(
        gain, float(minuit.errors["gain"]) * scale, width, float(minuit.errors["width"]) * scale, noise,
        np.array([minuit.values[name] for name in names[3:]]), flat,
        p_value(chi2, ndf), scale, counts, edges, expected,
    )  # fmt: skip


def _peaks(heights: Floats, gain: float, most: int) -> int:
    """How many peaks have pulses, without a gap."""
    for number in range(1, most + 1):
        if np.count_nonzero(np.abs(heights - number * gain) < 0.5 * gain) < 5:
            return max(number - 1, 1)
    return most


def _cumulative(
    at: Floats, edges: Floats, noise: float, gain: float, width: float, flat: float, areas: Floats
) -> Floats:
    """Pulses below some heights: peaks, and a flat part over the range of the fit."""
    numbers = np.arange(1, len(areas) + 1)
    sigmas = np.sqrt(noise**2 + numbers * width**2)
    below = norm.cdf((at[:, None] - numbers * gain) / sigmas) @ areas
    return np.asarray(below + flat * (at - edges[0]) / (edges[-1] - edges[0]))


def _chi_square(counts: Floats, expected: Floats, parameters: int) -> tuple[float, int]:
    """The chi square of neighbouring bins with enough pulses together, and its degrees of freedom."""
    groups = np.floor(np.cumsum(expected) / EXPECTED).astype(int)
    found, wanted = (np.bincount(groups, weights=values) for values in (counts, expected))
    used = wanted > 0.5 * EXPECTED
    chi2 = float(np.sum((found[used] - wanted[used]) ** 2 / wanted[used]))
    return chi2, int(used.sum()) - parameters


def shares(heights: Floats, comb: Comb) -> Floats:
    """How many of some heights are one, two, … photo-electrons, with the places and widths of known peaks.

    Returns
    -------
    shares
        Shape (peaks,), sum 1: areas of the peaks by expectation maximisation; the last one holds what is above it.
    """
    count = min(max(len(comb.areas), int(np.ceil(float(np.max(heights)) / comb.gain))), MOST)
    numbers, heights = np.arange(1, count + 1), np.minimum(heights, count * comb.gain)
    sigmas = np.array([comb.sigma(int(number)) for number in numbers])
    densities = norm.pdf(heights[:, None], numbers * comb.gain, sigmas) + 1e-300
    weights = np.full(count, 1.0 / count)
    for _ in range(200):
        parts = densities * weights
        weights = (parts / parts.sum(axis=1, keepdims=True)).mean(axis=0)
    return np.asarray(weights)
