"""A FlashCam file, read block by block, and the events in each block put into the columns of all channels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import flashcam_rows as rows_of
from .flashcam_records import ASIDE, END, MORE, NUMBERS, ODD, index
from .flashcam_times import RING, account

BLOCK: Final = 1 << 20
"""Bytes that are read at a time; more where a record is longer."""
EVENTS, TRACES = 2048, 4096
"""Events and traces that are looked at together."""
FULL: Final = 4
"""Why filling stops, beside the reasons of :mod:`.flashcam_records`: a buffer has no room for another event."""
DEPTHS = (12, 16)
"""Bits of the digitizers for which energies are known."""


class Columns:
    """The columns of all buffers in one array a type, so that one call of compiled code fills all of them.

    Parameters
    ----------
    buffers
        Tables of the same columns and size; from now on their columns are parts of these arrays.
    """

    def __init__(self, buffers: list[Any]) -> None:
        number, size = len(buffers), len(buffers[0])
        samples = buffers[0].lgdo[rows_of.SAMPLES]["values"].nda.shape[1]
        self.integers = np.zeros((number, len(rows_of.INTEGERS), size), dtype=np.int32)
        self.shorts = np.zeros((number, len(rows_of.SHORTS), size), dtype=np.uint16)
        self.seconds = np.zeros((number, len(rows_of.SECONDS), size), dtype=np.float64)
        self.intervals = np.zeros((number, size), dtype=np.int64)
        self.samples = np.zeros((number, size, samples), dtype=np.uint16)
        for each, buffer in enumerate(buffers):
            for name, values in self._of(each).items():
                column = buffer.lgdo[name]
                column.nda = values.view(column.nda.dtype)
            buffer.lgdo[rows_of.SAMPLES]["values"].nda = self.samples[each]

    def _of(self, buffer: int) -> Mapping[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = dict(zip(rows_of.INTEGERS, self.integers[buffer], strict=True))
        found |= dict(zip(rows_of.SHORTS, self.shorts[buffer], strict=True))
        found |= dict(zip(rows_of.SECONDS, self.seconds[buffer], strict=True))
        return {**found, rows_of.INTERVAL: self.intervals[buffer]}


def suits(config: Any, buffers: list[Any]) -> bool:
    """Whether the files of a configuration, and the columns of the tables, are such as the compiled code takes."""
    known = {4: rows_of.INTEGERS, 2: rows_of.SHORTS, 8: (*rows_of.SECONDS, rows_of.INTERVAL)}
    sizes = all(
        buffer.lgdo[name].nda.dtype.itemsize == size
        for buffer in buffers
        for size, names in known.items()
        for name in names
    )
    same = len({(len(buffer), buffer.fill_safety) for buffer in buffers}) == 1
    usual = int(config.adcbits) in DEPTHS and 1 <= int(config.blprecision) <= np.iinfo(np.uint16).max
    return sizes and same and usual and len(config.tracemap) > 0


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

    Attributes
    ----------
    records
        Records after the configuration that are done.
    """

    def __init__(
        self, path: Path, begin: int, config: Any, keys: list[int], keyed: Mapping[int, Any], *, quiet: bool
    ) -> None:
        self._file, self._place, self._why = os.open(path, os.O_RDONLY), begin, MORE
        self._data, self._filled = np.empty(BLOCK, dtype=np.uint8), 0
        self._ends, self._quiet = False, quiet
        self._buffers = list({id(buffer): buffer for buffer in keyed.values()}.values())
        self._rows = np.zeros(len(self._buffers), dtype=np.int64)
        self._safe = len(self._buffers[0]) - self._buffers[0].fill_safety
        places = {id(buffer): number for number, buffer in enumerate(self._buffers)}
        self._owner = np.array([places[id(keyed[key])] if key in keyed else -1 for key in keys])
        self._columns = Columns(self._buffers)
        self._configure(config)
        self._start(len(keys))

    def _configure(self, config: Any) -> None:
        traces = np.asarray(config.tracemap)
        numbers = (config.adcs, config.blprecision, config.sumlength, config.adcbits)
        self._config = np.array(numbers, dtype=np.int64)
        self._external, self._samples = bool(config.gps), int(config.eventsamples)
        crate = np.full(len(traces), int(config.streamid) & 0xFFFF)
        cards = np.stack([np.arange(len(traces)), traces >> 16, traces & 0xFFFF, crate])
        self._cards = cards.astype(np.uint16)

    def _start(self, traces: int) -> None:
        """Everything that lasts from event to event, and places for the events of a block."""
        self._traces = traces
        self._frames = np.zeros((2, 7 + traces), dtype=np.int64)
        self._numbers, self._last = np.zeros(30, dtype=np.int32), np.zeros(2, dtype=np.int64)
        self._listed = np.zeros(traces, dtype=np.int64)
        self._events = np.zeros((EVENTS, NUMBERS), dtype=np.int32)
        most = max(TRACES, traces)
        self._places, self._channels = np.zeros(most, dtype=np.int64), np.zeros(most, dtype=np.int64)
        self._times, self._ring = np.zeros((3, traces), dtype=np.int64), np.zeros((3, traces), dtype=np.int64)
        self._times[0], self._ring[0] = -1, RING - 1
        self._begins, self._interval_ends = np.zeros((2, traces, RING), dtype=np.int64)
        self._seconds, self._intervals = np.zeros((4, most)), np.zeros(most, dtype=np.int64)
        self._at = self._count = 0

    @property
    def records(self) -> int:
        """Records after the configuration that are done."""
        return int(self._last[1])

    @property
    def place(self) -> int:
        """The byte after the last record that was looked at."""
        return self._place

    def fill(self) -> int:
        """Fill the buffers until one is full or the walk stops; says why: :data:`FULL`, or END, ASIDE, ODD."""
        self._rows[:] = [buffer.loc for buffer in self._buffers]
        why = self._fill()
        for buffer, rows in zip(self._buffers, self._rows.tolist(), strict=True):
            buffer.loc = rows
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
        columns = self._columns
        self._at, full, odd = rows_of.fill(
            *(self._data, self._events, self._at, self._count, self._places, self._channels),
            *(self._seconds, self._intervals, self._config, self._cards, self._owner, self._rows, self._safe),
            *(columns.integers, columns.shorts, columns.seconds, columns.intervals),
            columns.samples.view(np.uint8),
        )
        if odd:
            self._last[1] = self._events[self._at, 32] - 1
        return bool(full)

    def _look(self, *, skip: bool) -> None:
        """Find the next events."""
        before = self.records
        while True:
            self._read()
            found, place, self._why = index(
                *(self._data, 0, self._filled, self._ends, self._quiet, skip, self._traces, self._samples),
                *(self._frames[0], self._frames[1], self._numbers, self._listed, self._last),
                *(self._events, self._places, self._channels),
            )
            self._place += place
            if self._why != MORE or self.records > before:
                break
            self._data = np.empty(2 * len(self._data), dtype=np.uint8)  # a record longer than the block
        self._at, self._count = 0, found
        good = account(
            *(self._events, found, self._channels, self._external, self._traces),
            *(self._times, self._ring, self._begins, self._interval_ends, self._seconds, self._intervals),
        )
        if good < found:
            self._count, self._why, self._last[1] = good, ODD, self._events[good, 32] - 1

    def _read(self) -> None:
        """Read the bytes from the place on."""
        self._filled = 0
        view = self._data.data
        while self._filled < len(view):
            got = os.preadv(self._file, [view[self._filled :]], self._place + self._filled)
            if not got:
                break
            self._filled += got
        self._ends = self._filled < len(view)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
