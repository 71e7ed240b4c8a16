"""llamaDAQ files: a head, the configuration of each open channel, then one record for each trace of a SIS3316.

``timestamp``, seconds since 1970 as in all other raw tables, is added here to what legend-daq2lh5 decodes; and times
are counted in 48 bits (there in 32, so that they begin again every 34 s at 125 MHz).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .form import BEGIN, BrokenError, Content, Form

if TYPE_CHECKING:
    from daq2lh5.data_streamer import DataStreamer

DECODER = "LLAMAEventDecoder"
MAGIC = 0x4972414C
HEAD, CONFIG = 16, 88
NANOSECOND = 1e-9
EVENT_LENGTH = 16
"""Word of a channel's configuration that holds the length of its records in words."""


def records(data: mmap.mmap) -> Iterator[int]:
    """The ends of the records.

    Raises
    ------
    BrokenError
        If it is no such file, it ends inside a record, or a record is of a channel that is not configured.
    """
    if len(data) < HEAD or struct.unpack_from("<I", data)[0] != MAGIC:
        raise BrokenError("not a llamaDAQ file, or corrupted", 0)
    lengths, place = _lengths(data)
    size, word = len(data), struct.Struct("<I").unpack_from
    while place < size:
        if place + 4 > size:
            raise BrokenError("truncated", place)
        words = lengths.get(word(data, place)[0] >> 4 & 0xFFF, 0)
        if not words:
            raise BrokenError("corrupted", place)
        if place + 4 * words > size:
            raise BrokenError("truncated", place)
        place += 4 * words
        yield place


def _lengths(data: mmap.mmap) -> tuple[dict[int, int], int]:
    """Words in a record by channel, and where the records begin."""
    length, channels = struct.unpack_from("<H", data, 10)[0], struct.unpack_from("<I", data, 12)[0]
    if length != CONFIG:
        raise BrokenError("corrupted, or of an unknown version,", 10)
    end = HEAD + CONFIG * channels
    if end > len(data):
        raise BrokenError("truncated", HEAD)
    configs = [struct.unpack_from(f"<{CONFIG // 4}I", data, place) for place in range(HEAD, end, CONFIG)]
    return {(config[0] << 4) + config[1]: config[EVENT_LENGTH] for config in configs}, end


def content(path: Path, _settings: Mapping[str, Any]) -> Content:
    """The channels of a file, from its head: 16 · digitizer + channel."""
    from daq2lh5.llama.llama_header_decoder import LLAMAHeaderDecoder

    decoder = LLAMAHeaderDecoder()
    with path.open("rb") as file:
        decoder.decode_header(file, str(path))
    configs = decoder.get_channel_configs()
    samples = max((int(c["sample_length"]) + int(c["avg_sample_length"]) for c in configs.values()), default=0)
    keys = tuple(sorted(int(key) for key in configs))
    return Content({DECODER: keys}, samples, {"LLAMAHeaderDecoder": {"LLAMAHeader": ("*",)}})


def streamer(settings: Mapping[str, Any]) -> DataStreamer:
    """legend-daq2lh5's reader, with a column more."""
    from daq2lh5.llama.llama_event_decoder import LLAMAEventDecoder as Original
    from daq2lh5.llama.llama_streamer import LLAMAStreamer

    class LLAMAEventDecoder(Original):  # type: ignore[misc]
        """Known to output specifications by its name."""

        def set_channel_configs(self, channel_configs: Any) -> None:
            super().set_channel_configs(channel_configs)
            for values in self.decoded_values.values():
                values["timestamp"] = {"dtype": "float64", "units": "s"}

        def decode_packet(self, packet: Any, tables: Any, packet_id: int, channel: int) -> bool:
            buffer = tables.get(channel)
            row = buffer.loc if buffer is not None else 0
            full = bool(super().decode_packet(packet, tables, packet_id, channel))
            if buffer is not None:
                head, low = struct.unpack_from("<2I", packet)
                passed = ((head >> 16 << 32) + low) * self.dt_raw[channel] * NANOSECOND
                begin = settings.get(BEGIN, 0.0)
                for name, value in (("time_since_run_start", passed), ("unixtime", begin + passed)):
                    buffer.lgdo[name].nda[row] = value
                buffer.lgdo["timestamp"].nda[row] = begin + passed
            return full

    made = LLAMAStreamer()
    made.event_decoder = LLAMAEventDecoder()
    return made


FORM = Form("LlamaDaq", records, content, streamer=streamer)
