"""CAEN CoMPASS files: a head of two bytes that tells which energies are there, then one record for each trace.

Two things are done here that legend-daq2lh5 leaves undone: ``dt`` is the digitizer's sampling period (there always 16
ns), and ``timestamp`` are seconds since 1970 as in all other raw tables (there picoseconds since the beginning of the
run).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataflow.jobs.errors import BadInput

from .form import BEGIN, BrokenError, Content, Form

if TYPE_CHECKING:
    from daq2lh5.data_streamer import DataStreamer

SETTINGS = "compass_config_file"
DECODER = "CompassEventDecoder"
MARK = 0xCA
ADC, CALIBRATED, SHORT, WAVES = 1, 2, 4, 8
"""Bits of the head: energy in ADC counts, energy in keV, energy of the short gate, samples."""
PICOSECOND = 1e-12


def records(data: mmap.mmap) -> Iterator[int]:
    """The ends of the records.

    Raises
    ------
    BrokenError
        If there is no head, or the file ends inside a record.
    """
    if len(data) < 2 or data[1] != MARK:
        raise BrokenError("not a CoMPASS file with a head, or corrupted", 0)
    if not data[0] & WAVES:
        raise BrokenError("without samples", 0)
    before = 4 + 8 + 2 * bool(data[0] & ADC) + 8 * bool(data[0] & CALIBRATED) + 2 * bool(data[0] & SHORT) + 4 + 1
    place, size, count = 2, len(data), struct.Struct("<I").unpack_from
    while place < size:
        if place + before + 4 > size:
            raise BrokenError("truncated", place)
        end = place + before + 4 + 2 * count(data, place + before)[0]
        if end > size:
            raise BrokenError("truncated", place)
        place = end
        yield place


def content(path: Path, settings: Mapping[str, Any]) -> Content:
    """The channels of a file, from the settings of the acquisition: board · 512 + channel.

    Raises
    ------
    BadInput
        If there are no settings, or the energies are such as legend-daq2lh5 misreads.
    """
    with path.open("rb") as file:
        head = file.read(2)[0]
    if not head & ADC or head & CALIBRATED:
        raise BadInput(f"{path} has energies in keV, which legend-daq2lh5 reads at a wrong place")
    boards = _boards(settings)
    from daq2lh5.compass.compass_event_decoder import get_bc

    keys = tuple(sorted(get_bc(int(board), int(ch)) for board, entry in boards.items() for ch in entry["channels"]))
    samples = max(int(float(entry["wf_len"].value)) for entry in boards.values())
    return Content({DECODER: keys}, samples, {"CompassHeaderDecoder": {"CompassHeader": ("*",)}})


def _boards(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    file = settings.get(SETTINGS)
    if not file or not Path(file).is_file():
        hint = f"{SETTINGS}: FILE.xml in the settings of tier_raw_compass, saved by CoMPASS together with the data"
        said = f"there is no file {file}" if file else "there is none"
        raise BadInput(f"a CoMPASS file is read by the settings of its acquisition: {said}", hint=hint)
    from daq2lh5.compass.compass_config_parser import compass_config_to_struct

    return dict(compass_config_to_struct(str(file))["boards"])


def streamer(settings: Mapping[str, Any]) -> DataStreamer:
    """legend-daq2lh5's reader, with sampling periods and times as they are."""
    from daq2lh5.compass import compass_streamer
    from daq2lh5.compass.compass_event_decoder import CompassEventDecoder as Original
    from daq2lh5.compass.compass_event_decoder import get_bc

    class CompassEventDecoder(Original):  # type: ignore[misc]
        """Known to output specifications by its name."""

        def set_header(self, header: Any) -> None:
            super().set_header(header)
            for board, entry in header["boards"].items():
                for channel in entry["channels"]:
                    values = self.decoded_values[get_bc(int(board), int(channel))]
                    values["waveform"]["dt"] = 1 / float(entry["sample_rate"].value)
                    values["timestamp"] = {"dtype": "float64", "units": "s"}

        def decode_packet(self, packet: Any, tables: Any, packet_id: int, header: Any) -> bool:
            board, channel = struct.unpack_from("<2H", packet)
            buffer = tables.get(get_bc(board, channel))
            row = buffer.loc if buffer is not None else 0
            full = bool(super().decode_packet(packet, tables, packet_id, header))
            if buffer is not None:
                (ticks,) = struct.unpack_from("<Q", packet, 4)
                buffer.lgdo["timestamp"].nda[row] = settings.get(BEGIN, 0.0) + PICOSECOND * ticks
            return full

    class Streamer(compass_streamer.CompassStreamer):  # type: ignore[misc]
        """Uses that decoder."""

        def open_stream(self, *arguments: Any, **options: Any) -> Any:
            original, compass_streamer.CompassEventDecoder = compass_streamer.CompassEventDecoder, CompassEventDecoder
            try:
                return super().open_stream(*arguments, **options)
            finally:
                compass_streamer.CompassEventDecoder = original

    return Streamer(settings[SETTINGS])


FORM = Form("Compass", records, content, frozenset({SETTINGS}), streamer)
