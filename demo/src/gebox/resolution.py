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
from gebox.signals import noise

RISE_NS, FLAT_NS = 8000.0, 3000.0


def response(tau: float) -> NDArray[np.float64]:
    """Impulse response of pole-zero correction and trapezoid, in samples."""
    rise, flat = round(RISE_NS / SAMPLING_NS), round(FLAT_NS / SAMPLING_NS)
    trapezoid = np.concatenate([np.full(rise, 1.0), np.zeros(flat), np.full(rise, -1.0)]) / rise
    # the correction adds to each sample what has decayed of all before it
    restored = (1.0 - math.exp(-SAMPLING_NS / tau)) * (np.cumsum(trapezoid) - trapezoid)
    return np.asarray(trapezoid + restored)


def noise_fwhm(constants: Constants) -> float:
    """FWHM in keV of the electronic noise behind the reference filter."""
    power = noise.power(constants.white, constants.pink)
    transfer = np.abs(np.fft.rfft(response(constants.tau), noise.BANK)) ** 2
    both = np.full(power.size, 2.0)
    both[[0, -1]] = 1.0
    variance = float(both @ (power * transfer))
    return math.sqrt(8.0 * math.log(2.0) * variance) * constants.gain
