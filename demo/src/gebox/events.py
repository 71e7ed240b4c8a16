"""One DAQ file: what happens when, and the traces it leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gebox.compiled import compiled
from gebox.drawn import number
from gebox.experiment import Experiment
from gebox.experiment.layouts import SAMPLING_NS
from gebox.experiment.model import DaqFile, Detector
from gebox.physics import crosssections, decays, rng, transport
from gebox.signals import charge, light, noise, trace
from gebox.truth import Kind

Floats = NDArray[np.float64]

PRE_TRIGGER = 1800
"""Samples before the trigger: 28.8 us, room for a trapezoid of 10 us rise and 3 us flat top on either side."""
PULSER_PERIOD = 20.0
"""Seconds between two test pulses, and between two forced triggers; 0.05 Hz as in LEGEND-200."""
LEAST_DISTANCE = 2e-4
"""Seconds between two triggers; a trace is 65 us long."""
LARGE = 22_000.0
"""Height of the pulses in pulser, baseline and muon channels, in counts."""


@dataclass
class Hit:
    """One germanium detector in one event."""

    detector: int
    kind: Kind
    energy: float = 0.0
    charge: float = 0.0
    drift: float = 0.0
    start: float = 0.0
    places: Floats = field(default_factory=lambda: np.zeros((0, 3)))
    energies: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass
class Happening:
    """One trigger: its time, its cause, and what it left in germanium and argon."""

    time: float
    source: Kind
    hits: list[Hit] = field(default_factory=list)
    argon: float = 0.0


@compiled
def _search(
    state: rng.State,
    world: transport.Array,
    tables: crosssections.Materials,
    lines: decays.Tables,
    sources: Floats,
    threshold: float,
    found: transport.Sites,
    argon: Floats,
) -> int:
    """Let nuclei decay at random source places until one leaves more than the threshold in a detector."""
    sums = np.zeros(world.crystals.shape[0])
    while True:
        argon[0] = 0.0
        origin = sources[rng.below(state, sources.shape[0])]
        count = transport.decay(state, world, tables, lines, origin, found, argon)
        if count == 0:
            continue
        sums[:] = 0.0
        for site in range(count):
            sums[found.detector[site]] += found.energy[site]
        if sums.max() > threshold:
            return count


class Source:
    """Physics events of a file: gammas from places around the detectors."""

    def __init__(self, experiment: Experiment, file: DaqFile, state: rng.State) -> None:
        detectors = experiment.layout.detectors
        self.state = state
        self.threshold = file.threshold
        self.world = transport.array(detectors)
        self.tables = crosssections.materials()
        self.lines = _lines(file.datatype)
        self.places = _places(detectors, file.datatype)
        self.found = transport.sites()
        self.argon = np.zeros(1)

    def event(self, time: float) -> Happening:
        """The next decay that triggers."""
        count = _search(
            self.state, self.world, self.tables, self.lines, self.places, self.threshold, self.found, self.argon
        )
        happening = Happening(time, Kind.SINGLE, argon=float(self.argon[0]))
        where = self.found.detector[:count]
        for detector in np.unique(where):
            mine = where == detector
            energies = self.found.energy[:count][mine].copy()
            places = self.found.place[:count][mine].copy()
            kind = Kind.MULTI if spread(places, energies) > 1.5 else Kind.SINGLE
            hit = Hit(int(detector), kind, float(energies.sum()), places=places, energies=energies)
            happening.hits.append(hit)
        return happening


def spread(places: Floats, energies: Floats) -> float:
    """Root mean square distance of the energy from its centre, in mm."""
    centre = energies @ places / energies.sum()
    return math.sqrt(float(energies @ ((places - centre) ** 2).sum(axis=1)) / float(energies.sum()))


def _lines(datatype: str) -> decays.Tables:
    """Calibration: a 228Th source. Else natural radioactivity."""
    if datatype in {"cal", "pzc"}:
        return decays.tables((1.0, decays.TH228))
    return decays.tables((1.0, decays.K40), (0.3, decays.BI214), (0.1, decays.TH228))


def _places(detectors: tuple[Detector, ...], datatype: str) -> Floats:
    """Calibration sources stop beside the detectors on the axis, the more often the smaller the detector is."""
    found = []
    for detector in detectors:
        middle = detector.z + 0.5 * detector.geometry.height
        stops = max(1, round(300.0 / detector.geometry.height)) if datatype in {"cal", "pzc"} else 2
        shift = 0.45 if datatype in {"cal", "pzc"} else -0.7
        found += [(shift * detector.x, shift * detector.y, middle)] * stops
    return np.array(found)


def times(state: rng.State, events: int, duration: float) -> list[tuple[float, Kind]]:
    """When events, test pulses and forced triggers come, sorted, none closer than :data:`LEAST_DISTANCE`."""
    moments = [(duration * rng.uniform(state), Kind.SINGLE) for _ in range(events)]
    rounds = int(duration / PULSER_PERIOD)
    moments += [(PULSER_PERIOD * (turn + 0.25), Kind.PULSER) for turn in range(rounds)]
    moments += [(PULSER_PERIOD * (turn + 0.75), Kind.FORCED) for turn in range(rounds)]
    moments.sort()
    last = 0.0
    for index, (moment, kind) in enumerate(moments):
        last = max(moment, last + LEAST_DISTANCE)
        moments[index] = (last, kind)
    return moments


class Traces:
    """Makes the traces of a file's events."""

    def __init__(self, experiment: Experiment, file: DaqFile, state: rng.State) -> None:
        layout = experiment.layout
        self.state = state
        self.samples = layout.samples
        self.full = file.readout == "full"
        self.threshold = file.threshold
        every = [experiment.constants(detector, file) for detector in layout.detectors]
        self.constants = every
        self.crystals = [charge.crystal(d, c) for d, c in zip(layout.detectors, every, strict=True)]
        self.chains = [trace.electronics(c) for c in every]
        self.banks = [noise.bank(state, c.white, c.pink) for c in every]
        self.sipm_bank = noise.bank(state, light.NOISE, 0.5)
        order = [address.rawid for address in layout.tracemap]
        self.detector_index = [order.index(detector.address.rawid) for detector in layout.detectors]
        self.auxiliaries = [(order.index(a.address.rawid), a) for a in layout.auxiliaries]
        self.rows = np.zeros((len(order), 4 + layout.samples), np.uint16)
        self.signal = np.zeros(charge.FINE)
        self.slow = np.zeros(charge.FINE)
        self.steps = np.zeros(layout.samples)
        self.trace = np.zeros(layout.samples)

    def event(self, happening: Happening) -> tuple[list[int], dict[int, int]]:
        """Fill :attr:`rows`.

        Returns
        -------
        channels
            Indices in the trace map that are read out, sorted.
        photoelectrons
            Detected by each SiPM, by raw id.
        """
        start = PRE_TRIGGER * SAMPLING_NS + SAMPLING_NS * rng.uniform(self.state)
        channels = []
        hits = {hit.detector: hit for hit in happening.hits}
        for detector in range(len(self.crystals)):
            hit = hits.get(detector)
            if hit is not None and hit.energy <= self.threshold and happening.source is Kind.SINGLE:
                hit = hit if self.full else None
            if hit is None and not self.full:
                continue
            self._germanium(detector, hit, start)
            channels.append(self.detector_index[detector])
        photoelectrons = {}
        for index, auxiliary in self.auxiliaries:
            if auxiliary.system == "spms":
                if self.full:
                    photoelectrons[auxiliary.address.rawid] = self._sipm(index, happening, start)
                    channels.append(index)
            elif self.full or _fires(auxiliary.system, happening.source):
                self._digital(index, auxiliary.system, happening.source, start)
                channels.append(index)
        return sorted(channels), photoelectrons

    def _germanium(self, detector: int, hit: Hit | None, start: float) -> None:
        constants, chain = self.constants[detector], self.chains[detector]
        self.steps[:] = 0.0
        self.trace[:] = 0.0
        height = 0.0
        if hit is not None and hit.kind is Kind.PULSER:
            height = self._test_pulse(detector, hit, start)
        elif hit is not None and hit.energies.size:
            height = self._charge(detector, hit, start, constants.fano)
        trace.respond(self.steps, chain, self.trace)
        row = self.rows[self.detector_index[detector]]
        fired = hit is not None and (hit.charge > self.threshold or hit.kind is Kind.PULSER)
        trace.digitise(self.state, self.trace, chain, self.banks[detector], height if fired else 0.0, row)

    def _charge(self, detector: int, hit: Hit, start: float, fano: float) -> float:
        """Put the charge of a hit into the increments; returns the height in counts."""
        chain = self.chains[detector]
        model = self.crystals[detector]
        total, drift = charge.collect(model, hit.places, hit.energies, 0.0, self.signal, self.slow)
        hit.start, hit.drift = start, drift
        if total <= 0.0:
            return 0.0
        hit.charge = total + math.sqrt(fano * total) * rng.normal(self.state)
        if any(charge.collected(model, place) < 1.0 for place in hit.places):
            hit.kind = Kind.SURFACE
        height = (hit.charge - chain.offset) / chain.gain
        trace.place(self.signal, start, height / total, self.steps)
        return height

    def _test_pulse(self, detector: int, hit: Hit, start: float) -> float:
        """An injected step with the preamplifier's rise."""
        chain, model = self.chains[detector], self.crystals[detector]
        fine = charge.FINE_NS * np.arange(1, charge.FINE + 1)
        self.signal[:] = 1.0 - np.exp(-fine / (1.5 * model.rise))
        hit.energy = hit.charge = self.constants[detector].pulser
        hit.start = start
        height = (hit.charge - chain.offset) / chain.gain
        trace.place(self.signal, start, height, self.steps)
        return height

    def _sipm(self, index: int, happening: Happening, start: float) -> int:
        self.steps[:] = 0.0
        self.trace[:] = 0.0
        expected = light.PER_MEV * happening.argon * 1e-3
        found = light.photons(self.state, expected, start, self.steps)
        light.pulses(self.steps, self.trace)
        chain = trace.Electronics(1.0, 0.0, light.BASELINE, 1e9, 0.0, 1e9, 0.0, 1.0)
        trace.digitise(self.state, self.trace, chain, self.sipm_bank, 0.0, self.rows[index])
        return found

    def _digital(self, index: int, system: str, source: Kind, start: float) -> None:
        """Pulser, baseline and muon channels show a large pulse when they fire, else their baseline."""
        self.steps[:] = 0.0
        self.trace[:] = 0.0
        fired = _fires(system, source)
        if fired:
            self.steps[math.ceil(start / SAMPLING_NS)] = LARGE
        chain = trace.Electronics(1.0, 0.0, 15_000.0, 200_000.0, 0.0, 1e9, 0.0, 1.0)
        trace.respond(self.steps, chain, self.trace)
        height = LARGE if fired else 0.0
        trace.digitise(self.state, self.trace, chain, self.sipm_bank, height, self.rows[index])


def _fires(system: str, source: Kind) -> bool:
    """Whether an auxiliary channel shows its signal in an event of this cause."""
    return (system, source) in {("puls", Kind.PULSER), ("bsln", Kind.FORCED), ("auxs", Kind.MUON)}


def happenings(experiment: Experiment, file: DaqFile, state: rng.State) -> Iterator[Happening]:
    """Everything that triggers during a file, in order of time."""
    source = Source(experiment, file, state)
    detectors = range(len(experiment.layout.detectors))
    for moment, kind in times(state, file.events, float(file.duration)):
        if kind is Kind.SINGLE:
            yield source.event(moment)
        else:
            yield Happening(moment, kind, [Hit(detector, kind) for detector in detectors])


def state_of(experiment: Experiment, file: DaqFile) -> rng.State:
    """The random state that a file begins with: seed and key alone decide."""
    return rng.seeded(number(experiment.seed, f"file/{file.key}"))
