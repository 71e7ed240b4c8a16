"""Electronic noise of a channel: white and 1/f, from a bank that is drawn once a file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gebox.compiled import compiled
from gebox.physics import rng

Floats = NDArray[np.float64]
Bank = NDArray[np.float32]

BANK = 1 << 17
"""Samples of a bank; a trace is the scaled sum of two windows at random places with random signs."""

_KNEE = 1.0 / 65536
"""The 1/f spectrum is flat below this frequency (1 / samples): longer periods look like a baseline in any trace."""


def bank(state: rng.State, white: float, pink: float) -> Bank:
    """Noise with the given standard deviations in ADC counts, shape (BANK,).

    The spectrum is shaped in Fourier space; two windows are added for a trace, hence the factor sqrt(1/2).
    """
    spectrum = np.fft.rfft(rng.normals(state, BANK))
    frequency = np.fft.rfftfreq(BANK)
    shape = 1.0 / np.sqrt(np.maximum(frequency, _KNEE))
    shape[0] = 0.0
    power = (2.0 * np.sum(shape[1:-1] ** 2) + shape[-1] ** 2) / BANK
    spectrum *= np.sqrt(white**2 + pink**2 * shape**2 / power)
    spectrum[0] = 0.0
    return np.asarray(np.sqrt(0.5) * np.fft.irfft(spectrum, BANK), np.float32)


@compiled
def add(state: rng.State, noise: Bank, trace: Floats) -> None:
    """Add a new piece of noise to a trace."""
    first = rng.below(state, noise.size - trace.size)
    second = rng.below(state, noise.size - trace.size)
    one = 1.0 if rng.uniform(state) < 0.5 else -1.0
    two = 1.0 if rng.uniform(state) < 0.5 else -1.0
    for index in range(trace.size):
        trace[index] += one * noise[first + index] + two * noise[second + index]


@compiled
def hum(state: rng.State, amplitude: float, period: float, step: float, trace: Floats) -> None:
    """Add a sine of random phase; `period` and `step` in ns."""
    phase = 2.0 * np.pi * rng.uniform(state)
    for index in range(trace.size):
        trace[index] += amplitude * np.sin(phase + 2.0 * np.pi * index * step / period)
