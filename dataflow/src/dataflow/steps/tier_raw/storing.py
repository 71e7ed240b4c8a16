"""Tables written piece by piece.

lh5 creates a table and writes its first rows. It would open each dataset again for all later ones, which closes it and
so compresses a chunk that is not full, reads it again, and takes longer than the compression of the traces where pieces
are small, as with many channels. Here the datasets stay open, with a chunk of each small column in memory, and are
extended. Tables with columns that are not plain arrays are left to lh5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

HDF5 = "hdf5_settings"
CODEC = "compression"
TRACES = 64
"""In a chunk: some hundred kilobytes, and all samples of a trace beside each other."""
ROWS = 1024
"""In a chunk of a column with one number a row, however few rows there are at first."""


SMALL = 1 << 16
"""Bytes of a chunk that is kept until it is full."""


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
        self._open: dict[str, dict[str, h5py.h5d.DatasetID]] = {}

    def append(self, table: Any, name: str, rows: int) -> None:
        """Write the first rows of a table, or of a struct, after those that are there."""
        import lh5

        datasets = self._open.get(name)
        columns = plain_columns(table) if datasets is not None or name not in self._file else None
        if datasets and columns is not None and datasets.keys() == columns.keys():
            for column, values in columns.items():
                _extend(datasets[column], values[:rows])
            return
        self._open.pop(name, None)
        if self._by_itself:
            by_bits(table)
        lh5.write(table, name, self._file, n_rows=rows, wo_mode="append", **self._settings)
        if columns:
            self._open[name] = {column: _opened(self._file, f"{name}/{column}") for column in columns}


def plain_columns(table: Any) -> dict[str, NDArray[Any]] | None:
    """The columns of a table, by their paths in it; None if some are not plain arrays, or are to be encoded."""
    from lgdo import Table

    if not isinstance(table, Table):
        return None
    found = dict(_columns(table))
    plain = {path: values for path, values in found.items() if values is not None}
    return plain if len(plain) == len(found) else None


def _columns(table: Any, place: str = "") -> Iterator[tuple[str, NDArray[Any] | None]]:
    from lgdo import Array, ArrayOfEqualSizedArrays, Table, WaveformTable

    for name, node in table.items():
        if type(node) in (Table, WaveformTable):
            yield from _columns(node, f"{place}{name}/")
        else:
            is_plain = type(node) in (Array, ArrayOfEqualSizedArrays) and isinstance(node.attrs.get(CODEC, {}), Mapping)
            yield f"{place}{name}", node.nda if is_plain else None


def _opened(file: h5py.File, path: str) -> h5py.h5d.DatasetID:
    """A dataset with room for one chunk in its cache; without it, a chunk would be read again for each piece.

    Chunks of traces, which are large, come whole.
    """
    with_room = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    dataset = file[path]
    size = int(np.prod(dataset.chunks)) * dataset.dtype.itemsize
    del dataset  # the cache is that of the first of those that are open
    with_room.set_chunk_cache(1, size if size <= SMALL else 0, 1.0)
    return h5py.h5d.open(file.id, path.encode(), with_room)


def _extend(dataset: h5py.h5d.DatasetID, values: NDArray[Any]) -> None:
    values = np.ascontiguousarray(values.view(np.uint8) if values.dtype == bool else values)  # as lh5 stores them
    before = dataset.shape[0]
    dataset.set_extent((before + len(values), *values.shape[1:]))
    space = dataset.get_space()
    space.select_hyperslab((before, *(0 for _ in values.shape[1:])), values.shape)
    dataset.write(h5py.h5s.create_simple(values.shape), space, values)


def by_bits(table: Any) -> None:
    """Store the traces of a table with their bits sorted and compressed by LZ4, in chunks of whole traces.

    Smaller, and twice as fast to write and to read, as zstd with shuffled bytes in HDF5's own chunks (the figures are
    in docs/performance.md); h5py with hdf5plugin and lh5 read it. Chunks of other columns have :data:`ROWS` rows.
    Columns with a codec or settings of their own keep them.
    """
    from lgdo import Table

    for node in _arrays(table) if isinstance(table, Table) else ():
        shape: tuple[int, ...] = getattr(getattr(node, "nda", None), "shape", ())
        if len(shape) == 1 and not {CODEC, HDF5}.intersection(node.attrs):
            node.attrs[HDF5] = {"chunks": (ROWS,)}
    _pack_traces(table)


def _pack_traces(table: Any) -> None:
    from lgdo import Table, WaveformTable

    for waves in table.values() if isinstance(table, Table) else ():
        if isinstance(waves, WaveformTable) and not {CODEC, HDF5}.intersection(waves.values.attrs):
            shape: tuple[int, ...] = getattr(getattr(waves.values, "nda", None), "shape", ())
            if len(shape) == 2:
                packing = hdf5plugin.Bitshuffle(cname="lz4")
                waves.values.attrs[HDF5] = {"compression": packing, "shuffle": False, "chunks": (TRACES, shape[1])}


def _arrays(table: Any) -> Iterator[Any]:
    """The plain arrays of a table, also of those inside it."""
    from lgdo import Array, Table

    for _, node in table.items():  # a table of waveforms has other values
        if isinstance(node, Table):
            yield from _arrays(node)
        elif type(node) is Array:
            yield node
