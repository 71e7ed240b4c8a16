"""SiPM traces of the simulated experiment, without the rest of it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tests.physics.traces import processed, raw_file, whole

from dataflow.steps.par_hit_spms.calibrate import Pulses
from gebox.physics import rng
from gebox.signals import light, noise, trace

SAMPLES, START = 4096, 28_800.0
COLUMNS = ("trigger_pos", "energies", "n_pulses", "wf_max", "curr_fwhm")


def unit_step() -> float:
    """Height of a photo-electron as dsp measures it, in ADC counts: from a pulse without noise, by sums of samples."""
    heights, pulse = np.zeros(400), np.zeros(400)
    heights[100] = light.SINGLE
    light.pulses(heights, pulse)
    means = np.convolve(pulse, np.full(8, 1 / 8), "valid")
    return float((means[10:] - means[:-10]).max())


@cache
def traces(seed: int, number: int, flash: float = 2.0) -> Any:
    """Digitised traces, half of them with a flash of so many photo-electrons in the mean; shape (number, samples)."""
    state, draw = rng.seeded(seed), np.random.default_rng(seed)
    bank = noise.bank(state, light.NOISE, 0.5)
    rows = np.zeros((number, 4 + SAMPLES), np.uint16)
    for row in rows:
        steps, wave = np.zeros(SAMPLES), np.zeros(SAMPLES)
        mean = flash * draw.exponential() if draw.random() < 0.5 else 0.0
        light.photons(state, mean, START, steps)
        light.pulses(steps, wave)
        trace.digitise(state, wave, trace.plain(light.BASELINE), bank, 0.0, row)
    return rows[:, 4:].copy()


def pulses(folder: Path, values: Any) -> Pulses:
    """What the shipped chain finds in traces."""
    found = processed(raw_file(folder / "light.lh5", whole(values)), "spms")
    return Pulses(*(found[name] for name in COLUMNS), 65520.0)
