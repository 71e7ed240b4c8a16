"""A reader of ORCA files that has FlashCam events decoded by compiled code, and everything else by legend-daq2lh5.

Events are those of ``fcio``, or packets of one trace each in files of before 2024 (:mod:`.orca_cards`). Each packet
that is no event, or of a stream of which nothing is known yet, is read by legend-daq2lh5, and compiled code goes on
after it. At the first event of another form (with records of a software trigger before it, say) ``fcio`` is told all
events before, and legend-daq2lh5 reads the rest of the file. The values are the same either way.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daq2lh5.fc.fc_event_decoder import FCEventDecoder as Library
from daq2lh5.fc.fc_eventheader_decoder import get_key
from daq2lh5.orca import orca_fcio
from daq2lh5.orca.orca_streamer import OrcaStreamer
from daq2lh5.raw_buffer import RawBuffer
from lgdo import Array, WaveformTable

from . import flashcam, orca
from .chunks import Chunks
from .flashcam_blocks import FULL
from .flashcam_columns import SAMPLES
from .flashcam_config import Later
from .flashcam_events import COLUMNS, SETTING
from .flashcam_records import END
from .flashcam_streams import Stream, suits
from .orca_blocks import Events, Packets
from .orca_cards import DECODERS, Cards, Listener, suiting
from .orca_records import ASIDE, HEAD, UNKNOWN
from .orca_traces import SLOT

log = logging.getLogger(__name__)

EVENTS, HEADERS = "ORFCIOEventDecoder", "ORFCIOEventHeaderDecoder"
KINDS = 0xFFFC0000
"""Bits of the first word that say what a packet is, unless it is a short one."""


class Streamer(Chunks, OrcaStreamer):  # type: ignore[misc]
    """Reads ORCA files; called like the reader of legend-daq2lh5."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: Packets | None = None
        self._path = Path()
        self._kind, self._name = -1, ""

    def open_stream(self, stream_name: str, *arguments: Any, **options: Any) -> Any:
        """Open a file; see :meth:`daq2lh5.DataStreamer.open_stream`."""
        with _tables_untold():
            found = super().open_stream(stream_name, *arguments, **options)
        self._path = Path(stream_name)
        names = {kind: type(decoder).__name__ for kind, decoder in self.decoder_id_dict.items()}
        kinds = [kind for kind, name in names.items() if name == EVENTS or name in DECODERS]
        large = self._path.stat().st_size >= flashcam.LEAST
        if large and len(kinds) == 1 and names[kinds[0]] in self.rb_lib and HEADERS not in self.rb_lib:
            self._kind, self._name = int(kinds[0]), names[kinds[0]]
            begin, shift = self.in_stream.tell(), SLOT if self._name in DECODERS else 0
            self.packets = Packets(self._path, begin, self.packet_locs, [self._kind, *self._unwanted()], shift)
        return found

    @property
    def whole_rows(self) -> tuple[str, ...]:  # type: ignore[override]
        """Decoders whose columns need not begin as zeros, see :data:`dataflow.steps.tier_raw.decode.WHOLE_ROWS`."""
        return (self._name,) if self.packets is not None else ()

    def _unwanted(self) -> list[int]:
        """The kinds of packets that nobody wants."""
        names = self.header.get_id_to_decoder_name_dict(shift_data_id=False)
        others = {*self.rbl_id_dict, *self.missing_decoders, 0}
        return sorted(int(kind) & 0xFFFFFFFF for kind in names if kind not in others)

    def read_packet(self) -> bool:
        """Read until a buffer is full, or one packet by legend-daq2lh5; whether there may be more."""
        if self.packets is None:
            return bool(super().read_packet())
        why = self.packets.fill()
        self.packet_id, self.n_bytes_read = self.packets.number - 1, self.packets.place
        if why == FULL:
            self.any_full = True
        elif why == UNKNOWN and self._add(self.packets):
            pass
        elif why == ASIDE:
            return self._aside(self.packets)
        elif why != END:
            self._hand_over(self.packets)
            return bool(super().read_packet())
        return why != END

    def _bytes(self, place: int, count: int) -> bytes:
        return os.pread(self.in_stream.fileno(), count, place)

    def _aside(self, packets: Packets) -> bool:
        """Have a packet that is no event read by legend-daq2lh5; from one of no kind it searches the next good one."""
        head = self._bytes(packets.place, 4)
        kind = _kind_of(head) if len(head) == 4 else -1
        if kind in self.missing_decoders:
            name = self.header.get_id_to_decoder_name_dict(shift_data_id=False)[kind]
            log.warning("no implementation of %s, packets were skipped", name)
            packets.pass_over(kind)
            return True
        if kind not in self.rbl_id_dict:
            self._hand_over(packets)
            return bool(super().read_packet())
        if type(self.decoder_id_dict[kind]).__name__ == orca.STREAM_CONFIG:
            self._open_later(packets.place)
        self.in_stream.seek(packets.place)
        more = bool(super().read_packet())
        packets.go_on(self.in_stream.tell())
        return more

    def _open_later(self, place: int) -> None:
        """Have the stream whose configuration comes next opened when it is needed, not by its configuration."""
        (number,) = struct.unpack("<I", self._bytes(place + 8, 4))
        known = orca_fcio.fcio_stream_library.get(number)
        if known is None or not known.is_open():
            orca_fcio.fcio_stream_library[number] = Later()

    def _add(self, packets: Packets) -> bool:
        """Take the events of the stream whose first event comes next; whether they have the usual form."""
        second, third = struct.unpack("<2I", self._bytes(packets.place + 4, 8))
        return self._add_stream(packets, third) if self._name == EVENTS else self._add_cards(packets, second, third)

    def _add_cards(self, packets: Packets, second: int, third: int) -> bool:
        """Take the traces of the listener of a card."""
        listener = Listener.of(self.decoder_id_dict[self._kind], third >> SLOT)
        if listener is None:
            return False
        of_all = self.rb_lib[self._name].get_keyed_dict()
        keyed = {key: of_all[key] for key in listener.keys().ravel().tolist() if key in of_all}
        if not keyed:
            packets.leave_out(list(listener.boards))
            return True
        if not self._free(packets, keyed) or not suiting(list(keyed.values())):
            return False
        packets.add(list(listener.boards), Cards(listener, keyed, second >> 6 & 0xFFFF))
        return True

    def _add_stream(self, packets: Packets, number: int) -> bool:
        """Take the events of a stream of ``fcio``."""
        fcio = orca_fcio.fcio_stream_library.get(number)
        if fcio is None or not fcio.is_open() or fcio.fsp:
            return False
        config, of_all = fcio.config, self.rb_lib[EVENTS].get_keyed_dict()
        keys = [int(get_key(config.streamid, entry >> 16, entry & 0xFFFF)) for entry in config.tracemap.tolist()]
        keyed = {key: of_all[key] for key in keys if key in of_all}
        if not keyed:
            packets.leave_out([number])
            return True
        if not self._free(packets, keyed) or not _suit(config, keyed.values()):
            return False
        packets.add([number], Events(Stream(config, keys, keyed)))
        return True

    @staticmethod
    def _free(packets: Packets, keyed: Mapping[int, Any]) -> bool:
        """Whether the buffers are empty, and no other stream fills them."""
        taken = {id(buffer) for buffer in packets.buffers()}
        return not any(buffer.loc or id(buffer) in taken for buffer in keyed.values())

    def _hand_over(self, packets: Packets) -> None:
        """End the compiled reading: ``fcio`` reads the events before."""
        for place in self.packet_locs if self._name == EVENTS else ():
            head = self._bytes(place, 4 * HEAD)
            if len(head) == 4 * HEAD and _kind_of(head) == self._kind:
                self._tell_fcio(place, head)
        self.in_stream.seek(packets.place)
        taken = {id(buffer) for buffer in packets.buffers()}
        for buffer in self.rb_lib[self._name]:
            for column in () if id(buffer) in taken else buffer.lgdo.values():
                _clear(column)
        packets.release()
        self.close_packets()

    def _tell_fcio(self, place: int, head: bytes) -> None:
        first, second, number = struct.unpack("<3I", head)
        words = (first & ~KINDS) or second
        held = memoryview(bytearray(self._bytes(place, 4 * words)[4 * HEAD :]))  # fcio keeps no reference
        fcio = orca_fcio.get_fcio_stream(number)
        fcio.set_mem_field(held)
        fcio.get_record()

    def close_packets(self) -> None:
        """End the compiled reading."""
        if self.packets is not None:
            self.packets.close()
            self.packets = None

    def close_stream(self) -> None:
        """Close the file."""
        self.close_packets()
        for number, stream in list(orca_fcio.fcio_stream_library.items()):
            if isinstance(stream, Later):
                stream.close()
                del orca_fcio.fcio_stream_library[number]
        super().close_stream()


@contextmanager
def _tables_untold() -> Iterator[None]:
    """Make no texts of all values of all tables: the reader makes some for a log that nobody reads."""
    original = RawBuffer.__repr__
    RawBuffer.__repr__ = object.__repr__
    try:
        yield
    finally:
        RawBuffer.__repr__ = original


def _clear(column: Any) -> None:
    for each in (column.values,) if isinstance(column, WaveformTable) else (column,):
        if isinstance(each, Array):
            each.nda[...] = 0


def _kind_of(head: bytes) -> int:
    (word,) = struct.unpack_from("<I", head)
    return int(word & (0xFC000000 if word >> 31 else KINDS))


def _suit(config: Any, buffers: Iterable[Any]) -> bool:
    """Whether compiled code can fill the buffers of a stream."""
    found = list(buffers)
    lengths = {buffer.lgdo[SAMPLES]["values"].nda.shape[1] for buffer in found}
    return suits(config, found) and lengths == {int(config.eventsamples)}


def streamer(settings: Mapping[str, Any]) -> OrcaStreamer:
    """The reader of ORCA files: that of legend-daq2lh5 where it is asked for, or has columns that are new.

    Also where the number of rows is limited: which rows come first depends on the order in which buffers are filled.
    """
    is_new = set(Library().decoded_values) != COLUMNS
    return OrcaStreamer() if settings.get(SETTING) or settings.get("n_max") or is_new else Streamer()
