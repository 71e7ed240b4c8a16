"""ORCA files that carry FlashCam records, as LEGEND-200 writes them.

A file is a sequence of packets of 32-bit words: the first word holds the data id (upper 14 bits) and the number of
words (lower 18 bits; 0 means that the second word holds it). The first packet has id 0 and holds an XML property list
that names the decoder of every id and describes crates and cards. The subset written here:

* ``ORFCIOConfig``, ``ORFCIOEvent``, ``ORFCIOStatus``, always with the length in the second word: word 2 the stream id,
  then the bytes of a FlashCam stream as in a ``.fcio`` file (for the configuration with the protocol before it), filled
  up with zeros to whole words; the records of a stream's software trigger stand in the same packets, before those that
  they belong to;
* ``ORRunModel``: begin and end of the run (word 1 flags, word 2 run number, word 3 Unix time).

What the header says beyond what legend-daq2lh5 reads (thresholds, filters, high voltage) is left out. A file may carry
several streams, one for each listener.
"""

from __future__ import annotations

import io
import plistlib
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from gebox.files import fcio, fsp

RUN, CONFIG, EVENT, STATUS = (number << 18 for number in (1, 2, 3, 4))
_START, _STOP = 0x1, 0x0


@dataclass(frozen=True)
class Run:
    """What the header says of the run."""

    number: int
    start: int
    """Unix time."""


class Writer:
    """Write an ORCA file with one or more FlashCam streams to an open binary file.

    Parameters
    ----------
    file
        Opened for binary writing; stays open.
    configs
        One a stream; each needs a trace map and a stream id.
    run
        Number and start time.
    triggers
        The software trigger by stream, where it has one.
    """

    def __init__(
        self,
        file: BinaryIO,
        configs: Sequence[fcio.Config],
        run: Run,
        triggers: Mapping[int, fsp.Trigger] | None = None,
    ) -> None:
        self.file = file
        self.run = run
        self.triggers = dict(triggers or {})
        self.buffers = {identity(config): io.BytesIO() for config in configs}
        self.writers = {}
        self._header(configs)
        self._run(_START, run.start)
        for config in configs:
            self.writers[identity(config)] = fcio.Writer(
                self.buffers[identity(config)], config, self.triggers.get(identity(config))
            )
            self._flush(CONFIG, identity(config))

    def event(self, event: fcio.Event, traces: fcio.Traces, stream: int | None = None) -> None:
        """Write an event with all traces of a stream (the only one by default)."""
        number = self._number(stream)
        self.writers[number].event(event, traces)
        self._flush(EVENT, number)

    def sparse_event(
        self, event: fcio.Event, channels: Sequence[int], traces: fcio.Traces, stream: int | None = None
    ) -> None:
        """Write an event with some traces of a stream."""
        number = self._number(stream)
        self.writers[number].sparse_event(event, channels, traces)
        self._flush(EVENT, number)

    def status(self, status: fcio.Status, counts: fsp.Counts | None = None, stream: int | None = None) -> None:
        """Write a status record of a stream, and the numbers of its software trigger."""
        number = self._number(stream)
        self.writers[number].status(status, counts)
        self._flush(STATUS, number)

    def finish(self, time: int) -> None:
        """Write the end of the run, at a Unix time."""
        self._run(_STOP, time)

    def _number(self, stream: int | None) -> int:
        if stream is not None:
            return stream
        (only,) = self.writers
        return only

    def _flush(self, kind: int, stream: int) -> None:
        """Write what the FlashCam writer made as one packet."""
        buffer = self.buffers[stream]
        payload = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        self._packet(kind, struct.pack("<I", stream) + payload)

    def _packet(self, kind: int, payload: bytes) -> None:
        """A packet in the extended form, as ORCA writes all FlashCam records since 2024, also short ones."""
        payload += b"\0" * (-len(payload) % 4)
        self.file.write(struct.pack("<2I", kind, 2 + len(payload) // 4) + payload)

    def _run(self, flags: int, time: int) -> None:
        self.file.write(struct.pack("<4I", RUN | 4, flags, self.run.number, time))

    def _header(self, configs: Sequence[fcio.Config]) -> None:
        text = plistlib.dumps(header(configs, self.run, self.triggers), fmt=plistlib.FMT_XML)
        words = 2 + -(-len(text) // 4)
        self.file.write(struct.pack("<2I", words, len(text)) + text + b"\0" * (4 * (words - 2) - len(text)))


def identity(config: fcio.Config) -> int:
    """The stream id of a configuration, which ORCA needs."""
    if config.streamid is None or config.tracemap is None:
        msg = "a FlashCam stream inside ORCA needs a stream id and a trace map"
        raise ValueError(msg)
    return config.streamid


def header(configs: Sequence[fcio.Config], run: Run, triggers: Collection[int] = frozenset()) -> dict[str, Any]:
    """The property list at the beginning of the file."""
    return {
        "Document Info": {"OrcaVersion": "simulated", "dataVersion": 3},
        "ObjectInfo": {
            "AuxHw": [
                {
                    "Class Name": "ORFlashCamListenerModel",
                    "uniqueID": identity(c) & 0xFFFF,
                    "eventSamples": c.eventsamples,
                    "fspEnabled": identity(c) in triggers,
                }
                for c in configs
            ],
            "Crates": [_crate(number, config) for number, config in enumerate(configs)],
            "DataChain": [{"Run Control": {"RunNumber": run.number, "startTime": run.start}}],
        },
        "ReadoutDescription": [_listener(number, config) for number, config in enumerate(configs)],
        "dataDescription": {
            "ORFlashCamListenerModel": {
                "FCIOConfig": _record(CONFIG, "ORFCIOConfigDecoder"),
                "FCIOEvent": _record(EVENT, "ORFCIOEventDecoder"),
                "FCIOStatus": _record(STATUS, "ORFCIOStatusDecoder"),
            },
            "ORRunModel": {"Run": _record(RUN, "ORRunDecoderForRun", length=4)},
        },
    }


def _record(kind: int, decoder: str, length: int = -1) -> dict[str, Any]:
    return {"dataId": kind, "decoder": decoder, "length": length, "variable": length < 0}


def _cards(config: fcio.Config) -> dict[int, list[bool]]:
    """Enabled inputs by card address, cards in order of appearance."""
    cards: dict[int, list[bool]] = {}
    for entry in config.tracemap or ():
        inputs = cards.setdefault(entry >> 16, [False] * 6)
        inputs[entry & 0xFFFF] = True
    return cards


def _crate(number: int, config: fcio.Config) -> dict[str, Any]:
    cards = [
        {"Class Name": "ORFlashCamADCModel", "Card": slot, "CardAddress": address, "Enabled": inputs}
        for slot, (address, inputs) in enumerate(_cards(config).items())
    ]
    return {"ClassName": "ORFlashCamCrateModel", "CrateNumber": number, "FirstSlot": 0, "Cards": cards}


def _listener(number: int, config: fcio.Config) -> dict[str, Any]:
    children = [{"crate": number, "name": "ORFlashCamADCModel", "station": slot} for slot in range(len(_cards(config)))]
    return {"name": "ORFlashCamListenerModel", "uniqueID": identity(config) & 0xFFFF, "children": children}
