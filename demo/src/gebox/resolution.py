"""The noise that an energy filter lets through, computed from the noise spectrum of a channel.

The reference filter is a trapezoid with 8 us rise and 3 us flat top on the pole-zero corrected trace, as energies are
made of in practice; so the true a of FWHM = sqrt(a + b E) is a statement about the simulated noise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gebox.experiment.layouts import SAMPLING_NS
from gebox.experiment.model import Constants
from gebox.physics import rng
from gebox.signals import noise

RISE_NS, FLAT_NS = 8000.0, 3000.0


def trapezoid(trace: NDArray[np.float64], rise: int, flat: int) -> NDArray[np.float64]:
    """Difference of two moving averages of `rise` samples, `flat` samples apart; NaN-free part only."""
    sums = np.concatenate([[0.0], np.cumsum(trace)])
    last = len(trace) - 2 * rise - flat + 1
    start = np.arange(last)
    late = sums[start + 2 * rise + flat] - sums[start + rise + flat]
    early = sums[start + rise] - sums[start]
    return np.asarray((late - early) / rise)


def pole_zero(trace: NDArray[np.float64], tau: float) -> NDArray[np.float64]:
    """Undo an exponential decay: each sample plus what has decayed away before it."""
    keep = math.exp(-SAMPLING_NS / tau)
    before = np.concatenate([[0.0], np.cumsum(trace)[:-1]])
    return np.asarray(trace + (1.0 - keep) * before)


def noise_fwhm(constants: Constants, seed: int) -> float:
    """FWHM in keV of the electronic noise behind the reference filter."""
    trace = np.sqrt(2.0) * noise.bank(rng.seeded(seed), constants.white, constants.pink).astype(np.float64)
    rise, flat = round(RISE_NS / SAMPLING_NS), round(FLAT_NS / SAMPLING_NS)
    filtered = trapezoid(pole_zero(trace, constants.tau), rise, flat)
    return float(np.std(filtered)) * constants.gain * math.sqrt(8.0 * math.log(2.0))
