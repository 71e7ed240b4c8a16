"""LGDO tables put together, cut, and given to other libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from lgdo import Array, ArrayOfEqualSizedArrays, Table, VectorOfVectors
from numpy.typing import NDArray

from dataflow.jobs.lgdos import attributes, joined_lists, selected

__all__ = ["Joined", "Labelled", "converted", "joined", "selected"]

_TEXTS = "categorical"
_UNITS = "units"


@dataclass(frozen=True)
class Labelled:
    """A table, and values that are the same for all its rows.

    Parameters
    ----------
    table
        The rows; without any column left it only has a length.
    labels
        The values by name.
    system
        That of its channel; empty for events.
    """

    table: Table
    labels: Mapping[str, Any]
    system: str = ""


@dataclass(frozen=True)
class Joined:
    """Tables one after the other.

    Parameters
    ----------
    table
        All rows, with the columns that any of the tables has.
    labels
        By name the different values, and for each row which one it has.
    rows
        Number of rows.
    absent
        By column, those in groups with slashes, the rows without a value that no NaN can stand for: shape (rows,).
    lacking
        By column, the labels of the tables that do not have it.
    """

    table: Table
    labels: Mapping[str, tuple[list[Any], NDArray[np.int64]]]
    rows: int
    absent: Mapping[str, NDArray[np.bool_]]
    lacking: Mapping[str, tuple[Mapping[str, Any], ...]]


def joined(pieces: Sequence[Labelled]) -> Joined:
    """Put tables one after the other; a column that some do not have has missing values there."""
    lengths = [len(piece.table) for piece in pieces]
    labels = {}
    for name in pieces[0].labels:
        places: dict[Any, int] = {}
        numbers = [places.setdefault(piece.labels[name], len(places)) for piece in pieces]
        labels[name] = (list(places), np.repeat(np.asarray(numbers, dtype="int64"), lengths))
    joining = _Joining(lengths)
    table = joining.tables([piece.table for piece in pieces])
    lacking = {name: tuple(pieces[number].labels for number in those) for name, those in joining.lacking.items()}
    return Joined(table, labels, sum(lengths), joining.absent, lacking)


class _Joining:
    """LGDO objects of one kind, one after the other.

    Parameters
    ----------
    lengths
        The rows of each table.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = lengths
        self.absent: dict[str, NDArray[np.bool_]] = {}
        self.lacking: dict[str, list[int]] = {}

    def tables(self, parts: Sequence[Table], above: str = "") -> Table:
        """Tables with the columns that any of them has, as the first one that has it orders them."""
        if len(parts) == 1:
            return parts[0]
        names = dict.fromkeys(name for part in parts for name in part)
        columns = {name: self._column([part.get(name) for part in parts], f"{above}{name}") for name in names}
        return Table(col_dict=columns, size=sum(self.lengths), attrs=attributes(parts[0]))

    def _column(self, parts: Sequence[Any], place: str) -> Any:
        first = next(part for part in parts if part is not None)
        if isinstance(first, Table):
            empty = Table(size=0)
            return self.tables([empty if part is None else part for part in parts], f"{place}/")
        missing = [number for number, part in enumerate(parts) if part is None]
        if missing:
            self._note(place, missing, first)
        whole = [
            _filling(first, rows) if part is None else part for part, rows in zip(parts, self.lengths, strict=True)
        ]
        if isinstance(first, VectorOfVectors):
            return joined_lists(whole)
        kind = ArrayOfEqualSizedArrays if isinstance(first, ArrayOfEqualSizedArrays) else Array
        return kind(nda=np.concatenate([part.nda for part in whole]), attrs=attributes(first))

    def _note(self, place: str, missing: Sequence[int], first: Any) -> None:
        self.lacking[place] = list(missing)
        if not _takes_nan(first):
            self.absent[place] = np.repeat(np.isin(np.arange(len(self.lengths)), missing), self.lengths)


def _takes_nan(column: Any) -> bool:
    """Whether a missing value can be NaN: in columns of floating-point numbers."""
    return not isinstance(column, VectorOfVectors) and bool(np.issubdtype(column.nda.dtype, np.floating))


def _filling(like: Any, rows: int) -> Any:
    """What stands for the missing values of a column."""
    if isinstance(like, VectorOfVectors):
        counts = np.zeros(rows, dtype="uint32")
        return VectorOfVectors(flattened_data=_none_of(like.flattened_data), cumulative_length=counts)
    values = np.zeros((rows, *like.nda.shape[1:]), dtype=like.nda.dtype)
    if _takes_nan(like):
        values[...] = np.nan
    kind = ArrayOfEqualSizedArrays if isinstance(like, ArrayOfEqualSizedArrays) else Array
    return kind(nda=values)


def _none_of(content: Any) -> Any:
    """The content of lists that are all empty."""
    return selected(content, np.zeros(len(content), dtype=bool))


def units_of(table: Table, above: str = "") -> dict[str, str]:
    """The units of the columns of a table, those in groups with slashes; columns without one are left out."""
    found: dict[str, str] = {}
    for name in table:
        node = table[name]
        if isinstance(node, Table):
            found |= units_of(node, f"{above}{name}/")
            continue
        unit = node.attrs.get(_UNITS) or getattr(getattr(node, "flattened_data", None), "attrs", {}).get(_UNITS)
        if unit:
            found[f"{above}{name}"] = str(unit)
    return found


def units(table: Any) -> dict[str, str]:
    """The units of the columns of a table that was loaded, in any of the libraries.

    Awkward arrays and pandas frames carry them in ``attrs["units"]``, which rows that are selected from them keep, as
    do fields of arrays.

    Parameters
    ----------
    table
        A table as :meth:`Production.load` gives it, or a part of it.

    Returns
    -------
    dict
        By column, those in groups with slashes (``geds/energy``); empty where nothing is known.
    """
    if isinstance(table, Table):
        return units_of(table)
    return dict(getattr(table, "attrs", {}).get(_UNITS, {}))


def converted(found: Joined, library: str) -> Any:
    """A table of another library, with the labels as columns of categories (in LGDO: of texts)."""
    if library == "pd":
        return _pandas(found)
    if library == "lgdo":
        return _lgdo(found)
    return _awkward(found)


def _awkward(found: Joined) -> ak.Array:
    columns = {name: _fields(found.table[name], found.absent, name) for name in found.table}
    for name, (values, numbers) in found.labels.items():
        content = ak.Array(values).layout
        layout = ak.contents.IndexedArray(ak.index.Index64(numbers), content, parameters={"__array__": _TEXTS})
        columns[name] = ak.Array(layout)
    return ak.zip(columns, depth_limit=1, attrs={_UNITS: units_of(found.table)})


def _fields(node: Any, absent: Mapping[str, NDArray[np.bool_]], place: str) -> ak.Array:
    """A column as an awkward array, with None for missing values; of a group, a record."""
    if isinstance(node, Table):
        columns = {name: _fields(node[name], absent, f"{place}/{name}") for name in node}
        return ak.zip(columns, depth_limit=1)
    values = _as_texts(node.view_as("ak"))
    return ak.mask(values, ~absent[place]) if place in absent else values


def _as_texts(array: ak.Array) -> ak.Array:
    """An array with texts where there are bytes: HDF5 has no other texts of fixed length."""

    def as_text(layout: Any, **_: Any) -> Any:
        if layout.is_list and layout.parameter("__array__") == "bytestring":
            content = layout.content.copy(parameters={"__array__": "char"})
            return layout.copy(content=content, parameters={"__array__": "string"})
        return None

    return ak.transform(as_text, array)


def _pandas(found: Joined) -> Any:
    import pandas as pd

    frame = found.table.view_as("pd") if len(found.table.keys()) else pd.DataFrame(index=pd.RangeIndex(found.rows))
    columns = {path.replace("/", "_"): path for path in _paths(found.table)}
    for name in frame.columns:
        changed = _series(found, columns[name], frame[name])
        if changed is not None:
            frame[name] = changed
    for name, (values, numbers) in found.labels.items():
        frame[name] = pd.Categorical.from_codes(numbers, categories=values)
    frame.attrs[_UNITS] = {path.replace("/", "_"): unit for path, unit in units_of(found.table).items()}
    return frame


def _series(found: Joined, path: str, series: Any) -> Any:
    """A column of a frame where it must be another: texts for bytes, missing values; None where it is right."""
    from awkward_pandas import AwkwardExtensionArray

    node: Any = found.table
    for part in path.split("/"):
        node = node[part]
    if isinstance(node, VectorOfVectors):
        return AwkwardExtensionArray(_fields(node, found.absent, path))
    if node.nda.dtype.kind in "SO":
        series = series.map(lambda text: text.decode() if isinstance(text, bytes) else text)
    elif path not in found.absent:
        return None
    return series.convert_dtypes().mask(found.absent[path]) if path in found.absent else series


def _paths(table: Table, above: str = "") -> list[str]:
    """The columns of a table, those in groups with slashes."""
    found: list[str] = []
    for name in table:
        inner = isinstance(table[name], Table)
        found += _paths(table[name], f"{above}{name}/") if inner else [f"{above}{name}"]
    return found


def _lgdo(found: Joined) -> Table:
    for name, (values, numbers) in found.labels.items():
        found.table.add_field(name, Array(np.asarray(values)[numbers]))
    return found.table
