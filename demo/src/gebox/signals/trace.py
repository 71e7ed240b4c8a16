"""From charge to samples: preamplifier, noise, digitiser."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gebox.compiled import compiled
from gebox.experiment.layouts import SAMPLING_NS
from gebox.experiment.model import Constants
from gebox.physics import rng
from gebox.signals import noise
from gebox.signals.charge import FINE_NS

Floats = NDArray[np.float64]
Samples = NDArray[np.uint16]

FPGA_GAIN = 1.4
"""Height of the FPGA's trapezoid in counts of pulse height (1.43 in LEGEND-200's raw files)."""
FPGA_NOISE = 12.0


class Electronics(NamedTuple):
    """Preamplifier and digitiser of a channel; counts, ns and keV."""

    gain: float
    offset: float
    baseline: float
    tau: float
    tau_fraction: float
    tau_second: float
    hum: float
    hum_period: float
    ceiling: float


def plain(baseline: float, tau: float = 1e9) -> Electronics:
    """The chain of a channel that is no germanium detector: unit gain, one decay constant."""
    return Electronics(1.0, 0.0, baseline, tau, 0.0, 1e9, 0.0, 1.0, 65535.0)


def electronics(constants: Constants) -> Electronics:
    """The part of a detector's constants that follows the crystal."""
    return Electronics(
        constants.gain, constants.offset, constants.baseline, constants.tau, constants.tau_fraction,
        constants.tau_second, constants.hum, constants.hum_period, constants.ceiling,
    )  # fmt: skip


@compiled
def place(signal: Floats, start: float, factor: float, steps: Floats) -> None:
    """Add the increments of a charge signal to a trace.

    Parameters
    ----------
    signal
        Charge on the fine grid.
    start
        Time of the signal's first step after the trace's first sample, in ns; may be negative, but what comes before
        the trace has not decayed when it begins.
    factor
        Counts per unit of charge.
    steps
        Increments of the charge from sample to sample, in counts; ``steps[0]`` takes what came before the trace.
    """
    per_sample = int(SAMPLING_NS / FINE_NS)
    first = int(math.ceil(start / SAMPLING_NS))
    phase = int((first * SAMPLING_NS - start) / FINE_NS)
    before = 0.0
    for index in range(phase, signal.size, per_sample):
        sample = first + (index - phase) // per_sample
        if sample >= steps.size:
            return
        steps[max(sample, 0)] += factor * (signal[index] - before)
        before = signal[index]
    sample = max(0, first + (signal.size - phase) // per_sample)
    if sample < steps.size:
        steps[sample] += factor * (signal[-1] - before)


@compiled
def respond(steps: Floats, chain: Electronics, trace: Floats) -> None:
    """Add the preamplifier's answer to charge increments: each decays with one or two time constants."""
    keep = math.exp(-SAMPLING_NS / chain.tau)
    keep_second = math.exp(-SAMPLING_NS / chain.tau_second)
    first, second = 0.0, 0.0
    for index in range(steps.size):
        first = first * keep + (1.0 - chain.tau_fraction) * steps[index]
        second = second * keep_second + chain.tau_fraction * steps[index]
        trace[index] += first + second


@compiled
def digitise(
    state: rng.State, trace: Floats, chain: Electronics, bank: noise.Bank, height: float, row: Samples
) -> None:
    """Add noise and write a trace as FlashCam does.

    Parameters
    ----------
    trace
        Counts above the baseline; overwritten.
    height
        Pulse height in counts of which the FPGA makes its energy; 0 where it did not trigger.
    row
        Two words for the container, baseline and energy of the FPGA, samples.
    """
    noise.add(state, bank, trace)
    if chain.hum > 0.0:
        noise.hum(state, chain.hum, chain.hum_period, SAMPLING_NS, trace)
    early = 0.0
    for index in range(64):
        early += trace[index] / 64.0
    for index in range(trace.size):
        level = trace[index] + chain.baseline + 0.5
        row[4 + index] = np.uint16(min(max(level, 0.0), chain.ceiling))
    row[2] = np.uint16(min(max(early + chain.baseline + 0.5, 0.0), chain.ceiling))
    shaped = FPGA_GAIN * height + FPGA_NOISE * rng.normal(state) if height > 0.0 else 0.0
    row[3] = np.uint16(min(max(shaped, 0.0), 65535.0))
