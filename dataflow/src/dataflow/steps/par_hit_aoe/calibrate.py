"""The calibration of A/E from arrays: corrections, classifier, cut and survival fractions. No files here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.curves import Curve, fitted, least_squares, squares_of_widths
from dataflow.physics.pulseshape.survival import survival_fractions

from .bands import fit_band
from .cut import cut_at
from .result import BandFit, NoBand, Result, Slice
from .settings import ParameterSet

Floats = NDArray[np.floating[Any]]

REFERENCE = (1000.0, 1300.0)
"""Compton continuum in keV by which A/E is followed in time."""
RANGE = (900.0, 2350.0)
"""Where the Compton bands lie, in keV."""
DRIFT_RANGE = (1000.0, 2350.0)
LINES = (1078.6, 1093.9, 1512.7, 1592.5, 1620.5, 2103.5)
"""Gamma lines and escape peaks of 228Th in this range: their A/E is not that of the continuum."""
AROUND = 10.0
"""How far from a line, in keV, its events reach."""
EVENTS_A_BAND = 4000
"""Of which a tenth may be single-site: of 150 single-site events among 1,500, means are 0.2 of their errors low, which
the curve through many of them shows: 0.9 of its errors.
"""
WIDEST_BAND = 160.0
LEAST_BANDS = 4
ROUNDS = 8
EVENTS_A_SLICE, MOST_SLICES = 800, 12
"""Events from 1000 to 1300 keV in a part of the run that is fitted alone, and how many such parts there are."""
WITHIN = 2.5
"""Events of the drift-time correction are at most this many standard deviations from the line."""


def calibrate(
    energies: Floats,
    current: Floats,
    amplitudes: Floats,
    drift: Floats | None,
    widths: Curve,
    settings: ParameterSet,
    stamps: Floats | None = None,
) -> Result:
    """Calibrate A/E of one detector.

    Parameters
    ----------
    energies
        Calibrated, in keV, of the selected events; shape (events,), as the following.
    current
        Maximum of the current.
    amplitudes
        Uncalibrated energies, by which the current is divided.
    drift
        Drift times in ns, None where they are not needed.
    widths
        FWHM of lines over the energy, in keV: ``sqrt(a + b x)``.
    settings
        How.
    stamps
        When, in s; None where A/E is not followed along the run.

    Raises
    ------
    WorkFailed
        If there are not enough events, or no double-escape peak.
    """
    ratio = np.divide(current, amplitudes, out=np.full(len(energies), np.nan), where=amplitudes > 0)
    usable = np.isfinite(ratio) & np.isfinite(energies)
    corrects = settings.dt_corr and drift is not None
    times = np.asarray(np.full(len(energies), np.nan) if drift is None else drift, dtype=np.float64)
    usable &= np.isfinite(times) | (not corrects)
    energies, ratio, times = energies[usable], ratio[usable], times[usable]
    time = reference_of_all(ratio, energies)
    scaled = ratio / time.mean
    alpha = alpha_error = None
    if corrects:
        alpha, alpha_error = drift_slope(scaled, energies, times)
        scaled = scaled * (1 + alpha * times)
    bands, left_out = fit_bands(scaled, energies, settings.compt_bands_width)
    mean, sigma = mean_curve(bands), sigma_curve(bands)
    classifier = (scaled / _mean_at(mean, energies) - 1) / sigma_at(sigma, energies)
    cut, cut_error = cut_at(energies, classifier, widths)
    slices = () if stamps is None else along_the_run(scaled, energies, np.asarray(stamps)[usable])
    passes, below = classifier > cut, classifier < settings.high_cut_val
    lower, higher = classifier > cut - cut_error, classifier > cut + cut_error
    return Result(
        time, alpha, alpha_error, tuple(bands), tuple(left_out), mean, sigma, cut, cut_error,
        settings.high_cut_val, survival_fractions(energies, passes, widths, (lower, higher)),
        survival_fractions(energies, passes & below, widths, (lower & below, higher & below)),
        energies, ratio, classifier, widths, slices, np.empty(0) if drift is None else times, usable,
    )  # fmt: skip


def reference(ratio: Floats, energies: Floats) -> BandFit | NoBand:
    """The fit of A/E in the continuum from 1000 to 1300 keV.

    Parameters
    ----------
    ratio
        A/E, shape (events,).
    energies
        In keV, shape (events,).
    """
    inside = away_from_lines(energies) & (energies > REFERENCE[0]) & (energies < REFERENCE[1])
    return fit_band(ratio[inside], energies[inside], *REFERENCE)


def reference_of_all(ratio: Floats, energies: Floats) -> BandFit:
    """The same, which must be there.

    Raises
    ------
    WorkFailed
        If it is not.
    """
    fit = reference(ratio, energies)
    if isinstance(fit, NoBand):
        raise WorkFailed(f"A/E cannot be fitted between {REFERENCE[0]:g} and {REFERENCE[1]:g} keV: {fit.reason}")
    return fit


def along_the_run(scaled: Floats, energies: Floats, stamps: Floats) -> tuple[Slice, ...]:
    """A/E from 1000 to 1300 keV in parts of the run with equally many events; none where there would be less than two.

    Parameters
    ----------
    scaled
        A/E over its mean in the whole run, shape (events,).
    energies, stamps
        In keV and s, shape (events,).
    """
    inside = away_from_lines(energies) & (energies > REFERENCE[0]) & (energies < REFERENCE[1])
    values, places, when = scaled[inside], energies[inside], stamps[inside]
    number = min(len(values) // EVENTS_A_SLICE, MOST_SLICES)
    if number < 2:
        return ()
    parts = np.array_split(np.argsort(when, kind="stable"), number)
    fits = [(part, fit_band(values[part], places[part], *REFERENCE)) for part in parts]
    return tuple(
        Slice(float(when[part].mean()), fit.mean, fit.mean_error) for part, fit in fits if isinstance(fit, BandFit)
    )


def away_from_lines(energies: Floats) -> NDArray[np.bool_]:
    """Which events are in the continuum, shape (events,)."""
    near = np.zeros(len(energies), dtype=bool)
    for line in LINES:
        near |= np.abs(energies - line) < AROUND
    return ~near


def drift_slope(scaled: Floats, energies: Floats, drift: Floats) -> tuple[float, float]:
    """The factor alpha per ns, and its error, for which A/E (1 + alpha · drift time) does not depend on that time.

    A straight line through the single-site events, whose band is found again in each round.

    Raises
    ------
    WorkFailed
        If all drift times are the same.
    """
    inside = away_from_lines(energies) & (energies > DRIFT_RANGE[0]) & (energies < DRIFT_RANGE[1]) & (drift > 0)
    y, x = scaled[inside], drift[inside]
    if len(x) < 2 * LEAST_BANDS or np.ptp(x) == 0:
        raise WorkFailed("the drift times do not allow a correction of A/E: they are all the same, or absent")
    centre, slope = 1.0, 0.0
    spread = 3 * float(np.median(np.abs(y[y > 1] - 1))) if (y > 1).any() else 0.05
    error = float("nan")
    for _ in range(ROUNDS):
        residual = y - centre - slope * x
        near = np.abs(residual) < WITHIN * spread
        (slope, centre), covariance = np.polyfit(x[near], y[near], 1, cov=True)
        spread = float(np.std((y - centre - slope * x)[near])) * 1.1  # a cut at 2.5 sigma takes a tenth of the width
        error = float(np.sqrt(covariance[0, 0]))
    return -float(slope) / float(centre), error / float(centre)


def fit_bands(scaled: Floats, energies: Floats, width: float) -> tuple[list[BandFit], list[NoBand]]:
    """Fit A/E in bands of the Compton continuum, wide enough to hold some events each.

    Raises
    ------
    WorkFailed
        If fewer bands than curves need can be fitted.
    """
    chosen = away_from_lines(energies) & (energies > RANGE[0]) & (energies < RANGE[1])
    scaled, energies = scaled[chosen], energies[chosen]
    while width < WIDEST_BAND and len(energies) * width / (RANGE[1] - RANGE[0]) < EVENTS_A_BAND:
        width = min(2 * width, WIDEST_BAND)
    edges = np.arange(RANGE[0], RANGE[1] + width / 2, width)
    places = np.digitize(energies, edges)
    found = [
        fit_band(scaled[places == index + 1], energies[places == index + 1], float(low), float(low + width))
        for index, low in enumerate(edges[:-1])
    ]
    fits = [one for one in found if isinstance(one, BandFit)]
    left_out = [one for one in found if isinstance(one, NoBand)]
    if len(fits) < LEAST_BANDS:
        raise WorkFailed(
            f"A/E can be fitted in {len(fits)} of {len(found)} bands of the Compton continuum "
            f"({len(energies)} events), and {LEAST_BANDS} are needed"
        )
    return fits, left_out


def mean_curve(bands: Sequence[BandFit]) -> Curve:
    """The line a x + b through the means of the bands."""
    energies, means = np.array([[band.energy, band.mean] for band in bands]).T
    design = np.stack([energies, np.ones(len(bands))], axis=1)
    solution, covariance, chi2 = least_squares(design, means, 1 / _usual_errors(bands, energies))
    return fitted("x*a+b", "ab", solution, covariance, chi2, len(bands) - 2)


def _usual_errors(bands: Sequence[BandFit], energies: Floats) -> Floats:
    """Errors of the means as they are on average for the width at the energy and the number of events of a band.

    A peak that has taken events of the tail by chance has a low mean and, having more events, a small error: where a
    tenth of the events is single-site, weights by the errors themselves put the line 0.4 to 1.1 of its errors low.
    """
    usual = sigma_at(sigma_curve(bands), energies) / np.sqrt([float(band.counts.sum()) for band in bands])
    errors = np.array([band.mean_error for band in bands])
    return np.asarray(usual * np.sqrt(np.mean((errors / usual) ** 2)))


def sigma_curve(bands: Sequence[BandFit]) -> Curve:
    """The relative width sqrt(a + (b/x)**c), c = 2: a part of the pulses, and the noise of the current over the energy.

    Its square is linear in a and b², none of which is negative; c is a parameter of the published flow's form.
    """
    energies = np.array([band.energy for band in bands])
    widths = np.array([band.sigma / band.mean for band in bands])
    relative = np.array([band.sigma_error / band.sigma for band in bands])
    unit = float(np.median(energies))
    design = np.stack([np.ones(len(bands)), (unit / energies) ** 2], axis=1)
    solution, covariance, chi2 = squares_of_widths(design, widths, relative)
    noise = float(np.sqrt(solution[1])) * unit
    step = np.array([1.0, unit**2 / (2 * noise) if noise else 0.0])
    full = np.zeros((3, 3))
    full[:2, :2] = covariance * np.outer(step, step)
    values = np.array([solution[0], noise, 2.0])
    return fitted("(a+(b/x)**c)**(0.5)", "abc", values, full, chi2, len(bands) - 2)


def _mean_at(curve: Curve, energies: Floats) -> Floats:
    return curve.parameters["a"] * energies + curve.parameters["b"]


def sigma_at(curve: Curve, energies: Floats) -> Floats:
    """The relative width at energies in keV, shape as given."""
    a, b, c = (curve.parameters[letter] for letter in "abc")
    result: Floats = np.sqrt(a + (b / energies) ** c)
    return result
