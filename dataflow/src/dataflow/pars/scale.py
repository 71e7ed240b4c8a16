"""The first guess of the calibration: which factor turns the spectrum into one with the lines where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed

from .lines import TL208, Line

Floats = NDArray[np.floating[Any]]

STEP = 3e-4
"""Relative step of the factors tried: 0.8 keV at 2.6 MeV, a third of a line's width."""
HALF_WIDTH = (1.2, 0.7e-3)
"""Half width of the signal window: a constant in keV, and a part of the energy."""
SIDES = 3.0
"""The background is counted up to this many half widths away."""
CAP = 9.0
"""No line counts for more than this many sigma: several lines must fit together."""
LEAST = 9.0
"""Sum of the significances below which there is no calibration."""
LOWEST_TOP = 0.3
"""The strongest line of the chain lies above this part of the highest energies."""


def find_scale(amplitudes: Floats, lines: Sequence[Line]) -> float:
    """The factor from amplitudes to keV under which the lines stand out most.

    Parameters
    ----------
    amplitudes
        Uncalibrated energies, shape (events,), any unit.
    lines
        The lines that the source has.

    Returns
    -------
    float
        keV per unit, good to about a line's width.

    Raises
    ------
    WorkFailed
        If no factor makes the lines stand out.
    """
    ordered = np.sort(amplitudes[np.isfinite(amplitudes) & (amplitudes > 0)])
    if len(ordered) < 2 * len(lines):
        raise WorkFailed(f"{len(ordered)} events are too few to find any line")
    top = np.quantile(ordered, 1 - min(0.002, 2 / len(ordered)))
    factors = TL208 / top * np.exp(np.arange(np.log(LOWEST_TOP), -np.log(LOWEST_TOP), STEP))
    scores = score(ordered, factors, lines)
    best = int(np.argmax(scores))
    if scores[best] < LEAST:
        raise WorkFailed(
            f"the lines of the source do not stand out of {len(ordered)} events (significance {scores[best]:.1f}, "
            f"at least {LEAST:g} is needed)"
        )
    return float(factors[best])


def score(ordered: Floats, factors: Floats, lines: Sequence[Line]) -> Floats:
    """Sum over the lines of the capped significance of the counts above the local background.

    Parameters
    ----------
    ordered
        Sorted amplitudes, shape (events,).
    factors
        Factors to try, shape (n,).
    lines
        The lines.

    Returns
    -------
    array of shape (n,)
        Likelihood-ratio significances (Li and Ma 1983, eq. 17, with the background known from both sides).
    """
    total = np.zeros(len(factors))
    for line in lines:
        half = HALF_WIDTH[0] + HALF_WIDTH[1] * line.energy
        inside = _counts(ordered, factors, line.energy, half)
        around = _counts(ordered, factors, line.energy, SIDES * half) - inside
        total += np.clip(_significance(inside, around, SIDES - 1), -1, CAP)
    return total


def _counts(ordered: Floats, factors: Floats, energy: float, half: float) -> Floats:
    low = np.searchsorted(ordered, (energy - half) / factors)
    high = np.searchsorted(ordered, (energy + half) / factors)
    return (high - low).astype(float)


def _significance(on: Floats, off: Floats, ratio: float) -> Floats:
    """Significance of `on` counts over a background of `off` counts in a region `ratio` times as wide."""
    alpha = 1 / ratio
    both = np.maximum(on + off, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(on > 0, on * np.log((1 + alpha) / alpha * on / both), 0)
        second = np.where(off > 0, off * np.log((1 + alpha) * off / both), 0)
    sign = np.sign(on - alpha * off)
    result: Floats = sign * np.sqrt(2 * np.maximum(first + second, 0))
    return result
