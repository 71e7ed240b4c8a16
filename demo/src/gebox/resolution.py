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


RISES_US = (2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0)
"""Rise times in microseconds of which the truth tells the noise."""


def response(tau: float, rise_ns: float = RISE_NS) -> NDArray[np.float64]:
    """Impulse response of pole-zero correction and trapezoid, in samples."""
    rise, flat = round(rise_ns / SAMPLING_NS), round(FLAT_NS / SAMPLING_NS)
    trapezoid = np.concatenate([np.full(rise, 1.0), np.zeros(flat), np.full(rise, -1.0)]) / rise
    # the correction adds to each sample what has decayed of all before it
    restored = (1.0 - math.exp(-SAMPLING_NS / tau)) * (np.cumsum(trapezoid) - trapezoid)
    return np.asarray(trapezoid + restored)


def noise_by_rise(constants: Constants) -> dict[float, float]:
    """FWHM in keV of the electronic noise behind trapezoids, by rise time in microseconds."""
    return {rise: noise_fwhm(constants, 1e3 * rise) for rise in RISES_US}


def noise_fwhm(constants: Constants, rise_ns: float = RISE_NS) -> float:
    """FWHM in keV of the electronic noise behind the reference filter, or one with another rise time."""
    power = noise.power(constants.white, constants.pink)
    transfer = np.abs(np.fft.rfft(response(constants.tau, rise_ns), noise.BANK)) ** 2
    both = np.full(power.size, 2.0)
    both[[0, -1]] = 1.0
    variance = float(both @ (power * transfer))
    return math.sqrt(8.0 * math.log(2.0) * variance) * constants.gain
