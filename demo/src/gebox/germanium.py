"""The germanium channels of an event: charge, cross-talk, defects, electronics."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gebox.experiment import Experiment
from gebox.experiment.layouts import SAMPLING_NS
from gebox.experiment.model import DaqFile
from gebox.happenings import Happening, Hit, Nature
from gebox.physics import rng
from gebox.signals import charge, defects, noise, trace
from gebox.truth import Kind

UNCONDITIONAL = {Kind.PULSER, Kind.FORCED, Kind.MUON, Kind.LIGHT}
"""Causes that read out whatever the detectors see."""
TROUBLED = (Kind.SINGLE, Kind.MULTI)
"""Hits that may get a defect."""


class Germanium:
    """Makes the traces of the germanium detectors of a file; with other shares of defects if these are given."""

    def __init__(
        self, experiment: Experiment, file: DaqFile, nature: Nature, shares: Mapping[Kind, float] | None = None
    ) -> None:
        detectors = experiment.layout.detectors
        self.state = nature.state
        self.nature = nature
        self.shares = shares
        self.threshold = file.threshold
        self.full = file.readout == "full"
        self.troubled = file.datatype in {"cal", "phy"}
        self.constants = [experiment.constants(detector, file) for detector in detectors]
        self.crystals = [charge.crystal(d, c) for d, c in zip(detectors, self.constants, strict=True)]
        self.chains = [trace.electronics(constants) for constants in self.constants]
        self.banks = [noise.bank(self.state, c.white, c.pink) for c in self.constants]
        names = [detector.name for detector in detectors]
        pairs = experiment.layout.crosstalk
        self.crosstalk = [(names.index(p.source), names.index(p.target), p.coefficient) for p in pairs]
        self.steps = np.zeros((len(detectors), experiment.layout.samples))
        self.trace = np.zeros(experiment.layout.samples)
        self.signal = np.zeros(charge.FINE)
        self.slow = np.zeros(charge.FINE)

    def collect(self, happening: Happening, start: float) -> dict[int, float]:
        """Charge of all hits of an event into the increments.

        Returns
        -------
        heights
            Pulse height in counts of the detectors that trigger, by index; 0 for those read out for other reasons.
        """
        self.steps[:] = 0.0
        heights = {}
        for hit in happening.hits:
            height = self._pulse(hit, start)
            if hit.charge > self.threshold or happening.source in UNCONDITIONAL:
                heights[hit.detector] = height if hit.charge > self.threshold else 0.0
        for hit in happening.hits:
            if hit.detector in heights and self.troubled and hit.kind in TROUBLED:
                self._trouble(hit, defects.drawn(self.state, self.shares))
        for source, target, coefficient in self.crosstalk:
            self.steps[target] += coefficient * self.steps[source]
        return heights

    def _pulse(self, hit: Hit, start: float) -> float:
        """Charge, drift time and class of a hit; its height in counts."""
        hit.start = start
        if hit.kind is Kind.PULSER:
            hit.energy = hit.charge = self.constants[hit.detector].pulser
            fine = charge.FINE_NS * np.arange(1, charge.FINE + 1)
            self.signal[:] = hit.charge * (1.0 - np.exp(-fine / (1.5 * self.crystals[hit.detector].rise)))
            return self._place(hit, hit.charge, start)
        if not hit.energies.size:
            return 0.0
        model = self.crystals[hit.detector]
        if hit.kind in TROUBLED and any(charge.collected(model, place) < 1.0 for place in hit.places):
            hit.kind = Kind.SURFACE
        total, hit.drift = charge.collect(model, hit.places, hit.energies, 0.0, self.signal, self.slow)
        if total <= 0.0:
            return 0.0
        hit.current = charge.highest_current(self.signal) / total
        hit.late = charge.late(self.signal, total)
        sigma = math.sqrt(self.constants[hit.detector].fano * total)
        hit.charge = max(total + sigma * rng.normal(self.state), 0.0)
        return self._place(hit, total, start)

    def _place(self, hit: Hit, total: float, start: float) -> float:
        """Put the signal, whose last step is `total` keV, into the increments; returns the height in counts."""
        chain = self.chains[hit.detector]
        height = (hit.charge - chain.offset) / chain.gain
        # a pulse before the trace has decayed by the time the trace begins
        factor = math.exp(min(start, 0.0) / chain.tau)
        trace.place(self.signal, start, factor * height / total, self.steps[hit.detector])
        return height

    def _trouble(self, hit: Hit, kind: Kind | None) -> None:
        """Give a hit a defect; those that spoil the trace itself follow in :meth:`trace_of`."""
        if kind is None:
            return
        if kind in {Kind.PILE_UP, Kind.PRE_TRIGGER}:
            other = self.nature.second(hit.detector)
            if other is None:
                return
            after = kind is Kind.PILE_UP
            low, high = (1_500.0, 30_000.0) if after else (-400_000.0, -1_500.0)
            # most early pulses that matter are within the trace
            low = low if after or rng.uniform(self.state) < 0.3 else -26_000.0
            self._pulse(other, hit.start + low + (high - low) * rng.uniform(self.state))
            hit.second_charge, hit.second_start = other.charge, other.start
        if kind is Kind.NEGATIVE:
            self.steps[hit.detector] *= -1.0
        hit.kind = kind

    def trace_of(self, detector: int, hit: Hit | None, height: float, row: NDArray[np.uint16]) -> None:
        """Electronics, noise and digitiser for one detector; fills `row`."""
        chain = self.chains[detector]
        self.trace[:] = 0.0
        trace.respond(self.steps[detector], chain, self.trace)
        if hit is not None and hit.kind is Kind.DISCHARGE:
            defects.discharge(self.state, int(hit.start / SAMPLING_NS), self.trace)
        if hit is not None and hit.kind is Kind.BURST:
            defects.burst(self.state, self.trace)
        trace.digitise(self.state, self.trace, chain, self.banks[detector], height, row)
        if hit is not None:
            hit.saturated = bool(row[4:].max() >= chain.ceiling or row[4:].min() == 0)
