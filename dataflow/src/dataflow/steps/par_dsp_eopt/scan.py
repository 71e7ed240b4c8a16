"""The energies of a line's events by each filter, and at which of its times the line is narrowest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.filters import minimum
from dataflow.physics.lines import Line
from dataflow.physics.trapping import ROUGH, Peaks, fit_peaks, usable_drifts

Floats = NDArray[np.float64]

US = 1000.0
COARSE = 4
"""The coarse scan has steps of so many of the fine one."""
PARTS = 10
"""Parts of the events, each of which is left out once for the error."""
ROUNDS = 4
"""In which the curve of widths gives its own weights."""
LEAST_SQUARE = 0.01
"""Square of a line's width that the curve may have at least, over the greatest."""
NEAR = 6.0
"""What holds a line in energies that no correction has improved yet, in keV."""
SIGNIFICANT = 5.0
"""Standard deviations of the background that a line must exceed; a densest interval is looked for."""
EDGE = 1e-3
"""Relative gain at an end of the scan, over a coarse step within, from which on it is worth a word."""


@dataclass(frozen=True)
class Events:
    """Events of one line.

    Attributes
    ----------
    energy
        Of the line in keV.
    rows
        Which rows of the table they are, shape (events,).
    drift
        Drift times in ns, shape (events,).
    width
        Width of the window in keV.
    neighbours
        Lines that overlap with it: distance in keV, and counts as a part of this line's.
    """

    energy: float
    rows: NDArray[np.int64]
    drift: Floats
    width: float
    neighbours: tuple[tuple[float, float], ...] = ()

    def fit(self, energies: Floats, *, corrected: bool = True) -> Peaks:
        """The line in energies in keV of all rows, shape (filters, rows)."""
        own = energies[:, self.rows]
        return fit_peaks(own, self.drift, self.width, neighbours=self.neighbours, corrected=corrected)

    def fit_without(self, energies: Floats, part: int, start: Peaks) -> Peaks:
        """The same without one of :data:`PARTS` parts of the events, from the fit with all."""
        own = energies[:, self.rows]
        kept = (np.arange(len(self.rows)) % PARTS != part).astype(np.float64)
        options: dict[str, Any] = {"neighbours": self.neighbours, "weights": kept, "start": start, "close": ROUGH}
        return fit_peaks(own, self.drift, self.width, **options)


@dataclass(frozen=True)
class Scan:
    """The width of lines by one filter at several times.

    Attributes
    ----------
    filter, time
        Names in the parameter file: ``cusp``, ``sigma``.
    best, error
        The time of least width in microseconds; its error is that from leaving out parts of the events.
    times, widths, errors
        The scan, shape (times,): microseconds, FWHM at the reference energy in keV.
    lines
        FWHM of each line in keV by its energy, shape (times,).
    edge
        Which end of the scan the minimum lies at, empty if within.
    """

    UNKNOWN: ClassVar[float] = 0.25
    """Part of the scanned range from which on an error says that the events do not tell the time."""

    filter: str
    time: str
    best: float
    error: float
    times: Floats = field(repr=False)
    widths: Floats = field(repr=False)
    errors: Floats = field(repr=False)
    lines: Mapping[float, Floats] = field(repr=False)
    edge: str = ""

    @property
    def has_error(self) -> bool:
        """Whether leaving out parts of the events tells an error: not if all of them lead to an end of the scan."""
        return self.error > 0

    @property
    def is_known(self) -> bool:
        """Whether the events tell the time: else that which holds without them is as good."""
        return self.error < self.UNKNOWN * float(self.times[-1] - self.times[0])

    @property
    def lowest(self) -> tuple[float, float]:
        """The least width of the scan, and its error, in keV."""
        place = int(np.argmin(self.widths))
        return float(self.widths[place]), float(self.errors[place])


class Convolver:
    """Maxima of filtered traces; the spectrum of the traces is computed once.

    Parameters
    ----------
    traces
        Shape (events, samples), float32.
    """

    def __init__(self, traces: NDArray[np.float32]) -> None:
        from scipy import fft

        self._fft, self._samples = fft, traces.shape[1]
        self._length = fft.next_fast_len(self._samples, real=True)
        self._spectrum = fft.rfft(traces, n=self._length, axis=1)

    def maxima(self, kernel: Floats) -> Floats:
        """The highest value of each trace convolved with a kernel, where they overlap entirely; shape (events,)."""
        spectrum = self._fft.rfft(kernel.astype(np.float32), n=self._length)
        filtered = self._fft.irfft(self._spectrum * spectrum, n=self._length, axis=1)
        return np.asarray(filtered[:, len(kernel) - 1 : self._samples].max(axis=1), dtype=np.float64)


class Trapezoid:
    """Heights of trapezoids; the sums of the traces are computed once.

    Parameters
    ----------
    traces
        Without decay, shape (events, samples).
    """

    def __init__(self, traces: NDArray[np.float32]) -> None:
        self._sums = np.cumsum(np.pad(traces.astype(np.float64), ((0, 0), (1, 0))), axis=1)

    def maxima(self, rise: int, flat: int) -> Floats:
        """The highest difference of the means of `rise` samples, `flat` samples apart; shape (events,)."""
        sums, ends = self._sums, self._sums.shape[1]
        last = ends - 2 * rise - flat
        late = sums[:, 2 * rise + flat :] - sums[:, rise + flat : ends - rise]
        early = sums[:, rise : rise + last] - sums[:, :last]
        return np.asarray((late - early).max(axis=1) / rise)


def in_kev(energies: Floats, good: Floats) -> Floats:
    """Energies of several filters, shape (filters, events), brought to the scale of a good one in keV."""
    ratio = np.median(good / energies, axis=1)
    return energies * ratio[:, None]


def line_events(peak: Floats, energy: Floats, drift: Floats, lines: Sequence[Line], least: int) -> tuple[Events, ...]:
    """The events of each line that has enough and stands out of them, in the order of energy.

    Parameters
    ----------
    peak
        The line of each row, as parameter files call it, shape (rows,).
    energy
        Of each row in keV, roughly calibrated, shape (rows,).
    drift
        Drift times in ns, shape (rows,).
    lines
        The lines, with the windows of the events.
    least
        How many are enough.
    """
    found = []
    for line in sorted(lines, key=lambda line: line.energy):
        rows = np.flatnonzero(peak == line.key)
        rows = rows[usable_drifts(drift[rows])] if len(rows) else rows
        width = line.below + line.above
        if len(rows) >= least and stands_out(energy[rows], width):
            found.append(Events(line.energy, rows, drift[rows].astype(np.float64), width, line.neighbours))
    return tuple(found)


def stands_out(energies: Floats, width: float) -> bool:
    """Whether some :data:`NEAR` keV of a window have more events than the others let expect.

    A line that hides in its background has any width, another one at each time of a filter: the scan would jump.
    """
    found = np.sort(energies)
    most = int((np.searchsorted(found, found + NEAR, "right") - np.arange(len(found))).max())
    expected = (len(found) - most) * NEAR / max(width - NEAR, NEAR)
    return bool(most - expected > SIGNIFICANT * max(np.sqrt(expected), 1.0))


def width_at(lines: Mapping[float, Peaks], reference: float) -> tuple[Floats, Floats]:
    """FWHM at an energy by several filters: of FWHM² = a + b E through the lines, or that of the only line.

    Returns
    -------
    tuple
        Widths and their errors in keV, shape (filters,).
    """
    energies = np.array(list(lines))
    squares = np.stack([peaks.fwhm**2 for peaks in lines.values()])
    errors = np.stack([peaks.fwhm_error for peaks in lines.values()])
    errors = np.where(np.isfinite(errors), errors, np.sqrt(squares))  # events that do not tell it: all of the width
    if len(energies) == 1:
        return np.sqrt(squares[0]), errors[0]
    counts = np.stack([np.maximum(peaks.counts, 1.0) for peaks in lines.values()])
    design = np.stack([np.ones_like(energies), energies / reference], axis=1)
    # the same weights for all filters, or the scan would not be smooth; by the curve and not by a line's own width, or
    # a few events that happen to lie close together would have most of the weight
    expected, typical = design.sum(axis=1), np.median(squares, axis=1)
    for _ in range(ROUNDS):
        solved = _solver(design, counts.mean(axis=1) / expected**2 / 2)
        expected = np.maximum(design @ solved @ typical, LEAST_SQUARE * typical.max())
    at_reference = np.ones(2) @ solved
    square = np.maximum(at_reference @ squares, 1e-9)
    curves = np.maximum(design @ solved @ squares, LEAST_SQUARE * squares.max(axis=0))
    # the relative error of each line's square, at the width that the curve gives it
    variance = (at_reference**2) @ (4 * (curves * errors) ** 2 / np.maximum(squares, 1e-9))
    return np.sqrt(square), np.sqrt(variance / square) / 2


def _solver(design: Floats, weights: Floats) -> Floats:
    """What makes the parameters of the curve from the squares of widths, shape (parameters, lines)."""
    weighted = (design * weights[:, None]).T
    return np.asarray(np.linalg.inv(weighted @ design) @ weighted)


def scan(
    filter_name: str,
    time_name: str,
    times: tuple[Floats, float],
    energies_at: Callable[[float], Floats | None],
    good: Floats,
    lines: Sequence[Events],
    reference: float,
) -> Scan:
    """Find the time of a filter at which lines are narrowest: a coarse scan, then a fine one around its minimum.

    Parameters
    ----------
    filter_name, time_name
        For the parameter file.
    times
        The fine scan over the whole range in microseconds, shape (times,), and its step.
    energies_at
        The energies of all rows at a time, shape (rows,), any unit; None where the filter does not fit.
    good
        Another energy of all rows in keV.
    lines
        The lines' events.
    reference
        The energy in keV at which the width counts.

    Raises
    ------
    WorkFailed
        If none of the times fits into the trace.
    """
    grid = times[0]
    known: dict[int, Floats] = {}

    def measure(numbers: Sequence[int]) -> None:
        for number in numbers:
            if number not in known and (found := energies_at(float(grid[number]))) is not None:
                known[number] = found

    coarse = sorted({*range(0, len(grid), COARSE), len(grid) - 1})
    measure(coarse)
    if len(known) < 3:
        raise WorkFailed(f"{len(known)} times of {filter_name} fit into the trace")
    first = _widths(known, good, lines, reference)
    lowest = sorted(known)[int(np.argmin(first[1]))]
    measure(range(max(lowest - COARSE, 0), min(lowest + COARSE + 1, len(grid))))
    numbers, widths, errors, fits = _widths(known, good, lines, reference)
    at = grid[numbers]
    best = minimum(at, widths)
    error = _left_out(known, good, lines, reference, fits, at)
    by_line = {energy: peaks.fwhm for energy, peaks in fits.items()}
    return Scan(filter_name, time_name, best, error, at, widths, errors, by_line, edge_of(widths, error))


def edge_of(widths: Floats, error: float) -> str:
    """Which end of the scan is lowest, if lower than what is further within or lowest for all parts of the events.

    Else the scan is flat there.
    """
    lowest, inner = int(np.argmin(widths)), min(COARSE, len(widths) - 1)
    least = 1 + EDGE if error else 1.0
    if lowest == 0 and widths[inner] > widths[0] * least:
        return "beginning"
    if lowest == len(widths) - 1 and widths[-1 - inner] > widths[-1] * least:
        return "end"
    return ""


def _energies(known: Mapping[int, Floats], good: Floats) -> Floats:
    return in_kev(np.stack([known[number] for number in sorted(known)]), good)


def _widths(
    known: Mapping[int, Floats], good: Floats, lines: Sequence[Events], reference: float
) -> tuple[NDArray[np.int64], Floats, Floats, dict[float, Peaks]]:
    energies = _energies(known, good)
    fits = {line.energy: line.fit(energies) for line in lines}
    return np.array(sorted(known)), *width_at(fits, reference), fits


def _left_out(
    known: Mapping[int, Floats],
    good: Floats,
    lines: Sequence[Events],
    reference: float,
    fits: Mapping[float, Peaks],
    times: Floats,
) -> float:
    """Error of the minimum by leaving out one of :data:`PARTS` parts of the events at a time (jackknife)."""
    energies = _energies(known, good)
    found = []
    for part in range(PARTS):
        without = {line.energy: line.fit_without(energies, part, fits[line.energy]) for line in lines}
        found.append(minimum(times, width_at(without, reference)[0]))
    return float(np.sqrt((PARTS - 1) / PARTS * np.sum((np.array(found) - np.mean(found)) ** 2)))
