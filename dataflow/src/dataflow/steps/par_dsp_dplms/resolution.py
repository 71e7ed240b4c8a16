"""The width of a line as a filter measures it, with its correction for trapped charge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataflow.physics.linefit import LineFit, NoLine, fit_line
from dataflow.physics.lines import Line, half_width
from dataflow.physics.selection import spread_of
from dataflow.physics.trapping import Trapping, fit_peaks, usable_drifts

Floats = NDArray[np.float64]

BLOCK = 500
"""Traces that are filtered together."""
WINDOW = 0.01
"""Half the window around a line in which pulses tell of trapping, as a part of its energy."""
LEAST = 20


def energies_of(traces: NDArray[np.floating], samples: Floats) -> Floats:
    """The highest output of a filter wherever it fits into the trace, as the chain takes it; shape (traces,)."""
    from scipy.signal import fftconvolve

    kernel = samples[::-1].astype(np.float32)[None]
    parts = (traces[first : first + BLOCK] for first in range(0, len(traces), BLOCK))
    found = [fftconvolve(part, kernel, mode="valid", axes=1).max(axis=1) for part in parts]
    return np.concatenate(found).astype(np.float64) if found else np.empty(0)


def trapping_of(energies: Floats, drift: Floats) -> Trapping | None:
    """The correction of a line's energies for trapped charge: see :mod:`dataflow.physics.trapping`.

    Parameters
    ----------
    energies
        Of one line, in any unit, shape (pulses,).
    drift
        In ns, shape (pulses,).

    Returns
    -------
    Trapping or None
        None if there are too few pulses, or all have the same drift time.
    """
    usable = np.isfinite(energies) & usable_drifts(drift)
    mode = spread_of(energies[usable]).mode or np.nan
    near = usable & (np.abs(energies / mode - 1) < WINDOW)
    if near.sum() < LEAST or np.ptp(drift[near]) == 0:
        return None
    found = fit_peaks(energies[None, near], drift[near], 2 * WINDOW * mode)
    return Trapping(float(found.factor[0]), float(found.factor_error[0]))


def corrected(energies: Floats, drift: Floats, trapping: Trapping | None) -> Floats:
    """Energies times (1 + factor · drift time)."""
    return energies * (1 + trapping.factor * np.nan_to_num(drift)) if trapping else energies


def line_of(energies: Floats, energy: float) -> tuple[LineFit | NoLine, float]:
    """The fit of a line in uncalibrated energies, and the keV per unit that puts its densest part at its energy.

    Parameters
    ----------
    energies
        In any unit, shape (pulses,).
    energy
        Of the line in keV.
    """
    finite = energies[np.isfinite(energies)]
    mode = spread_of(finite).mode
    if not mode or mode <= 0:
        return NoLine(Line(energy, 0, 0), f"{len(finite)} events"), np.nan
    scaled = finite * (energy / mode)
    inside = scaled[np.abs(scaled - energy) < half_width(energy)]
    # no further than the selected events reach: an empty part of the window would pass for a lack of background
    below, above = max(energy - float(inside.min()), 1.0), max(float(inside.max()) - energy, 1.0)
    return fit_line(scaled, Line(energy, below, above)), energy / mode
