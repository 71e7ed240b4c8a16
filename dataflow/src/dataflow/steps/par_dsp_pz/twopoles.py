"""Two decay constants: A [(1 - f) exp(-t/tau1) + f exp(-t/tau2)] through each tail, and through their superpulse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.selection import robust_limits

Floats = NDArray[np.floating[Any]]

BINS = 100
"""Parts of a tail that are averaged before the fit."""
LEAST_BINS = 20
SHORTEST, LONGEST = 3.0, 0.4
"""Between so many bins and this part of the single decay constant the shorter one is looked for."""
STEPS = 12
"""Of Gauss and Newton; they converge in four or five."""
ODD = 6.0
"""Robust standard deviations of its scatter beyond which a tail is bent by another pulse."""


@dataclass(frozen=True)
class Tails:
    """Tails in bins.

    Attributes
    ----------
    heights
        Mean heights above the baseline in ADC counts, shape (tails, bins).
    delays
        Time from half of the pulse's height to the middle of the first bin in ns, shape (tails,).
    width
        Of a bin, in ns.
    rows
        Which of the traces they are, shape (tails,).
    """

    heights: Floats = field(repr=False)
    delays: Floats = field(repr=False)
    width: float
    rows: NDArray[np.int64] = field(repr=False)

    @property
    def times(self) -> Floats:
        """Of the bins after the first one in ns, shape (bins,)."""
        return np.arange(self.heights.shape[1]) * self.width

    def of(self, chosen: NDArray[np.bool_]) -> Tails:
        """Some of them."""
        return Tails(self.heights[chosen], self.delays[chosen], self.width, self.rows[chosen])


@dataclass(frozen=True)
class Poles:
    """Decay constants of several tails.

    Attributes
    ----------
    tau1, tau2
        The longer and the shorter in ns, shape (tails,).
    fraction
        What decays with the shorter one, shape (tails,).
    scatter
        Standard deviation of tail and fit, as a part of the height, shape (tails,).
    """

    tau1: Floats
    tau2: Floats
    fraction: Floats
    scatter: Floats


def binned(traces: Floats, baselines: Floats, period: float, offset: float) -> Tails:
    """Cut the tails out of traces.

    Parameters
    ----------
    traces
        In ADC counts, shape (traces, samples).
    baselines
        Shape (traces,).
    period
        In ns.
    offset
        How long after half of the height a tail begins, in ns.

    Raises
    ------
    WorkFailed
        If the traces end too early.
    """
    above = traces - baselines[:, None]
    starts = _half_heights(above)
    firsts: NDArray[np.int64] = np.ceil(starts + offset / period).astype(np.int64)
    length = int(above.shape[1] - np.quantile(firsts, 0.95)) if len(firsts) else 0
    size = max(length // BINS, 1)
    if length < LEAST_BINS:
        raise WorkFailed(f"tails of {length} samples are too short for two decay constants")
    rows: NDArray[np.int64] = np.flatnonzero((firsts > 0) & (firsts + length <= above.shape[1]))
    samples = firsts[rows, None] + np.arange(length // size * size)
    heights = np.take_along_axis(above[rows], samples, axis=1).reshape(len(rows), -1, size).mean(axis=2)
    delays = (firsts[rows] - starts[rows] + (size - 1) / 2) * period
    return Tails(heights.astype(np.float64), delays, size * period, rows)


def _half_heights(above: Floats) -> Floats:
    """Where traces first reach half of their height, in samples, shape (traces,)."""
    half = above.max(axis=1) / 2
    after = np.maximum(np.argmax(above >= half[:, None], axis=1), 1)[:, None]
    low, high = (np.take_along_axis(above, after - step, axis=1)[:, 0] for step in (1, 0))
    return np.asarray(after[:, 0] - (high - half) / np.maximum(high - low, 1e-9))


def superpulse(tails: Tails) -> Tails:
    """The median of tails of height 1, as one tail."""
    normed = tails.heights / tails.heights.mean(axis=1, keepdims=True)
    return Tails(np.median(normed, axis=0)[None], np.mean(tails.delays, keepdims=True), tails.width, tails.rows[:1])


def usual(tails: Tails) -> Tails:
    """Those without another pulse on them: their difference to the superpulse scatters as usual."""
    normed = tails.heights / tails.heights.mean(axis=1, keepdims=True)
    scatter = (normed - np.median(normed, axis=0)).std(axis=1) * tails.heights.mean(axis=1)
    return tails.of(np.isfinite(scatter) & (scatter < robust_limits(scatter, ODD).high))


def first_guess(tail: Tails, tau: float) -> tuple[float, float]:
    """Both decay constants of one tail in ns, by a search around the single one."""
    shorts = np.geomspace(SHORTEST * tail.width, LONGEST * tau, 30)
    longs = tau * np.geomspace(0.8, 2.5, 40)
    tries = [(long, short) for long in longs for short in shorts if short < 0.6 * long]
    return min(tries, key=lambda each: float(_misfit(tail, *each)))


def _misfit(tail: Tails, long: float, short: float) -> float:
    return float(np.sum((tail.heights[0] - shape_of(tail, long, short)) ** 2))


def shape_of(tail: Tails, *taus: float) -> Floats:
    """The sum of exponentials with these decay constants in ns that comes nearest to one tail, shape (bins,)."""
    shapes = np.exp(-tail.times[:, None] / np.array(taus))
    return np.asarray(shapes @ np.linalg.lstsq(shapes, tail.heights[0], rcond=None)[0])


def fitted(tails: Tails, guess: tuple[float, float]) -> Poles:
    """Fit each tail by least squares, all at the same time.

    Parameters
    ----------
    tails
        Shape (tails, bins).
    guess
        Both decay constants in ns.

    Returns
    -------
    Poles
        Values of tails without a fit are NaN.
    """
    times = tails.times / tails.width
    rates = tails.width / np.array(guess)
    heights = tails.heights
    amplitudes = heights @ np.linalg.pinv(np.exp(-times[:, None] * rates)).T
    values = np.concatenate([amplitudes, np.tile(rates, (len(heights), 1))], axis=1)
    with np.errstate(all="ignore"):
        for _ in range(STEPS):
            values = _improved(values, heights, times)
        model, _ = _model(values, times)
        back = np.exp(values[:, 2:] * tails.delays[:, None] / tails.width)
        parts = values[:, :2] * back
        total = parts.sum(axis=1)
        taus = tails.width / values[:, 2:]
        return Poles(taus[:, 0], taus[:, 1], parts[:, 1] / total, (heights - model).std(axis=1) / total)


def _model(values: Floats, times: Floats) -> tuple[Floats, Floats]:
    """Heights, shape (tails, bins), and their derivatives, shape (tails, bins, 4)."""
    shapes = np.exp(-values[:, None, 2:] * times[None, :, None])
    slopes = -values[:, None, :2] * times[None, :, None] * shapes
    return np.einsum("tbk,tk->tb", shapes, values[:, :2]), np.concatenate([shapes, slopes], axis=2)


def _improved(values: Floats, heights: Floats, times: Floats) -> Floats:
    """One step; rates change by half at most, and remain ordered."""
    model, slopes = _model(values, times)
    normal = np.einsum("tbi,tbj->tij", slopes, slopes)
    right = np.einsum("tbi,tb->ti", slopes, heights - model)
    scale = np.sqrt(np.maximum(np.einsum("tii->ti", normal), 1e-300))
    scaled = normal / scale[:, :, None] / scale[:, None, :] + 1e-12 * np.eye(4)
    good = np.isfinite(scaled).all(axis=(1, 2))
    step = np.full_like(values, np.nan)
    step[good] = np.linalg.solve(scaled[good], (right / scale)[good][:, :, None])[:, :, 0] / scale[good]
    rates = values[:, 2:]
    step[:, 2:] = np.clip(step[:, 2:], -rates / 2, rates / 2)
    return values + step
