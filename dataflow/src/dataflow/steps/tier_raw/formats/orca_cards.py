"""The cards of a listener in an ORCA file whose packets hold one FlashCam trace each, and the tables of their channels.

LEGEND wrote such files until 2023: what the configuration says of a listener stands in a packet of its own, which
legend-daq2lh5 reads and keeps in the header.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from daq2lh5.orca.orca_flashcam import ORFlashCamADCWaveformDecoder, ORFlashCamWaveformDecoder, get_key
from numpy.typing import NDArray

from . import orca_traces as loops
from .flashcam_columns import SAMPLES, Layout, Tables, suit

log = logging.getLogger(__name__)

DECODERS: Mapping[str, tuple[int, int]] = {
    ORFlashCamWaveformDecoder.__name__: (9, 14),
    ORFlashCamADCWaveformDecoder.__name__: (10, 14),
}
"""Names of decoders, and the bits of the third word in which inputs end and begin."""
COLUMNS = frozenset((*loops.INTEGERS, *loops.SHORTS, *loops.OCTETS, *loops.SECONDS, loops.INTERVAL, SAMPLES))
LAYOUT: Layout = {
    "i4": loops.INTEGERS,
    "u2": loops.SHORTS,
    "u1": loops.OCTETS,
    "f8": loops.SECONDS,
    "i8": (loops.INTERVAL,),
}


@dataclass(frozen=True)
class Listener:
    """What is known of a listener before its first trace.

    Attributes
    ----------
    number
        Its id.
    header
        That of the file, where legend-daq2lh5 keeps what the last configuration said.
    adcs
        Enabled channels.
    bits
        As in :data:`DECODERS`.
    boards
        The board of each card, by crate and slot as they stand together in a packet.
    """

    number: int
    header: Any
    adcs: int
    bits: tuple[int, int]
    boards: Mapping[int, int]

    @classmethod
    def of(cls, decoder: Any, slot: int) -> Listener | None:
        """The listener of a card; None if the file does not name it, or its configuration is missing among others."""
        number = decoder.fcid.get(slot >> 5, {}).get(slot & 0x1F)
        header = decoder.header
        if number is None or number not in getattr(header, "fbi_map", {number: ()}):
            return None
        boards = {
            crate << 5 | card: decoder.board_id[crate][card]
            for crate, cards in decoder.fcid.items()
            for card, owner in cards.items()
            if owner == number
        }
        return cls(number, header, decoder.n_adc[number], DECODERS[type(decoder).__name__], boards)

    def keys(self) -> NDArray[np.int64]:
        """The key of each input of each card."""
        inputs = range(1 << self.bits[1] - self.bits[0])
        found = [[int(get_key(self.number, board, each)) for each in inputs] for board in self.boards.values()]
        return np.array(found, dtype=np.int64)

    def of_channel(self) -> NDArray[np.int64]:
        """The key of each channel, as the configuration has it; empty without one."""
        known = getattr(self.header, "fbi_map", {}).get(self.number, ())
        return np.asarray(known, dtype=np.int64)

    def drift(self) -> int:
        """Microseconds by which clocks may deviate, 0 without a common clock, or a configuration.

        legend-daq2lh5 warns of a configuration that is missing, and notes that there is no clock; so it is done here.
        """
        if not hasattr(self.header, "fc_gps"):
            log.warning("didn't decode the FC config record -- timestamps may be miscalculated")
            self.header.fc_gps = {}
        if self.number not in self.header.fc_gps:
            log.warning("didn't find fcid %d in fc_gps, adding 0", self.number)
            self.header.fc_gps[self.number] = 0
        return int(self.header.fc_gps[self.number])


class Cards:
    """The cards of a listener, see :class:`.orca_blocks.Part`.

    Parameters
    ----------
    listener
        The listener.
    keyed
        Buffers by key, at least one.
    samples
        Of a trace. The header of a file may say another length; as by legend-daq2lh5, tables are changed.
    """

    def __init__(self, listener: Listener, keyed: Mapping[int, Any], samples: int) -> None:
        buffers = list({id(buffer): buffer for buffer in keyed.values()}.values())
        self.tables = Tables(buffers, 1, LAYOUT, samples)
        self._listener = listener
        self._samples = samples
        self._cards = np.full(loops.SLOTS, -1, dtype=np.int64)
        self._cards[list(listener.boards)] = np.arange(len(listener.boards))
        self._boards = np.array(list(listener.boards.values()), dtype=np.int64)
        self._keys = listener.keys()
        places = {id(buffer): number for number, buffer in enumerate(buffers)}
        owners = [places[id(keyed[key])] if key in keyed else -1 for key in self._keys.ravel().tolist()]
        self._owners = np.array(owners, dtype=np.int64).reshape(self._keys.shape)
        self._data = np.empty(0, dtype=np.uint8)
        self._found = np.zeros((0, loops.FOUND), dtype=np.int64)
        self._at = self._count = 0

    def take(self, data: NDArray[np.uint8], spans: NDArray[np.int64], packets: NDArray[np.int64]) -> int:
        """Find the traces in some packets; the number of the first that has another form, minus one for none."""
        if len(self._found) < len(packets):
            self._found = np.zeros((len(packets), loops.FOUND), dtype=np.int64)
        found, drift = loops.look(
            *(data, spans, packets, self._listener.bits, self._cards, self._boards, self._owners, self._keys),
            *(self._listener.of_channel(), self._samples, self._found),
        )
        if found and (allowed := self._listener.drift()) and drift >= allowed:
            log.warning("delta %d > gps drift allowance %d", drift, allowed)
        self._data, self._at, self._count = data, 0, int(found)
        return int(packets[found]) if found < len(packets) else -1

    def end_before(self, packet: int) -> None:
        """Leave out the traces from a packet on."""
        self._count = int(np.searchsorted(self._found[: self._count, loops.PACKET], packet))

    def put(self) -> tuple[bool, int]:
        """Fill rows: whether a buffer is full; every packet can be put."""
        columns = self.tables.columns
        at, full = loops.put(
            *(self._data, self._found, self._at, self._count),
            *(self._listener.number, self._listener.adcs, self._listener.drift(), self.tables.rows, self.tables.safe),
            *(columns["i4"], columns["u2"], columns["u1"], columns["f8"], self.tables.waveforms.view(np.uint8)),
        )
        self._at = int(at)
        return bool(full), -1


def suiting(buffers: Sequence[Any]) -> bool:
    """Whether compiled code can fill the buffers of a listener."""
    return {name for buffer in buffers for name in buffer.lgdo} == COLUMNS and suit(buffers, LAYOUT)
