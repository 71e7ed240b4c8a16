"""LH5 files as jobs need them: opened once, columns as numpy arrays, shards joined without decoding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions that raw files use
import numpy as np
from numpy.typing import NDArray

from .errors import BadInput

ADC_BITS = "adc_bits"
"""Attribute of a raw file: the depth of its digitizer, where no table of the file tells."""

Tables = Mapping[str, tuple[str | None, ...]]
"""By item, its table in each of several files: :meth:`dataflow.plan.job.Job.tables_in`."""
_REMAKE = "remove the file, or restore it, and run again: it is made again from its inputs"


@contextmanager
def open_input(path: Path, *, locking: bool | None = None) -> Iterator[h5py.File]:
    """Open an input file for reading.

    Parameters
    ----------
    path
        The file.
    locking
        Whether HDF5 locks it, None as HDF5 does. A file that lh5 opens at the same time must not be locked.

    Raises
    ------
    BadInput
        If it is missing or no whole HDF5 file.
    """
    try:
        file = h5py.File(path, "r", locking=locking)
    except FileNotFoundError as error:
        raise BadInput(f"there is no file {path}", hint=_REMAKE) from error
    except OSError as error:
        raise BadInput(f"the file {path} is not a whole LH5 file: {error}", hint=_REMAKE) from error
    with file:
        yield file


def column(file: h5py.File, table: str, name: str) -> NDArray[Any]:
    """A column of a table as an array of shape (rows,) or (rows, length).

    Raises
    ------
    BadInput
        If the table has no such column.
    """
    node = file.get(f"{table}/{name}")
    if not isinstance(node, h5py.Dataset):
        have = ", ".join(sorted(file[table])) if table in file else "no such table"
        raise BadInput(f"{file.filename} has no column {name!r} in {table} (it has: {have})")
    return np.asarray(node[:])


def values_of(node: h5py.Dataset, begin: int, end: int) -> NDArray[Any]:
    """Some rows of a column; truth values, which LH5 stores as small integers, are such again."""
    values = np.asarray(node[begin:end])
    return values.astype(bool) if "{bool}" in str(node.attrs.get("datatype", "")) else values


def columns(file: h5py.File, table: str, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Several columns of a table, by name."""
    return {name: column(file, table, name) for name in names}


def read_many(paths: Sequence[Path], tables: Tables, names: Sequence[str]) -> dict[str, dict[str, NDArray[Any]]]:
    """Columns of several tables of several files, joined along the files; each file is opened once.

    Parameters
    ----------
    paths
        The files, in order.
    tables
        By item name, its table in each file: :meth:`dataflow.plan.job.Job.tables`.
    names
        Columns. A table that a file does not have adds no rows.

    Returns
    -------
    dict
        By item, then by column, arrays of shape (all rows,).
    """
    found: dict[str, dict[str, list[NDArray[Any]]]] = {item: {name: [] for name in names} for item in tables}
    for number, path in enumerate(paths):
        with open_input(path) as file:
            for item, in_files in tables.items():
                table = in_files[number]
                if table is not None and table in file:
                    for name in names:
                        found[item][name].append(column(file, table, name))
    return {item: {name: _joined(arrays) for name, arrays in parts.items()} for item, parts in found.items()}


def columns_of(paths: Sequence[Path], tables: Tables) -> dict[str, set[str]]:
    """The columns that tables have in each of several files that has the table, by item name; empty where none has."""
    found: dict[str, set[str]] = {}
    for number, path in enumerate(paths):
        with open_input(path) as file:
            for item, in_files in tables.items():
                table = in_files[number]
                if table is not None and table in file:
                    names = set(file[table])
                    found[item] = found[item] & names if item in found else names
    return {item: found.get(item, set()) for item in tables}


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.empty(0)


def rows_by_file(paths: Sequence[Path], tables: Tables) -> dict[str, list[int]]:
    """How many rows each item has in each file; `tables` as for :func:`read_many`."""
    found: dict[str, list[int]] = {item: [] for item in tables}
    for number, path in enumerate(paths):
        with open_input(path) as file:
            for item, in_files in tables.items():
                table = in_files[number]
                found[item].append(rows(file, table) if table is not None and table in file else 0)
    return found


def first_rows(paths: Sequence[Path], tables: Sequence[str | None], wanted: int) -> Iterator[tuple[Path, str, range]]:
    """The first rows of an item's table in each of several files, as many as are wanted of all together."""
    counts = rows_by_file(paths, {"": tuple(tables)})[""]
    for path, table, count in zip(paths, tables, counts, strict=True):
        found = min(count, wanted)
        if table is not None and found > 0:
            yield path, table, range(found)
            wanted -= found


def rows(file: h5py.File, table: str) -> int:
    """Number of rows of a table.

    Raises
    ------
    BadInput
        If it has no column.
    """
    for node in file[table].values():
        if isinstance(node, h5py.Dataset):
            return int(node.shape[0])
    raise BadInput(f"{file.filename} has no rows in {table}")


def join_shards(shards: Sequence[Path], target: Path) -> None:
    """Put the tables of several files into one, in the order given, copying the compressed chunks as they are."""
    with h5py.File(target, "w", libver=LIBVER) as out:
        for shard in shards:
            with open_input(shard) as source:
                for name, value in source.attrs.items():
                    out.attrs[name] = value
                for name in source:
                    _copy(source, name, out)
        name_members(out)


LIBVER = ("earliest", "v110")
"""As lh5 writes: files that older HDF5 libraries read."""


def _copy(source: h5py.File, name: str, out: h5py.File) -> None:
    if name not in out:
        source.copy(name, out)
        return
    for child in source[name]:
        source.copy(f"{name}/{child}", out[name])
    name_members(out[name])


def name_members(group: h5py.Group) -> None:
    """Let the datatype of a struct name all its members; one that has no datatype is a struct below the root only."""
    if group.name != "/" or str(group.attrs.get("datatype", "")).startswith("struct"):
        group.attrs["datatype"] = f"struct{{{','.join(group)}}}"


def annotate(path: Path, table: str = "/", **attributes: str) -> None:
    """Write attributes to a table (or the file) that say how it was made."""
    with h5py.File(path, "a") as file:
        for name, value in attributes.items():
            file[table].attrs[name] = value
