"""Filters of least line width from the traces of lines' events, and the corrections of their energies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.filters import kernel_of
from dataflow.physics.lines import Line
from dataflow.physics.trapping import Trapping, fit_peaks, joined

from .result import Correction, Result, Width
from .scan import Convolver, Events, Scan, Trapezoid, line_events, scan, width_at
from .settings import EoptSettings

Floats = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]
Chain = Callable[[Mapping[str, Mapping[str, str]]], Columns]
"""Applies the processing chain to the events with some parameters; its energies by name, shape (rows,)."""

US = 1000.0
LONGEST = 0.99
"""Quantile of the drift times that the flat top must hold..."""
ROOM = 1.25
"""...with this factor: energies are picked off at 80 % of it. The published flow has 1.1, and a deficit there."""
STEP_OF_FLAT = 0.1
SIGNAL = 30.0
"""Counts in a line below which it has no part in the correction, if another line has more: with a dozen counts the
likelihood has several maxima, and the highest may be where a slope puts a few of them on top of each other."""
LOWEST = 500.0
"""Lines from this energy in keV on give the correction, if there are any: below, the noise of the energy, which is also
in the effective drift time, pretends that energies rise with it."""
PARTS_OF_DRIFT = 6
LEAST_IN_PART = 15


@dataclass(frozen=True)
class Sample:
    """Events of lines with their traces.

    Attributes
    ----------
    blsub, pz
        Traces without baseline, and also without decay, in ADC counts, shape (rows, samples).
    period
        Sampling period in ns.
    tau
        Decay constant in ns.
    peak
        The line of each row, as parameter files call it, shape (rows,).
    energy
        A good energy in keV, shape (rows,).
    drift
        Effective drift time in ns, shape (rows,).
    rise
        Time from the start of the pulse to 99 % of its height in ns, shape (rows,).
    start
        When the pulse starts, in ns from the beginning of the trace, shape (rows,).
    """

    blsub: NDArray[np.float32]
    pz: NDArray[np.float32]
    period: float
    tau: float
    peak: Floats
    energy: Floats
    drift: Floats
    rise: Floats
    start: Floats


def calibrate(sample: Sample, lines: Sequence[Line], reference: float, chain: Chain, settings: EoptSettings) -> Result:
    """Optimise the filters, and find the corrections of the energies that the chain then makes.

    Parameters
    ----------
    sample
        The events.
    lines
        The lines, with the windows of the events.
    reference
        Where the width is stated, in keV.
    chain
        The processing chain on these events.
    settings
        How.

    Raises
    ------
    WorkFailed
        If no line has enough events, or no filter fits into the trace.
    """
    wanted = [line for line in lines if not settings.peaks or _is_among(line.energy, settings.peaks)]
    events = line_events(sample.peak, sample.energy, sample.drift, wanted, settings.least)
    if not events:
        most = max((int(np.count_nonzero(sample.peak == line.key)) for line in wanted), default=0)
        if most >= settings.least:
            raise WorkFailed("no line stands out of its events")
        raise WorkFailed(f"{most} events of a line are too few to optimise filters, {settings.least} are needed")
    longest = _longest(sample, events[-1])
    flat = flat_top(longest, sample.period, settings)
    scans = tuple(_scan(name, sample, flat, events, reference, settings) for name in ("cusp", "zac", "etrap"))
    counts = {each.energy: len(each.rows) for each in events}
    result = Result(scans, flat, longest, (), counts, reference)
    energies = chain(result.filters())
    corrections = tuple(
        correction(name, energies[name].astype(np.float64), sample, events, reference) for name in sorted(energies)
    )
    return replace(result, corrections=corrections, notes=_notes(corrections))


def _is_among(energy: float, energies: Sequence[float]) -> bool:
    return any(abs(energy - each) < 1.0 for each in energies)


def _longest(sample: Sample, line: Events) -> float:
    """The longest drift time of a line's events in microseconds."""
    rise = sample.rise[line.rows]
    rise = rise[np.isfinite(rise)]
    return float(np.quantile(rise, LONGEST)) / US if len(rise) else 0.0


def flat_top(longest: float, period: float, settings: EoptSettings) -> float:
    """The flat top in microseconds, a whole number of samples, that holds the longest drift time with some room."""
    wanted = math.ceil(ROOM * longest / STEP_OF_FLAT - 1e-9) * STEP_OF_FLAT
    limited = min(max(wanted, settings.min_flat_value), settings.max_flat_value)
    return math.ceil(limited * US / period - 1e-6) * period / US


def _scan(
    name: str, sample: Sample, flat: float, lines: Sequence[Events], reference: float, settings: EoptSettings
) -> Scan:
    rows = np.unique(np.concatenate([line.rows for line in lines]))
    place = np.full(len(sample.peak), -1)
    place[rows] = np.arange(len(rows))
    own = [replace(line, rows=place[line.rows]) for line in lines]
    energies = _trapezoid(sample, rows, flat) if name == "etrap" else _kernel(name, sample, rows, flat, settings)
    low, high = settings.rise if name == "etrap" else settings.sigma
    grid = np.arange(low, high + settings.step / 2, settings.step)
    if name == "etrap":
        grid = np.unique(np.maximum(np.round(grid * US / sample.period), 1)) * sample.period / US
    time = "rise" if name == "etrap" else "sigma"
    found = scan(name, time, (grid, settings.step), energies, sample.energy[rows], own, reference)
    if name != "etrap":
        return found
    return replace(found, best=round(found.best * US / sample.period) * sample.period / US)


def _kernel(
    name: str, sample: Sample, rows: NDArray[np.int64], flat: float, settings: EoptSettings
) -> Callable[[float], Floats | None]:
    """The energies by dspeed's cusp or zac filter, with kernels as in the shipped chain."""
    traces = Convolver(sample.blsub[rows])
    length = round(settings.kernel * sample.blsub.shape[1])

    def energies(sigma: float) -> Floats | None:
        top, tau = round(flat * US / sample.period), sample.tau / sample.period
        kernel = kernel_of(name, sigma * US / sample.period, top, tau, length)
        return None if kernel is None else traces.maxima(kernel)

    return energies


def _trapezoid(sample: Sample, rows: NDArray[np.int64], flat: float) -> Callable[[float], Floats | None]:
    """The energies by trapezoids that fit before and after the pulses."""
    traces = Trapezoid(sample.pz[rows])
    start = float(np.nanmedian(sample.start[rows]))
    room = min(start, sample.pz.shape[1] * sample.period - start - (flat + 1.0) * US)

    def energies(rise: float) -> Floats | None:
        fits = rise * US < room
        return traces.maxima(round(rise * US / sample.period), round(flat * US / sample.period)) if fits else None

    return energies


def correction(
    name: str,
    energies: Floats,
    sample: Sample,
    events: Sequence[Events],
    reference: float,
) -> Correction:
    """The correction of one estimator, and the widths of all lines without and with it.

    Raises
    ------
    WorkFailed
        If the lines do not give one.
    """
    usable = np.isfinite(energies) & (energies > 0) & np.isfinite(sample.drift)
    known = np.where(usable, energies, np.nan)
    scaled = known * float(np.nanmedian(sample.energy / known))
    own = [line for line in events if line.energy > LOWEST] or events[-1:]
    of_lines = [each for line in own if (each := _of_line(scaled, line, usable)) is not None]
    found = joined([each for each in of_lines if each[3] >= SIGNAL] or of_lines)
    if found is None:
        raise WorkFailed(f"no line gives a correction of {name}")
    factors = 1 + found.factor * sample.drift
    after = scaled * factors
    after *= float(np.nanmedian(sample.energy / after))
    highest = own[-1]
    drift, positions, errors = by_drift(scaled, highest, usable)
    _, corrected, _ = by_drift(after, highest, usable)
    before, better = (_width(each, events, usable, reference) for each in (scaled, after))
    return Correction(name, found, before, better, drift, positions, corrected, errors, highest.energy)


def _of_line(energies: Floats, line: Events, usable: NDArray[np.bool_]) -> tuple[float, float, float, float] | None:
    if (own := _among(line, usable)) is None:
        return None
    peaks = own.fit(energies[None])
    return line.energy, float(peaks.factor[0]), float(peaks.factor_error[0]), float(peaks.counts[0])


def by_drift(energies: Floats, line: Events, usable: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Position of a line in parts of equal counts by drift time.

    Returns
    -------
    tuple
        Mean drift times in ns, positions and their errors in keV, shape (parts,).
    """
    rows, drift = line.rows[usable[line.rows]], line.drift[usable[line.rows]]
    parts = min(PARTS_OF_DRIFT, len(rows) // LEAST_IN_PART)
    found = []
    for part in np.array_split(np.argsort(drift, kind="stable"), parts) if parts else []:
        peaks = fit_peaks(energies[rows[part]][None], drift[part], line.width, corrected=False)
        found.append((float(np.mean(drift[part])), float(peaks.position[0]), float(peaks.position_error[0])))
    values = np.array(found).reshape(-1, 3)
    return values[:, 0], values[:, 1], values[:, 2]


def _width(energies: Floats, events: Sequence[Events], usable: NDArray[np.bool_], reference: float) -> Width:
    """Widths of lines without regard to the drift time, and that of the curve through them."""
    fits = {
        line.energy: own.fit(energies[None], corrected=False)
        for line in events
        if (own := _among(line, usable)) is not None
    }
    value, error = width_at(fits, reference) if fits else (np.array([np.nan]), np.array([np.nan]))
    lines = {energy: (float(peaks.fwhm[0]), float(peaks.fwhm_error[0])) for energy, peaks in fits.items()}
    return Width(float(value[0]), float(error[0]), lines)


def _among(line: Events, usable: NDArray[np.bool_]) -> Events | None:
    """A line's events without those whose energy is not known; None if few are left."""
    good = usable[line.rows]
    few = np.count_nonzero(good) < LEAST_IN_PART
    return None if few else replace(line, rows=line.rows[good], drift=line.drift[good])


def _notes(corrections: Sequence[Correction]) -> tuple[str, ...]:
    """Corrections that no trapping makes, or on which lines do not agree."""
    found = []
    for each in corrections:
        if _is_negative(each.trapping):
            value, error = each.trapping.factor * 1e6, each.trapping.error * 1e6
            found.append(f"{each.estimator} rises with the drift time (-a = {-value:.2f} ± {error:.2f} 1e-6 per ns)")
        if (chance := each.trapping.p_value) is not None and chance < 1e-3:
            found.append(f"lines do not agree on the trapping correction of {each.estimator} (p = {chance:.1g})")
    return tuple(found)


def _is_negative(one: Trapping) -> bool:
    return one.factor < -3 * one.error
