"""Readers for many channels: what legend-daq2lh5 does again and again for each buffer takes as long as decoding.

It describes the columns of each of them anew, and asks all of them three times for each that is handed on whether they
are full.
"""

from __future__ import annotations

from typing import Any

from daq2lh5.data_streamer import DataStreamer

from . import alike


class Chunks(DataStreamer):  # type: ignore[misc]
    """Stands before a reader of legend-daq2lh5 in the bases of a class."""

    whole_rows: tuple[str, ...] = ()
    """Decoders that compiled code stands for at the moment; all buffers of one have the same size."""

    def __init__(self) -> None:
        super().__init__()
        self._handed: list[Any] = []

    def get_decoder_list(self) -> list[Any]:
        """The decoders; they make tables as in :mod:`.alike`."""
        found: list[Any] = super().get_decoder_list()
        for decoder in found:
            alike.install(decoder)
        return found

    def read_chunk(self, *arguments: Any, **options: Any) -> Any:
        """Read until a buffer is full or the file ends; see :meth:`daq2lh5.DataStreamer.read_chunk`."""
        if arguments or options or not self.whole_rows or self.chunk_mode != "only_full":
            return super().read_chunk(*arguments, **options)
        for buffer in self._handed:
            if buffer.is_full():
                buffer.loc = 0
        self.any_full, more = False, True
        while more and not self.any_full:
            more = self.read_packet()
        self._handed = self._full() if more else [each for some in self.rb_lib.values() for each in some if each.loc]
        return self._handed

    def _full(self) -> list[Any]:
        found = []
        for name, buffers in self.rb_lib.items():
            if name in self.whole_rows and buffers:
                most = len(buffers[0]) - buffers[0].fill_safety
                found += [buffer for buffer in buffers if buffer.loc > most]
            else:
                found += [buffer for buffer in buffers if buffer.is_full()]
        return found
