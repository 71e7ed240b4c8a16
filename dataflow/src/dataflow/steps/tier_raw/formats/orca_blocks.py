"""An ORCA file, read block by block, and the FlashCam events in each block put into the columns of all channels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .flashcam_blocks import FULL, Block
from .flashcam_columns import Tables
from .flashcam_records import MORE, ODD, gather
from .flashcam_streams import EVENTS, Found, Stream
from .orca_records import HEAD, survey

PACKET = 32
"""Of the numbers of an event; see :mod:`.flashcam_records`."""


class Part(Protocol):
    """What some of the packets are, and the tables that they go to."""

    @property
    def tables(self) -> Tables:
        """Where rows are filled."""

    def take(self, data: NDArray[np.uint8], spans: NDArray[np.int64], packets: NDArray[np.int64]) -> int:
        """Find the events in some packets; the number of the first packet that is none, minus one if all are."""

    def end_before(self, packet: int) -> None:
        """Leave out the events from a packet on."""

    def put(self) -> tuple[bool, int]:
        """Fill rows: whether a buffer is full; the number of a packet that cannot be put, minus one for none."""


class Events:
    """The events of one stream in a block, see :class:`Part`.

    Parameters
    ----------
    stream
        The stream.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream, self._found = stream, Found(0)
        self._frames = np.zeros((2, 7 + stream.traces), dtype=np.int64)
        self._events, self._at = self._found.events[:0], 0

    @property
    def tables(self) -> Tables:
        """Those of the stream."""
        return self.stream

    def take(self, data: NDArray[np.uint8], spans: NDArray[np.int64], packets: NDArray[np.int64]) -> int:
        """Find the events in some packets; the number of the first packet that is none, minus one if all are."""
        stream, most = self.stream, len(data) // (2 * (2 + self.stream.samples)) + self.stream.traces
        if len(self._found.places) < most:
            self._found = Found(most)
        found = self._found
        found.data = data
        count = gather(
            *(data, spans[:, 0] + 4 * HEAD, spans[:, 1].copy(), packets, stream.traces, stream.samples),
            *(self._frames[0], self._frames[1], stream.numbers, stream.listed, stream.last),
            *(found.events, found.places, found.channels),
        )
        good = stream.follow(found, found.events[:count])
        self._events, self._at = found.events[:good], 0
        return int(packets[good]) if good < len(packets) else -1

    def end_before(self, packet: int) -> None:
        """Leave out the events from a packet on."""
        self._events = self._events[: np.searchsorted(self._events[:, PACKET], packet)]

    def put(self) -> tuple[bool, int]:
        """Fill rows: whether a buffer is full; the number of a packet that cannot be put, minus one for none."""
        self._at, full, odd = self.stream.put(self._found, self._events, self._at)
        return full, int(self._events[self._at, PACKET]) if odd else -1


class Packets:
    """The packets of a file, and where their events go.

    Parameters
    ----------
    path, place
        The file, and the byte of the first packet that is wanted.
    begins
        Where the packets before it begin; those that are passed are added.
    kinds
        The data id of events, and those of packets that nobody wants.
    shift
        The bit of the third word of an event at which the number of its stream begins.
    """

    def __init__(self, path: Path, place: int, begins: list[int], kinds: Sequence[int], shift: int = 0) -> None:
        self._block, self._begins, self._kinds = Block(path, place), begins, np.array(kinds, dtype=np.int64)
        self._spans, self._owners = np.zeros((EVENTS, 2), dtype=np.int64), np.zeros(EVENTS, dtype=np.int64)
        self._shift = shift
        self._parts: list[Part] = []
        self._numbers, self._part_of = np.zeros(0, dtype=np.int64), np.array([-1])  # the last for no stream
        self._read, self._why = -1, MORE

    @property
    def place(self) -> int:
        """The byte after the last packet that was passed."""
        return self._block.place

    @property
    def number(self) -> int:
        """The number of the packet after the last one that was passed."""
        return len(self._begins)

    def add(self, numbers: Sequence[int], part: Part) -> None:
        """Take the events of some streams, from the next packet on."""
        self._parts.append(part)
        self._know(numbers, len(self._parts) - 1)

    def leave_out(self, numbers: Sequence[int]) -> None:
        """Pass over the events of some streams."""
        self._know(numbers, -1)

    def _know(self, numbers: Sequence[int], part: int) -> None:
        self._numbers = np.append(self._numbers, np.array(numbers, dtype=np.int64))
        self._part_of = np.concatenate([self._part_of[:-1], np.full(len(numbers), part), [-1]])
        self._why = MORE

    def pass_over(self, kind: int) -> None:
        """Pass over all packets with a data id."""
        self._kinds, self._why = np.append(self._kinds, kind), MORE

    def buffers(self) -> list[Any]:
        """Those of all streams."""
        return [buffer for part in self._parts for buffer in part.tables.buffers]

    def go_on(self, place: int) -> None:
        """Go on at a packet, after others were read otherwise."""
        self._block.place, self._why = place, MORE

    def fill(self) -> int:
        """Fill the buffers until one is full or the walk stops; says why, see :data:`.flashcam_blocks.FULL`."""
        for part in self._parts:
            part.tables.begin()
        why = self._fill()
        for part in self._parts:
            part.tables.end()
        return why

    def _fill(self) -> int:
        while True:
            for part in self._parts:
                full, odd = part.put()
                if odd >= 0:
                    self._end_before(odd)
                if full:
                    return FULL
            if self._why != MORE:
                return self._why
            self._look()

    def _end_before(self, packet: int) -> None:
        """End at a packet that has been passed: it and all after it are read otherwise."""
        for part in self._parts:
            part.end_before(packet)
        self._block.place, self._why = self._begins[packet], ODD
        del self._begins[packet:]

    def _look(self) -> None:
        """Find the next events."""
        passed = self._survey()
        numbers = self.number + np.arange(passed)
        self._begins += (self._read + self._spans[:passed, 0]).tolist()
        parts = self._part_of[self._owners[:passed]]
        found = [self._take(part, parts == at, numbers) for at, part in enumerate(self._parts)]
        if odd := [number for number in found if number >= 0]:
            self._end_before(min(odd))

    def _survey(self) -> int:
        """Find packets, in the bytes that have been read already if there are whole ones; how many."""
        block = self._block
        if not 0 <= block.place - self._read < block.filled or self._read < 0:
            self._load()
        while True:
            passed, place, self._why = survey(
                *(block.data, block.place - self._read, block.filled, block.ends, self._kinds, self._numbers),
                *(self._shift, self._spans, self._owners),
            )
            if self._why != MORE or passed:
                block.place = self._read + place
                return int(passed)
            if block.place == self._read:
                block.grow()
            self._load()

    def _load(self) -> None:
        self._block.read()
        self._read = self._block.place

    def _take(self, part: Part, own: NDArray[np.bool_], numbers: NDArray[np.int64]) -> int:
        return part.take(self._block.data, self._spans[: len(own)][own], numbers[own])

    def release(self) -> None:
        """Leave the tables to other readers."""
        for part in self._parts:
            part.tables.release()

    def close(self) -> None:
        """Close the file."""
        self._block.close()
