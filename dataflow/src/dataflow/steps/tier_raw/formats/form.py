"""What the flow must know of a form of DAQ files, for its own forms and for those of other packages."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daq2lh5.data_streamer import DataStreamer

BEGIN = "begin"
"""In what a streamer is made with: the time in the file's key, seconds since 1970, for forms that count from there."""


class BrokenError(Exception):
    """The structure of a file ends or breaks at a byte.

    Parameters
    ----------
    what
        ``truncated``, ``corrupted``, or what it is instead; ends the sentence "the DAQ file X is ...".
    place
        The byte.
    """

    def __init__(self, what: str, place: int) -> None:
        super().__init__(what, place)
        self.what, self.place = what, place


@dataclass(frozen=True)
class Content:
    """What is in a DAQ file.

    Attributes
    ----------
    keys
        Channel numbers (rawids) by the name of the decoder that decodes their waveforms.
    samples
        Length of a trace, 0 if the file does not tell.
    context
        What is not waveforms but tells how to read them (headers, run records, configurations): by decoder, the tables
        with their keys, in the form of :class:`daq2lh5.raw_buffer.RawBufferLibrary`.
    bits
        Depth of the digitizers, 0 if the file does not tell.
    rows
        Rows that the waveforms of one packet may fill at most, 0 for one of each channel.
    """

    keys: Mapping[str, tuple[int, ...]]
    samples: int = 0
    context: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    bits: int = 0
    rows: int = 0


@dataclass(frozen=True)
class Form:
    """A form of DAQ files.

    Attributes
    ----------
    stream
        What legend-daq2lh5 calls it; a name of your own where ``streamer`` is given.
    records
        Walks through the bytes of a file and yields the end of each whole record; raises :class:`BrokenError`.
    content
        Looks into a file, with the settings of the step.
    settings
        Names of settings of :func:`daq2lh5.build_raw` that only this form has.
    streamer
        Makes the reader of a form that legend-daq2lh5 does not know, or not well enough, from the settings of the step
        and :data:`BEGIN`.
    """

    stream: str
    records: Callable[[mmap.mmap], Iterator[int]]
    content: Callable[[Path, Mapping[str, Any]], Content]
    settings: frozenset[str] = frozenset()
    streamer: Callable[[Mapping[str, Any]], DataStreamer] | None = None
