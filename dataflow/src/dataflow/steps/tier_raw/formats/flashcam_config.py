"""The configuration of a FlashCam stream, and a stream that ``fcio`` opens only when more than that is asked of it.

``fcio`` takes 0.1 s to open a stream: it provides room for the dead times of 2,400 channels. The configuration can be
read from its bytes, where they have the usual form, and all events may be decoded by compiled code.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import flashcam

HEAD = struct.pack("<i", flashcam.STREAM_TAG) + b"FlashCamV1\0"
WITH_TRACEMAP = (11, 12)
"""Frames of a configuration with a trace map, and with the number of the stream after it."""
MOST_TRACES, MOST_SAMPLES = 2400, 32768
"""In a file of the FCIO library."""
PERIODS = {12: 4, 16: 16}
"""Nanoseconds between two samples, by the bits of the digitizers that there are."""


@dataclass(frozen=True, eq=False)
class Config:
    """What the record of the configuration says; names, order and types are those of ``fcio``.

    Attributes
    ----------
    tracemap
        uint32, one entry for each trace.
    """

    adcs: np.int32
    triggers: np.int32
    eventsamples: np.int32
    blprecision: np.int32
    sumlength: np.int32
    adcbits: np.int32
    mastercards: np.int32
    triggercards: np.int32
    adccards: np.int32
    gps: np.int32
    tracemap: NDArray[np.uint32]
    streamid: np.int32

    @property
    def sampling_period_ns(self) -> int:
        """Nanoseconds between two samples."""
        return PERIODS[int(self.adcbits)]


NUMBERS = tuple(name for name in Config.__dataclass_fields__ if name != "tracemap")


def read(data: bytes | mmap.mmap) -> tuple[Config | None, int]:
    """The configuration at the beginning of a file, None if it has not the usual form; the byte after it."""
    begin = flashcam.BEGIN
    if data[: len(HEAD)] != HEAD or data[begin : begin + 4] != struct.pack("<i", -flashcam.CONFIG_TAG):
        return None, 0
    found, end = flashcam.frames_at(data, begin)
    if len(found) not in WITH_TRACEMAP or end > len(data):
        return None, end
    found += [bytes(4)] * (max(WITH_TRACEMAP) - len(found))  # older files do not number their stream: it is 0
    tracemap = found.pop(10)
    if any(len(frame) != 4 for frame in found) or len(tracemap) % 4:
        return None, end
    numbers = dict(zip(NUMBERS, np.frombuffer(b"".join(found), dtype="<i4").astype(np.int32), strict=True))
    config = Config(**numbers, tracemap=np.frombuffer(tracemap, dtype="<u4").astype(np.uint32))
    return (config if _is_possible(config) else None), end


def _is_possible(config: Config) -> bool:
    traces = int(config.adcs) + int(config.triggers)
    sizes = 0 < traces <= MOST_TRACES and 0 < int(config.eventsamples) <= MOST_SAMPLES
    return sizes and len(config.tracemap) == traces and int(config.adcbits) in PERIODS


class Later:
    """Stands for a :class:`fcio.FCIO` and is one as soon as anything but the configuration is asked of it."""

    def __init__(self) -> None:
        self._peer: str | bytes | None = None
        self._config: Config | None = None
        self._end = 0
        self._opened: Any = None

    def open(self, peer: Any) -> None:
        """Open a file by its path, or a stream by its first bytes."""
        self.close()
        if isinstance(peer, str):
            self._peer = peer
            with Path(peer).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                self._config, self._end = read(data)
        else:
            self._peer = bytes(peer)  # the caller uses the memory for what comes next
            self._config, self._end = read(self._peer)
        if self._config is None:
            self._now()

    def _now(self) -> Any:
        if self._opened is None:
            from fcio import FCIO

            if self._peer is None:
                raise ValueError("the stream is not open")
            peer = self._peer
            self._opened = FCIO()
            self._opened.open(peer if isinstance(peer, str) else memoryview(bytearray(peer)))
        return self._opened

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now(), name)

    @property
    def config(self) -> Any:
        """The configuration."""
        return self._config if self._opened is None and self._config is not None else self._now().config

    @property
    def fsp(self) -> Any:
        """The software trigger, if the stream has one; then its configuration comes first, and has no usual form."""
        return None if self._opened is None and self._config is not None else self._now().fsp

    def is_open(self) -> bool:
        """Whether there is a stream."""
        return self._config is not None or self._opened is not None

    def read_bytes(self, *offset: int) -> int:
        """Bytes that were read."""
        return self._end if self._opened is None else int(self._opened.read_bytes(*offset))

    def skipped_bytes(self, *offset: int) -> int:
        """Bytes that were passed over."""
        return 0 if self._opened is None else int(self._opened.skipped_bytes(*offset))

    def close(self) -> None:
        """Close the stream."""
        if self._opened is not None:
            self._opened.close()
        self._peer, self._config, self._opened = None, None, None
