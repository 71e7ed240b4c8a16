"""What goes wrong in real data: one function a defect, and how often it is put into the simulation."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gebox.compiled import compiled
from gebox.experiment.layouts import SAMPLING_NS
from gebox.physics import rng
from gebox.truth import Kind

Floats = NDArray[np.float64]

SHARES = {
    Kind.PILE_UP: 0.004,
    Kind.PRE_TRIGGER: 0.004,
    Kind.DISCHARGE: 0.001,
    Kind.BURST: 0.001,
    Kind.NEGATIVE: 0.001,
}
"""Of the gamma events; more than in good data, so that every class has examples."""


def drawn(state: rng.State, shares: Mapping[Kind, float] | None = None) -> Kind | None:
    """Which defect an event has, if any; of :data:`SHARES` unless others are given."""
    value = rng.uniform(state)
    for kind, share in (SHARES if shares is None else shares).items():
        if value < share:
            return kind
        value -= share
    return None


@compiled
def discharge(state: rng.State, sample: int, trace: Floats) -> None:
    """A breakdown: far beyond the range within a microsecond, recovery in tens of microseconds with an undershoot."""
    size = 80_000.0 + 120_000.0 * rng.uniform(state)
    recovery = 8_000.0 + 12_000.0 * rng.uniform(state)
    for index in range(sample, trace.size):
        time = (index - sample) * SAMPLING_NS
        rise = 1.0 - math.exp(-time / 150.0)
        trace[index] += size * rise * math.exp(-time / recovery) * math.cos(2.0 * math.pi * time / 40_000.0)


@compiled
def burst(state: rng.State, trace: Floats) -> None:
    """A microphonic or electric burst: a damped oscillation of 0.5 to 3 MHz somewhere in the trace."""
    first = rng.below(state, trace.size // 2)
    frequency = 0.0005 + 0.0025 * rng.uniform(state)
    size = 150.0 + 500.0 * rng.uniform(state)
    for index in range(first, trace.size):
        time = (index - first) * SAMPLING_NS
        trace[index] += size * math.exp(-time / 9_000.0) * math.sin(2.0 * math.pi * frequency * time)
