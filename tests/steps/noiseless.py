"""Pulses of one simulated detector whose true current, late charge and class are known without noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gebox.experiment import build
from gebox.experiment.layouts import SAMPLING_NS
from gebox.physics import rng
from gebox.readout import PRE_TRIGGER
from gebox.signals import charge, noise, trace

from ..physics.traces import processed, raw_file, whole

Floats = NDArray[np.float64]

SAMPLES = 4096
BOX = 12
"""Steps of 4 ns of the moving average that dsp applies three times to the current: 48 ns."""
LATE_NS = 1504.0
LINES: Mapping[float, tuple[int, float]] = {
    1592.5: (700, 1.0), 1620.5: (700, 0.1), 2103.53: (700, 0.03), 2614.5: (2000, 0.05),
}  # fmt: skip
"""Events of each line, and the share of them that leave their energy at one place."""
CONTINUUM, SINGLE = 7500, 0.4


@dataclass(frozen=True)
class Pulses:
    """What is known of each pulse, and what dsp makes of it; shape (pulses,).

    Attributes
    ----------
    energy
        Deposited, in keV.
    current, late
        True maximum of the current, and true late charge, over the energy: as dsp defines them, without noise.
    surface
        Whether a part of the charge comes out of the transition layer.
    dsp
        The columns of dsp.
    gain, offset
        keV per count, and keV.
    """

    energy: Floats
    current: Floats
    late: Floats
    surface: NDArray[np.bool_]
    dsp: Mapping[str, NDArray[Any]]
    gain: float
    offset: float


def simulated(path: Path, seed: int = 11) -> Pulses:
    """Simulate pulses in an inverted-coaxial detector without charge trapping, and process them.

    Parameters
    ----------
    path
        The raw file that is written.
    seed
        Decides about everything.
    """
    experiment = build(seed=1)
    detector = next(each for each in experiment.layout.detectors if each.name == "V01002B")
    file = next(file for file in experiment.files if file.datatype == "cal")
    constants = replace(experiment.constants(detector, file), trapping=0.0)
    model, chain = charge.crystal(detector, constants), trace.electronics(constants)
    draw, state = np.random.default_rng(seed), rng.seeded(seed)
    bank = noise.bank(state, constants.white, constants.pink)
    energies = _energies(draw)
    rows = np.zeros((len(energies), 4 + SAMPLES), np.uint16)
    truth = np.zeros((len(energies), 3))
    signal, slow = np.zeros(charge.FINE), np.zeros(charge.FINE)
    for index, (energy, is_single) in enumerate(energies):
        places, shares = _sites(draw, model, single=bool(is_single))
        total, _ = charge.collect(model, places, energy * shares, 0.0, signal, slow)
        hit = max(total + np.sqrt(constants.fano * total) * draw.normal(), 1.0)
        height = (hit - chain.offset) / chain.gain
        steps, samples = np.zeros(SAMPLES), np.zeros(SAMPLES)
        trace.place(signal, (PRE_TRIGGER + draw.random()) * SAMPLING_NS, height / total, steps)
        trace.respond(steps, chain, samples)
        trace.digitise(state, samples, chain, bank, height, rows[index])
        truth[index] = *_shape(signal / total), any(charge.collected(model, place) < 1 for place in places)
    tau = {"pz": {"tau1": f"{constants.tau}*ns"}}
    columns = processed(raw_file(path, whole(rows[:, 4:])), pars=tau)
    current, late, surface = truth.T
    return Pulses(energies[:, 0], current, late, surface > 0, columns, chain.gain, chain.offset)


def _energies(draw: np.random.Generator) -> Floats:
    """Energy and whether it is left at one place, shape (pulses, 2)."""
    parts = [np.stack([draw.uniform(850, 2400, CONTINUUM), draw.random(CONTINUUM) < SINGLE], axis=1)]
    parts += [
        np.stack([np.full(number, line), draw.random(number) < share], axis=1)
        for line, (number, share) in LINES.items()
    ]
    return np.concatenate(parts)


def _sites(draw: np.random.Generator, model: charge.Crystal, *, single: bool) -> tuple[Floats, Floats]:
    """Places in mm, anywhere in the crystal, and their shares of the energy."""
    number = 1 if single else int(draw.integers(2, 5))
    angle, radius = draw.uniform(0, 2 * np.pi, number), model.radius * np.sqrt(draw.random(number))
    places = np.stack([radius * np.cos(angle), radius * np.sin(angle), model.height * draw.random(number)], axis=1)
    lost = [charge.collected(model, place) == 0 for place in places]
    places[lost] *= 0.8  # where no charge comes from there is no pulse
    return places, draw.dirichlet(np.full(number, 2.0))


def _shape(signal: Floats) -> tuple[float, float]:
    """Maximum of the current per ns, and the area above the pulse after 80 % of its height, over 1.5 us."""
    current = np.diff(np.concatenate([np.zeros(4 * BOX), signal])) / charge.FINE_NS
    for _ in range(3):
        sums = np.cumsum(np.concatenate([np.zeros(BOX), current]))
        current = (sums[BOX:] - sums[:-BOX]) / BOX
    first = int(np.argmax(signal >= 0.8))
    part = signal[first : first + int(LATE_NS / charge.FINE_NS)]
    return float(current.max()), float(np.sum(1 - part) * charge.FINE_NS / LATE_NS)
