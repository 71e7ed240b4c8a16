"""What the pulses of a line look like: their mean shape, and how they differ from it."""

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
    lines
        Energy of each one's line in keV, shape (pulses,).
    """

    traces: NDArray[np.floating]
    starts: Floats
    heights: Floats
    drift: Floats
    lines: Floats

    def chosen(self, mask: NDArray[np.bool_]) -> Signals:
        """Some of the pulses."""
        return Signals(*(values[mask] for values in vars(self).values()))


@dataclass(frozen=True)
class Shapes:
    """Shapes as a filter of some length sees them, with the pulse in its middle.

    Attributes
    ----------
    reference
        Mean pulse of height 1, shape (length,).
    spread
        Mean square deviation of pulses from their mean, over pulses and over the times at which they may begin, in
        ADC² at the mean height, shape (length, length).
    height
        Mean height in ADC counts.
    pulses
        How many there are.
    """

    reference: Floats
    spread: Floats
    height: float
    pulses: int


def shapes_of(signals: Signals, noise: Floats, period: float, settings: DplmsSettings) -> Shapes:
    """The shapes of pulses.

    Parameters
    ----------
    signals
        The pulses.
    noise
        Covariance of the noise in ADC², shape (length of the filter, length of the filter).
    period
        Sampling period in ns.
    settings
        How far the begin may move, and how long pulses rise.

    Raises
    ------
    WorkFailed
        If there are too few pulses that are alone in their traces.
    """
    shift, rise = round(settings.flat * US / period), round(settings.collection * US / period)
    length = len(noise)
    windows = aligned(signals, length, shift)
    usable = np.flatnonzero(np.isfinite(windows).all(axis=1))
    kept = usable[alike(windows[usable], length // 2 + shift, rise)] if len(usable) else usable
    if len(kept) < settings.least_signals:
        raise WorkFailed(
            f"{len(kept)} pulses of {' and '.join(f'{energy:g}' for energy in settings.peaks_kev)} keV are too few "
            f"for their shape, {settings.least_signals} are needed"
        )
    chosen, height = windows[kept], float(signals.heights[kept].mean())
    reference = chosen[:, shift : shift + length].mean(axis=0)
    part = slice(max(length // 2 - 2 * shift - 2, 0), min(length // 2 + rise + 2 * shift, length))
    spread = _of_means(chosen, reference, shift) + _of_pulses(chosen, reference, part, shift, noise / height**2)
    return Shapes(reference, height**2 * spread, height, len(kept))


def aligned(signals: Signals, length: int, shift: int) -> Floats:
    """Pulses of height 1 that begin in the middle of a window, with `shift` samples more at both ends.

    Returns
    -------
    ndarray
        Shape (pulses, length + 2 shift); NaN for a pulse whose window is not within its trace.
    """
    wide = length + 2 * shift
    firsts = np.where(np.isfinite(signals.starts), np.round(signals.starts), -wide).astype(int) - wide // 2
    inside = (firsts >= 0) & (firsts + wide <= signals.traces.shape[1]) & (signals.heights > 0)
    found = np.full((len(firsts), wide), np.nan)
    columns = firsts[inside, None] + np.arange(wide)
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


def _of_means(windows: Floats, reference: Floats, shift: int) -> Floats:
    """Mean square deviation of the mean pulse from itself, over the times at which it may begin."""
    mean, length = windows.mean(axis=0), len(reference)
    deviations = np.stack([mean[first : first + length] - reference for first in range(2 * shift + 1)])
    return np.asarray(deviations.T @ deviations / len(deviations))


def _of_pulses(windows: Floats, reference: Floats, part: slice, shift: int, noise: Floats) -> Floats:
    """Covariance of single pulses without what is noise, shape (length, length).

    A pulse is described by its samples where the charge is being collected, and by the height of its tail, which has
    the same form for all: later charge has decayed less. Sample by sample, tails differ by noise only, which has its
    own term. Directions in which pulses differ not more than noise does, by the scatter of its covariance in a sample
    (V. A. Marchenko, L. A. Pastur, Math. USSR Sb. 1 (1967) 457), do not count.

    Parameters
    ----------
    windows
        Aligned pulses of height 1, shape (pulses, length + 2 shift).
    reference
        Their mean, shape (length,).
    part
        The samples of the filter where charge is being collected.
    shift
        How far the begin may move, in samples.
    noise
        Covariance of the noise of a pulse of height 1, shape (length, length).
    """
    from scipy.linalg import eigh

    described, form = _description(reference, part)
    total = np.zeros((len(described), len(described)))
    for first in range(2 * shift + 1):
        total += np.cov(windows[:, first : first + len(reference)] @ described.T, rowvar=False)
    of_noise = described @ noise @ described.T
    values, vectors = eigh(total / (2 * shift + 1), of_noise)
    real = values > (1 + np.sqrt(len(described) / len(windows))) ** 2
    directions = form @ (of_noise @ vectors[:, real])
    return np.asarray((directions * (values[real] - 1)) @ directions.T)


def _description(reference: Floats, part: slice) -> tuple[Floats, Floats]:
    """How samples become the numbers that describe a pulse, and these become samples again.

    Returns
    -------
    tuple
        Shapes (numbers, length) and (length, numbers).
    """
    identity = np.eye(len(reference))[part]
    tail = np.where(np.arange(len(reference)) >= part.stop, reference, 0.0)
    if not np.any(tail):
        return identity, identity.T
    return np.vstack([identity, tail / (tail @ tail)]), np.column_stack([identity.T, tail])
