"""Compiling ahead: the loops that read FlashCam files, and their events in ORCA files, on one event of one trace."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from . import orca_records
from .flashcam_blocks import Blocks
from .flashcam_records import SPARSE, skim
from .flashcam_streams import Stream
from .orca_blocks import Events, Packets
from .orca_cards import Cards, Listener
from .orca_traces import SLOT

SAMPLES = 8
KIND = 1 << 18
"""What a packet of an ORCA file is."""


def compile_ahead() -> None:
    """Have every loop compiled, for the types that it is called with."""
    from daq2lh5.fc.fc_event_decoder import FCEventDecoder
    from daq2lh5.raw_buffer import RawBuffer

    decoder = FCEventDecoder()
    decoder.decoded_values["waveform"]["wf_len"] = SAMPLES
    buffer = RawBuffer(lgdo=decoder.make_lgdo(size=4), key_list=[0])
    numbers = {"adcs": 1, "blprecision": 1, "sumlength": 1, "adcbits": 16, "gps": 0, "streamid": 1}
    config = SimpleNamespace(**numbers, eventsamples=SAMPLES, tracemap=np.array([1 << 16], dtype=np.uint32))
    skim(np.frombuffer(_event(), dtype=np.uint8), 0, SPARSE, np.empty(1, dtype=np.int64))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "event.fcio"
        path.write_bytes(_event())
        blocks = Blocks(path, 0, config, [0], {0: buffer}, quiet=True)
        blocks.fill()
        blocks.close()
        packed = _packet(_event())
        orca_records.skim(np.frombuffer(packed, dtype=np.uint8), 0, np.empty(1, dtype=np.int64))
        path.write_bytes(packed)
        packets = Packets(path, 0, [], [KIND])
        packets.add([1], Events(Stream(config, [0], {0: buffer})))
        packets.fill()
        packets.close()
        _compile_traces(path)


def _compile_traces(path: Path) -> None:
    """Those of packets with one trace each."""
    from daq2lh5.orca.orca_flashcam import ORFlashCamADCWaveformDecoder
    from daq2lh5.raw_buffer import RawBuffer

    decoder = ORFlashCamADCWaveformDecoder()
    decoder.decoded_values = {0: decoder.decoded_values_template}
    decoder.decoded_values[0]["waveform"]["wf_len"] = SAMPLES
    buffer = RawBuffer(lgdo=decoder.make_lgdo(size=4), key_list=[100])
    header = SimpleNamespace(fc_gps={0: 0}, fbi_map={0: np.array([100], dtype=np.uint32)})
    words = (KIND | 20 + SAMPLES // 2, 3 << 28 | 17 << 22 | SAMPLES << 6, 1 << 14)
    path.write_bytes(struct.pack("<20I", *words, *[0] * 17) + bytes(2 * SAMPLES))
    packets = Packets(path, 0, [], [KIND], SLOT)
    packets.add([0], Cards(Listener(0, header, 1, (10, 14), {0: 1}), {100: buffer}, SAMPLES))
    packets.fill()
    packets.close()


def _packet(content: bytes) -> bytes:
    """A packet of an ORCA file."""
    content += bytes(-len(content) % 4)
    return struct.pack("<3I", KIND, 3 + len(content) // 4, 1) + content


def _event() -> bytes:
    """One event with one trace."""
    lists = [struct.pack("<10i", *([0] * 10))] * 3
    parts = [bytes(4), bytes(4), *lists, struct.pack("<i", 1), bytes(2), bytes(2 * (2 + SAMPLES))]
    return struct.pack("<i", -SPARSE) + b"".join(struct.pack("<i", len(part)) + part for part in parts)
