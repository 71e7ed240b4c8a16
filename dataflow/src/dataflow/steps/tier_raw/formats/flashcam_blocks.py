"""A FlashCam file, read block by block, and the events in each block put into the columns of all channels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from . import flashcam_streams
from .flashcam_records import ASIDE, END, MORE, ODD, index
from .flashcam_streams import Found, Stream

BLOCK: Final = 1 << 20
"""Bytes that are read at a time; more where a record is longer."""
FULL: Final = 4
"""Why filling stops, beside the reasons of :mod:`.flashcam_records`: a buffer has no room for another event."""


class Block:
    """A part of a file in memory.

    Parameters
    ----------
    path, place
        The file, and the first byte that is wanted of it.

    Attributes
    ----------
    data, filled, ends
        Bytes from `place` on, how many there are, and whether the file ends with them.
    """

    def __init__(self, path: Path, place: int) -> None:
        self._file, self.place = os.open(path, os.O_RDONLY), place
        self.data, self.filled, self.ends = np.empty(BLOCK, dtype=np.uint8), 0, False

    def read(self) -> None:
        """Read the bytes from the place on."""
        self.filled = 0
        view = self.data.data
        while self.filled < len(view):
            got = os.preadv(self._file, [view[self.filled :]], self.place + self.filled)
            if not got:
                break
            self.filled += got
        self.ends = self.filled < len(view)

    def grow(self) -> None:
        """Have room for twice as many bytes: a record is longer."""
        self.data = np.empty(2 * len(self.data), dtype=np.uint8)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class Blocks:
    """The events of a file, and where they go.

    Parameters
    ----------
    path, begin
        The file, and the byte after its configuration.
    config
        The configuration, as ``fcio`` has it.
    keys
        The channel of each trace.
    keyed
        The buffers by channel.
    quiet
        Whether status records are passed over.
    """

    def __init__(
        self, path: Path, begin: int, config: Any, keys: list[int], keyed: Mapping[int, Any], *, quiet: bool
    ) -> None:
        self._block, self._stream, self._found = (
            Block(path, begin),
            Stream(config, keys, keyed),
            Found(max(flashcam_streams.TRACES, len(keys))),
        )
        self._frames = np.zeros((2, 7 + len(keys)), dtype=np.int64)
        self._why, self._quiet, self._at, self._count = MORE, quiet, 0, 0

    @property
    def records(self) -> int:
        """Records after the configuration that are done."""
        return int(self._stream.last[1])

    @property
    def place(self) -> int:
        """The byte after the last record that was looked at."""
        return self._block.place

    def fill(self) -> int:
        """Fill the buffers until one is full or the walk stops; says why: :data:`FULL`, or END, ASIDE, ODD."""
        self._stream.begin()
        why = self._fill()
        self._stream.end()
        return why

    def _fill(self) -> int:
        while True:
            if self._at < self._count and self._put():
                return FULL
            if self._at < self._count:
                self._why = ODD
            if self._why in (END, ASIDE, ODD):
                return self._why
            self._look(skip=False)

    def pass_over(self) -> None:
        """Go on after a record that changes no event."""
        self._look(skip=True)

    def _put(self) -> bool:
        self._at, full, odd = self._stream.put(self._found, self._found.events[: self._count], self._at)
        if odd:
            self._done_before(self._at)
        return full

    def _done_before(self, event: int) -> None:
        self._stream.last[1] = self._found.events[event, 32] - 1

    def _look(self, *, skip: bool) -> None:
        """Find the next events."""
        before, found, stream, block = self.records, self._found, self._stream, self._block
        while True:
            block.read()
            count, place, self._why = index(
                *(block.data, 0, block.filled, block.ends, self._quiet, skip, stream.traces, stream.samples),
                *(self._frames[0], self._frames[1], stream.numbers, stream.listed, stream.last),
                *(found.events, found.places, found.channels),
            )
            block.place += place
            if self._why != MORE or self.records > before:
                break
            block.grow()
        found.data = block.data
        self._at, self._count = 0, stream.follow(found, found.events[:count])
        if self._count < count:
            self._why = ODD
            self._done_before(self._count)

    def release(self) -> None:
        """Leave the tables to other readers."""
        self._stream.release()

    def close(self) -> None:
        """Close the file."""
        self._block.close()
