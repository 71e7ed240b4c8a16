"""Coincidences by whole columns: what :func:`pygama.evt.build_tcm` makes, in one sort of numbers.

Rows are sorted by time, and by the channel's number where times are equal; a new event begins where the time since the
row before is more than the window. Of a long file, a part after the other is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from lgdo import Table, VectorOfVectors
from numpy.typing import NDArray

from dataflow.jobs.lh5files import open_input
from dataflow.jobs.lh5tables import write_table

Integers = NDArray[np.int64]
MOST_ROWS = 4_000_000
"""Rows that are read at a time, of all channels together: 24 bytes each, and as much again to sort them."""


@dataclass(frozen=True)
class Rows:
    """Some rows of all channels, in the order of their times."""

    time: NDArray[Any]
    key: Integers
    row: Integers

    def __getitem__(self, place: Any) -> Rows:
        return Rows(self.time[place], self.key[place], self.row[place])

    def sorted(self) -> Rows:
        """By time; equal ones stay in their order, which is that of channels."""
        times = self.time
        if times.dtype == np.float64 and len(times) and times.min() >= 0:  # false where there is NaN
            times = times.view(np.int64)  # of the same order, and sorted twice as fast
        return self[np.argsort(times, kind="stable")]


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows one after the other."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*((part.time, part.key, part.row) for part in parts), strict=True)
    return Rows(*(np.concatenate(arrays) for arrays in columns))


class Channel:
    """Rows of a table of raw that are in memory, from where its column of times is read on.

    Parameters
    ----------
    key
        The table's number in the map.
    node
        Its column of times.

    Attributes
    ----------
    backward
        How often the time of a row that was read is before that of the row before it.
    """

    def __init__(self, key: int, node: h5py.Dataset) -> None:
        self.key, self.backward = key, 0
        self._node, self._read = node, 0
        self._rows = _numbered(np.empty(0, node.dtype), key, 0)

    def __len__(self) -> int:
        return len(self._node)

    @property
    def known(self) -> Any:
        """Until when all rows are in memory; None if there are no others."""
        return self._rows.time[-1] if self._read < len(self._node) else None

    def read(self, size: int, until: Any) -> None:
        """Read on where there are few rows, or only such that wait for the row after them (`until` their time)."""
        if self._read < len(self._node) and (len(self._rows.time) < size or self._rows.time[-1] == until):
            times = self._node[self._read : self._read + size]
            last = self._rows.time[-1:]  # nothing was taken of a part that is not in order: it is the row before
            self.backward += int((times[1:] < times[:-1]).sum()) + int((times[:1] < last).sum())
            more = _numbered(times, self.key, self._read)
            self._rows = joined([self._rows, more]) if len(self._rows.time) else more
            self._read += len(times)

    def taken(self, until: Any) -> Rows:
        """The rows before a time, or all, which are then no longer here."""
        count = len(self._rows.time) if until is None else int(np.searchsorted(self._rows.time, until, side="left"))
        found, self._rows = self._rows[:count], self._rows[count:]
        return found


def _numbered(times: NDArray[Any], key: int, begin: int) -> Rows:
    return Rows(times, np.full(len(times), key, np.int64), np.arange(begin, begin + len(times), dtype=np.int64))


def write_coincidences(
    source: Path,
    tables: Mapping[str, int],
    column: str,
    window: float,
    target: tuple[Path, str],
    attributes: Mapping[str, str],
) -> dict[str, int]:
    """Write the coincidences of a raw file.

    Parameters
    ----------
    source
        The raw file.
    tables
        Number in the map by table.
    column
        Of times; it is also a column of the result.
    window
        The longest time between rows of one event, in the unit of the column.
    target
        File and name of the table.
    attributes
        Of the result.

    Returns
    -------
    dict
        By table, how often times go backwards, of those in which they do: then all rows are sorted together.
    """
    path, name = target
    with open_input(source) as file:
        channels = {table: Channel(key, file[f"{table}/{column}"]) for table, key in tables.items()}
        total = sum(len(channel) for channel in channels.values())
        is_at_once = total <= MOST_ROWS or any(goes_backwards(file[f"{table}/{column}"]) for table in tables)
        inorder = sorted(channels.values(), key=lambda channel: channel.key)
        for rows in events_in_parts(inorder, window, total * len(channels) if is_at_once else MOST_ROWS):
            write_table(coincidences(rows, column, window, attributes), name, path)
    return {table: channel.backward for table, channel in channels.items() if channel.backward}


def goes_backwards(node: h5py.Dataset) -> bool:
    """Whether the time of any row is before that of the row before it."""
    times = node[:]
    return bool((times[1:] < times[:-1]).any())


def events_in_parts(channels: Sequence[Channel], window: float, most: int) -> Iterator[Rows]:
    """Rows of whole events, sorted, a part after the other; one part without rows if there are none.

    Channels come in the order of their numbers. A part has `most` rows, or somewhat more; if the times of a channel are
    not in order, all its rows must fit into one.
    """
    size = max(most // max(len(channels), 1), 1)
    until, left, has_some = None, list[Rows](), False
    while channels:
        for channel in channels:
            channel.read(size, until)
        known = [channel.known for channel in channels if channel.known is not None]
        until = min(known, default=None)
        rows = joined([*left, *(channel.taken(until) for channel in channels)]).sorted()
        whole = _whole(rows.time, until, window)
        if whole or (until is None and not has_some):
            yield rows[:whole]
            has_some = True
        if until is None:
            return
        left = [rows[whole:]]


def _whole(times: NDArray[Any], until: Any, window: float) -> int:
    """How many of some sorted rows are of events that no row from a time on can belong to."""
    if until is None:
        return len(times)
    gaps = np.flatnonzero(np.diff(np.append(times, until)) > window)
    return int(gaps[-1]) + 1 if len(gaps) else 0


def coincidences(rows: Rows, column: str, window: float, attributes: Mapping[str, str]) -> Table:
    """The time coincidence map of sorted rows: lists ``table_key``, ``row_in_table``, and of times, an event each."""
    last = np.flatnonzero(np.diff(rows.time) > window) + 1
    ends = np.append(last, len(rows.time)) if len(rows.time) else last
    lists = {"table_key": rows.key, "row_in_table": rows.row, column: rows.time}
    content = {name: VectorOfVectors(flattened_data=flat, cumulative_length=ends) for name, flat in lists.items()}
    return Table(content, attrs=dict(attributes))
