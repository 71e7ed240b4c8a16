"""Which rows of which channels are in a range of events, and their columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import hdf5plugin  # noqa: F401 - registers the compressions
import numpy as np
from numpy.typing import NDArray

from dataflow.base.messages import listing
from dataflow.jobs.errors import BadInput
from dataflow.jobs.lh5files import open_input, values_of

from .aggregate import whole

Integers = NDArray[np.int64]
MOST_ROWS = 4_000_000
"""Rows in memory: a column takes 32 MB."""
LARGEST_TABLE = 1 << 25
"""Table keys below this are numbered by a table, larger ones by sorting."""


@dataclass(frozen=True)
class Chunk:
    """The rows of a range of events, at most one a channel and event.

    Where a channel has several rows in an event, its first in time is here: a later one is a second trigger on the
    same trace, and to add its energy would count the same charge twice.

    Attributes
    ----------
    events
        Number of events.
    event
        The event of each row, counted from the first of the range; ascending, shape (rows,).
    key, row
        Its channel's number and its place in the channel's table; shape (rows,).
    index
        Its place in the whole time coincidence map, flattened; shape (rows,).
    is_repeated
        Whether a channel has several rows in the event; shape (events,).
    columns
        Further columns of the map, by name; shape (rows,).
    """

    events: int
    event: Integers
    key: Integers
    row: Integers
    index: Integers
    is_repeated: NDArray[np.bool_]
    columns: Mapping[str, NDArray[Any]]

    @cached_property
    def _groups(self) -> tuple[Integers, Integers, Integers]:
        ids, rank = _ranks(self.key)
        order = np.argsort(rank, kind="stable")
        return ids, np.searchsorted(rank[order], np.arange(len(ids) + 1)), order

    def of_channel(self, key: int) -> Integers:
        """Where the rows of a channel are, in order of events."""
        ids, bounds, order = self._groups
        place = int(np.searchsorted(ids, key))
        if place == len(ids) or ids[place] != key:
            return np.empty(0, np.int64)
        return order[bounds[place] : bounds[place + 1]]

    @cached_property
    def _codes(self) -> tuple[Integers, Integers, Integers]:
        ids, bounds, order = self._groups
        rank = np.repeat(np.arange(len(ids)), np.diff(bounds))
        return ids, rank * self.events + self.event[order], order

    def find(self, event: Integers, key: NDArray[Any]) -> Integers:
        """Where the row of a channel in an event is, -1 where there is none; all of the same shape."""
        ids, codes, order = self._codes
        if not len(ids):
            return np.full(len(key), -1, np.int64)
        wanted = whole(key)
        rank = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
        code = rank * self.events + event
        place = np.minimum(np.searchsorted(codes, code), len(codes) - 1)
        return np.where((ids[rank] == wanted) & (codes[place] == code), order[place], -1)


def _ranks(key: Integers) -> tuple[Integers, NDArray[Any]]:
    """The numbers that there are, sorted, and for each row the place of its number among them."""
    if not len(key) or key.min() < 0 or key.max() >= LARGEST_TABLE:
        ids, rank = np.unique(key, return_inverse=True)
        return ids, rank
    there = np.zeros(int(key.max()) + 1, bool)
    there[key] = True
    ids = np.flatnonzero(there)
    table = np.zeros(len(there), np.int16 if len(ids) < 32_000 else np.int64)
    table[ids] = np.arange(len(ids))
    return ids, table[key]


def chunks(path: Path, group: str, size: int) -> Iterator[Chunk]:
    """The events of a time coincidence map, at most `size` at a time; one empty range where there are none.

    Raises
    ------
    BadInput
        If there is no such map in the file, or its lengths contradict each other.
    """
    with open_input(path, locking=False) as file:
        table = file.get(group)
        if not isinstance(table, h5py.Group) or not {"table_key", "row_in_table"} <= set(table):
            raise BadInput(f"{path} has no time coincidence map {group!r} (it has: {listing(file)})")
        total, begin = len(table["table_key/cumulative_length"]), 0
        while begin < max(total, 1):
            end = _end(table["table_key/cumulative_length"], begin, size)
            yield _chunk(path, table, begin, end)
            begin = max(end, begin + 1)


def _end(lengths: h5py.Dataset, begin: int, size: int) -> int:
    """The end of a range of at most `size` events with at most :data:`MOST_ROWS` rows, or of one event."""
    ends = lengths[begin : begin + size].astype(np.int64)
    before = int(lengths[begin - 1]) if begin else 0
    return begin + max(int(np.searchsorted(ends, before + MOST_ROWS, side="right")), min(len(ends), 1))


def _chunk(path: Path, table: h5py.Group, begin: int, end: int) -> Chunk:
    ends = table["table_key/cumulative_length"][begin:end].astype(np.int64)
    first = int(table["table_key/cumulative_length"][begin - 1]) if begin else 0
    last = int(ends[-1]) if len(ends) else first
    counts = np.diff(ends, prepend=first)
    flat = {name: node["flattened_data"][first:last] for name, node in table.items() if "flattened_data" in node}
    if (counts < 0).any() or any(len(values) != last - first for values in flat.values()):
        raise BadInput(f"the lengths in the time coincidence map of {path} contradict each other")
    event = np.repeat(np.arange(end - begin, dtype=np.int64), counts)
    key, row = (flat.pop(name).astype(np.int64) for name in ("table_key", "row_in_table"))
    return reduced(Chunk(end - begin, event, key, row, np.arange(first, last), np.zeros(end - begin, bool), flat))


def reduced(chunk: Chunk) -> Chunk:
    """The first row of each channel in each event; rows are in order of time within an event."""
    _, codes, order = chunk._codes  # noqa: SLF001 - the same class
    again = order[1:][codes[1:] == codes[:-1]]
    if not len(again):
        return chunk
    keep = np.ones(len(chunk.key), bool)
    keep[again] = False
    is_repeated = chunk.is_repeated.copy()
    is_repeated[chunk.event[again]] = True
    event, key, row, index = (part[keep] for part in (chunk.event, chunk.key, chunk.row, chunk.index))
    columns = {name: values[keep] for name, values in chunk.columns.items()}
    return Chunk(chunk.events, event, key, row, index, is_repeated, columns)


@dataclass(frozen=True)
class Tier:
    """A file with a table a channel: ``{table}/{group}``."""

    path: Path
    file: h5py.File
    group: str


class Reader:
    """Columns of channels at the rows of a chunk, read once.

    Parameters
    ----------
    tiers
        The files by tier.
    chunk
        The rows.
    keys
        The number of each channel's table.
    """

    def __init__(self, tiers: Mapping[str, Tier], chunk: Chunk, keys: Mapping[str, int]) -> None:
        self._tiers, self._chunk, self._keys = tiers, chunk, keys
        self._read: dict[tuple[str, str], Any] = {}

    def places(self, tables: Sequence[str]) -> Integers:
        """Where the rows of channels are in the chunk, channel by channel."""
        parts = [self._chunk.of_channel(self._keys[table]) for table in tables]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def column(self, name: str, tables: Sequence[str]) -> Any:
        """A column (``hit.energy``) at the rows of channels, channel by channel.

        Returns
        -------
        array
            numpy of shape (rows,), or awkward where each row holds several values.

        Raises
        ------
        BadInput
            If a channel has no such column, or fewer rows than the map says.
        """
        tier, _, field = name.partition(".")
        if tier == "tcm":
            return self._tcm(field)[self.places(tables)]
        parts = [self._of(tier, field, table) for table in tables]
        if not parts:
            return np.empty(0)
        if any(isinstance(part, ak.Array) for part in parts):
            return ak.concatenate(parts)
        return np.concatenate(parts)

    def _tcm(self, field: str) -> NDArray[Any]:
        own = {"table_key": self._chunk.key, "row_in_table": self._chunk.row, "index": np.arange(len(self._chunk.key))}
        found = own.get(field, self._chunk.columns.get(field))
        if found is None:
            raise BadInput(f"the time coincidence map has no column {field!r} (it has: {listing(own)})")
        return found

    def _of(self, tier: str, field: str, table: str) -> Any:
        if (place := (table, f"{tier}.{field}")) not in self._read:
            self._read[place] = self._load(self._tiers[tier], table, field)
        return self._read[place]

    def _load(self, tier: Tier, table: str, field: str) -> Any:
        group = tier.file.get(f"{table}/{tier.group}")
        node = group.get(field) if isinstance(group, h5py.Group) else None
        if node is None:
            there = listing(group) if isinstance(group, h5py.Group) else "no such table"
            raise BadInput(f"{tier.path}: {table}/{tier.group} has no column {field!r} (it has: {there})")
        rows = self._chunk.row[self._chunk.of_channel(self._keys[table])]
        low, high = (int(rows.min()), int(rows.max()) + 1) if len(rows) else (0, 0)
        count = len(node if isinstance(node, h5py.Dataset) else node["cumulative_length"])
        if high > count or low < 0:
            raise BadInput(f"{tier.path}: {table}/{tier.group} has {count} rows, the tcm names row {high - 1}")
        values = _slice(tier, node, low, high)
        return values if len(rows) == high - low and (np.diff(rows) == 1).all() else values[rows - low]


def _slice(tier: Tier, node: h5py.Dataset | h5py.Group, low: int, high: int) -> Any:
    """Some rows of an LH5 column."""
    if isinstance(node, h5py.Dataset) and node.ndim == 1:
        return values_of(node, low, high)
    import lh5

    return lh5.read(node.name, str(tier.path), start_row=low, n_rows=high - low).view_as("ak")
