"""FlashCam files: containers of records of frames, as in the FCIO and TMIO library that the ``fcio`` package ships.

The FlashCam reader takes the end of a truncated file for the end of the data, so the structure is walked here first.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from .form import BrokenError, Content, Form

STREAM_TAG = -1_000_000_001
PROTOCOL_LENGTH = 64
BEGIN = 4 + PROTOCOL_LENGTH
CONFIG_TAG, EVENT_TAG, SPARSE_TAG = 1, 3, 6
TRIGGER_CONFIG = 8
"""Of a software trigger; stands before that of its stream, as its events stand before those of the stream."""
TRACES_AT = {EVENT_TAG: 4, SPARSE_TAG: 7}
"""Which frame of a record holds traces: all of them, or the first."""
FRAMES = {CONFIG_TAG: 10, EVENT_TAG: 6, SPARSE_TAG: 7}
"""Frames that a record has at least; a sparse event has one more for each trace."""
LAST_TAG = 64
LEAST = 128_000_000
"""Bytes from which a file is read by compiled code: loading that takes as long as reading so many by ``fcio``."""
RECORDS, BYTES = 1 << 16, 1 << 25
"""That compiled code looks at in one go, at most."""
TRIGGERS = "FSPEventDecoder"
"""Decodes what a software trigger saw in each event, into a table of its own."""


def records(data: mmap.mmap) -> Iterator[int]:
    """The ends of the records; each is yielded when its last frame has been seen whole.

    Raises
    ------
    BrokenError
        If the file ends inside a record, or a tag or a size is impossible.
    """
    place = _begin(data)
    _check_sizes(data)
    for begin, end in _spans(data, place):
        if end + 4 > len(data):
            _check_last(data, begin)
        yield end


def _spans(data: mmap.mmap, place: int) -> Iterator[tuple[int, int]]:
    """Begin and end of each record; before a piece of a next one is refused, that before it is told."""
    start, usual = place, data[place : place + 4] == struct.pack("<i", -CONFIG_TAG)
    while usual and len(data) >= LEAST and (begins := _skimmed(data, place)):
        yield from pairwise(begins)
        place = begins[-1]
    size, begin, first = len(data), -1, place == start
    word = partial(struct.Struct("<i").unpack_from, data)
    while place < size:
        if place + 4 > size:
            if begin >= 0:
                yield begin, place
            raise BrokenError("truncated", place)
        (value,) = word(place)
        if value >= 0:
            if begin < 0:
                raise BrokenError("corrupted", place)
            place += 4 + value
            if place > size:
                raise BrokenError("truncated", place - value)
            continue
        if begin >= 0:
            yield begin, place
        if -value > LAST_TAG or (first and -value not in (CONFIG_TAG, TRIGGER_CONFIG)):
            raise BrokenError("corrupted", place)  # without configuration first the reader crashes
        begin, first = place, -value == TRIGGER_CONFIG
        place += 4
    if begin < 0:
        raise BrokenError("truncated", place)
    yield begin, place


def _skimmed(data: mmap.mmap, place: int) -> list[int]:
    """Where the next records begin, by compiled code; the last is not looked at yet. Nothing where none is whole."""
    import numpy as np

    from .flashcam_records import skim

    begins = np.empty(RECORDS, dtype=np.int64)
    seen = np.frombuffer(data, dtype=np.uint8, count=min(place + BYTES, len(data)))
    found, end = skim(seen, place, LAST_TAG, begins)
    return [*begins[:found].tolist(), int(end)] if found else []


def _check_last(data: mmap.mmap, begin: int) -> None:
    """A file may break off between two frames: the last record has as many as its kind must have."""
    tag = -struct.unpack_from("<i", data, begin)[0]
    found, _ = frames_at(data, begin)
    least = FRAMES.get(tag, 1)
    if tag == SPARSE_TAG and len(found) >= least and len(found[5]) == 4:
        least += int.from_bytes(found[5], "little")
    if len(found) < least:
        raise BrokenError("truncated", len(data))


def _check_sizes(data: mmap.mmap) -> None:
    """Make sure that the first event has the size that the configuration says: a damaged number cuts every trace."""
    place = _begin(data)
    if place + 4 <= len(data) and struct.unpack_from("<i", data, place)[0] == -TRIGGER_CONFIG:
        _, place = frames_at(data, place)
    if place + 4 > len(data) or struct.unpack_from("<i", data, place)[0] != -CONFIG_TAG:
        return  # the walk finds it
    config, place = frames_at(data, place)
    if len(config) < 3 or any(len(frame) != 4 for frame in config[:3]):
        raise BrokenError("corrupted" if place < len(data) else "truncated", BEGIN)
    adcs, triggers, samples = (int.from_bytes(frame, "little", signed=True) for frame in config[:3])
    while place + 4 <= len(data):
        begin, tag = place, -struct.unpack_from("<i", data, place)[0]
        found, place = frames_at(data, place)
        if tag in TRACES_AT:
            traces = found[TRACES_AT[tag] :][:1]
            expected = 2 * (2 + samples) * (adcs + triggers if tag == EVENT_TAG else 1)
            if traces and place <= len(data) and len(traces[0]) != expected:
                raise BrokenError(f"corrupted (traces of {len(traces[0])} and not {expected} bytes)", begin)
            return


def frames_at(data: mmap.mmap | bytes, place: int) -> tuple[list[bytes], int]:
    """The frames of the record at a byte, and where the next record begins; beyond the end if its last is cut."""
    found, place = [], place + 4
    while place + 4 <= len(data):
        (length,) = struct.unpack_from("<i", data, place)
        if length < 0:
            break
        found.append(data[place + 4 : place + 4 + length])
        place += 4 + length
    return found, place


def _begin(data: mmap.mmap) -> int:
    if len(data) < BEGIN or struct.unpack_from("<i", data)[0] != STREAM_TAG:
        raise BrokenError("not a FlashCam file, or corrupted", 0)
    return BEGIN


@dataclass(frozen=True)
class Head:
    """What the configuration of a file tells."""

    samples: int
    bits: int
    tracemap: tuple[int, ...]
    stream: int
    triggered: bool = False
    """By software, with tables of its own."""


def head_of(path: Path) -> Head:
    """The configuration of a file: from its bytes if they have the usual form, else by ``fcio``, which takes 0.1 s."""
    from .flashcam_config import read

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        config, _ = read(data)
    return _head_by_fcio(path) if config is None else _head(config)


def _head(config: Any, *, triggered: bool = False) -> Head:
    tracemap = tuple(int(entry) for entry in config.tracemap)
    return Head(int(config.eventsamples), int(config.adcbits), tracemap, int(config.streamid), triggered)


def _head_by_fcio(path: Path) -> Head:
    from fcio import fcio_open

    with fcio_open(str(path)) as file:
        return _head(file.config, triggered=bool(file.fsp))


def content(path: Path, _settings: Mapping[str, Any]) -> Content:
    """The channels of a file, from its configuration.

    FlashCam's own configuration record is not a context: legend-daq2lh5 writes it from memory that was never filled.
    """
    from daq2lh5.fc.fc_eventheader_decoder import get_key

    head = head_of(path)
    twice = sorted({entry for entry in head.tracemap if head.tracemap.count(entry) > 1})
    if any(head.tracemap) and twice:  # without a trace map all are zero
        raise ValueError(f"two traces have the same channel {twice[0] >> 16}/{twice[0] & 0xFFFF} in its trace map")
    keys = {int(get_key(head.stream, entry >> 16, entry & 0xFFFF)) for entry in head.tracemap}
    triggers = (f"swtid_{head.stream & 0xFFFF}/event",) if head.triggered else ()
    context = {TRIGGERS: {"FSPEvent/{key}": triggers}} if triggers else {}
    return Content({"FCEventDecoder": tuple(sorted(keys))}, head.samples, context, head.bits)


def streamer(settings: Mapping[str, Any]) -> Any:
    """The reader of a file."""
    from .flashcam_events import streamer as of

    return of(settings)


FORM = Form("FlashCam", records, content, frozenset({"event_decoder"}), streamer)
