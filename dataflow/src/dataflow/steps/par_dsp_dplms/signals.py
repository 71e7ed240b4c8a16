"""What the pulses of a line look like: their mean shape, and how long their charge takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.selection import robust_limits

from .settings import DplmsSettings

Floats = NDArray[np.float64]

ALIKE = 6.0
"""Robust standard deviations within which a pulse that is alone in its trace is like the others."""
SLOWEST = 0.99
"""Part of the pulses that are not slower than what the flat top is made for."""
US = 1000.0


@dataclass(frozen=True)
class Signals:
    """Pulses of lines.

    Attributes
    ----------
    traces
        Without baseline, in ADC counts, shape (pulses, samples).
    starts
        Sample at which each begins, shape (pulses,).
    heights
        Height of each without decay, in ADC counts, shape (pulses,).
    drift
        Effective drift time of each in ns, shape (pulses,).
    rises
        Time from the beginning until 99 % of the height in ns, shape (pulses,); NaN where it is not known.
    lines
        Energy of each one's line in keV, shape (pulses,).
    """

    traces: NDArray[np.floating]
    starts: Floats
    heights: Floats
    drift: Floats
    rises: Floats
    lines: Floats

    def chosen(self, mask: NDArray[np.bool_]) -> Signals:
        """Some of the pulses."""
        return Signals(*(values[mask] for values in vars(self).values()))


@dataclass(frozen=True)
class Decay:
    """How a pulse decays: one or two constants.

    Attributes
    ----------
    tau, second
        In ns.
    fraction
        Part of the pulse that decays with the second one.
    """

    tau: float
    second: float = 1.0
    fraction: float = 0.0

    def __call__(self, times: NDArray[np.floating]) -> Floats:
        """What is left of a charge of height 1 some time after it was collected, in ns; 0 before."""
        after = np.maximum(times, 0.0)
        left = (1 - self.fraction) * np.exp(-after / self.tau) + self.fraction * np.exp(-after / self.second)
        return np.asarray(np.where(times >= 0, left, 0.0))


@dataclass(frozen=True)
class Shapes:
    """Shapes as a filter of some length sees them, with the beginning of the pulse in its middle.

    Attributes
    ----------
    reference
        Mean pulse of height 1, shape (length,).
    spread
        Mean square deviation of charges from their mean, over the times at which they may be collected, in ADC² at the
        mean height, shape (length, length).
    height
        Mean height in ADC counts.
    pulses
        How many there are.
    """

    reference: Floats
    spread: Floats
    height: float
    pulses: int


def shapes_of(signals: Signals, length: int, period: float, decay: Decay, settings: DplmsSettings) -> Shapes:
    """The shapes of pulses.

    Parameters
    ----------
    signals
        The pulses.
    length
        Length of the filter, in samples.
    period
        Sampling period in ns.
    decay
        How pulses decay.
    settings
        How far the beginning may move, and how long pulses rise at most.

    Raises
    ------
    WorkFailed
        If there are too few pulses that are alone in their traces.
    """
    windows = aligned(signals, length)
    usable = np.flatnonzero(np.isfinite(windows).all(axis=1))
    longest = round(settings.collection * US / period)
    kept = usable[alike(windows[usable], length // 2, longest)] if len(usable) else usable
    if len(kept) < settings.least_signals:
        raise WorkFailed(
            f"{len(kept)} pulses of {' and '.join(f'{energy:g}' for energy in settings.peaks_kev)} keV are too few "
            f"for their shape, {settings.least_signals} are needed"
        )
    height = float(signals.heights[kept].mean())
    shift, rise = round(settings.flat * US / period), rise_of(signals.rises[kept], period, longest)
    arrivals = np.arange(length // 2 - shift, length // 2 + rise + shift + 1)
    return Shapes(windows[kept].mean(axis=0), height**2 * spread_of(arrivals, length, period, decay), height, len(kept))


def rise_of(rises: Floats, period: float, longest: int) -> int:
    """How many samples the charge of nearly all pulses needs; the longest allowed where that is not known."""
    known = rises[np.isfinite(rises)]
    return min(int(np.ceil(np.quantile(known, SLOWEST) / period)), longest) if len(known) else longest


def spread_of(arrivals: NDArray[np.int64], length: int, period: float, decay: Decay) -> Floats:
    """Mean square deviation of single charges from their mean, over the samples at which they are collected.

    A filter that gives the same height to all of them gives it to all pulses, which are sums of such charges, wherever
    they begin: it has a flat top. The measured pulses themselves do not do: few shapes leave a filter the freedom to
    answer with more than the height beside its top, where the maximum of the output then is.

    Returns
    -------
    ndarray
        Shape (length, length).
    """
    charges = decay((np.arange(length)[None] - arrivals[:, None]) * period)
    deviations = charges - charges.mean(axis=0)
    return np.asarray(deviations.T @ deviations / len(charges))


def aligned(signals: Signals, length: int) -> Floats:
    """Pulses of height 1 that begin in the middle of a window.

    Returns
    -------
    ndarray
        Shape (pulses, length); NaN for a pulse whose window is not within its trace.
    """
    firsts = np.where(np.isfinite(signals.starts), np.round(signals.starts), -length).astype(int) - length // 2
    inside = (firsts >= 0) & (firsts + length <= signals.traces.shape[1]) & (signals.heights > 0)
    found = np.full((len(firsts), length), np.nan)
    columns = firsts[inside, None] + np.arange(length)
    found[inside] = np.take_along_axis(signals.traces[inside], columns, axis=1) / signals.heights[inside, None]
    return found


def alike(windows: Floats, start: int, rise: int) -> NDArray[np.bool_]:
    """Which pulses are alone: neither before they begin nor after they have risen are they unlike the others.

    Parameters
    ----------
    windows
        Aligned pulses, shape (pulses, samples).
    start, rise
        Sample at which they begin, and how many samples they may rise.
    """
    kept = np.full(len(windows), True)
    for part in (windows[:, : max(start - 2, 1)], windows[:, start + rise :]):
        if part.shape[1] == 0:
            continue
        deviation = part - np.median(part, axis=0)
        thirds = [piece.mean(axis=1) for piece in np.array_split(deviation, 3, axis=1) if piece.shape[1]]
        for values in (deviation.std(axis=1), *thirds):
            limits = robust_limits(values[kept], ALIKE)
            kept &= (values > limits.low) & (values < limits.high)
    return kept
