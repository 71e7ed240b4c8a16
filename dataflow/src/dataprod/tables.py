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


@dataclass(frozen=True)
class Labelled:
    """A table, and values that are the same for all its rows.

    Parameters
    ----------
    table
        The rows; without any column left it only has a length.
    labels
        The values by name.
    """

    table: Table
    labels: Mapping[str, Any]


@dataclass(frozen=True)
class Joined:
    """Tables one after the other.

    Parameters
    ----------
    table
        All rows.
    labels
        By name the different values, and for each row which one it has.
    rows
        Number of rows.
    """

    table: Table
    labels: Mapping[str, tuple[list[Any], NDArray[np.int64]]]
    rows: int


def joined(pieces: Sequence[Labelled]) -> Joined:
    """Put tables with the same columns one after the other."""
    lengths = [len(piece.table) for piece in pieces]
    labels = {}
    for name in pieces[0].labels:
        values = list(dict.fromkeys(piece.labels[name] for piece in pieces))
        numbers = [values.index(piece.labels[name]) for piece in pieces]
        labels[name] = (values, np.repeat(np.asarray(numbers, dtype="int64"), lengths))
    return Joined(_concatenated([piece.table for piece in pieces]), labels, sum(lengths))


def _concatenated(parts: Sequence[Any]) -> Any:
    """LGDO objects of one kind, one after the other; a column that is not in all of them is left out."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Table):
        names = [name for name in first if all(name in part for part in parts)]
        columns = {name: _concatenated([part[name] for part in parts]) for name in names}
        return Table(col_dict=columns, size=sum(map(len, parts)), attrs=attributes(first))
    if isinstance(first, VectorOfVectors):
        return joined_lists(parts)
    kind = ArrayOfEqualSizedArrays if isinstance(first, ArrayOfEqualSizedArrays) else Array
    return kind(nda=np.concatenate([part.nda for part in parts]), attrs=attributes(first))


def converted(found: Joined, library: str) -> Any:
    """A table of another library, with the labels as columns of categories (in LGDO: of texts)."""
    if library == "pd":
        return _pandas(found)
    if library == "lgdo":
        return _lgdo(found)
    return _awkward(found)


def _awkward(found: Joined) -> ak.Array:
    columns = {name: found.table[name].view_as("ak") for name in found.table}
    for name, (values, numbers) in found.labels.items():
        content = ak.Array(values).layout
        layout = ak.contents.IndexedArray(ak.index.Index64(numbers), content, parameters={"__array__": _TEXTS})
        columns[name] = ak.Array(layout)
    return ak.zip(columns, depth_limit=1)


def _pandas(found: Joined) -> Any:
    import pandas as pd

    frame = found.table.view_as("pd") if len(found.table.keys()) else pd.DataFrame(index=pd.RangeIndex(found.rows))
    for name, (values, numbers) in found.labels.items():
        frame[name] = pd.Categorical.from_codes(numbers, categories=values)
    return frame


def _lgdo(found: Joined) -> Table:
    for name, (values, numbers) in found.labels.items():
        found.table.add_field(name, Array(np.asarray(values)[numbers]))
    return found.table
