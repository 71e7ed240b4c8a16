"""Light sensors: silicon photomultipliers that see scintillation of liquid argon."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gebox.compiled import compiled
from gebox.experiment.layouts import SAMPLING_NS
from gebox.physics import rng

Floats = NDArray[np.float64]

BASELINE: Final = 7690.0
"""Counts. Baseline, noise, height and fall of a pulse are read off the SiPM file of the public legend-testdata."""
STEP: Final = 70.0
"""The baselines of the channels differ by this."""
NOISE: Final = 4.0
SINGLE: Final = 50.0
"""Height of one photo-electron in counts."""
SPREAD: Final = 0.12
"""Relative width of that height."""
RISE_NS, FALL_NS = 40.0, 600.0
SINGLET, SINGLET_NS, TRIPLET_NS = 0.23, 6.0, 1300.0
"""Share of fast light and both decay times of liquid argon (Hitachi et al., Phys. Rev. B 27 (1983) 5279)."""
DARK_HZ: Final = 1500.0
CROSSTALK, AFTERPULSE, AFTER_NS = 0.15, 0.05, 300.0
PER_MEV: Final = 4.0
"""Photo-electrons a channel for 1 MeV in argon."""


@compiled
def photons(state: rng.State, mean: float, start: float, heights: Floats) -> int:
    """Draw photo-electrons of a flash and of the dark rate.

    Parameters
    ----------
    mean
        Expected photo-electrons of the flash.
    start
        Its time in ns after the first sample.
    heights
        Increments for :func:`pulses`, in counts, one a sample; added to.

    Returns
    -------
    number
        Photo-electrons of the flash that were detected, without cross-talk and after-pulses.
    """
    flash = rng.poisson(state, mean) if mean > 0.0 else 0
    span = heights.size * SAMPLING_NS
    dark = rng.poisson(state, DARK_HZ * span * 1e-9)
    for index in range(flash + dark):
        if index < flash:
            life = SINGLET_NS if rng.uniform(state) < SINGLET else TRIPLET_NS
            time = start + life * rng.exponential(state)
        else:
            time = span * rng.uniform(state)
        _avalanche(state, time, heights)
    return flash


@compiled
def _avalanche(state: rng.State, time: float, heights: Floats) -> None:
    """One avalanche with its cross-talk and after-pulse."""
    height = SINGLE * (1.0 + SPREAD * rng.normal(state))
    while rng.uniform(state) < CROSSTALK:
        height += SINGLE * (1.0 + SPREAD * rng.normal(state))
    sample = int(time / SAMPLING_NS)
    if 0 <= sample < heights.size:
        heights[sample] += height
    if rng.uniform(state) < AFTERPULSE:
        later = int((time + AFTER_NS * rng.exponential(state)) / SAMPLING_NS)
        if 0 <= later < heights.size:
            heights[later] += SINGLE * (1.0 + SPREAD * rng.normal(state))


def step(length: int, gap: int) -> float:
    """The largest difference of means of `length` samples, `gap` apart, of one photo-electron, in counts."""
    heights, trace = np.zeros(200), np.zeros(200)
    heights[100] = SINGLE
    pulses(heights, trace)
    means = np.convolve(trace, np.full(length, 1.0 / length), "valid")
    return float(np.max(means[length + gap :] - means[: -length - gap]))


def noise_of_step(length: int) -> float:
    """FWHM of differences of two means of `length` samples each, without a sample in common, in counts."""
    return 2 * math.sqrt(2 * math.log(2)) * NOISE * math.sqrt(2 / length)


@compiled
def pulses(heights: Floats, trace: Floats) -> None:
    """Add to `trace` a pulse of unit height for every increment."""
    fall = math.exp(-SAMPLING_NS / FALL_NS)
    rise = math.exp(-SAMPLING_NS / RISE_NS)
    peak = math.log(FALL_NS / RISE_NS) / (1.0 / RISE_NS - 1.0 / FALL_NS)
    scale = 1.0 / (math.exp(-peak / FALL_NS) - math.exp(-peak / RISE_NS))
    slow, fast = 0.0, 0.0
    for index in range(heights.size):
        slow = slow * fall + heights[index]
        fast = fast * rise + heights[index]
        trace[index] += scale * (slow - fast)
