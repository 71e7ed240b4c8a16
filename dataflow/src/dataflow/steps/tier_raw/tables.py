"""Writing tables block by block: lh5 makes each table with its first rows, and plain columns grow without it.

lh5 looks through a table and describes it in text at each call, three times as long as HDF5 takes for the columns of a
few hundred rows. ``plain`` is false where codecs, or columns that are no arrays of numbers, need lh5 each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import h5py
from numpy.typing import NDArray


class Tables:
    """The tables of a file that is being made.

    Parameters
    ----------
    file
        Opened for writing.
    settings
        HDF5 filters of datasets, for lh5.
    """

    def __init__(self, file: h5py.File, settings: Mapping[str, Any]) -> None:
        self._file, self._settings = file, settings
        self._known: dict[str, dict[str, h5py.Dataset]] = {}

    def write(self, table: Any, name: str, rows: int) -> None:
        """Write the first rows of a table behind those that are there.

        Parameters
        ----------
        table
            As lh5 takes it; the columns of one name are the same in each call.
        name
            Where it is in the file.
        rows
            How many rows.
        """
        import lh5

        columns = plain(table)
        if columns is None or name not in self._known:
            lh5.write(table, name, self._file, n_rows=rows, wo_mode="append", **self._settings)
            if columns is not None:
                self._known[name] = {column: self._file[f"{name}/{column}"] for column in columns}
            return
        for column, dataset in self._known[name].items():
            before = len(dataset)
            dataset.resize(before + rows, axis=0)
            dataset[before:] = columns[column][:rows]


def plain(table: Any) -> dict[str, NDArray[Any]] | None:
    """The columns of a table by their place in it, if all are arrays of numbers without a codec."""
    from lgdo import Table

    found = dict(_columns(table, "")) if isinstance(table, Table) else {}
    return None if not found or any(values is None for values in found.values()) else found


def _columns(table: Any, inside: str) -> Iterator[tuple[str, Any]]:
    from lgdo import Array, ArrayOfEqualSizedArrays, WaveformTable
    from lh5.compression import WaveformCodec

    for name, node in table.items():
        if type(node) is WaveformTable and not inside:
            yield from _columns(node, f"{name}/")
        elif type(node) in (Array, ArrayOfEqualSizedArrays) and node.dtype.kind in "iuf":
            codec = isinstance(node.attrs.get("compression"), WaveformCodec)
            yield f"{inside}{name}", None if codec else node.nda
        else:
            yield f"{inside}{name}", None
