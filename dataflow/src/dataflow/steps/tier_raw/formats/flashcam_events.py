"""Readers of the events of FlashCam files: by compiled code, and event by event with the ``fcio`` package.

legend-daq2lh5 sets each of some forty columns of a trace one by one in Python, which takes three quarters of its time.
Compiled code fills all columns in one pass over the bytes. It takes only records of the usual form; all others are read
by ``fcio``, and decoded here event by event: the samples are copied at once, all other values are kept for many events
and put into the columns together. The values are the same in all three (``event_decoder`` in the settings of raw).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from daq2lh5.fc.fc_event_decoder import FCEventDecoder as Library
from daq2lh5.fc.fc_streamer import FCStreamer
from numpy.typing import NDArray

from . import flashcam
from .chunks import Chunks
from .flashcam_blocks import FULL, Blocks
from .flashcam_columns import SAMPLES
from .flashcam_config import Later
from .flashcam_records import ASIDE, END, ODD
from .flashcam_streams import suits

SETTING, LIBRARY, EVENTS = "event_decoder", "daq2lh5", "fcio"
TIMES = ("eventnumber", "ts_pps", "ts_ticks", "ts_maxticks")
OFFSETS = (
    *("mu_offset_sec", "mu_offset_usec", "to_master_sec", "delta_mu_usec", "abs_delta_mu_usec"),
    *("to_start_sec", "to_start_usec"),
)
DEAD = ("dr_start_pps", "dr_start_ticks", "dr_stop_pps", "dr_stop_ticks", "dr_maxticks", "dr_ch_idx", "dr_ch_len")
OF_EVENTS = ("packet_id", "event_type", "numtraces", "timestamp")
OF_TRACES: Mapping[str, str] = {
    "deadinterval_nsec": "dead_interval_nsec",
    "deadtime": "dead_time_sec",
    "lifetime": "life_time_sec",
    "runtime": "run_time_sec",
    "baseline": "fpga_baseline",
    "daqenergy": "fpga_energy",
}
"""Columns of traces, and what ``fcio`` calls them."""
OF_CHANNELS = ("channel", "board_id", "fc_input", "fcid")
COLUMNS = frozenset((*TIMES, *OFFSETS, *DEAD, *OF_EVENTS, *OF_TRACES, *OF_CHANNELS, SAMPLES))
WORDS = 10
"""Numbers that each of the three lists of an event has at most."""


@dataclass
class _Rows:
    """New rows of one buffer: the first of them, and for each the place of its trace among all that are kept."""

    buffer: Any
    first: int
    samples: NDArray[np.uint16]
    traces: list[int] = field(default_factory=list)


class FCEventDecoder(Library):  # type: ignore[misc]
    """Decodes events; called like the decoder of legend-daq2lh5, because tables are asked for by that name."""

    def set_fcio_stream(self, fcio_stream: Any) -> None:
        """Take what is the same in the whole file from its configuration."""
        super().set_fcio_stream(fcio_stream)
        config = fcio_stream.config
        traces = np.asarray(config.tracemap)
        self._of_channel = {
            "channel": np.arange(len(traces)),
            "board_id": traces >> 16,
            "fc_input": traces & 0xFFFF,
            "fcid": np.full(len(traces), config.streamid & 0xFFFF),
        }
        self._adcs = int(config.adcs)
        self._forget()

    def _forget(self) -> None:
        self._rows: dict[int, _Rows] = {}
        self._events: list[tuple[float, ...]] = []
        self._words: list[NDArray[np.int32]] = []
        self._numbers: list[NDArray[np.uint16]] = []
        self._traces: dict[str, list[NDArray[Any]]] = {name: [] for name in OF_TRACES}
        self._kept = 0

    def decode_packet(self, fcio: Any, evt_rbkd: Mapping[Any, Any], packet_id: int) -> bool:
        """Keep an event; :meth:`fill` puts it into the columns.

        Returns
        -------
        bool
            Whether a buffer is full.
        """
        event, full = fcio.event, False
        found = event.trace_list
        samples = event.trace_buffer
        for at, number in enumerate(found.tolist(), self._kept):
            key = self.key_list[number]
            buffer = evt_rbkd.get(key)
            if buffer is None:
                self.skipped_channels[key] = self.skipped_channels.get(key, 0) + 1
                continue
            rows = self._rows.get(id(buffer))
            if rows is None:
                rows = _Rows(buffer, buffer.loc, buffer.lgdo[SAMPLES]["values"].nda)
                self._rows[id(buffer)] = rows
            rows.samples[buffer.loc] = samples[number, 2:]
            rows.traces.append(at)
            buffer.loc += 1
            full = full or buffer.is_full()
        self._keep(event, found, packet_id)
        return full

    def _keep(self, event: Any, found: NDArray[np.uint16], packet_id: int) -> None:
        """Everything of an event but its samples."""
        words = np.zeros(3 * WORDS, dtype=np.int32)
        for number, some in enumerate((event.timestamp, event.timeoffset, event.deadregion)):
            words[number * WORDS : number * WORDS + len(some)] = some
        if event.deadregion_size < len(DEAD):
            words[2 * WORDS + 5 : 2 * WORDS + 7] = 0, self._adcs
        self._words.append(words)
        self._events.append((packet_id, event.type, event.num_traces, event.unix_time_utc_sec))
        self._numbers.append(found.copy())
        for name, called in OF_TRACES.items():
            self._traces[name].append(getattr(event, called))  # a new array each time
        self._kept += len(found)

    def fill(self) -> None:
        """Put what is kept into the columns of the buffers."""
        if self._rows:
            lengths = [len(some) for some in self._numbers]
            events = np.repeat(np.arange(len(lengths)), lengths)
            of_events, of_traces = self._columns()
            for rows in self._rows.values():
                place, at = slice(rows.first, rows.first + len(rows.traces)), np.array(rows.traces)
                for name, values in of_events.items():
                    rows.buffer.lgdo[name].nda[place] = values[events[at]]
                for name, values in of_traces.items():
                    rows.buffer.lgdo[name].nda[place] = values[at]
        self._forget()

    def _columns(self) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """All values by column: those of events, and those of traces."""
        words, numbers = np.stack(self._words), np.concatenate(self._numbers)
        of_events = dict(zip(OF_EVENTS, zip(*self._events, strict=True), strict=True))
        found = {name: np.array(values) for name, values in of_events.items()}
        for first, names in ((0, TIMES), (WORDS, OFFSETS), (2 * WORDS, DEAD)):
            found |= {name: words[:, first + number] for number, name in enumerate(names)}
        of_traces = {name: np.concatenate(values) for name, values in self._traces.items()}
        return found, of_traces | {name: values[numbers] for name, values in self._of_channel.items()}


class ByEvents(Chunks, FCStreamer):  # type: ignore[misc]
    """Reads FlashCam files with ``fcio``, event by event, and the decoder of this module."""

    whole_rows = ("FCEventDecoder",)

    def __init__(self) -> None:
        super().__init__()
        self.event_decoder = FCEventDecoder()

    def read_chunk(self, *args: Any, **options: Any) -> Any:
        """Read until a buffer is full or the file ends; see :meth:`daq2lh5.DataStreamer.read_chunk`."""
        found = super().read_chunk(*args, **options)
        self.event_decoder.fill()
        return found


class Streamer(ByEvents):
    """Reads FlashCam files by compiled code, and by ``fcio`` from the first record on that it does not take.

    Where such a record changes no later event (a status), ``fcio`` reads what it had left out, the record is decoded,
    and compiled code goes on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.blocks: Blocks | None = None
        self._behind = 0

    def open_stream(self, fcio_peer: str, *arguments: Any, **options: Any) -> Any:
        """Open a file; see :meth:`daq2lh5.DataStreamer.open_stream`."""
        large = Path(fcio_peer).stat().st_size >= flashcam.LEAST
        if large:
            self.fcio = Later()
        found = super().open_stream(fcio_peer, *arguments, **options)
        self._behind, begin = 0, self.fcio.read_bytes() + self.fcio.skipped_bytes()
        keyed = self.event_rbkd or {}
        if large and keyed and not self.fcio.fsp and suits(self.fcio.config, list(keyed.values())):
            of, quiet = self.event_decoder.key_list, self.status_rbkd is None
            self.blocks = Blocks(Path(fcio_peer), begin, self.fcio.config, of, keyed, quiet=quiet)
        return found

    def read_packet(self) -> bool:
        """Read until a buffer is full, or one record by ``fcio``; whether there may be more."""
        if self.blocks is None:
            return bool(super().read_packet())
        why = self.blocks.fill()
        self.packet_id, self.n_bytes_read = self.blocks.records, self.blocks.place
        if why == FULL:
            self.any_full = True
        elif why == ASIDE:
            self._aside(self.blocks)
        elif why == ODD:
            self._hand_over()
            return bool(super().read_packet())
        return why != END

    def _aside(self, blocks: Blocks) -> None:
        """Have a record that changes no event read by ``fcio``."""
        self._catch_up()
        super().read_packet()
        self._behind = self.packet_id
        blocks.pass_over()

    def _catch_up(self) -> None:
        """Let ``fcio`` read the records that compiled code has decoded."""
        for _ in range(self._behind, self.packet_id):
            self.fcio.get_record()
        self._behind = self.packet_id

    def _hand_over(self) -> None:
        self._catch_up()
        if self.blocks is not None:
            self.blocks.release()
        self.close_blocks()

    def close_blocks(self) -> None:
        """End the compiled reading."""
        if self.blocks is not None:
            self.blocks.close()
            self.blocks = None

    def close_stream(self) -> None:
        """Close the file."""
        self.close_blocks()
        super().close_stream()


def streamer(settings: Mapping[str, Any]) -> FCStreamer:
    """The reader of FlashCam files: that of legend-daq2lh5 where it is asked for, or has columns that are new."""
    wanted = settings.get(SETTING)
    if wanted == LIBRARY or set(Library().decoded_values) != COLUMNS:
        return FCStreamer()
    return ByEvents() if wanted == EVENTS else Streamer()
