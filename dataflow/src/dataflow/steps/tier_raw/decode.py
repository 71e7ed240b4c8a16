"""Decoding by legend-daq2lh5, and what its readers and lh5 leave undone.

The loop is that of :func:`daq2lh5.build_raw`, with these differences: buffers begin as zeros (some decoders never fill
a column) and are written in order, so that two runs give the same bytes; a ``proc_spec`` that cannot be followed is an
error (there a line in the log, and the columns are missing); the file's name may hold any character; waveform codecs
and HDF5 filters go together (see :func:`filters`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from dataflow.base.errors import UserError
from dataflow.jobs import lgdolists
from dataflow.physics import dspeed_outputs
from dataflow.physics.processors import take

from .codecs import packed
from .daqfile import DaqFile
from .rawspec import Spec
from .storing import HDF5, Tables

FILTERS: Mapping[str, Any] = {
    "zstd": hdf5plugin.Zstd,
    "blosc": hdf5plugin.Blosc,
    "lz4": hdf5plugin.LZ4,
    "bitshuffle": hdf5plugin.Bitshuffle,
    "bzip2": hdf5plugin.BZip2,
}
"""Compressions that HDF5 has as plugins, by the names of the collaboration's configuration."""
BUILT_IN = ("gzip", "lzf", "szip")
COMPRESSION, LEVEL = "compression", "compression_opts"
WAVEFORMS = "waveforms_by_bits"
"""Setting: whether traces are stored as in :func:`.storing.by_bits`, where nothing else is wanted."""
PROCESSING = "proc_spec"
CONFIG = "FCConfigDecoder"
WHOLE_ROWS = "whole_rows"
"""Attribute of readers: names of decoders that set every column of each row, whose columns need not begin as zeros."""


def decode(daq: DaqFile, spec: Spec, target: Path, settings: Mapping[str, Any], begin: float) -> None:
    """Decode a file into a new LH5 file.

    Parameters
    ----------
    daq
        The file.
    spec
        What goes into which table.
    target
        Where to write.
    settings
        ``buffer_size``, ``n_max``, ``hdf5_settings``, ``db_dict``, and those of the form.
    begin
        The time in the file's key, seconds since 1970.
    """
    from daq2lh5.raw_buffer import RawBufferLibrary

    filters_of = filters(settings.get(HDF5) or {})
    by_itself = bool(settings.get(WAVEFORMS))
    library = RawBufferLibrary(config=_with_filters(deepcopy(spec)))
    lgdolists.install()
    wanted = [group.get(PROCESSING) or {} for groups in spec.values() for group in groups.values()]
    if chains := [each["dsp_config"] for each in wanted if "dsp_config" in each]:
        dspeed_outputs.install()
        for chain in chains:
            take(chain if isinstance(chain, Mapping) else {})
    streamer = _streamer(daq, settings, begin)
    left = float(settings.get("n_max") or math.inf)
    size = int(min(int(settings["buffer_size"]), left))
    try:
        head = streamer.open_stream(str(daq.plain), rb_lib=library, buffer_size=size, chunk_mode="only_full")
        _prepare(streamer)
        database = settings.get("db_dict") or {}
        with h5py.File(target, "w") as file:
            tables = Tables(file, filters_of, by_itself=by_itself)
            _write(head, tables, database, math.inf)
            while left > 0 and (buffers := streamer.read_chunk()):
                left -= _write(buffers, tables, database, left)
            tables.finish()
    finally:
        streamer.close_stream()


def _streamer(daq: DaqFile, settings: Mapping[str, Any], begin: float) -> Any:
    if daq.form.streamer:
        from dataflow.steps.tier_raw.formats.form import BEGIN

        return daq.form.streamer({**settings, BEGIN: begin})
    from daq2lh5.build_raw import get_streamer

    return get_streamer(str(daq.plain), daq.stream)


def _prepare(streamer: Any) -> None:
    """Let all columns begin as zeros, and tables be written in the order of their names.

    FlashCam's own configuration has its row here: its reader says that the buffer is full, and fills in nothing.
    """
    config = streamer.rb_lib.get(CONFIG, ())
    for buffer in config:
        buffer.loc = 0
    for name, buffers in streamer.rb_lib.items():
        buffers.sort(key=lambda buffer: str(buffer.out_name))
        if name not in getattr(streamer, WHOLE_ROWS, ()):
            for column in (column for buffer in buffers if not buffer.loc for column in _arrays(buffer.lgdo)):
                _clear(column)
    for buffer in config:
        streamer.config_decoder.decode_packet(streamer.fcio, buffer, 0)


def _clear(column: Any) -> None:
    """Set a column to zeros, which take memory where something is written; a part of another array stays one."""
    values = column.nda
    if values.base is None or values.base.shape == values.shape:
        column.nda = np.zeros(values.shape, values.dtype)
    else:
        values[...] = 0


def _arrays(node: Any) -> Iterable[Any]:
    """All arrays of a table; waveform periods and units are not buffer to be filled."""
    from lgdo import Array, Struct, WaveformTable

    if isinstance(node, WaveformTable):
        yield node.values
    elif isinstance(node, Struct):
        for child in node.values():
            yield from _arrays(child)
    elif isinstance(node, Array):
        yield node


def _write(buffers: Iterable[Any], tables: Tables, database: Mapping[str, Any], most: float) -> int:
    """Process and write what is in some buffers, up to a number of rows; returns how many."""
    done = 0
    for buffer in buffers:
        rows = int(min(buffer.loc, most - done))
        if buffer.lgdo is not None and rows > 0 and buffer.out_stream:
            table = buffer.lgdo if buffer.proc_spec is None else _processed(buffer, database)
            tables.append(packed(table, rows, buffer.out_name), buffer.out_name, rows)
        done += max(rows, 0)
        buffer.loc = 0
    return done


def _processed(buffer: Any, database: Mapping[str, Any]) -> Any:
    """A table after its ``proc_spec``.

    Raises
    ------
    UserError
        If the processing did not make what it shall: legend-daq2lh5 only notes that in a log.
    """
    from daq2lh5.buffer_processor.buffer_processor import buffer_processor

    wanted = _products(buffer.proc_spec)
    try:
        table = buffer_processor(buffer, db_dict=database.get(buffer.out_name))
        missing = [name for name in wanted if name not in table]
    except KeyError as error:
        table, missing = None, [str(error.args[0])]
    if missing:
        hint = "see the log of the job for what the processing says"
        raise UserError(f"the proc_spec of {buffer.out_name} makes no {', '.join(missing)}", hint=hint)
    unit_of_values(table)
    return table


def unit_of_values(table: Any) -> None:
    """Leave the unit of traces to their values: dspeed gives it to their table as well.

    Readers that go through a file in parts, as those of dspeed and of the collaboration's programs, take the second
    part of such a table for one of another kind, and end with an error.
    """
    from lgdo import WaveformTable

    for waves in table.values():
        if isinstance(waves, WaveformTable):
            waves.attrs.pop("units", None)


def _products(processing: Mapping[str, Any]) -> list[str]:
    window = processing.get("window")
    outputs = (processing.get("dsp_config") or {}).get("outputs", ())
    return [*([window[3]] if window else []), *outputs]


def filters(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of HDF5 datasets with each compression as one object, its level included.

    lh5 takes the compression away where a waveform codec has packed the bytes already, but not its level: a level
    without compression is refused by h5py. An object holds both.

    Raises
    ------
    UserError
        If there is no such compression.
    """
    found = dict(settings)
    name, level = found.get(COMPRESSION), found.get(LEVEL)
    if not isinstance(name, str):
        return found
    if name not in (*FILTERS, *BUILT_IN):
        known = ", ".join(sorted([*FILTERS, *BUILT_IN]))
        raise UserError(f"there is no compression {name!r} for raw files", hint=f"use one of {known}")
    if name in FILTERS:
        found[COMPRESSION] = FILTERS[name](*(() if level is None else (level,)))
        found.pop(LEVEL, None)
    elif name == "gzip" and level is not None:
        found[COMPRESSION] = h5py.filters.Gzip(level)
        found.pop(LEVEL)
    return found


def _with_filters(spec: Spec) -> Spec:
    """The same for the settings of single columns."""
    for groups in spec.values():
        for group in groups.values():
            processing = group.get(PROCESSING) or {}
            for name, entry in (processing.get("hdf5_settings") or {}).items():
                processing["hdf5_settings"][name] = filters(entry)
    return spec
