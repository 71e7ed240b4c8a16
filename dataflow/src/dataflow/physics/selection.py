"""Which events a calibration may use: cuts that follow from the data, robust against what they shall remove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

MAD_TO_SIGMA = 1.4826
"""Ratio of standard deviation to median absolute deviation of a normal distribution."""


@dataclass(frozen=True)
class Limits:
    """An open interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """Where the values of a column are, and how wide: the centre of the densest half, and a standard deviation."""

    mode: float | None
    stdev: float | None


def spread_of(values: NDArray[Any]) -> Spread:
    """Mode and robust standard deviation of values, shape (events,); None for both if none is finite."""
    ordered = np.sort(values[np.isfinite(values)].astype(np.float64))
    if len(ordered) == 0:
        return Spread(None, None)
    half = max(len(ordered) // 2, 1)
    lengths = ordered[half - 1 :] - ordered[: len(ordered) - half + 1]
    first = int(np.argmin(lengths))
    mode = float(np.median(ordered[first : first + half]))
    deviation = MAD_TO_SIGMA * float(np.median(np.abs(ordered - np.median(ordered))))
    return Spread(mode, deviation if deviation > 0 else float(ordered.std()))


def robust_limits(values: NDArray[Any], sigmas: float) -> Limits:
    """Median plus and minus some robust standard deviations.

    Parameters
    ----------
    values
        Shape (events,); NaN is ignored.
    sigmas
        How many.

    Returns
    -------
    Limits
        Infinite if there are no values, or all are the same.
    """
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return Limits(-np.inf, np.inf)
    centre = float(np.median(finite))
    spread = sigmas * MAD_TO_SIGMA * float(np.median(np.abs(finite - centre)))
    return Limits(centre - spread, centre + spread) if spread > 0 else Limits(-np.inf, np.inf)


def core_of(values: NDArray[Any]) -> tuple[float, float] | None:
    """Where the bulk of values lies and how wide it is, whatever the other half does.

    The shortest interval with half of them gives the mode (their median) and, for a normal distribution, the standard
    deviation. Where values repeat so often that its length is 0, the interval grows until it is not.

    Parameters
    ----------
    values
        Shape (events,); what is not finite does not count.

    Returns
    -------
    tuple or None
        Mode and width; None if no two values differ.
    """
    ordered = np.sort(values[np.isfinite(values)].astype(np.float64))
    if len(ordered) < 2 or ordered[0] == ordered[-1]:
        return None
    for part in (0.5, 0.6827, 0.9545):
        size = max(int(np.ceil(part * len(ordered))), 2)
        lengths = ordered[size - 1 :] - ordered[: len(ordered) - size + 1]
        first = int(np.argmin(lengths))
        if lengths[first] > 0:
            width = float(lengths[first]) / (2 * float(special.ndtri((1 + part) / 2)))
            return float(np.median(ordered[first : first + size])), width
    return float(np.median(ordered)), float(ordered.std())
