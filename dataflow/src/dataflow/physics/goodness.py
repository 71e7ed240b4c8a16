"""Whether data and a model agree, by the chi square, and how errors grow where they do not."""

from __future__ import annotations

import math

from scipy import special


def p_value(chi2: float, ndf: int) -> float | None:
    """Probability of a larger chi square, None without degrees of freedom."""
    return float(special.chdtrc(ndf, chi2)) if ndf > 0 else None


def scale_of(chi2: float, ndf: int, least: float) -> float:
    """Factor on errors (as the PDG has it): 1, or the root of chi2 / ndf where that is less probable than `least`."""
    chance = p_value(chi2, ndf)
    return math.sqrt(chi2 / ndf) if chance is not None and chance < least else 1.0
