"""The words of the experiment, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["icpc", "bege", "ppc", "coax"]
Readout = Literal["sparse", "full"]


@dataclass(frozen=True)
class Address:
    """Where a channel is plugged in: stream, card address, input of the card."""

    fcid: int
    card: int
    input: int

    @property
    def rawid(self) -> int:
        """The number that names the channel's tables, as legend-daq2lh5 derives it."""
        return self.fcid * 1_000_000 + self.card * 100 + self.input

    @property
    def tracemap(self) -> int:
        """The entry of the FlashCam trace map."""
        return self.card << 16 | self.input


@dataclass(frozen=True)
class Geometry:
    """A crystal in mm: cylinder with a bore hole from the top (icpc) or from the contact side (coax)."""

    radius: float
    height: float
    bore_radius: float = 0.0
    bore_depth: float = 0.0
    contact_radius: float = 5.0


@dataclass(frozen=True)
class Detector:
    """A germanium detector and where it hangs."""

    name: str
    kind: Kind
    geometry: Geometry
    address: Address
    string: int
    position: int
    x: float
    y: float
    z: float
    """Centre of the contact face in mm, in the coordinates of the array."""
    processable: bool = True
    usability: str = "on"
    psd: str = "valid"


@dataclass(frozen=True)
class Auxiliary:
    """A channel that is no germanium detector."""

    name: str
    system: str
    address: Address


@dataclass(frozen=True)
class Constants:
    """The true constants of one germanium detector in one run.

    The height of a pulse in ADC counts is (E - offset) / gain for an energy E in keV and the mean drift time.
    """

    gain: float
    """keV per ADC count."""
    offset: float
    """keV at zero pulse height."""
    baseline: float
    """ADC counts."""
    tau: float
    """Decay time of the preamplifier in ns."""
    tau_fraction: float
    """Share of a second, faster decay."""
    tau_second: float
    """Its decay time in ns."""
    rise: float
    """Time constant of the preamplifier's response in ns."""
    white: float
    """Standard deviation of the white noise in ADC counts a sample."""
    pink: float
    """Standard deviation of the 1/f noise in ADC counts a sample."""
    fano: float
    """Variance of the deposited charge per energy, in keV."""
    trapping: float
    """Share of the charge that is lost per microsecond of drift."""
    velocity: float
    """Drift velocity in mm/ns."""
    hum: float = 0.0
    """Amplitude of a periodic interference in ADC counts."""
    hum_period: float = 5000.0
    """Its period in ns."""
    ceiling: float = 65535.0
    """The highest sample of the digitiser."""
    pulser: float = 1350.0
    """Energy that the injected test pulse looks like, in keV."""


@dataclass(frozen=True)
class DaqFile:
    """One DAQ file to be written."""

    key: str
    datatype: str
    period: str
    run: str
    start: int
    """Unix time of the first second."""
    duration: int
    """Seconds."""
    events: int
    """Physics events besides pulser and forced triggers."""
    readout: Readout
    threshold: float
    """Trigger threshold in keV."""
    escapes: float = 0.0
    """The share of the physics events that are chosen to be double escapes of the 2614.5 keV line."""

    @property
    def stem(self) -> str:
        """Folder and key below any tree of tiers."""
        return f"{self.datatype}/{self.period}/{self.run}/{self.key}"


@dataclass(frozen=True)
class CrossTalk:
    """A share of one channel's pulse that appears in another."""

    source: str
    target: str
    coefficient: float


@dataclass(frozen=True)
class Layout:
    """What a preset chooses."""

    detectors: tuple[Detector, ...]
    auxiliaries: tuple[Auxiliary, ...]
    samples: int
    crosstalk: tuple[CrossTalk, ...] = field(default=())

    @property
    def tracemap(self) -> tuple[Address, ...]:
        """All channels in the order of the trace map: by raw id."""
        every = [d.address for d in self.detectors] + [a.address for a in self.auxiliaries]
        return tuple(sorted(every, key=lambda address: address.rawid))
