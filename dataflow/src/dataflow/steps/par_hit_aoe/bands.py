"""The distribution of A/E in a band of energies: a Gaussian of single-site events, a tail of others below it, and what
lies everywhere, such as events near the p+ contact above it.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from iminuit import Minuit, cost
from numpy.typing import NDArray
from scipy import special

from .result import BandFit, NoBand

Floats = NDArray[np.floating[Any]]

LEAST_EVENTS = 60
"""Events below which five parameters are not looked for."""
BELOW, ABOVE = 10.0, 7.0
"""The fitted range in standard deviations: further below there is no exponential any more.

Above the peak there is the constant alone. Of a short range it is known badly, and as it cannot be negative, that
makes the Gaussian narrower; far above, there is less than near the peak (pulses near the p+ contact).
"""
BINS_A_SIGMA = 4
FAR = 3.5
"""Standard deviations above the peak from which on there is no single-site event."""
SHORTEST, LONGEST = 1.5, 60.0
"""Limits of the tail's length in standard deviations; a shorter one cannot be told from the Gaussian."""
LEAST_EXPECTED = 5.0
SURE, LEAST = 3.0, 1.0
"""Of its errors by which the peak's events are above zero: without doubt, and at all.

Where less is asked for than by chance, the fits that remain are those in which the peak has taken events of the tail:
with 150 single-site events of 1500, the means of those above 3 are 0.7 of their errors low, those above 1 0.2.
"""
TOLD = 9.2
"""What a tail must add to -2 ln L to be there: 1 % of samples without one reach it with its two parameters."""
UPPER_QUARTILE = 0.6745


def cumulative(x: Floats, n_sig: float, mu: float, sigma: float, n_bkg: float, tau: float, flat: float = 0.0) -> Floats:
    """Expected events below x: a Gaussian, one folded with an exponential to lower values, and a constant density.

    The form is that of ``aoe_peak`` of pygama (pygama.pargen.AoE_cal), as an integral, for bins; the constant is ours:
    without it, what lies above the peak makes the Gaussian wider.
    """
    z = (x - mu) / sigma
    ratio = sigma / tau
    folded = special.ndtr(z) + np.exp(z * ratio + ratio**2 / 2 + special.log_ndtr(-z - ratio))
    result: Floats = n_sig * special.ndtr(z) + n_bkg * folded + flat * x
    return result


def start_of(values: Floats) -> tuple[float, float]:
    """Mode and standard deviation of the narrow peak at the upper end of a distribution, shape (events,)."""
    part = np.sort(values)
    part = part[int(0.005 * len(part)) : len(part) - int(0.005 * len(part))]
    whole = part
    while len(part) > max(20, 0.1 * len(whole)):
        half = len(part) // 2
        lengths = part[half:] - part[: len(part) - half]
        first = int(np.argmin(lengths))
        part = part[first : first + half + 1]
    mode = float(np.median(part))
    above = whole[whole > mode] - mode
    return mode, float(np.median(above)) / UPPER_QUARTILE if len(above) else 0.0


def fit_band(values: Floats, energies: Floats, low: float, high: float) -> BandFit | NoBand:
    """Fit A/E of the events of a band by a binned likelihood.

    Parameters
    ----------
    values
        A/E, shape (events,).
    energies
        In keV, shape (events,).
    low, high
        Limits of the band in keV.
    """
    if len(values) < LEAST_EVENTS:
        return NoBand(low, high, f"{len(values)} events")
    mode, width = start_of(values)
    if not 0 < width < mode / 4:
        return NoBand(low, high, "no peak in A/E")
    window = mode - BELOW * width, mode + ABOVE * width
    counts, edges = np.histogram(values, int((BELOW + ABOVE) * BINS_A_SIGMA), window)
    counted, place = counts.astype(float), (low, high, float(np.mean(energies)))
    fit = _minimise(counted, edges, mode, width)
    found = _result(fit, counted, edges, place, SURE)
    if isinstance(found, BandFit):
        return found
    # of few events, a short tail can take the place of the peak
    simple = _minimise(counted, edges, mode, width, tail=False)
    if simple.fval - fit.fval < TOLD:
        peak = _result(simple, counted, edges, place, SURE)
        return peak if isinstance(peak, BandFit) else found
    return _result(fit, counted, edges, place, LEAST)


def _minimise(counts: Floats, edges: Floats, mode: float, width: float, *, tail: bool = True) -> Minuit:
    above = 2 * counts[edges[:-1] >= mode].sum()
    density = float(counts[edges[:-1] >= mode + FAR * width].sum()) / (float(edges[-1]) - mode - FAR * width)
    signal = float(np.clip(above, 5, 0.95 * counts.sum()))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        likelihood = cost.ExtendedBinnedNLL(counts, edges, cumulative)
        fit = Minuit(
            likelihood,
            n_sig=signal,
            mu=mode,
            sigma=width,
            n_bkg=max(counts.sum() - signal, 5.0),
            tau=5 * width,
            flat=density,
        )
        fit.limits["flat"] = (0, counts.sum() / float(edges[-1] - edges[0]))
        fit.limits["n_sig"] = fit.limits["n_bkg"] = (0, 2 * counts.sum())
        fit.limits["mu"] = (mode - 3 * width, mode + 3 * width)
        fit.limits["sigma"] = (0.3 * width, 3 * width)
        fit.limits["tau"] = (SHORTEST * width, LONGEST * width)
        if not tail:
            fit.values["n_bkg"] = 0
            fit.fixed["n_bkg"] = fit.fixed["tau"] = True
        fit.migrad(ncall=2000)
        if not fit.valid:
            fit.simplex().migrad(ncall=2000)
        fit.hesse()
    return fit


def _result(
    fit: Minuit, counts: Floats, edges: Floats, place: tuple[float, float, float], least: float
) -> BandFit | NoBand:
    values, errors = fit.values.to_dict(), fit.errors.to_dict()
    low, high, energy = place
    if not fit.valid or not np.isfinite([errors["mu"], errors["sigma"]]).all():
        return NoBand(low, high, "the fit does not converge")
    if values["n_sig"] < least * errors["n_sig"] or errors["sigma"] > values["sigma"] / 2:
        return NoBand(low, high, f"no single-site peak ({values['n_sig']:.0f} ± {errors['n_sig']:.0f} events)")
    expected = np.diff(cumulative(edges, **values))
    used = expected >= LEAST_EXPECTED
    chi2 = float(((counts - expected)[used] ** 2 / expected[used]).sum())
    return BandFit(
        low, high, energy, values["mu"], errors["mu"], values["sigma"], errors["sigma"],
        values["n_sig"], values["n_bkg"], values["tau"], counts, edges, chi2, int(used.sum()) - fit.nfit,
        values["flat"],
    )  # fmt: skip
