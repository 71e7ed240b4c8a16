"""Tables written piece by piece.

lh5 creates a table and writes its first rows. For all later ones it would extend each dataset by itself: a chunk that
is not full is compressed, read again, and compressed again, which takes longer than the compression of the traces where
pieces are small, as with many channels. Here columns with one number a row wait, and whole chunks of them are written.
No dataset stays open: HDF5 crashes where it closes one that cannot be written. Tables with columns that are not plain
arrays are left to lh5. Of tables that have the same columns, the first is made without rows, by lh5 where columns have
settings of their own (which takes some 35 ms); the others are copies of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from operator import is_ as is_same
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.lh5tables import make_empty

HDF5 = "hdf5_settings"
CODEC = "compression"
TRACES = 64
"""In a chunk: some hundred kilobytes, and all samples of a trace beside each other."""
MODEL = "model"
ROWS = 1024
"""In a chunk of a column with one number a row, however few rows there are at first."""


WAITING = 1 << 24
"""Bytes of all tables that may wait, beside chunks that are not full."""


class Tables:
    """The tables of a file.

    Parameters
    ----------
    file
        Open for writing.
    settings
        Of datasets, for lh5.
    by_itself
        Whether chunks and the compression of traces are chosen as in :func:`by_bits`.
    """

    def __init__(self, file: h5py.File, settings: Mapping[str, Any], *, by_itself: bool) -> None:
        self._file, self._settings, self._by_itself = file, settings, by_itself
        self._kept: dict[str, _Kept] = {}
        self._models: dict[Hashable, h5py.File] = {}
        self._waiting = 0

    def append(self, table: Any, name: str, rows: int) -> None:
        """Write the first rows of a table, or of a struct, after those that there are; the last may wait."""
        import lh5

        kept = self._kept.get(name)
        columns = self._columns(kept, table, name)
        if kept is not None and columns is not None and kept.columns == columns.keys():
            self._keep(kept, columns, rows)
            return
        self._finish(name)
        if self._by_itself:
            by_bits(table)
        if columns and self._by_itself and self._copied(table, name):
            self._kept[name] = _Kept(self._file[name], frozenset(columns), 0)
            self._keep(self._kept[name], columns, rows)
            return
        lh5.write(table, name, self._file, n_rows=rows, wo_mode="append", **self._settings)
        if columns:
            self._kept[name] = _Kept(self._file[name], frozenset(columns), rows)

    def _columns(self, kept: _Kept | None, table: Any, name: str) -> Mapping[str, NDArray[Any]] | None:
        """The columns of a table, None if they are not plain, or not those that were there."""
        if kept is None:
            return None if name in self._file else plain_columns(table)
        if kept.seen is None or not kept.seen.is_of(table):
            kept.seen = Plain.of(table)
        return kept.seen.values() if kept.seen else None

    def _keep(self, kept: _Kept, columns: Mapping[str, NDArray[Any]], rows: int) -> None:
        """Keep rows; where too much waits, whole chunks of all tables are written: a call takes as long as a chunk."""
        self._waiting += kept.add({path: values[:rows] for path, values in columns.items()})
        if self._waiting > WAITING:
            for each in self._kept.values():
                each.write_chunks()
            self._waiting = sum(each.waiting for each in self._kept.values())

    def _copied(self, table: Any, name: str) -> bool:
        """Make a table without rows from one that lh5 has made; not where its group has other tables, too."""
        import lh5

        group, _, own = name.partition("/")
        if not own or "/" in own or group in self._file:
            return False
        form = _form(table)
        if form not in self._models:
            self._models[form] = h5py.File.in_memory()
            if self._settings.keys() <= BY_BITS.keys() and is_by_bits(table):
                make_empty(table, MODEL, self._models[form], _rows_of)
            else:
                lh5.write(table, MODEL, self._models[form], n_rows=0, wo_mode="append", **self._settings)
        if not self._file.attrs.get("datatype"):  # lh5 adds tables of its own to a file only where this is there
            self._file.attrs["datatype"] = f"struct{{{group}}}"
        parent = self._file.create_group(group)
        parent.attrs["datatype"] = f"struct{{{own}}}"
        h5py.h5o.copy(self._models[form].id, MODEL.encode(), parent.id, own.encode())
        return True

    def finish(self) -> None:
        """Write what waits, and say what is in the file."""
        for name in list(self._kept):
            self._finish(name)
        for file in self._models.values():
            file.close()
        if self._file.keys():  # lh5 leaves out tables that are written at the top
            self._file.attrs["datatype"] = f"struct{{{','.join(self._file)}}}"

    def _finish(self, name: str) -> None:
        if name in self._kept:
            self._kept.pop(name).write(last=True)


@dataclass(frozen=True)
class Plain:
    """A table that has only plain arrays, as it was found.

    Attributes
    ----------
    table
        The table.
    nodes
        Its columns by their paths.
    members
        All members of it and of the tables in it.
    """

    table: Any
    nodes: Mapping[str, Any]
    members: tuple[tuple[Any, tuple[Any, ...]], ...]

    @classmethod
    def of(cls, table: Any) -> Plain | None:
        """Look at a table; None if some columns are not plain arrays, or are to be encoded."""
        from lgdo import Table

        if not isinstance(table, Table):
            return None
        found, tables = dict(_columns(table)), [table, *_tables(table)]
        if any(node is None for node in found.values()):
            return None
        return cls(table, found, tuple((each, tuple(each.obj_dict.values())) for each in tables))

    def is_of(self, table: Any) -> bool:
        """Whether it is this table, and has the same members as when it was looked at."""
        return table is self.table and all(
            len(own) == len(each.obj_dict) and all(map(is_same, own, each.obj_dict.values()))
            for each, own in self.members
        )

    def values(self) -> dict[str, NDArray[Any]]:
        """The arrays that the columns have now."""
        return {path: node.nda for path, node in self.nodes.items()}


@dataclass
class _Kept:
    """Rows of a table that wait: of columns with one number a row, until a chunk is full.

    Attributes
    ----------
    group
        The table in the file.
    columns
        Paths of all columns in it.
    written
        Rows that are in the file.
    waiting
        Bytes that are not.
    seen
        The table in memory that its last rows came from.
    """

    group: h5py.Group
    columns: frozenset[str]
    written: int
    waiting: int = 0
    seen: Plain | None = None
    _parts: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    _rows: int = 0

    def add(self, columns: Mapping[str, NDArray[Any]]) -> int:
        """Write traces, and keep copies of the rest; returns the bytes of these."""
        part = {path: values.copy() for path, values in columns.items() if values.ndim == 1}
        for path, values in columns.items():
            if values.ndim > 1:
                _extend(self.group, path, values)
        self._parts.append(part)
        more = sum(values.nbytes for values in part.values())
        self.waiting += more
        self._rows += len(next(iter(columns.values())))
        return more

    def write_chunks(self) -> None:
        """Write what waits, but for the rows of a chunk that is not full."""
        if self.written % ROWS + self._rows >= ROWS:
            self.write()

    def write(self, *, last: bool = False) -> None:
        """Write whole chunks of what waits, or all of it."""
        rows = self._rows - (0 if last else (self.written + self._rows) % ROWS)
        rest: dict[str, NDArray[Any]] = {}
        for path in self._parts[0] if self._parts else ():
            values = np.concatenate([part[path] for part in self._parts])
            _extend(self.group, path, values[:rows])
            rest[path] = values[rows:].copy()
        self._parts, self._rows, self.written = [rest] if rest else [], self._rows - rows, self.written + rows
        self.waiting = sum(values.nbytes for values in rest.values())


def _form(node: Any) -> Hashable:
    """Columns, types and attributes: what a table without rows consists of."""
    from lgdo import Table

    attrs = tuple((name, value if isinstance(value, str) else _told(value)) for name, value in node.attrs.items())
    if isinstance(node, Table):
        return attrs, tuple((name, _form(child)) for name, child in node.items())
    return attrs, node.nda.dtype.str, node.nda.shape[1:]


def _told(value: Any) -> Hashable:
    """An attribute that is no text: what all columns share by itself, others by what they say of themselves."""
    return id(value) if value is IN_ROWS else repr(value)


def plain_columns(table: Any) -> dict[str, NDArray[Any]] | None:
    """The columns of a table, by their paths in it; None if some are not plain arrays, or are to be encoded."""
    found = Plain.of(table)
    return found.values() if found else None


def _columns(table: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and arrays; None for what is not plain."""
    from lgdo import Array, ArrayOfEqualSizedArrays

    for name, node in table.items():
        if _is_inner(node):
            yield from _columns(node, f"{place}{name}/")
        else:
            is_plain = type(node) in (Array, ArrayOfEqualSizedArrays) and isinstance(node.attrs.get(CODEC, {}), Mapping)
            yield f"{place}{name}", node if is_plain else None


def _tables(table: Any) -> Iterator[Any]:
    """The tables in a table."""
    for _, node in table.items():  # a table of waveforms has other values
        if _is_inner(node):
            yield node
            yield from _tables(node)


def _is_inner(node: Any) -> bool:
    from lgdo import Table, WaveformTable

    return type(node) in (Table, WaveformTable)


def _extend(group: h5py.Group, path: str, values: NDArray[Any]) -> None:
    """Write rows at the end of a dataset, which is not done through h5py's own objects because they take longer.

    Without a cache of chunks, what cannot be written is an error here; HDF5 may crash where that happens later.
    """
    if not len(values):
        return
    dataset = h5py.h5d.open(group.id, path.encode(), _without_cache())
    values = np.ascontiguousarray(values.view(np.uint8) if values.dtype == bool else values)  # as lh5 stores them
    before = dataset.shape[0]
    dataset.set_extent((before + len(values), *values.shape[1:]))
    space = dataset.get_space()
    space.select_hyperslab((before, *(0 for _ in values.shape[1:])), values.shape)
    dataset.write(h5py.h5s.create_simple(values.shape), space, values)


@cache
def _without_cache() -> Any:
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(1, 0, 1.0)
    return access


def by_bits(table: Any) -> None:
    """Store the columns of a table with their bits sorted and compressed by LZ4, traces in chunks of whole ones.

    Smaller, and twice as fast to write and to read, as zstd with shuffled bytes in HDF5's own chunks (the figures are
    in docs/performance.md); h5py with hdf5plugin and lh5 read it. Chunks of other columns have :data:`ROWS` rows.
    Columns with a codec or settings of their own keep them.
    """
    from lgdo import Table

    for node in _arrays(table) if isinstance(table, Table) else ():
        shape: tuple[int, ...] = getattr(getattr(node, "nda", None), "shape", ())
        if len(shape) == 1 and not {CODEC, HDF5}.intersection(node.attrs):
            node.attrs[HDF5] = IN_ROWS
    _pack_traces(table)


BY_BITS: Mapping[str, Any] = {"compression": hdf5plugin.Bitshuffle(cname="lz4"), "shuffle": False}
IN_ROWS: Mapping[str, Any] = {**BY_BITS, "chunks": (ROWS,)}
"""Settings of all columns with one number a row."""


def _in_chunks(values: NDArray[Any]) -> Mapping[str, Any]:
    return {**BY_BITS, "chunks": (_rows_of(values), *values.shape[1:])}


def _rows_of(values: NDArray[Any]) -> int:
    """In a chunk."""
    return ROWS if values.ndim == 1 else TRACES


def is_by_bits(table: Any) -> bool:
    """Whether all columns of a table are plain and stored as :func:`by_bits` says."""
    found = Plain.of(table)
    return found is not None and all(
        CODEC not in node.attrs and (node.attrs.get(HDF5) is IN_ROWS or node.attrs.get(HDF5) == _in_chunks(node.nda))
        for node in found.nodes.values()
    )


def _pack_traces(table: Any) -> None:
    from lgdo import Table, WaveformTable

    for waves in table.values() if isinstance(table, Table) else ():
        if isinstance(waves, WaveformTable) and not {CODEC, HDF5}.intersection(waves.values.attrs):
            shape: tuple[int, ...] = getattr(getattr(waves.values, "nda", None), "shape", ())
            if len(shape) == 2:
                waves.values.attrs[HDF5] = _in_chunks(waves.values.nda)


def _arrays(table: Any) -> Iterator[Any]:
    """The plain arrays of a table, also of those inside it."""
    from lgdo import Array, Table

    for _, node in table.items():  # a table of waveforms has other values
        if isinstance(node, Table):
            yield from _arrays(node)
        elif type(node) is Array:
            yield node
