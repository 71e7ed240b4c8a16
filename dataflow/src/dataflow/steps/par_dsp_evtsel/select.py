"""Candidates by a rough energy, then events by a good one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.linefit import LineFit, fit_line
from dataflow.physics.lines import Line, Source
from dataflow.physics.scale import find_scale

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]

WIDER = 1.1
"""Candidates are taken from a window that is wider by this factor, and by :data:`ROUGH` of the energy."""
ROUGH = 2e-3
MOST_OFF = 0.02
"""Relative deviation of a position from its place up to which a line refines the scale."""


@dataclass(frozen=True)
class Candidates:
    """Rows that may belong to lines.

    Attributes
    ----------
    rows
        Sorted, shape (candidates,).
    energies
        Their rough energies in keV, shape (candidates,).
    found
        How many there are by energy of the line, without the limit.
    spectrum
        Rough energies of all usable rows in keV, for the figure.
    """

    rows: Rows
    energies: Floats
    found: Mapping[float, int]
    spectrum: Floats = field(repr=False)


def candidates(rough: Floats, usable: Mask, lines: Sequence[Line], source: Source, most: int) -> Candidates:
    """Rows near lines by a rough energy.

    Parameters
    ----------
    rough
        An energy in any unit, proportional to the true one within a part of :data:`ROUGH`, shape (rows,).
    usable
        Which rows may be taken, shape (rows,).
    lines
        The lines, with windows.
    source
        The lines by which the spectrum is recognised.
    most
        Rows of each line, at most; evenly spread.

    Raises
    ------
    WorkFailed
        If the lines do not stand out.
    """
    usable = usable & np.isfinite(rough) & (rough > 0)
    scale = find_scale(rough[usable], source.lines, None)
    energies = np.where(usable, rough * scale, 0.0)
    chosen: list[Rows] = []
    found: dict[float, int] = {}
    for line in lines:
        margin = ROUGH * line.energy
        low = line.energy - WIDER * line.below - margin
        high = line.energy + WIDER * line.above + margin
        rows = np.flatnonzero((energies > low) & (energies < high))
        found[line.key] = len(rows)
        chosen.append(evenly(rows, most))
    rows = np.unique(np.concatenate(chosen)) if chosen else np.empty(0, dtype=np.int64)
    if len(rows) == 0:
        raise WorkFailed("no event has the energy of a line")
    return Candidates(rows, energies[rows], found, energies[usable])


def evenly(rows: Rows, most: int) -> Rows:
    """Some of the rows, evenly spread over them."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


@dataclass(frozen=True)
class Selected:
    """Events of lines.

    Attributes
    ----------
    place
        Which of the candidates they are, shape (events,); one that lies in two windows is there twice.
    peak
        The line of each, by the energy that parameter files know it by, shape (events,).
    energies
        Of all candidates, in keV, shape (candidates,).
    scale
        keV per ADC count of the good energy.
    """

    place: Rows
    peak: Floats
    energies: Floats
    scale: float

    def counts(self, lines: Sequence[Line]) -> dict[float, int]:
        """Events by line."""
        return {line.key: int(np.count_nonzero(self.peak == line.key)) for line in lines}


def select(amplitudes: Floats, rough: Floats, good: Mask, lines: Sequence[Line]) -> Selected:
    """The candidates whose good energy lies in the window of a line.

    Parameters
    ----------
    amplitudes
        The good energy in ADC counts, shape (candidates,).
    rough
        The rough energy in keV, by which the scale is known, shape (candidates,).
    good
        Which candidates pass the cuts of quality, shape (candidates,).
    lines
        The lines, with windows.

    Raises
    ------
    WorkFailed
        If none is left.
    """
    usable = good & np.isfinite(amplitudes) & (amplitudes > 0)
    if not usable.any():
        raise WorkFailed("no event of a line passes the cuts of quality")
    scale = float(np.median(rough[usable] / amplitudes[usable]))
    scale *= _refined(amplitudes[usable] * scale, lines)
    energies = np.where(usable, amplitudes * scale, np.nan)
    places, peaks = [], []
    for line in lines:
        inside = np.flatnonzero((energies > line.energy - line.below) & (energies < line.energy + line.above))
        places.append(inside)
        peaks.append(np.full(len(inside), line.key))
    return Selected(np.concatenate(places), np.concatenate(peaks), energies, scale)


def _refined(energies: Floats, lines: Sequence[Line]) -> float:
    """The factor by which the line with the most significant counts gets its energy; 1 without a clear line."""
    fits = [fit for line in lines if isinstance(fit := fit_line(energies, line), LineFit)]
    clear = [fit for fit in fits if abs(fit.position / fit.line.energy - 1) < MOST_OFF]
    if not clear:
        return 1.0
    best = max(clear, key=lambda fit: fit.position / fit.position_error)
    return best.line.energy / best.position
