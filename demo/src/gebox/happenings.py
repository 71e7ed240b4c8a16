"""What makes the experiment trigger, and when."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gebox.experiment.model import DaqFile, Layout
from gebox.physics import rng
from gebox.physics.generators import Gammas, Generator, generators
from gebox.truth import Kind

Floats = NDArray[np.float64]

PULSER_PERIOD = 20.0
"""Seconds between two test pulses, and between two forced triggers; 0.05 Hz as in LEGEND-200."""
LEAST_DISTANCE = 2e-4
"""Seconds between two triggers; a trace is 65 us long."""
MULTI_SITE_MM = 1.5
"""Root mean square size from which an event counts as multi-site."""


@dataclass
class Hit:
    """One germanium detector in one event.

    energy and places are what was deposited; charge, drift, current (the highest, as a part of the charge per
    microsecond), late (the mean share of the charge that is missing in the 1.5 us after 80 % of it) and start are
    filled in by the read-out; the second ones belong to a pile-up or a pulse before the trigger.
    """

    detector: int
    kind: Kind
    energy: float = 0.0
    charge: float = 0.0
    drift: float = 0.0
    current: float = 0.0
    late: float = 0.0
    start: float = 0.0
    saturated: bool = False
    second_charge: float = 0.0
    second_start: float = 0.0
    places: Floats = field(default_factory=lambda: np.zeros((0, 3)))
    energies: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass
class Happening:
    """One trigger: its time, its cause, and what it left in germanium and argon (keV)."""

    time: float
    source: Kind
    hits: list[Hit] = field(default_factory=list)
    argon: float = 0.0


class Nature:
    """Draws physics events of a file's datatype."""

    def __init__(self, layout: Layout, file: DaqFile, state: rng.State, source: str = "Th228") -> None:
        self.state = state
        self.threshold = file.threshold
        self.choices = generators(layout.detectors, file.datatype, state, source, file.escapes)
        weights = np.array([weight for weight, _ in self.choices])
        self.cumulative = np.cumsum(weights) / weights.sum()

    def event(self, time: float) -> Happening:
        """An event of any cause."""
        choice = int(np.searchsorted(self.cumulative, rng.uniform(self.state)))
        return self._event(self.choices[choice][1], time)

    def second(self, detector: int) -> Hit | None:
        """Another gamma event in the same detector, for pile-up; None if none comes by soon."""
        gammas = next(generator for _, generator in self.choices if isinstance(generator, Gammas))
        for _ in range(200):
            found = next((h for h in self._event(gammas, 0.0).hits if h.detector == detector), None)
            if found is not None and found.energy > self.threshold:
                return found
        return None

    def _event(self, generator: Generator, time: float) -> Happening:
        count = generator.generate(self.threshold)
        happening = Happening(time, generator.kind, argon=float(generator.argon[0]))
        where = generator.found.detector[:count]
        for detector in sorted(set(where.tolist())):
            mine = where == detector
            energies = generator.found.energy[:count][mine].copy()
            places = generator.found.place[:count][mine].copy()
            kind = generator.kind
            if kind is Kind.SINGLE and spread(places, energies) > MULTI_SITE_MM:
                kind = Kind.MULTI
            happening.hits.append(Hit(detector, kind, float(energies.sum()), places=places, energies=energies))
        return happening


def spread(places: Floats, energies: Floats) -> float:
    """Root mean square distance of the energy from its centre, in mm."""
    centre = energies @ places / energies.sum()
    return math.sqrt(float(energies @ ((places - centre) ** 2).sum(axis=1)) / float(energies.sum()))


def happenings(layout: Layout, file: DaqFile, nature: Nature) -> Iterator[Happening]:
    """Everything that triggers during a file, in order of time."""
    for moment, kind in times(file, nature.state):
        if kind is Kind.SINGLE:
            yield nature.event(moment)
        else:
            yield Happening(moment, kind, [Hit(index, kind) for index in range(len(layout.detectors))])


def times(file: DaqFile, state: rng.State) -> list[tuple[float, Kind]]:
    """When events, test pulses and forced triggers come, sorted, none closer than :data:`LEAST_DISTANCE`.

    All events of a noise run (``fft``) are forced.
    """
    cause = Kind.FORCED if file.datatype == "fft" else Kind.SINGLE
    moments = [(file.duration * rng.uniform(state), cause) for _ in range(file.events)]
    rounds = int(file.duration / PULSER_PERIOD)
    moments += [(PULSER_PERIOD * (turn + 0.25), Kind.PULSER) for turn in range(rounds)]
    moments += [(PULSER_PERIOD * (turn + 0.75), Kind.FORCED) for turn in range(rounds)]
    moments.sort()
    last = 0.0
    for index, (moment, kind) in enumerate(moments):
        last = max(moment, last + LEAST_DISTANCE)
        moments[index] = (last, kind)
    return moments
