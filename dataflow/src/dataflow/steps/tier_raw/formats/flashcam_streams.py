"""A FlashCam stream: its configuration, what lasts from event to event, and the tables that its traces go to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import flashcam_rows as rows_of
from .flashcam_records import NUMBERS
from .flashcam_times import RING, account

EVENTS, TRACES = 2048, 4096
"""Events and traces that are looked at together."""
DEPTHS: Final = (12, 16)
"""Bits of the digitizers for which energies are known."""


class Found:
    """Bytes, the events that were found in them, and the times of their traces.

    Parameters
    ----------
    most
        Traces.
    """

    def __init__(self, most: int) -> None:
        self.data = np.empty(0, dtype=np.uint8)
        self.events = np.zeros((EVENTS, NUMBERS), dtype=np.int32)
        self.places, self.channels = np.zeros(most, dtype=np.int64), np.zeros(most, dtype=np.int64)
        self.seconds, self.intervals = np.zeros((4, most)), np.zeros(most, dtype=np.int64)


class Columns:
    """The columns of all buffers in one array a type, so that one call of compiled code fills all of them.

    Parameters
    ----------
    buffers
        Tables of the same columns and size; from now on their columns are parts of these arrays.
    size
        Rows that are needed of each: what lies behind them would take memory with what lies before.
    """

    def __init__(self, buffers: list[Any], size: int) -> None:
        number = len(buffers)
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

    @staticmethod
    def release(buffers: list[Any]) -> None:
        """Give tables columns of their own, with as many rows as they shall have."""
        for buffer in buffers:
            values = buffer.lgdo[rows_of.SAMPLES]["values"]
            for column in (*(node for name, node in buffer.lgdo.items() if name != rows_of.SAMPLES), values):
                own = np.zeros((len(buffer), *column.nda.shape[1:]), column.nda.dtype)
                own[: buffer.loc] = column.nda[: buffer.loc]
                column.nda = own

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


class Stream:
    """A stream.

    Parameters
    ----------
    config
        The configuration, as ``fcio`` has it.
    keys
        The channel of each trace.
    keyed
        The buffers by channel.

    Attributes
    ----------
    traces, samples
        Of a whole event; of a trace.
    numbers, listed, last
        What lasts from event to event, see :func:`.flashcam_records.index`.
    """

    def __init__(self, config: Any, keys: list[int], keyed: Mapping[int, Any]) -> None:
        self.traces, self.samples = len(keys), int(config.eventsamples)
        self.numbers, self.last = np.zeros(30, dtype=np.int32), np.zeros(2, dtype=np.int64)
        self.listed = np.zeros(self.traces, dtype=np.int64)
        self.buffers = list({id(buffer): buffer for buffer in keyed.values()}.values())
        self._rows = np.zeros(len(self.buffers), dtype=np.int64)
        self._safe = len(self.buffers[0]) - self.buffers[0].fill_safety
        most = max(sum(keyed.get(key) is buffer for key in keys) for buffer in self.buffers)  # rows of one event
        places = {id(buffer): number for number, buffer in enumerate(self.buffers)}
        self._owner = np.array([places[id(keyed[key])] if key in keyed else -1 for key in keys])
        self._columns = Columns(self.buffers, min(self._safe + most, len(self.buffers[0])))
        self._configure(config)
        self._times, self._ring = (np.zeros((3, self.traces), dtype=np.int64) for _ in range(2))
        self._times[0], self._ring[0] = -1, RING - 1
        self._begins, self._ends = np.zeros((2, self.traces, RING), dtype=np.int64)

    def _configure(self, config: Any) -> None:
        traces = np.asarray(config.tracemap)
        numbers = (config.adcs, config.blprecision, config.sumlength, config.adcbits)
        self._config = np.array(numbers, dtype=np.int64)
        self._external = bool(config.gps)
        crate = np.full(len(traces), int(config.streamid) & 0xFFFF)
        cards = np.stack([np.arange(len(traces)), traces >> 16, traces & 0xFFFF, crate])
        self._cards = cards.astype(np.uint16)

    def begin(self) -> None:
        """Take over how many rows are in the buffers."""
        self._rows[:] = [buffer.loc for buffer in self.buffers]

    def end(self) -> None:
        """Tell the buffers how many rows they have."""
        for buffer, rows in zip(self.buffers, self._rows.tolist(), strict=True):
            buffer.loc = rows

    def release(self) -> None:
        """Leave the tables to other readers, which may fill more rows with one event."""
        self._columns.release(self.buffers)

    def follow(self, found: Found, events: NDArray[np.int32]) -> int:
        """Find the times of some events; how many of them are possible, up to the first that is not."""
        good = account(
            *(events, len(events), found.channels, self._external, self.traces),
            *(self._times, self._ring, self._begins, self._ends, found.seconds, found.intervals),
        )
        return int(good)

    def put(self, found: Found, events: NDArray[np.int32], at: int) -> tuple[int, bool, bool]:
        """Fill rows, see :func:`.flashcam_rows.fill`: the event to go on with, and why it ends there."""
        columns = self._columns
        at, full, odd = rows_of.fill(
            *(found.data, events, at, len(events), found.places, found.channels),
            *(found.seconds, found.intervals, self._config, self._cards, self._owner, self._rows, self._safe),
            *(columns.integers, columns.shorts, columns.seconds, columns.intervals),
            columns.samples.view(np.uint8),
        )
        return int(at), bool(full), bool(odd)
