"""Which events a calibration may use: cuts that follow from the data, robust against what they shall remove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAD_TO_SIGMA = 1.4826
"""Ratio of standard deviation to median absolute deviation of a normal distribution."""


@dataclass(frozen=True)
class Limits:
    """An open interval."""

    low: float
    high: float


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
