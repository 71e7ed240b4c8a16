"""FlashCam containers (FCIO records in TMIO frames): writing, and a plain walk over the records.

A stream is the protocol string followed by records; a record is its negative tag followed by frames; a frame is its
length and its payload, all little-endian. The layout follows the open FCIO library by MPIK (`fcio` on PyPI ships its
sources); that package only reads.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from gebox.files import fsp

PROTOCOL: Final = b"FlashCamV1".ljust(64, b"\0")
PROTOCOL_TAG: Final = -1_000_000_001

CONFIG: Final = 1
EVENT: Final = 3
STATUS: Final = 4
SPARSE_EVENT: Final = 6

CLOCK_HZ: Final = 250_000_000
"""Ticks of the FlashCam clock in a second."""

Traces = NDArray[np.uint16]


@dataclass(frozen=True)
class Config:
    """The configuration record: its first ten numbers fix the size of every later event."""

    adcs: int
    eventsamples: int
    triggers: int = 0
    blprecision: int = 1
    sumlength: int = 1
    adcbits: int = 16
    mastercards: int = 1
    triggercards: int = 0
    adccards: int = 1
    gps: int = 0
    tracemap: tuple[int, ...] | None = None
    """Card address << 16 | input of each trace; optional in the format."""
    streamid: int | None = None
    """The lower 16 bits are the crate's id; optional in the format."""

    def numbers(self) -> tuple[int, ...]:
        """The ten numbers in the order of the format."""
        return (
            self.adcs, self.triggers, self.eventsamples, self.blprecision, self.sumlength,
            self.adcbits, self.mastercards, self.triggercards, self.adccards, self.gps,
        )  # fmt: skip


@dataclass(frozen=True)
class Event:
    """What an event holds besides its traces.

    Parameters
    ----------
    timestamp
        Event number, seconds since the last PPS reset, clock ticks, ticks a second minus one.
    timeoffset
        Seconds and microseconds between clock and Unix time, and what belongs to them.
    deadregion
        Begin and end of the dead interval before the event; readers overwrite the entries 5 and 6.
    """

    timestamp: tuple[int, ...]
    timeoffset: tuple[int, ...]
    deadregion: tuple[int, ...] = (0, 0, 0, 0, CLOCK_HZ - 1, 0, 0, 0, 0, 0)
    kind: int = 1
    pulser: float = 0.0


@dataclass(frozen=True)
class Status:
    """A status record: state, ten times, and the readings of each card (:data:`CARD_WORDS` words each)."""

    state: int
    times: tuple[int, ...]
    cards: tuple[bytes, ...] = field(default=())


CARD_BYTES: Final = 1180


def frame(payload: bytes) -> bytes:
    """Length and payload."""
    return struct.pack("<i", len(payload)) + payload


def integers(values: Sequence[int]) -> bytes:
    """Signed 32-bit little-endian."""
    return struct.pack(f"<{len(values)}i", *values)


def beginning() -> bytes:
    """What a stream begins with."""
    return struct.pack("<i", PROTOCOL_TAG) + PROTOCOL


def encoded(tag: int, frames: Sequence[bytes]) -> bytes:
    """The bytes of a record."""
    return struct.pack("<i", -tag) + b"".join(frame(payload) for payload in frames)


def unix_time(event: Event) -> float:
    """Seconds since 1970 as the FCIO library derives them for free-running clocks (``gps`` = 0)."""
    _, seconds, ticks, maximum = event.timestamp[:4]
    return seconds + ticks / (maximum + 1) + event.timeoffset[0] + 1e-6 * event.timeoffset[1]


class Writer:
    """Write records to an open binary file, beginning with the protocol and the configuration.

    Parameters
    ----------
    file
        Opened for binary writing; stays open.
    config
        Written as the first record.
    trigger
        The software trigger: it looks at each event, and its records stand before those that they belong to.
    """

    def __init__(self, file: BinaryIO, config: Config, trigger: fsp.Trigger | None = None) -> None:
        self.file = file
        self.config = config
        self.trigger = trigger
        file.write(beginning())
        if trigger:
            self.record(fsp.FSP_CONFIG, fsp.config_frames(trigger))
        self._config(config)

    def _config(self, config: Config) -> None:
        frames = [integers([number]) for number in config.numbers()]
        if config.tracemap is not None:
            frames.append(struct.pack(f"<{len(config.tracemap)}I", *config.tracemap))
        if config.streamid is not None:
            frames.append(integers([config.streamid]))
        self.record(CONFIG, frames)

    def record(self, tag: int, frames: Sequence[bytes]) -> None:
        """Write any record."""
        self.file.write(encoded(tag, frames))

    def event(self, event: Event, traces: Traces) -> None:
        """Write an event with all traces.

        Parameters
        ----------
        traces
            uint16 array of shape (adcs + triggers, 2 + eventsamples): baseline, energy, samples of each trace.
        """
        rows = self.config.adcs + self.config.triggers
        self._check(traces, rows, 2 + self.config.eventsamples)
        self._observe(range(rows), traces)
        head = [integers([event.kind]), struct.pack("<f", event.pulser)]
        head += [integers(event.timeoffset), integers(event.timestamp)]
        head.append(traces.astype("<u2", copy=False).tobytes())
        head.append(integers(event.deadregion))
        self.record(EVENT, head)

    def sparse_event(self, event: Event, channels: Sequence[int], traces: Traces) -> None:
        """Write an event with the traces of some channels.

        Parameters
        ----------
        channels
            Index of each trace in the trace map.
        traces
            uint16 array of shape (len(channels), 4 + eventsamples): two words that this method overwrites with the
            length of the frame, then baseline, energy, samples. So that the whole event is one write.
        """
        self._check(traces, len(channels), 4 + self.config.eventsamples)
        self._observe(channels, traces[:, 2:])
        traces[:, :2] = np.frombuffer(struct.pack("<i", 2 * (traces.shape[1] - 2)), dtype="<u2")
        head = [integers([event.kind]), struct.pack("<f", event.pulser)]
        head += [integers(event.timeoffset), integers(event.timestamp), integers(event.deadregion)]
        head += [integers([len(channels)]), struct.pack(f"<{len(channels)}H", *channels)]
        self.record(SPARSE_EVENT, head)
        self.file.write(traces.astype("<u2", copy=False).data)

    def _observe(self, channels: Sequence[int], traces: Traces) -> None:
        """Write what the software trigger sees in an event."""
        if self.trigger:
            seen = fsp.observe(self.trigger, channels, traces)
            self.record(fsp.FSP_EVENT, fsp.event_frames(self.trigger, seen))

    def status(self, status: Status, counts: fsp.Counts | None = None) -> None:
        """Write a status record; with a software trigger after its numbers."""
        if self.trigger and counts:
            self.record(fsp.FSP_STATUS, fsp.status_frames(counts))
        head = [integers([status.state]), integers(status.times), integers([len(status.cards)])]
        head.append(integers([CARD_BYTES]))
        self.record(STATUS, [*head, *status.cards])

    @staticmethod
    def _check(traces: Traces, rows: int, width: int) -> None:
        if traces.shape != (rows, width) or not traces.flags.c_contiguous:
            msg = f"traces of shape {traces.shape}, expected a contiguous array of shape {(rows, width)}"
            raise ValueError(msg)


def records(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Tag and frames of each record of a file.

    Raises
    ------
    ValueError
        When the file does not begin as a FlashCam stream or ends inside a frame.
    """
    with path.open("rb") as file:
        if file.read(4 + len(PROTOCOL)) != beginning():
            msg = f"{path.name} does not begin as a FlashCam stream"
            raise ValueError(msg)
        tag, frames = 0, []
        for length, payload in _frames(file, path):
            if length >= 0:
                frames.append(payload)
                continue
            if tag:
                yield tag, frames
            tag, frames = -length, []
        if tag:
            yield tag, frames


def _frames(file: BinaryIO, path: Path) -> Iterator[tuple[int, bytes]]:
    """Each length with its payload; tags come as negative lengths without payload."""
    while word := file.read(4):
        length = struct.unpack("<i", word)[0] if len(word) == 4 else 0
        payload = file.read(max(length, 0))
        if len(word) < 4 or len(payload) != max(length, 0):
            msg = f"{path.name} ends inside a frame"
            raise ValueError(msg)
        yield length, payload
