"""The low cut on A/E: that which keeps a part of the double-escape peak."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.curves import Curve
from dataflow.physics.pulseshape.survival import DEP, difference, regions, survival

Floats = NDArray[np.floating[Any]]

ACCEPTANCE = 0.9
"""Part of the double-escape peak that the low cut keeps."""
LEAST_SIGNIFICANCE = 5.0
REACH = 2.0
"""Of its errors by which the survival is varied, to either side, for the error of the cut: within one there are a dozen
events, and a density that is known to a quarter makes pulls 1.2 wide.
"""
RANGE = (-8.0, 1.0)
"""Where the low cut is looked for, in standard deviations."""


def cut_at(energies: Floats, classifier: Floats, widths: Curve, acceptance: float = ACCEPTANCE) -> tuple[float, float]:
    """The classifier above which a part of the double-escape peak lies, and its error.

    It is the highest one: below it the survival of few events runs flat, and what else reaches the acceptance there is
    chance. Its error is the error of the survival over its slope, which is that between the cuts at which the survival
    is lower and higher by twice its error; where it runs flat before it is so high, that to where it is lower by its
    error.

    Raises
    ------
    WorkFailed
        If there is no double-escape peak, or no such cut.
    """
    inside, beside, ratio = regions(energies, DEP, widths)
    total, error = difference(inside, beside, ratio)
    if not total > LEAST_SIGNIFICANCE * error:
        raise WorkFailed(f"no double-escape peak at {DEP:g} keV: {total:.0f} ± {error:.0f} counts above background")
    chosen = inside | beside
    order = np.argsort(-classifier[chosen], kind="stable")
    values = classifier[chosen][order]
    above = np.cumsum(np.where(inside[chosen][order], 1.0, -ratio))
    reached = np.maximum.accumulate(above)  # counts of the side bands are subtracted, so that the sum may fall again
    place = min(int(np.searchsorted(reached, acceptance * total)), len(values) - 1)
    cut = float(np.nextafter(values[place], -np.inf))
    if not RANGE[0] < cut < RANGE[1]:
        raise WorkFailed(f"no cut keeps {acceptance:.0%} of the double-escape peak: it would be at {cut:.1f} sigma")
    error = survival(energies, classifier > cut, DEP, widths).error
    return cut, _slope(values, reached / total, acceptance, error, cut) * error


def _slope(values: Floats, part: Floats, acceptance: float, error: float, cut: float) -> float:
    """By how much the classifier changes with the part of the peak that lies above, at the cut."""

    def value_at(wanted: float) -> float:
        return float(values[np.searchsorted(part, max(wanted, 0.0))])

    lower, higher = acceptance - REACH * error, acceptance + REACH * error
    if higher < part[-1] and value_at(higher) > RANGE[0]:
        return (value_at(lower) - value_at(higher)) / (2 * REACH * error)
    return (value_at(acceptance - error) - cut) / error
