"""One or two decay constants, from the tails of clean, large pulses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.selection import MAD_TO_SIGMA, robust_limits

from .result import DecayConstants, Floats, Superpulse, TwoPoles, Value
from .settings import PzSettings
from .twopoles import Poles, Tails, binned, first_guess, fitted, shape_of, superpulse, usual

MEDIAN_ERROR = 1.2533
"""Standard error of the median over that of the mean, for a normal distribution."""
CLIP = 4.0
LEAST_FRACTION = 0.002
"""A smaller second part is not told from what slow pulses, and noise of low frequency, make of a superpulse."""
SIGNIFICANCE = 5.0
"""Errors that the fraction of a second decay constant must be above zero."""
LEAST_GAIN = 2.0
"""By this factor two decay constants must describe the superpulse better than one."""
LARGEST_RATIO = 0.5
"""Of the shorter to the longer decay constant: nearer to each other they cannot be told apart in a trace."""

Column = NDArray[Any]


def calibrate(data: Mapping[str, Column], periods: tuple[float, float], settings: PzSettings) -> DecayConstants:
    """The decay constants of a detector.

    Parameters
    ----------
    data
        Columns of the processing chain, shape (events,); ``tail_slope`` is that of the logarithm of the tail, per
        sample. With traces, ``wf_presum`` has the shape (events, samples), and ``bl_mean`` is there.
    periods
        Sampling period in ns of what the slope is per, and that of ``wf_presum``.
    settings
        How.

    Raises
    ------
    WorkFailed
        If there are too few clean tails, or two decay constants are asked for and not found.
    """
    good = clean(data, settings)
    taus = -periods[0] / data["tail_slope"][good].astype(np.float64)
    core = clipped(taus)
    if len(core) < settings.least:
        raise WorkFailed(f"{len(core)} clean tails are too few for a decay constant, {settings.least} are needed")
    single = median(core)
    if settings.mode == "single" or "wf_presum" not in data:
        return DecayConstants(single, len(core), taus)
    try:
        cut = binned(data["wf_presum"][good], data["bl_mean"][good], periods[1], settings.offset * 1e3)
        tails = usual(cut)
        pulse, two, why = two_poles(tails, single.value)
    except WorkFailed as error:
        if settings.mode == "double":
            raise
        return DecayConstants(single, len(core), taus, warnings=(f"one decay constant: {error.message}",))
    if two is None and settings.mode == "double":
        raise WorkFailed(f"there are no two decay constants: {why}")
    return DecayConstants(single, len(tails.heights) if two else len(core), taus, two, pulse)


def clean(data: Mapping[str, Column], settings: PzSettings) -> NDArray[np.bool_]:
    """Events with a large pulse that falls, on a quiet baseline, without saturation; shape (events,).

    Raises
    ------
    WorkFailed
        If there is none with a tail.
    """
    amplitude = data["trapTmax"]
    finite = np.isfinite(amplitude) & np.isfinite(data["tail_slope"]) & (data["n_sat_hi"] == 0)
    if not finite.any():
        raise WorkFailed("no pulse has a tail")
    threshold = settings.threshold or settings.threshold_fraction * float(np.quantile(amplitude[finite], 0.99))
    good: NDArray[np.bool_] = finite & (amplitude > threshold) & (data["tail_slope"] < 0)
    for name in ("bl_std", "bl_slope"):
        limits = robust_limits(data[name], 6)
        good &= (data[name] > limits.low) & (data[name] < limits.high)
    return good


def clipped(values: Floats) -> Floats:
    """Without what lies far off the median: pile-up bends tails."""
    for _ in range(5):
        limits = robust_limits(values, CLIP)
        kept = values[(values > limits.low) & (values < limits.high)]
        if len(kept) == len(values):
            break
        values = kept
    return values


def median(values: Floats) -> Value:
    """The median and its error."""
    spread = MAD_TO_SIGMA * float(np.median(np.abs(values - np.median(values))))
    return Value(float(np.median(values)), MEDIAN_ERROR * spread / float(np.sqrt(len(values))))


def two_poles(tails: Tails, tau: float) -> tuple[Superpulse, TwoPoles | None, str]:
    """Both decay constants, if there are two.

    The superpulse gives the start of the fits of the single tails, of whose values the medians are taken.

    Parameters
    ----------
    tails
        Clean tails.
    tau
        The single decay constant in ns.

    Returns
    -------
    tuple
        The superpulse; the decay constants, or None and the reason.
    """
    pulse = superpulse(tails)
    guess = first_guess(pulse, tau)
    both = fitted(pulse, guess)
    heights, times = pulse.heights[0], pulse.times
    single, none = shape_of(pulse, tau), np.empty(0)
    if not _is_possible(both):  # the guess is the best of a coarse search, and may be worse than a single one
        return Superpulse(times + pulse.delays[0], heights, single, none), None, "one describes the superpulse as well"
    double = shape_of(pulse, float(both.tau1[0]), float(both.tau2[0]))
    shown = Superpulse(times + pulse.delays[0], heights, single, double)
    if float(np.std(heights - single)) < LEAST_GAIN * float(np.std(heights - double)):
        return shown, None, "two do not describe the superpulse better"
    found = _medians(fitted(tails, (float(both.tau1[0]), float(both.tau2[0]))), both)
    if found is None or found.fraction.value < max(LEAST_FRACTION, SIGNIFICANCE * found.fraction.error):
        return shown, None, "the second part is not significant"
    return shown, found, ""


def _is_possible(poles: Poles) -> bool:
    tau1, tau2, fraction = (float(each[0]) for each in (poles.tau1, poles.tau2, poles.fraction))
    return 0 < tau2 < LARGEST_RATIO * tau1 and 0 < fraction < 0.5


def _medians(poles: Poles, pulse: Poles) -> TwoPoles | None:
    """Of the tails whose fit converged."""
    columns = (poles.tau1, poles.tau2, poles.fraction)
    good = np.isfinite(np.stack(columns)).all(axis=0) & (poles.tau1 > poles.tau2) & (poles.tau2 > 0)
    if 2 * good.sum() < len(good):
        return None
    tau1, tau2, fraction = (median(column[good]) for column in columns)
    first = (float(pulse.tau1[0]), float(pulse.tau2[0]), float(pulse.fraction[0]))
    return TwoPoles(tau1, tau2, fraction, first, poles.tau1[good], poles.tau2[good])
