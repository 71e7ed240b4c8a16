"""What a DAQ file is and which channels it has; whether it is whole is known before hours of decoding.

The FlashCam reader takes the end of a truncated file for the end of the data, so the record structure is walked here
first: container format as in the FCIO/TMIO library shipped with the ``fcio`` package.
"""

from __future__ import annotations

import bz2
import gzip
import logging
import mmap
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from dataflow.jobs.errors import BadInput, is_full_disk, of_the_machine
from dataflow.jobs.spread import reason_of
from dataflow.plan.errors import SentenceError

log = logging.getLogger(__name__)

FLASHCAM, ORCA = "FlashCam", "ORCA"
STREAM_TAG = -1_000_000_001
PROTOCOL_LENGTH = 64
CONFIG_TAG, EVENT_TAG, SPARSE_TAG = 1, 3, 6
TRACES_AT = {EVENT_TAG: 4, SPARSE_TAG: 7}
"""Which frame of a record holds traces: all of them, or the first."""
LAST_TAG = 64
COMPRESSED = (".gz", ".bz2")
ORCA_LENGTH = 0x3FFFF
ORCA_SHORT = 0x80000000


@dataclass(frozen=True)
class DaqFile:
    """A DAQ file as found.

    Attributes
    ----------
    path
        The file.
    stream
        ``FlashCam`` or ``ORCA``, as legend-daq2lh5 calls it.
    keys
        Channel numbers (rawids) by the name of the decoder that decodes their waveforms.
    samples
        Length of a trace, 0 if the file does not tell.
    context
        Decoders of what is not waveforms but tells how to read them: headers, run records, configurations.
    """

    path: Path
    stream: str
    keys: dict[str, tuple[int, ...]]
    samples: int
    context: tuple[str, ...] = ()


def stream_of(path: Path) -> str:
    """The stream type that a file's name stands for.

    Raises
    ------
    BadInput
        If the name has no ending of a DAQ file.
    """
    suffixes = [suffix for suffix in path.suffixes if suffix not in COMPRESSED]
    kinds = {".fcio": FLASHCAM, ".orca": ORCA}
    if not suffixes or suffixes[-1] not in kinds:
        raise BadInput(f"{path} is no DAQ file: its name ends neither in .fcio nor in .orca[.gz|.bz2]")
    return kinds[suffixes[-1]]


def open_daq(path: Path) -> DaqFile:
    """Look at a DAQ file: that it is whole, and which channels it has.

    Raises
    ------
    BadInput
        If it is empty, truncated or corrupted.
    """
    if not path.is_file() or path.stat().st_size == 0:
        raise BadInput(f"the DAQ file {path} is empty" if path.is_file() else f"there is no DAQ file {path}")
    stream = stream_of(path)
    check_whole(path, stream)
    look = _flashcam_channels if stream == FLASHCAM else _orca_channels
    try:
        keys, samples, context = look(path)
    except Exception as error:  # noqa: BLE001 - damaged bytes make the readers fail in every way there is
        refuse_undecodable(path, "read", error)
    return DaqFile(path, stream, keys, samples, context)


def refuse_undecodable(path: Path, done: str, error: Exception) -> NoReturn:
    """Blame a file for what a reader of it raised, unless it was the machine's fault.

    Raises
    ------
    BadInput
        Which names the file and the error.
    """
    if isinstance(error, SentenceError) or is_full_disk(error) or of_the_machine(error):
        raise error
    log.info("the reader failed", exc_info=error)
    raise BadInput(f"the DAQ file {path} cannot be {done}: {reason_of(error)}", hint=REPLACE) from error


CONTEXT = ("OrcaHeaderDecoder", "ORRunDecoderForRun", "ORFlashCamListenerConfigDecoder", "ORFCIOConfigDecoder")
"""ORCA's; without the FlashCam configuration timestamps are wrong. FlashCam's own configuration record is left out:
legend-daq2lh5 writes it from memory that was never filled."""

Found = tuple[dict[str, tuple[int, ...]], int, tuple[str, ...]]

REPLACE = "copy the file again from where it came, or list its key under unprocessable in ignored_daq_cycles.yaml"


def check_whole(path: Path, stream: str) -> int:
    """Walk the records of an uncompressed file; returns how many there are.

    Raises
    ------
    BadInput
        If the file ends inside a record or its structure is broken; the byte is named.
    """
    if path.suffix in COMPRESSED:
        return _check_compressed(path)
    walk = _flashcam_records if stream == FLASHCAM else _orca_records
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        whole = 0
        try:
            for _ in walk(data):
                whole += 1
            if stream == FLASHCAM:
                _check_flashcam_sizes(data)
        except _BrokenError as error:
            raise BadInput(
                f"the DAQ file {path} is {error.what} at byte {error.place} of {len(data)}, "
                f"after {whole} whole records",
                hint=REPLACE,
            ) from error
    return whole


def _check_compressed(path: Path) -> int:
    """A compressed file is checked by its decompression; here only that it begins as one."""
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else bz2.open
    try:
        with opener(path, "rb") as stream:
            stream.read(16)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"the DAQ file {path} cannot be unpacked: {error}", hint=REPLACE) from error
    return 0


class _BrokenError(Exception):
    """The structure ends or breaks at a byte."""

    def __init__(self, what: str, place: int) -> None:
        super().__init__(what, place)
        self.what, self.place = what, place


def _flashcam_records(data: mmap.mmap) -> Iterator[int]:
    """The tags of the records; each is yielded when its last frame has been seen whole."""
    size, place = len(data), _flashcam_begin(data)
    word = partial(struct.Struct("<i").unpack_from, data)
    tag, first = 0, True
    while place < size:
        if place + 4 > size:
            raise _BrokenError("truncated", place)
        (value,) = word(place)
        place += 4
        if value >= 0:
            if not tag:
                raise _BrokenError("corrupted", place - 4)
            place += value
            if place > size:
                raise _BrokenError("truncated", place - value)
            continue
        if tag:
            yield tag
        tag = -value
        if tag > LAST_TAG or (first and tag != CONFIG_TAG):  # the reader crashes where no configuration comes first
            raise _BrokenError("corrupted", place - 4)
        first = False
    if not tag:
        raise _BrokenError("truncated", place)
    yield tag


def _check_flashcam_sizes(data: mmap.mmap) -> None:
    """Make sure that the first event has the size that the configuration says: a damaged number cuts every trace."""
    place = _flashcam_begin(data)
    config, place = _flashcam_frames(data, place)
    if len(config) < 3 or any(len(frame) != 4 for frame in config[:3]):
        raise _BrokenError("corrupted", 4 + PROTOCOL_LENGTH)
    adcs, triggers, samples = (int.from_bytes(frame, "little", signed=True) for frame in config[:3])
    while place < len(data):
        begin, tag = place, -struct.unpack_from("<i", data, place)[0]
        if tag in TRACES_AT:
            frames, _ = _flashcam_frames(data, place)
            traces = frames[TRACES_AT[tag] :][:1]
            expected = 2 * (2 + samples) * (adcs + triggers if tag == EVENT_TAG else 1)
            if traces and len(traces[0]) != expected:
                raise _BrokenError(f"corrupted (traces of {len(traces[0])} and not {expected} bytes)", begin)
            return
        place = _flashcam_frames(data, place)[1]


def _flashcam_frames(data: mmap.mmap, place: int) -> tuple[list[bytes], int]:
    """The frames of the record at a byte, and where the next record begins; for a structure that was walked before."""
    frames, place = [], place + 4
    while place < len(data):
        (length,) = struct.unpack_from("<i", data, place)
        if length < 0:
            break
        frames.append(data[place + 4 : place + 4 + length])
        place += 4 + length
    return frames, place


def _flashcam_begin(data: mmap.mmap) -> int:
    if len(data) < 4 + PROTOCOL_LENGTH or struct.unpack_from("<i", data)[0] != STREAM_TAG:
        raise _BrokenError("not a FlashCam file, or corrupted", 0)
    return 4 + PROTOCOL_LENGTH


def _orca_records(data: mmap.mmap) -> Iterator[int]:
    size, place = len(data), 0
    word = partial(struct.Struct("<I").unpack_from, data)
    while place < size:
        if place + 4 > size:
            raise _BrokenError("truncated", place)
        (head,) = word(place)
        words = 1 if head & ORCA_SHORT else head & ORCA_LENGTH
        if words == 0:
            raise _BrokenError("corrupted", place)
        if place + 4 * words > size:
            raise _BrokenError("truncated", place)
        place += 4 * words
        yield head


def _flashcam_channels(path: Path) -> Found:
    from daq2lh5.fc.fc_eventheader_decoder import get_key
    from fcio import fcio_open

    with fcio_open(str(path)) as file:
        config = file.config
        entries = [int(entry) for entry in config.tracemap]
        twice = sorted({entry for entry in entries if entries.count(entry) > 1})
        if any(entries) and twice:  # without a trace map all are zero
            raise ValueError(f"two traces have the same channel {twice[0] >> 16}/{twice[0] & 0xFFFF} in its trace map")
        keys = tuple(get_key(config.streamid, entry >> 16, entry & 0xFFFF) for entry in entries)
        return {"FCEventDecoder": tuple(sorted({int(key) for key in keys}))}, int(config.eventsamples), ()


def _orca_channels(path: Path) -> Found:
    from daq2lh5.orca.orca_streamer import OrcaStreamer
    from daq2lh5.raw_buffer import RawBufferLibrary

    streamer = OrcaStreamer()
    header_only = {"OrcaHeaderDecoder": {"OrcaHeader": {"key_list": ["*"], "out_stream": ""}}}
    try:
        streamer.open_stream(str(path), rb_lib=RawBufferLibrary(config=header_only), buffer_size=1)
        decoders = streamer.get_decoder_list()
        found = {type(decoder).__name__: _waveform_keys(decoder) for decoder in decoders}
        samples = [_samples(decoder) for decoder in decoders if found[type(decoder).__name__]]
    finally:
        streamer.close_stream()
    context = tuple(name for name in CONTEXT if name in found)
    return {name: keys for name, keys in found.items() if keys}, max(samples, default=0), context


def _waveform_keys(decoder: Any) -> tuple[int, ...]:
    """The channels of a decoder that decodes waveforms, empty for all others."""
    keys = [key for keys in decoder.get_key_lists() for key in keys]
    return tuple(sorted(int(key) for key in keys if isinstance(key, int) and _has_waveform(decoder, key)))


def _has_waveform(decoder: Any, key: int) -> bool:
    return "waveform" in (decoder.get_decoded_values(key) or {})


def _samples(decoder: Any) -> int:
    lists = [key for keys in decoder.get_key_lists() for key in keys]
    return max(int(decoder.get_decoded_values(key)["waveform"].get("wf_len", 0)) for key in lists)
