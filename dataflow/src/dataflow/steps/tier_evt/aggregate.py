"""From rows to one value, or a list of values, an event; pure functions on arrays.

Rows come channel by channel in the order of the configuration's list, so that among equals the earlier channel wins.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Truths = NDArray[np.bool_]
SPARSE = 8
"""Places of a table for each row in it, from which on it is too large."""


def full(shape: int, initial: Any, like: np.dtype[Any]) -> NDArray[Any]:
    """An array of the initial value in a type that holds both it and the values."""
    own = np.asarray(initial).dtype
    return np.full(shape, initial, dtype=like if np.can_cast(own, like) else np.result_type(own, like))


def total(events: int, event: Integers, value: NDArray[Any], mask: Truths, initial: Any) -> NDArray[Any]:
    """The initial value plus the values of the rows that count; truth values count as 1."""
    number = value.astype(np.int64) if value.dtype == bool else value
    out = full(events, initial, number.dtype)
    np.add.at(out, event[mask], number[mask].astype(out.dtype, copy=False))
    return out


def any_of(events: int, event: Integers, value: NDArray[Any], mask: Truths, initial: Any) -> Truths:
    """Whether the value is true in any row that counts, or initially (NaN is not true)."""
    out = np.full(events, initial == initial and bool(initial))  # noqa: PLR0124 - NaN
    out[event[value.astype(bool) & mask]] = True
    return out


def all_of(events: int, event: Integers, value: NDArray[Any], mask: Truths, initial: Any) -> Truths:
    """Whether the value is true, and the row counts, in all rows, and initially."""
    out = np.full(events, bool(initial))
    out[event[~(value.astype(bool) & mask)]] = False
    return out


def extreme(
    events: int, event: Integers, value: NDArray[Any], mask: Truths, initial: Any, key: NDArray[Any], *, last: bool
) -> NDArray[Any]:
    """The value in the row with the smallest (`last`: the largest) key; rows whose key is not finite never count."""
    whole = key.dtype.kind in "iu"  # times in nanoseconds are larger than a float holds exactly
    order = key.astype(np.int64 if whole else np.float64) * (-1 if last else 1)
    counts = mask if whole else mask & (order < np.inf)
    event, order = event[counts], order[counts]
    best = np.full(events, np.iinfo(np.int64).max if whole else np.inf, order.dtype)
    np.minimum.at(best, event, order)
    chosen = np.flatnonzero(order == best[event])[::-1]  # the last assignment holds: the first channel wins
    out = full(events, initial, value.dtype)
    out[event[chosen]] = value[counts][chosen]
    return out


def gathered(
    events: int, event: Integers, value: NDArray[Any], mask: Truths, key: NDArray[Any] | None, *, descending: bool
) -> tuple[Integers, Integers]:
    """Which rows make the lists of events: those that count, in the order of channels or of a key, without NaN values.

    Returns
    -------
    chosen, counts
        Places of rows, event after event, and how many each event has.
    """
    counts = mask & ~np.isnan(value) if value.dtype.kind == "f" else mask
    event = event[counts]
    many = np.bincount(event, minlength=events)
    order = np.argsort(event, kind="stable")
    if key is not None:
        wanted = key[counts].astype(np.float64)
        order = _sorted_within(order, event, -wanted if descending else wanted, many)
    return np.flatnonzero(counts)[order], many


def _sorted_within(order: Integers, event: Integers, key: NDArray[np.float64], counts: Integers) -> Integers:
    """Rows that come event after event, sorted by a key in each event, those without one last.

    In a table with a line an event, which is four times as fast as sorting all rows by two keys; not where a few events
    with very many rows would make it large.
    """
    most = int(counts.max(initial=0))
    if len(counts) * most > SPARSE * len(event):
        return np.asarray(np.lexsort((key, event)), dtype=np.int64)
    first, line = np.cumsum(counts) - counts, event[order]
    table = np.full((len(counts), most), np.nan)
    table[line, np.arange(len(line)) - first[line]] = key[order]
    places = np.argsort(table, axis=1, kind="stable")  # what fills lines up comes after all rows
    return np.asarray(order[(first[:, np.newaxis] + places)[np.arange(most) < counts[:, np.newaxis]]])


def jagged(flat: NDArray[Any], counts: Integers) -> ak.Array:
    """Lists of values, one an event."""
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    content = ak.contents.NumpyArray(np.ascontiguousarray(flat))
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), content))


def empty_lists(events: int, depth: int, dtype: str) -> ak.Array:
    """An empty list an event, of so many dimensions with that of the events."""
    content: Any = ak.contents.NumpyArray(np.empty(0, dtype))
    for length in (0,) * (depth - 2) + (events,):
        content = ak.contents.ListOffsetArray(ak.index.Index64(np.zeros(length + 1, np.int64)), content)
    return ak.Array(content)


def whole(numbers: NDArray[Any]) -> Integers:
    """Numbers of channels or rows, which may be floating-point numbers; -1 for NaN."""
    return np.nan_to_num(np.asarray(numbers, dtype=np.float64), nan=-1.0).astype(np.int64)


def counts_of(lists: ak.Array) -> Integers:
    """How long each list is."""
    return np.asarray(ak.num(lists, axis=1), dtype=np.int64)
