"""The cut at a survival of the double-escape peak, and survival fractions of lines by their side bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.curves import Curve, width_at

from .result import Survival

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

DEP, SEP, QBB = 1592.5, 2103.53, 2039.0
ENERGIES = (DEP, 1620.5, QBB, SEP, 2614.5)
"""Where survival is stated, in keV, by the names that dashboards look them up by."""
ACCEPTANCE = 0.9
"""Part of the double-escape peak that the low cut keeps."""
HALF_QBB = 35.0
"""Half of the range around Q_bb in keV: no line of 228Th is in it."""
WINDOW, INNER, OUTER = 1.5, 2.5, 6.0
"""In FWHM: half of the range of a line, and where its side bands begin and end."""
FURTHEST = 22.0
"""Where side bands end at the latest, in keV: the lines of 1592.5 and 1620.5 keV are 28 keV apart."""
DOPPLER = 3.0
"""FWHM in keV of the Doppler effect at the single-escape peak."""
LEAST_SIGNIFICANCE = 5.0
RANGE = (-8.0, 1.0)
"""Where the low cut is looked for, in standard deviations."""


def regions(energies: Floats, line: float, widths: Curve) -> tuple[Mask, Mask, float]:
    """Events in the range of a line, those in its side bands, and the ratio of the widths of both.

    Parameters
    ----------
    energies
        In keV, shape (events,).
    line
        In keV.
    widths
        FWHM of lines over the energy.
    """
    fwhm, _ = width_at(widths, line)
    fwhm = float(np.hypot(fwhm, DOPPLER)) if line == SEP else fwhm
    distance = np.abs(energies - line)
    outer = min(OUTER * fwhm, FURTHEST)
    inner = min(INNER * fwhm, 0.6 * outer)
    half = min(WINDOW * fwhm, inner)
    return distance < half, (distance > inner) & (distance < outer), half / (outer - inner)


def cut_at(energies: Floats, classifier: Floats, widths: Curve, acceptance: float = ACCEPTANCE) -> tuple[float, float]:
    """The classifier above which a part of the double-escape peak lies, and its error.

    It is the highest one: below it the survival of few events runs flat, and what else reaches the acceptance there is
    chance. Its error is the distance to the cut at which the survival is lower by its error.

    Raises
    ------
    WorkFailed
        If there is no double-escape peak, or no such cut.
    """
    inside, beside, ratio = regions(energies, DEP, widths)
    total, error = _difference(inside, beside, ratio)
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
    lower = acceptance - survival(energies, classifier > cut, DEP, widths).error
    return cut, float(values[np.searchsorted(reached, max(lower, 0.0) * total)]) - cut


def survival_fractions(energies: Floats, passes: Mask, widths: Curve) -> Mapping[float, Survival]:
    """Survival fractions at :data:`ENERGIES`; `energies` (keV) and `passes` have the shape (events,)."""
    return {energy: survival(energies, passes, energy, widths) for energy in ENERGIES}


def survival(energies: Floats, passes: Mask, line: float, widths: Curve) -> Survival:
    """The part of a line that passes, by subtraction of side bands; at Q_bb, that of all events around it."""
    if line == QBB:
        inside, beside, ratio = np.abs(energies - line) < HALF_QBB, np.zeros(len(energies), dtype=bool), 0.0
    else:
        inside, beside, ratio = regions(energies, line, widths)
    kept, kept_error = _difference(inside & passes, beside & passes, ratio)
    lost, lost_error = _difference(inside & ~passes, beside & ~passes, ratio)
    total, total_error = kept + lost, float(np.hypot(kept_error, lost_error))
    if not total > 2 * total_error:
        return Survival(line, float("nan"), float("nan"), total, total_error)
    # what passes and what does not are independent counts
    error = float(np.hypot(lost * kept_error, kept * lost_error)) / total**2
    return Survival(line, kept / total, error, total, total_error)


def _difference(inside: Mask, beside: Mask, ratio: float) -> tuple[float, float]:
    """Counts above background, and their error, which is that of one count at least."""
    signal, background = int(np.count_nonzero(inside)), int(np.count_nonzero(beside))
    return signal - ratio * background, float(np.sqrt(max(signal, 1) + ratio**2 * background))
