"""What cuts leave of lines, by their side bands, and of the continuum."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.physics.curves import Curve, width_at

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

DEP, SEP, QBB = 1592.5, 2103.53, 2039.0
ENERGIES = (DEP, 1620.5, QBB, SEP, 2614.5)
"""Where survival is stated, in keV, by the names that dashboards look them up by."""
HALF_QBB = 35.0
"""Half of the range around Q_bb in keV: no line of 228Th is in it."""
WINDOW, INNER, OUTER = 1.5, 2.5, 6.0
"""In FWHM: half of the range of a line, and where its side bands begin and end."""
FURTHEST = 22.0
"""Where side bands end at the latest, in keV: the lines of 1592.5 and 1620.5 keV are 28 keV apart."""
DOPPLER = 3.0
"""FWHM in keV of the Doppler effect at the single-escape peak."""
PERCENT = 100.0


@dataclass(frozen=True)
class Survival:
    """The part of a line, or of the continuum, that a cut leaves.

    Attributes
    ----------
    energy
        In keV.
    fraction, error
        Of 1; NaN where there is no line to count.
    counts, counts_error
        Of the line above its side bands before the cut.
    """

    energy: float
    fraction: float
    error: float
    counts: float
    counts_error: float


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


def survival_fractions(
    energies: Floats, passes: Mask, widths: Curve, varied: tuple[Mask, Mask] | None = None
) -> Mapping[float, Survival]:
    """Survival fractions at :data:`ENERGIES`.

    Parameters
    ----------
    energies
        In keV, shape (events,).
    passes
        Which events pass, shape (events,).
    widths
        FWHM of lines over the energy.
    varied
        What passes with the cut lower and higher by its error, which then is a part of the errors; but for the
        double-escape peak, whose survival defines the cut.
    """
    found = {energy: survival(energies, passes, energy, widths) for energy in ENERGIES}
    if varied is None:
        return found
    return {
        energy: one if energy == DEP else _with_cut(one, *(survival(energies, each, energy, widths) for each in varied))
        for energy, one in found.items()
    }


def _with_cut(one: Survival, low: Survival, high: Survival) -> Survival:
    """With half of the difference that the error of the cut makes, where there is a line to count."""
    half = abs(low.fraction - high.fraction) / 2
    return replace(one, error=float(np.hypot(one.error, half))) if np.isfinite(half) else one


def survival(energies: Floats, passes: Mask, line: float, widths: Curve) -> Survival:
    """The part of a line that passes, by subtraction of side bands; at Q_bb, that of all events around it."""
    if line == QBB:
        inside, beside, ratio = np.abs(energies - line) < HALF_QBB, np.zeros(len(energies), dtype=bool), 0.0
    else:
        inside, beside, ratio = regions(energies, line, widths)
    kept, kept_error = difference(inside & passes, beside & passes, ratio)
    lost, lost_error = difference(inside & ~passes, beside & ~passes, ratio)
    total, total_error = kept + lost, float(np.hypot(kept_error, lost_error))
    if not total > 2 * total_error:
        return Survival(line, float("nan"), float("nan"), total, total_error)
    # what passes and what does not are independent counts
    error = float(np.hypot(lost * kept_error, kept * lost_error)) / total**2
    return Survival(line, kept / total, error, total, total_error)


def sweep(energies: Floats, values: Floats, line: float, widths: Curve, cuts: Floats) -> list[Survival]:
    """The part of a line whose classifier is above each of some cuts.

    Parameters
    ----------
    energies, values
        In keV, and the classifier, shape (events,).
    line
        In keV.
    widths
        FWHM of lines over the energy.
    cuts
        Shape (cuts,).
    """
    near = np.abs(energies - line) < max(FURTHEST, HALF_QBB)
    own, chosen = energies[near], values[near]
    return [survival(own, chosen > cut, line, widths) for cut in cuts]


def difference(inside: Mask, beside: Mask, ratio: float) -> tuple[float, float]:
    """Counts above background, and their error, which is that of one count at least."""
    signal, background = int(np.count_nonzero(inside)), int(np.count_nonzero(beside))
    return signal - ratio * background, float(np.sqrt(max(signal, 1) + ratio**2 * background))


def in_percent(one: Survival) -> dict[str, float | None]:
    """As parameter files have it; null where there is nothing to count, with a warning."""
    there = math.isfinite(one.fraction)
    return {
        "sf": PERCENT * one.fraction if there else None,
        "sf_err": PERCENT * one.error if there else None,
        "counts": one.counts,
        "counts_err": one.counts_error,
    }


def without_counts(words: str, fractions: Mapping[float, Survival]) -> list[str]:
    """A sentence about the energies at which a classifier, named in words, has nothing to count."""
    missing = [f"{energy:g} keV" for energy, one in fractions.items() if not math.isfinite(one.fraction)]
    return [f"no {words} survival fraction at {', '.join(missing)}: no counts there"] if missing else []
