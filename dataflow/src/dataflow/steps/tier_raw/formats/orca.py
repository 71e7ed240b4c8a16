"""ORCA files: records of 32-bit words, after a header that names the decoder of each kind of record."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from . import flashcam
from .form import BrokenError, Content, Form

LENGTH = 0x3FFFF
SHORT = 0x80000000
CONTEXT: Mapping[str, tuple[str, ...]] = {
    "OrcaHeaderDecoder": ("*",),
    "ORRunDecoderForRun": ("*",),
    "ORFlashCamListenerConfigDecoder": ("*",),
    "ORFCIOConfigDecoder": ("*",),
}
"""Without the FlashCam configurations timestamps are wrong."""
STREAM_CONFIG = "ORFCIOConfigDecoder"
"""Has one table for each stream (``fcid_1/config``), and others with other columns for software triggers
(``swtid_1/config``): all in one table would be mixed."""
TRIGGERS = "swtid_"
"""Keys of software triggers begin so. What they saw in each event stands between the waveforms, with other columns."""


def records(data: mmap.mmap) -> Iterator[int]:
    """The ends of the records.

    The first word holds the number of words; 0 stands for a record so long that the second word holds it (FlashCam's
    records since 2024 are always written so).

    Raises
    ------
    BrokenError
        If the file ends inside a record or a length is impossible.
    """
    size, place = len(data), 0
    while size >= flashcam.LEAST and (ends := _skimmed(data, place)):
        yield from ends
        place = ends[-1]
    word = partial(struct.Struct("<I").unpack_from, data)
    while place < size:
        if place + 4 > size:
            raise BrokenError("truncated", place)
        (head,) = word(place)
        words = 1 if head & SHORT else head & LENGTH
        if words == 0:
            if place + 8 > size:
                raise BrokenError("truncated", place)
            (words,) = word(place + 4)
            if words < 2:
                raise BrokenError("corrupted", place)
        if place + 4 * words > size:
            raise BrokenError("truncated", place)
        place += 4 * words
        yield place


def _skimmed(data: mmap.mmap, place: int) -> list[int]:
    """Where the next packets end, by compiled code. Nothing where none is whole."""
    import numpy as np

    from .orca_records import skim

    ends = np.empty(flashcam.RECORDS, dtype=np.int64)
    seen = np.frombuffer(data, dtype=np.uint8, count=min(place + flashcam.BYTES, len(data)))
    return [int(end) for end in ends[: skim(seen, place, ends)].tolist()]


def content(path: Path, _settings: Mapping[str, Any]) -> Content:
    """The channels of a file, from its header."""
    from daq2lh5.orca.orca_streamer import OrcaStreamer
    from daq2lh5.raw_buffer import RawBufferLibrary

    streamer = OrcaStreamer()
    header_only = {"OrcaHeaderDecoder": {"OrcaHeader": {"key_list": ["*"], "out_stream": ""}}}
    try:
        streamer.open_stream(str(path), rb_lib=RawBufferLibrary(config=header_only), buffer_size=1)
        decoders = {type(decoder).__name__: decoder for decoder in streamer.get_decoder_list()}
        found = {name: _waveform_keys(decoder) for name, decoder in decoders.items()}
        samples = [_samples(decoders[name], keys) for name, keys in found.items() if keys]
        rows = [int(decoders[name].get_max_rows_in_packet()) for name, keys in found.items() if keys]
    finally:
        streamer.close_stream()
    context = {name: {_table(name): keys} for name, keys in CONTEXT.items() if name in found}
    triggers = {name: keys for name in found if name not in CONTEXT and (keys := _trigger_keys(decoders[name]))}
    context |= {name: {f"{name.removesuffix('Decoder')}/{{key}}": keys} for name, keys in triggers.items()}
    offered = {name: keys for name, keys in found.items() if keys}
    return Content(offered, max(samples, default=0), context, rows=max(rows, default=0))


def _table(decoder: str) -> str:
    name = decoder.removesuffix("Decoder")
    return f"{name}/{{key}}" if decoder == STREAM_CONFIG else name


def _trigger_keys(decoder: Any) -> tuple[str, ...]:
    """The software triggers whose events a decoder decodes."""
    keys = [key for keys in decoder.get_key_lists() for key in keys]
    return tuple(sorted(k for k in keys if isinstance(k, str) and k.startswith(TRIGGERS) and k.endswith("/event")))


def _waveform_keys(decoder: Any) -> tuple[int, ...]:
    """The channels of a decoder that decodes waveforms, empty for all others."""
    keys = [key for keys in decoder.get_key_lists() for key in keys]
    return tuple(sorted(int(key) for key in keys if isinstance(key, int) and _has_waveform(decoder, key)))


def _has_waveform(decoder: Any, key: int) -> bool:
    return "waveform" in (decoder.get_decoded_values(key) or {})


def _samples(decoder: Any, keys: tuple[int, ...]) -> int:
    return max(int(decoder.get_decoded_values(key)["waveform"].get("wf_len", 0)) for key in keys)


def streamer(settings: Mapping[str, Any]) -> Any:
    """The reader of a file."""
    from .orca_events import streamer as of

    return of(settings)


FORM = Form("ORCA", records, content, frozenset({"event_decoder"}), streamer)
