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

from dataflow.base.errors import UserError
from dataflow.physics import dspeed_outputs

from .codecs import packed
from .daqfile import DaqFile
from .rawspec import Spec
from .tables import Tables

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
HDF5, WAVEFORMS = "hdf5_settings", "waveforms_by_bits"
"""The settings of datasets; and whether traces are stored as in :func:`by_bits`, where nothing else is wanted."""
TRACES = 64
"""In a chunk: some hundred kilobytes, and all samples of a trace beside each other."""
PROCESSING = "proc_spec"
CONFIG = "FCConfigDecoder"


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
    if any("dsp_config" in (group.get(PROCESSING) or {}) for groups in spec.values() for group in groups.values()):
        dspeed_outputs.install()
    streamer = _streamer(daq, settings, begin)
    left = float(settings.get("n_max") or math.inf)
    size = int(min(int(settings["buffer_size"]), left))
    try:
        head = streamer.open_stream(str(daq.plain), rb_lib=library, buffer_size=size, chunk_mode="only_full")
        _prepare(streamer)
        database = settings.get("db_dict") or {}
        with h5py.File(target, "w") as file:
            tables = Tables(file, filters_of)
            _write(head, tables, database, math.inf, by_itself=by_itself)
            while left > 0 and (buffers := streamer.read_chunk()):
                left -= _write(buffers, tables, database, left, by_itself=by_itself)
            if file.keys():  # lh5 leaves out tables that are written at the top
                file.attrs["datatype"] = f"struct{{{','.join(file)}}}"
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
    Buffers that a reader has laid out itself (``zeroed``) are zeros that take no memory yet.
    """
    zeroed: frozenset[int] = getattr(streamer, "zeroed", frozenset())
    config = streamer.rb_lib.get(CONFIG, ())
    for buffer in config:
        buffer.loc = 0
    for buffers in streamer.rb_lib.values():
        buffers.sort(key=lambda buffer: str(buffer.out_name))
        for column in (
            column
            for buffer in buffers
            if not buffer.loc and id(buffer) not in zeroed
            for column in _arrays(buffer.lgdo)
        ):
            column[...] = 0
    for buffer in config:
        streamer.config_decoder.decode_packet(streamer.fcio, buffer, 0)


def _arrays(node: Any) -> Iterable[Any]:
    """All numpy arrays of a table; waveform periods and units are not buffer to be filled."""
    from lgdo import Array, Struct, WaveformTable

    if isinstance(node, WaveformTable):
        yield node.values.nda
    elif isinstance(node, Struct):
        for child in node.values():
            yield from _arrays(child)
    elif isinstance(node, Array):
        yield node.nda


def _write(buffers: Iterable[Any], tables: Tables, database: Mapping[str, Any], most: float, *, by_itself: bool) -> int:
    """Process and write what is in some buffers, up to a number of rows; returns how many."""
    done = 0
    for buffer in buffers:
        rows = int(min(buffer.loc, most - done))
        if buffer.lgdo is not None and rows > 0 and buffer.out_stream:
            table = buffer.lgdo if buffer.proc_spec is None else _processed(buffer, database)
            table = packed(table, rows, buffer.out_name)
            if by_itself:
                by_bits(table)
            tables.write(table, buffer.out_name, rows)
        done += max(rows, 0)
        buffer.loc = 0
    return done


def by_bits(table: Any) -> None:
    """Store the traces of a table with their bits sorted and compressed by LZ4, in chunks of whole traces.

    Smaller, and twice as fast to write and to read, as zstd with shuffled bytes in HDF5's own chunks (the figures are
    in docs/performance.md); h5py with hdf5plugin and lh5 read it. Columns with a codec or settings of their own keep
    them.
    """
    from lgdo import Table, WaveformTable

    for waves in table.values() if isinstance(table, Table) else ():
        if isinstance(waves, WaveformTable) and not {"compression", HDF5}.intersection(waves.values.attrs):
            shape: tuple[int, ...] = getattr(getattr(waves.values, "nda", None), "shape", ())
            if len(shape) == 2:
                packing = hdf5plugin.Bitshuffle(cname="lz4")
                waves.values.attrs[HDF5] = {"compression": packing, "shuffle": False, "chunks": (TRACES, shape[1])}


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
    return table


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
