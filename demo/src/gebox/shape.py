"""Current and energy of a trace, as simply as possible: for pictures and for tests of the simulation.

The production's signal processing is not used here, so that a mistake in one does not hide in the other.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gebox.experiment.layouts import SAMPLING_NS
from gebox.readout import PRE_TRIGGER
from gebox.resolution import FLAT_NS, RISE_NS

Floats = NDArray[np.float64]

BASELINE = slice(0, PRE_TRIGGER - 100)
CURRENT = slice(PRE_TRIGGER - 10, PRE_TRIGGER + 190)
BOX = 3
"""Samples of the moving average that is applied three times to the current: 48 ns, as for A/E in LEGEND-200."""
UPSAMPLING = 8


def restored(trace: NDArray[np.uint16], tau: float) -> Floats:
    """Baseline subtracted and the decay with time constant `tau` (ns) undone."""
    wave = trace.astype(np.float64)
    wave -= wave[BASELINE].mean()
    before = np.concatenate([[0.0], np.cumsum(wave)[:-1]])
    return np.asarray(wave + (1.0 - math.exp(-SAMPLING_NS / tau)) * before)


def height(wave: Floats) -> float:
    """Trapezoid on a restored trace, read at a fixed time; in counts."""
    rise, flat = round(RISE_NS / SAMPLING_NS), round(FLAT_NS / SAMPLING_NS)
    begin = PRE_TRIGGER - 5
    late = wave[begin + flat : begin + flat + rise].mean()
    return float(late - wave[begin - rise : begin].mean())


def peak_current(trace: NDArray[np.uint16]) -> float:
    """Largest current, in counts a sample."""
    part = trace[CURRENT].astype(np.float64)
    fine = np.interp(np.arange(0, len(part) - 1, 1 / UPSAMPLING), np.arange(len(part)), part)
    current = np.diff(fine) * UPSAMPLING
    width = BOX * UPSAMPLING
    for _ in range(3):
        sums = np.concatenate([[0.0], np.cumsum(current)])
        current = (sums[width:] - sums[:-width]) / width
    return float(current.max())
