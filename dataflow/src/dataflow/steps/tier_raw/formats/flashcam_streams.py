"""A FlashCam stream: its configuration, what lasts from event to event, and the tables that its traces go to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import flashcam_rows as rows_of
from .flashcam_columns import Layout, Tables, suit
from .flashcam_records import NUMBERS
from .flashcam_times import RING, account

EVENTS, TRACES = 2048, 4096
"""Events and traces that are looked at together."""
DEPTHS: Final = (12, 16)
"""Bits of the digitizers for which energies are known."""


LAYOUT: Layout = {
    "i4": rows_of.INTEGERS,
    "u2": rows_of.SHORTS,
    "f8": rows_of.SECONDS,
    "i8": (rows_of.INTERVAL,),
}


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


def suits(config: Any, buffers: list[Any]) -> bool:
    """Whether the files of a configuration, and the columns of the tables, are such as the compiled code takes."""
    usual = int(config.adcbits) in DEPTHS and 1 <= int(config.blprecision) <= np.iinfo(np.uint16).max
    return suit(buffers, LAYOUT) and usual and len(config.tracemap) > 0


class Stream(Tables):
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
        buffers = list({id(buffer): buffer for buffer in keyed.values()}.values())
        most = max(sum(keyed.get(key) is buffer for key in keys) for buffer in buffers)  # rows of one event
        super().__init__(buffers, most, LAYOUT, self.samples)
        places = {id(buffer): number for number, buffer in enumerate(buffers)}
        self._owner = np.array([places[id(keyed[key])] if key in keyed else -1 for key in keys])
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

    def follow(self, found: Found, events: NDArray[np.int32]) -> int:
        """Find the times of some events; how many of them are possible, up to the first that is not."""
        good = account(
            *(events, len(events), found.channels, self._external, self.traces),
            *(self._times, self._ring, self._begins, self._ends, found.seconds, found.intervals),
        )
        return int(good)

    def put(self, found: Found, events: NDArray[np.int32], at: int) -> tuple[int, bool, bool]:
        """Fill rows, see :func:`.flashcam_rows.fill`: the event to go on with, and why it ends there."""
        columns = self.columns
        at, full, odd = rows_of.fill(
            *(found.data, events, at, len(events), found.places, found.channels),
            *(found.seconds, found.intervals, self._config, self._cards, self._owner, self.rows, self.safe),
            *(columns["i4"], columns["u2"], columns["f8"], columns["i8"][:, 0], self.waveforms.view(np.uint8)),
        )
        return int(at), bool(full), bool(odd)
