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


def power(white: float, pink: float) -> Floats:
    """Variance of the noise in each frequency of a bank, shape (BANK // 2 + 1,), to be summed over both signs.

    Parameters
    ----------
    white, pink
        Standard deviations of the white and of the 1/f part in counts.
    """
    frequency = np.fft.rfftfreq(BANK)
    falling = 1.0 / np.maximum(frequency, _KNEE)
    falling[0] = 0.0
    flat = np.ones_like(falling)
    flat[0] = 0.0
    both = np.full(falling.size, 2.0)
    both[[0, -1]] = 1.0
    density = white**2 * flat / (both @ flat) + pink**2 * falling / (both @ falling)
    return np.asarray(density)


def bank(state: rng.State, white: float, pink: float) -> Bank:
    """Noise with the given standard deviations in ADC counts, shape (BANK,).

    Every frequency has its exact power and a random phase, so that no file is noisier than another by chance. Two
    windows are added for a trace, hence the factor sqrt(1/2).
    """
    amplitude = BANK * np.sqrt(power(white, pink))
    angle = 2.0 * np.pi * rng.uniforms(state, amplitude.size)
    return np.asarray(np.sqrt(0.5) * np.fft.irfft(amplitude * np.exp(1j * angle), BANK), np.float32)


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
