"""The calibration of late charge from arrays: corrections, classifier, survival fractions. No files here."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from iminuit import Minuit
from numpy.typing import NDArray
from scipy import special

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.curves import Curve, least_squares
from dataflow.physics.pulseshape.survival import DEP, survival_fractions
from dataflow.physics.selection import core_of

from .result import DriftLine, PeakFit, Result

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

PEAK = (-8.0, 5.0)
"""Range of the double-escape peak in keV around it, as the published flow has it."""
SIDE = (7.0, 20.0)
"""Its side band: above it, and below the line of 1620.5 keV."""
NARROW = 3.0
"""Half of the range in keV from which the drift-time correction follows."""
CUT = 3.0
"""The classifier above which the charge is late."""
WITHIN = 3.0
"""The fitted range in widths of the distribution."""
BINS_A_WIDTH = 4
LEAST_EVENTS = 40
"""Events in the peak below which nothing is fitted."""
LEAST_SIGNIFICANCE = 5.0
ROUNDS = 10
NEAR = 2.0
"""Events of the drift-time correction are at most this many standard deviations from the line."""
TRUNCATED = 0.8796
"""Standard deviation of a unit normal distribution of which only +-2 sigma are left."""
PERCENTILES = (10.0, 95.0)
"""Drift times between these percentiles of the peak's events are used."""
LEAST_EXPECTED = 5.0


def calibrate(
    energies: Floats, late: Floats, amplitudes: Floats, drift: Floats, widths: Curve, aoe: Mask | None = None
) -> Result:
    """Calibrate the late charge of one detector.

    Parameters
    ----------
    energies
        Calibrated, in keV, of the selected events; shape (events,), as the following.
    late
        Late charge as in dsp.
    amplitudes
        Uncalibrated energies, by which it is divided.
    drift
        Drift times in ns.
    widths
        FWHM of lines over the energy, in keV: ``sqrt(a + b x)``.
    aoe
        Which events both cuts on A/E keep; None where A/E is not calibrated.

    Raises
    ------
    WorkFailed
        If there is no double-escape peak, or its late charge cannot be fitted.
    """
    ratio = np.divide(late, amplitudes, out=np.full(len(energies), np.nan), where=amplitudes > 0)
    usable = np.isfinite(ratio) & np.isfinite(energies) & np.isfinite(drift)
    energies, ratio, drift = energies[usable], ratio[usable], np.asarray(drift[usable], dtype=np.float64)
    before = fit_peak(ratio, energies)
    if not before.mean > LEAST_SIGNIFICANCE * before.mean_error:
        raise WorkFailed(
            f"the late charge of the double-escape peak is {before.mean:.2g} ± {before.mean_error:.1g} of the energy: "
            "it cannot be the unit"
        )
    scaled = ratio / before.mean
    line = drift_line(scaled, energies, drift)
    corrected = scaled - line.slope * drift - line.offset
    after = fit_peak(corrected, energies)
    # the mean of the peak is the origin: a line through few events may miss it by more than its own error
    line = DriftLine(
        line.slope, line.slope_error, line.offset + after.mean, line.offset_error, line.times, line.values
    )  # fmt: skip
    classifier = (corrected - after.mean) / after.sigma
    passes = classifier < CUT
    both = {} if aoe is None else survival_fractions(energies, passes & aoe[usable], widths)
    return Result(
        before,
        line,
        after,
        CUT,
        survival_fractions(energies, passes, widths),
        both,
        energies,
        classifier,
        drift,
        widths,
    )


def fit_peak(values: Floats, energies: Floats) -> PeakFit:
    """Fit a quantity of the double-escape peak's events: a normal distribution above what the side band has.

    Both are counts: the likelihood is that of two Poisson numbers a bin, whose background is the one that describes
    both best (W statistic; K. A. Arnaud, XSPEC manual, appendix B, after W. Cash, ApJ 228 (1979) 939). The published
    flow sets negative differences to 0, which widens the distribution.

    Parameters
    ----------
    values
        Shape (events,).
    energies
        In keV, shape (events,).

    Raises
    ------
    WorkFailed
        If there are too few events, or the fit does not converge.
    """
    distance = energies - DEP
    peak = values[(distance > PEAK[0]) & (distance < PEAK[1])]
    side = values[(distance > SIDE[0]) & (distance < SIDE[1])]
    ratio = (PEAK[1] - PEAK[0]) / (SIDE[1] - SIDE[0])
    net, error = len(peak) - ratio * len(side), float(np.sqrt(len(peak) + ratio**2 * len(side)))
    if len(peak) < LEAST_EVENTS or not net > LEAST_SIGNIFICANCE * error:
        raise WorkFailed(f"no double-escape peak at {DEP:g} keV: {net:.0f} ± {error:.0f} counts above background")
    core = core_of(peak)
    if core is None:
        raise WorkFailed(f"the late charge of {len(peak)} events in the double-escape peak is the same")
    mode, width = core
    edges = np.linspace(mode - WITHIN * width, mode + WITHIN * width, int(2 * WITHIN * BINS_A_WIDTH) + 1)
    on, off = (np.histogram(part, edges)[0].astype(float) for part in (peak, side))
    return _result(_minimise(on, off, edges, ratio, (max(net, 5.0), mode, width)), on, off, edges, ratio)


def expected(edges: Floats, events: float, mean: float, sigma: float) -> Floats:
    """Expected events of a normal distribution in bins, shape (bins,)."""
    return np.asarray(events * np.diff(special.ndtr((edges - mean) / sigma)))


def background(signal: Floats, on: Floats, off: Floats, ratio: float) -> Floats:
    """The side band's expected counts that describe both numbers best, for given signal; shape (bins,)."""
    a, b = ratio * (1 + ratio), signal * (1 + ratio) - ratio * (on + off)
    found: Floats = (-b + np.sqrt(b**2 + 4 * a * off * signal)) / (2 * a)
    return np.maximum(found, 0.0)


def _minimise(on: Floats, off: Floats, edges: Floats, ratio: float, start: tuple[float, float, float]) -> Minuit:
    def cost(events: float, mean: float, sigma: float) -> float:
        signal = np.maximum(expected(edges, events, mean, sigma), 1e-12)
        off_mean = background(signal, on, off, ratio)
        on_mean = signal + ratio * off_mean
        logs = special.xlogy(on, on_mean) + special.xlogy(off, np.maximum(off_mean, 1e-300))
        return float(2 * np.sum(on_mean + off_mean - logs))

    events, mode, width = start
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        fit = Minuit(cost, events=events, mean=mode, sigma=width)
        fit.errordef = Minuit.LEAST_SQUARES
        fit.limits["events"] = (0, 3 * (on.sum() + 10))
        fit.limits["mean"] = (mode - 2 * width, mode + 2 * width)
        fit.limits["sigma"] = (0.2 * width, 3 * width)
        fit.migrad(ncall=2000)
        if not fit.valid:
            fit.simplex().migrad(ncall=2000)
        fit.hesse()
    return fit


def _result(fit: Minuit, on: Floats, off: Floats, edges: Floats, ratio: float) -> PeakFit:
    values, errors = fit.values.to_dict(), fit.errors.to_dict()
    if not fit.valid or not np.isfinite(list(errors.values())).all() or errors["sigma"] > values["sigma"] / 2:
        raise WorkFailed(f"the late charge of {on.sum():.0f} events in the double-escape peak cannot be fitted")
    signal = expected(edges, *(values[name] for name in ("events", "mean", "sigma")))
    off_mean = background(np.maximum(signal, 1e-12), on, off, ratio)
    variance = signal + ratio * off_mean + ratio**2 * off_mean
    used = variance >= LEAST_EXPECTED
    chi2 = float((((on - ratio * off - signal) ** 2)[used] / variance[used]).sum())
    return PeakFit(
        values["mean"], errors["mean"], values["sigma"], errors["sigma"], values["events"], errors["events"],
        on, off, edges, ratio, chi2, int(used.sum()) - fit.nfit,
    )  # fmt: skip


def drift_line(scaled: Floats, energies: Floats, drift: Floats) -> DriftLine:
    """The straight line of late charge over the drift time in the double-escape peak.

    The events near it are found again in each round: a range around the mean, as in the published flow, cuts the
    line's ends and makes it flatter.

    Raises
    ------
    WorkFailed
        If there are too few events, or all have the same drift time.
    """
    inside = np.abs(energies - DEP) < NARROW
    if np.count_nonzero(inside) < LEAST_EVENTS:
        raise WorkFailed(f"{np.count_nonzero(inside)} events in the double-escape peak, {LEAST_EVENTS} are needed")
    low, high = np.percentile(drift[inside], PERCENTILES)
    chosen = inside & (drift >= low) & (drift <= high)
    x, y = drift[chosen], scaled[chosen]
    core = core_of(y)
    if core is None or np.ptp(x) == 0:
        raise WorkFailed("the drift times do not allow a correction of late charge: they are all the same")
    centre, unit = float(x.mean()), float(np.ptp(x))
    offset, spread = core
    slope, near = 0.0, np.ones(len(x), dtype=bool)
    covariance: Floats = np.eye(2)
    for _ in range(ROUNDS):
        residual = y - offset - slope * (x - centre) / unit
        near = np.abs(residual) < NEAR * spread
        if np.count_nonzero(near) < LEAST_EVENTS / 2:
            raise WorkFailed("late charge does not follow a line over the drift time")
        design = np.stack([(x[near] - centre) / unit, np.ones(np.count_nonzero(near))], axis=1)
        (slope, offset), covariance, chi2 = least_squares(design, y[near], np.ones(len(design)))
        variance = chi2 / max(len(design) - 2, 1)
        spread = float(np.sqrt(variance)) / TRUNCATED
    errors = np.sqrt(np.diag(covariance)) * spread
    return DriftLine(
        float(slope) / unit, float(errors[0]) / unit, float(offset - slope * centre / unit),
        float(np.hypot(errors[1], errors[0] * centre / unit)), x[near], y[near],
    )  # fmt: skip
