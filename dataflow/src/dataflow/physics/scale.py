"""The first guess of the calibration: which factor turns the spectrum into one with the lines where they belong.

One peak identifies nothing: it can be taken for any line. A factor is accepted if at least two lines stand out under
it, and if no line is absent that the others say must be there; or one line, if the user said where to look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed

from .lines import Line

Floats = NDArray[np.floating[Any]]

STEP = 3e-4
"""Relative step of the factors tried: 0.8 keV at 2.6 MeV, a third of a line's width."""
HALF_WIDTH = (1.2, 0.7e-3)
"""Half width of the signal window: a constant in keV, and a part of the energy."""
SIDES = 3.0
"""The background is counted up to this many half widths away."""
CAP = 9.0
"""No line counts for more than this many sigma: several lines must fit together."""
ABSENT = 2 * CAP
"""What a line costs that must be there and is not."""
LEAST = 9.0
"""Sum of the significances below which there is no calibration."""
SECOND = 4.0
"""Significance that the second line must have."""
ALONE = 6.0
"""Significance of a line that is alone, where the user said where to look."""
LOWEST_TOP = 0.3
"""The highest line of the source lies above this part of the highest energies..."""
SOFT = 1000.0
SOFT_TOP = 0.02
"""...and above this one if its energy is below :data:`SOFT` keV: then the background reaches further."""
LEAST_EVENTS = 10
ABSORBED = 150.0
"""Below this energy in keV the absorption before the detector decides, so that a line may be absent."""
ALLOWED = 10.0
"""Factor by which the counts of a line may be fewer than the intensities say, at equal energies..."""
FALLING = 1.3
"""...and beyond, as full absorption falls with this power of the energy at least in small detectors."""


@dataclass(frozen=True)
class Counts:
    """Counts of lines above their local background for many factors, shape (lines, factors).

    Attributes
    ----------
    net, error
        Counts above the background, and their statistical error.
    significance
        Li and Ma 1983, eq. 17, with the background known from both sides.
    """

    net: Floats
    error: Floats
    significance: Floats


def find_scale(amplitudes: Floats, lines: Sequence[Line], gains: tuple[float, float] | None = None) -> float:
    """The factor from amplitudes to keV under which the lines stand out most.

    Parameters
    ----------
    amplitudes
        Uncalibrated energies, shape (events,), any unit.
    lines
        The lines that the source has.
    gains
        The least and the greatest factor, in keV per unit; with them one line is enough.

    Returns
    -------
    float
        keV per unit, good to about a line's width.

    Raises
    ------
    WorkFailed
        If no factor makes the lines stand out, or a single peak is all there is.
    """
    ordered = np.sort(amplitudes[np.isfinite(amplitudes) & (amplitudes > 0)])
    if len(ordered) < max(2 * len(lines), LEAST_EVENTS):
        raise WorkFailed(f"{len(ordered)} events are too few to find any line")
    factors = _factors(ordered, lines, gains)
    found = count(ordered, factors, lines)
    # without the cap, one huge peak (a pulser, 40K) under any line would outweigh a pattern of several real ones
    capped = np.clip(found.significance, -1, CAP)
    scores = capped.sum(axis=0) - ABSENT * contradictions(ordered, factors, lines, found)
    # under many factors all lines count in full: the one in the middle has the largest sum without the cap
    candidates = np.flatnonzero(scores >= scores.max() - 1e-9)
    best = int(candidates[np.argmax(found.significance[:, candidates].sum(axis=0))])
    _convince(capped[:, best], float(scores[best]), lines, len(ordered), alone=gains is not None)
    return float(factors[best])


def _factors(ordered: Floats, lines: Sequence[Line], gains: tuple[float, float] | None) -> Floats:
    """The factors to try, shape (n,), increasing."""
    if gains is not None:
        low, high = sorted(gains)
    else:
        top = float(np.quantile(ordered, 1 - min(0.002, 2 / len(ordered))))
        highest = max(line.energy for line in lines)
        low = highest / top * LOWEST_TOP
        high = highest / top / (LOWEST_TOP if highest > SOFT else SOFT_TOP)
    steps = np.arange(np.log(low), np.log(high) + STEP, STEP)
    return np.exp(steps)


def _convince(significances: Floats, total: float, lines: Sequence[Line], events: int, *, alone: bool) -> None:
    """Refuse what identifies nothing."""
    ranked = sorted(zip(significances, lines, strict=True), key=lambda pair: -pair[0])
    first, line = ranked[0]
    second = ranked[1][0] if len(ranked) > 1 else -np.inf
    if alone and first >= ALONE:
        return
    if first >= SECOND > second and not alone:
        raise WorkFailed(
            f"only one line stands out of {events} events (it would be that of {line.energy:g} keV, the next has a "
            f"significance of {max(second, 0):.1f}), and one line identifies nothing"
        )
    least = ALONE if alone else LEAST
    if first < SECOND or total < least:
        told, needed = (first, SECOND) if first < SECOND else (total, least)
        of_which = "the best line has a significance of" if first < SECOND else "together they have a significance of"
        raise WorkFailed(
            f"the lines of the source do not stand out of {events} events ({of_which} {max(told, 0):.1f}, "
            f"at least {needed:g} is needed)"
        )


def count(ordered: Floats, factors: Floats, lines: Sequence[Line]) -> Counts:
    """What stands at the places of the lines.

    Parameters
    ----------
    ordered
        Sorted amplitudes, shape (events,).
    factors
        Factors to try, shape (n,).
    lines
        The lines.
    """
    inside, around = (np.empty((len(lines), len(factors))) for _ in range(2))
    for row, line in enumerate(lines):
        half = HALF_WIDTH[0] + HALF_WIDTH[1] * line.energy
        inside[row] = _counts(ordered, factors, line.energy, half)
        around[row] = _counts(ordered, factors, line.energy, SIDES * half) - inside[row]
    ratio = SIDES - 1
    error = np.sqrt(inside + around / ratio**2)
    return Counts(inside - around / ratio, error, _significance(inside, around, ratio))


def contradictions(ordered: Floats, factors: Floats, lines: Sequence[Line], found: Counts) -> Floats:
    """How many lines are absent under each factor, though the most significant one says that they must be there.

    Only lines within the recorded amplitudes count, with known intensities, and not those that anything before the
    detector can absorb.
    """
    intensities = np.array([line.intensity for line in lines])
    energies = np.array([line.energy for line in lines])
    known = (intensities > 0) & (energies > ABSORBED)
    if np.count_nonzero(known) < 2:
        return np.zeros(len(factors))
    low, high = np.quantile(ordered, [0.01, 1.0])
    strongest = np.argmax(np.where(known[:, None], found.significance, -np.inf), axis=0)
    each = np.arange(len(factors))
    falling = np.maximum(energies[:, None] / energies[strongest], 1.0) ** FALLING
    part = intensities[:, None] / np.maximum(intensities[strongest], 1e-9) / (ALLOWED * falling)
    expected = np.maximum(found.net[strongest, each], 0) * part
    recorded = (energies[:, None] > low * factors) & (energies[:, None] < high * factors)
    absent = found.net + 3 * np.maximum(found.error, 1.0) < expected
    result: Floats = np.count_nonzero(absent & recorded & known[:, None], axis=0).astype(float)
    return result


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
