"""Rows of LGDO objects chosen and joined; lists of texts stay lists of texts, which awkward arrays of them do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import awkward as ak
import numpy as np
from lgdo import Array, ArrayOfEqualSizedArrays, Table, VectorOfVectors
from numpy.typing import NDArray


def attributes(node: Any) -> dict[str, Any]:
    """Attributes such as units, without the datatype, which follows from what it becomes."""
    return {name: value for name, value in node.attrs.items() if name != "datatype"}


def selected(node: Any, mask: NDArray[np.bool_]) -> Any:
    """The rows of an LGDO object that a mask chooses."""
    if isinstance(node, Table):
        columns = {name: selected(node[name], mask) for name in node}
        return Table(col_dict=columns, size=int(mask.sum()), attrs=attributes(node))
    if isinstance(node, VectorOfVectors):
        return _selected_lists(node, mask)
    kind = ArrayOfEqualSizedArrays if isinstance(node, ArrayOfEqualSizedArrays) else Array
    return kind(nda=node.nda[mask], attrs=attributes(node))


def _selected_lists(node: VectorOfVectors, mask: NDArray[np.bool_]) -> VectorOfVectors:
    if not isinstance(node.flattened_data, Array):
        return VectorOfVectors(node.view_as("ak")[mask], attrs=attributes(node))
    ends = node.cumulative_length.nda.astype(np.int64)
    counts = np.diff(ends, prepend=0)
    flat = node.flattened_data.nda[: int(ends[-1]) if len(ends) else 0]
    content = Array(flat[np.repeat(mask, counts)], attrs=attributes(node.flattened_data))
    return VectorOfVectors(flattened_data=content, cumulative_length=np.cumsum(counts[mask]), attrs=attributes(node))


def joined_lists(parts: Sequence[VectorOfVectors]) -> VectorOfVectors:
    """Lists one after the other."""
    first = parts[0]
    if any(not isinstance(part.flattened_data, Array) for part in parts):
        return VectorOfVectors(ak.concatenate([part.view_as("ak") for part in parts]), attrs=attributes(first))
    counts = [np.diff(part.cumulative_length.nda.astype(np.int64), prepend=0) for part in parts]
    flat = [part.flattened_data.nda[: int(own.sum())] for part, own in zip(parts, counts, strict=True)]
    content = Array(np.concatenate(flat), attrs=attributes(first.flattened_data))
    ends = np.cumsum(np.concatenate(counts))
    return VectorOfVectors(flattened_data=content, cumulative_length=ends, attrs=attributes(first))
