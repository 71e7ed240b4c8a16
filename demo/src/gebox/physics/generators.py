"""Where energy comes from: one class a kind of event."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gebox.compiled import compiled
from gebox.experiment.model import Detector
from gebox.physics import crosssections, decays, rng, transport
from gebox.truth import Kind

Floats = NDArray[np.float64]


class Generator(Protocol):
    """Fills :attr:`found` and :attr:`argon` with one event."""

    kind: Kind
    found: transport.Sites
    argon: Floats

    def generate(self, threshold: float) -> int:
        """One event with more than `threshold` keV in a germanium detector; returns the number of sites."""


@compiled
def _decay(
    state: rng.State,
    world: transport.Array,
    tables: crosssections.Materials,
    lines: decays.Tables,
    sources: Floats,
    found: transport.Sites,
    argon: Floats,
    sums: Floats,
) -> int:
    """Let a nucleus decay at a random source place; sums up by detector, and returns how many sites were hit."""
    argon[0] = 0.0
    origin = sources[rng.below(state, sources.shape[0])]
    count = transport.decay(state, world, tables, lines, origin, found, argon)
    sums[:] = 0.0
    for site in range(count):
        sums[found.detector[site]] += found.energy[site]
    return int(count)


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
        count = _decay(state, world, tables, lines, sources, found, argon, sums)
        if sums.max() > threshold:
            return count


@compiled
def _escape(
    state: rng.State,
    world: transport.Array,
    tables: crosssections.Materials,
    lines: decays.Tables,
    sources: Floats,
    energy: float,
    found: transport.Sites,
    argon: Floats,
) -> int:
    """Let nuclei decay until a detector is left with `energy` keV, to 0.01 keV."""
    sums = np.zeros(world.crystals.shape[0])
    while True:
        count = _decay(state, world, tables, lines, sources, found, argon, sums)
        for detector in range(sums.size):
            if abs(sums[detector] - energy) < 0.01:
                return count


@compiled
def _glow(
    state: rng.State,
    world: transport.Array,
    tables: crosssections.Materials,
    lines: decays.Tables,
    sources: Floats,
    least: float,
    found: transport.Sites,
    argon: Floats,
) -> int:
    """Let nuclei decay until one leaves more than `least` keV in argon."""
    while True:
        argon[0] = 0.0
        origin = sources[rng.below(state, sources.shape[0])]
        count = transport.decay(state, world, tables, lines, origin, found, argon)
        if argon[0] > least:
            return count


class Gammas:
    """Decays of gamma emitters at some places."""

    kind = Kind.SINGLE

    def __init__(self, state: rng.State, detectors: tuple[Detector, ...], lines: decays.Tables, places: Floats) -> None:
        self.state = state
        self.world = transport.array(detectors)
        self.tables = crosssections.materials()
        self.lines = lines
        self.places = places
        self.found = transport.sites()
        self.argon = np.zeros(1)

    def generate(self, threshold: float) -> int:
        """A decay that leaves more than the threshold in a detector."""
        return _search(self.state, self.world, self.tables, self.lines, self.places, threshold, self.found, self.argon)


class Escapes(Gammas):
    """Those decays of 208Tl that leave the double-escape peak of 2614.5 keV in a detector.

    They are drawn as all others and chosen by what they leave, so that shape, coincidences and places are those of the
    source; a run has as many as one that lasts longer.
    """

    ENERGY = decays.TL208 - 2 * crosssections.ELECTRON_MASS

    def __init__(self, state: rng.State, detectors: tuple[Detector, ...], places: Floats) -> None:
        paths = tuple(path for path in decays.TH228 if decays.TL208 in path[1])
        super().__init__(state, detectors, decays.tables((1.0, paths)), places)

    def generate(self, threshold: float) -> int:  # noqa: ARG002 - far above
        """A decay with both annihilation photons out of the detector."""
        return _escape(
            self.state, self.world, self.tables, self.lines, self.places, self.ENERGY, self.found, self.argon
        )


class Glow(Gammas):
    """Decays that trigger the light sensors."""

    kind = Kind.LIGHT
    LEAST = 300.0
    """keV in argon."""

    def generate(self, threshold: float) -> int:  # noqa: ARG002 - light triggers, not germanium
        """A decay that leaves light."""
        return _glow(self.state, self.world, self.tables, self.lines, self.places, self.LEAST, self.found, self.argon)


class Simple:
    """Events that are drawn without tracking: a few sites in one or more detectors."""

    kind = Kind.SINGLE

    def __init__(self, state: rng.State, detectors: tuple[Detector, ...]) -> None:
        self.state = state
        self.detectors = detectors
        volumes = np.array([d.geometry.radius**2 * d.geometry.height for d in detectors])
        self.cumulative = np.cumsum(volumes) / volumes.sum()
        self.found = transport.sites()
        self.argon = np.zeros(1)

    def detector(self) -> int:
        """A random detector, by volume."""
        return int(np.searchsorted(self.cumulative, rng.uniform(self.state)))

    def site(self, number: int, detector: int, place: tuple[float, float, float], energy: float) -> None:
        """Note a deposition."""
        self.found.detector[number] = detector
        self.found.place[number] = place
        self.found.energy[number] = energy

    def inside(self, detector: int) -> tuple[float, float, float]:
        """A random place in the volume of a detector (the bore included: the model has no field there)."""
        shape = self.detectors[detector].geometry
        radius = shape.radius * math.sqrt(rng.uniform(self.state))
        angle = 2.0 * math.pi * rng.uniform(self.state)
        return radius * math.cos(angle), radius * math.sin(angle), shape.height * rng.uniform(self.state)


class TwoNeutrino(Simple):
    """Double beta decay of 76Ge with two neutrinos: one site, the sum spectrum of the electrons.

    Shape by the Primakoff-Rosen approximation (Rep. Prog. Phys. 22 (1959) 121):
    K (Q - K)^5 (1 + 2K + 4K^2/3 + K^3/3 + K^4/30), K in units of the electron mass.
    """

    Q = 2039.061
    """keV (Mount et al., Phys. Rev. C 81 (2010) 032501)."""

    def generate(self, threshold: float) -> int:
        """By rejection under the maximum of the shape."""
        while True:
            energy = self.Q * rng.uniform(self.state)
            if energy > threshold and 1.02 * rng.uniform(self.state) * _MAXIMUM < shape_2nbb(energy):
                break
        detector = self.detector()
        self.site(0, detector, self.inside(detector), energy)
        self.argon[0] = 0.0
        return 1


def shape_2nbb(energy: float) -> float:
    """Sum energy spectrum of two-neutrino double beta decay, not normalised; `energy` in keV."""
    k, q = energy / crosssections.ELECTRON_MASS, TwoNeutrino.Q / crosssections.ELECTRON_MASS
    return k * (q - k) ** 5 * (1 + 2 * k + 4 * k**2 / 3 + k**3 / 3 + k**4 / 30)


_MAXIMUM = max(shape_2nbb(float(energy)) for energy in range(1, 2039))


class Alphas(Simple):
    """210Po on the read-out contact: 5304.4 keV less what the surface takes; fast pulses."""

    kind = Kind.ALPHA
    ENERGY = 5304.4
    """keV (DDEP)."""

    def generate(self, threshold: float) -> int:
        """An exponential tail of 150 keV below the line."""
        energy = 0.0
        while energy <= threshold:
            energy = self.ENERGY - 150.0 * rng.exponential(self.state)
        detector = self.detector()
        shape = self.detectors[detector].geometry
        radius = shape.contact_radius * math.sqrt(rng.uniform(self.state))
        place = (radius, 0.0, 0.05)
        if self.detectors[detector].kind == "coax":
            place = (shape.bore_radius + 0.05, 0.0, shape.bore_depth * rng.uniform(self.state))
        self.site(0, detector, place, energy)
        self.argon[0] = 0.0
        return 1


class Muons(Simple):
    """Vertical muons: every detector of a string that the track crosses, and the argon around."""

    kind = Kind.MUON
    GE_KEV_PER_MM = 760.0
    """1.37 MeV cm2/g at minimum ionisation (Particle Data Group) times 5.55 g/cm3."""
    ARGON = 2.1e2 * 300.0
    """2.1 MeV/cm over some 30 cm, in keV."""

    def generate(self, threshold: float) -> int:  # noqa: ARG002 - always far above
        """A track through a random point of a random detector, parallel to the strings."""
        x, y, _ = self.inside(chosen := self.detector())
        centre = self.detectors[chosen]
        number = 0
        for index, detector in enumerate(self.detectors):
            across = (centre.x + x - detector.x, centre.y + y - detector.y)
            if math.hypot(*across) < detector.geometry.radius and number < transport.MOST_SITES - 8:
                number = self._track(number, index, across)
        self.argon[0] = self.ARGON * (0.5 + rng.exponential(self.state))
        return number

    def _track(self, number: int, index: int, across: tuple[float, float]) -> int:
        """Eight sites along the track in one detector."""
        height = self.detectors[index].geometry.height
        piece = height / 8.0
        for part in range(8):
            energy = self.GE_KEV_PER_MM * piece * (0.9 + 0.2 * rng.uniform(self.state))
            self.site(number, index, (across[0], across[1], piece * (part + 0.5)), energy)
            number += 1
        return number


def generators(
    detectors: tuple[Detector, ...], datatype: str, state: rng.State, source: str = "Th228", escapes: float = 0.0
) -> list[tuple[float, Generator]]:
    """What happens in data of a type, with its share of the triggers.

    The shares of physics data are chosen so that a short run shows every class; they are not those of LEGEND-200.
    """
    if datatype in {"cal", "pzc"}:
        places = stops(detectors)
        gammas = Gammas(state, detectors, decays.tables((1.0, decays.SOURCES[source])), places)
        return [(1.0 - escapes, gammas), *([(escapes, Escapes(state, detectors, places))] if escapes else [])]
    around = _around(detectors)
    natural = decays.tables((1.0, decays.K40), (0.3, decays.BI214), (0.1, decays.TH228))
    if datatype == "lar":
        return [(1.0, Glow(state, detectors, natural, around))]
    return [
        (0.45, Gammas(state, detectors, natural, around)),
        (0.40, TwoNeutrino(state, detectors)),
        (0.08, Alphas(state, detectors)),
        (0.07, Muons(state, detectors)),
    ]


def stops(detectors: tuple[Detector, ...]) -> Floats:
    """The source stops between axis and detector at the height of each, the more often the smaller the detector is."""
    found = []
    for detector in detectors:
        middle = detector.z + 0.5 * detector.geometry.height
        place = (0.45 * detector.x, 0.45 * detector.y, middle)
        found += [place] * max(1, round(300.0 / detector.geometry.height))
    return np.array(found)


def _around(detectors: tuple[Detector, ...]) -> Floats:
    """Holders and cables outside of the strings."""
    return np.array([(1.7 * d.x, 1.7 * d.y, d.z + part * d.geometry.height) for d in detectors for part in (0.0, 1.0)])
