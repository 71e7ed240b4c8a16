"""Tables of raw as processing chains need them: which columns there are, the digitizer's range, traces as float32."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import lh5
import numpy as np
from lgdo import Array, ArrayOfEqualSizedArrays, Table, WaveformTable

from dataflow.jobs import fast
from dataflow.jobs.errors import BadInput
from dataflow.jobs.lh5files import ADC_BITS, open_input, rows

PART = 1 << 22
"""Bytes that are read at a time."""
ROWS = 128
"""Of which the rows read at a time are a multiple: those of a chunk of raw, and those processed together, divide it."""
USUAL_BITS = 16
FINE_BITS = 12


class RawRows(lh5.LH5Iterator):  # type: ignore[misc]
    """Reads rows of a raw table, with traces of wide integers as float32.

    Codecs decode into int32 whatever was encoded, and dspeed then computes in double precision. With float32, which
    holds integers up to 2²⁴ exactly, results are bit by bit those of the uncompressed uint16.
    """

    def read(self, i_entry: int, n_entries: int | None = None) -> Table:
        """As in the base class."""
        return narrowed(super().read(i_entry, n_entries))

    def first(self) -> Table:
        """The first row."""
        self.n_entries = len(self)
        return self.read(self.i_start, 1)

    def parts(self, names: Collection[str]) -> Iterator[Table]:
        """Some columns of all rows, part after part."""
        self.reset_field_mask(list(names))
        yield from self


class PlainRows:
    """Reads rows of a raw table whose columns are plain arrays, as :class:`RawRows` would.

    lh5 reads four thousand rows before the first is asked for. Here columns are read directly, into the same small
    buffer: reading into memory that was never used takes four times what decompressing takes, and a part that fits into
    the cache is still there when it is processed.

    Parameters
    ----------
    group
        The table, in an open file.
    names
        Of columns that may be wanted.
    begin, end
        The rows.
    """

    def __init__(self, group: h5py.Group, names: Collection[str], begin: int, end: int) -> None:
        self._nodes = {name: group[name] for name in names}
        self._columns = {name: lh5.read(node.name, node.file, n_rows=0) for name, node in self._nodes.items()}
        self._arrays = {name: list(_pairs(node, self._columns[name])) for name, node in self._nodes.items()}
        self._begin, self._end = begin, end

    def __len__(self) -> int:
        return self._end - self._begin

    def first(self) -> Table:
        """The first row."""
        return narrowed(self._read(self._nodes, self._begin, min(self._begin + 1, self._end)))

    def parts(self, names: Collection[str]) -> Iterator[Table]:
        """Some columns of all rows, part after part."""
        names = [name for name in names if name in self._nodes]  # dspeed warns of others
        nodes = (node for name in names for node, _ in self._arrays[name])
        row = sum(node.dtype.itemsize * int(np.prod(node.shape[1:])) for node in nodes)
        size = max(PART // max(row, 1) // ROWS, 1) * ROWS
        for first in range(self._begin, self._end, size):
            yield narrowed(self._read(names, first, min(first + size, self._end)))

    def _read(self, names: Iterable[str], begin: int, end: int) -> Table:
        table = Table({name: self._columns[name] for name in names})
        table.resize(end - begin)
        for node, array in (pair for name in names for pair in self._arrays[name]):
            if begin < end:
                node.read_direct(array.nda, np.s_[begin:end])
        return table


@contextmanager
def raw_rows(path: Path, table: str, names: Sequence[str], chosen: Mapping[str, Any], most: int) -> Iterator[Any]:
    """What reads rows of a raw table.

    Parameters
    ----------
    path, table
        File and table.
    names
        Columns that may be wanted, all if there are none.
    chosen
        ``i_start`` and ``n_entries``, or ``entry_list``, or nothing for all rows.
    most
        Rows that lh5 reads together.
    """
    with ExitStack() as stack:
        if fast.is_on() and "entry_list" not in chosen:
            group = stack.enter_context(open_input(path, locking=False))[table]
            wanted = names or sorted(group)
            if all(_is_plain(group[name]) for name in wanted):
                begin, count = chosen.get("i_start", 0), rows(group.file, table)
                yield PlainRows(group, wanted, begin, min(begin + chosen.get("n_entries", count), count))
                return
            stack.close()
        yield RawRows(str(path), table, buffer_len=most, field_mask=list(names) or None, **chosen)


def _is_plain(node: h5py.Dataset | h5py.Group) -> bool:
    """Whether a column is an array, or traces that are arrays."""
    if isinstance(node, h5py.Group):
        return set(node) == {"t0", "dt", "values"} and all(map(_is_plain, node.values()))
    return isinstance(node, h5py.Dataset) and node.ndim > 0 and "{bool}" not in str(node.attrs.get("datatype"))


def _pairs(node: h5py.Dataset | h5py.Group, column: Any) -> Iterator[tuple[h5py.Dataset, Array]]:
    if isinstance(node, h5py.Dataset):
        yield node, column
    else:
        for name, child in node.items():
            yield from _pairs(child, column[name])


def narrowed(table: Table) -> Table:
    """A table with its traces of wide integers as float32; the table itself where it has none."""
    wide = {name: node for name, node in table.items() if isinstance(node, WaveformTable) and _is_wide(node)}
    if not wide:
        return table
    columns = {name: _as_float(wide[name]) if name in wide else node for name, node in table.items()}
    return Table(col_dict=columns, attrs=dict(table.attrs))


def _is_wide(node: WaveformTable) -> bool:
    values = node.values
    return isinstance(values, ArrayOfEqualSizedArrays) and values.dtype.kind in "iu" and values.dtype.itemsize > 2


def _as_float(node: WaveformTable) -> WaveformTable:
    values = ArrayOfEqualSizedArrays(nda=node.values.nda.astype(np.float32), attrs=dict(node.values.attrs))
    return WaveformTable(t0=node.t0, dt=node.dt, values=values, attrs=dict(node.attrs))


def column_names(path: Path, table: str) -> tuple[str, ...]:
    """The columns of a table."""
    with open_input(path) as file:
        return tuple(sorted(file[table]))


ADDRESS = ("fcid", "board_id", "board", "fc_input", "channel", "fadc_channel_id")
"""Columns that say which channel of the digitizers a row is of, as far as a form of DAQ files has them."""


def refuse_mixed(path: Path, table: str) -> None:
    """Make sure that all rows of a table are of one channel: several would be taken for one detector.

    Raises
    ------
    BadInput
        If they are not.
    """
    with open_input(path) as file:
        for name in ADDRESS:
            node = file.get(f"{table}/{name}")
            values = node[:] if isinstance(node, h5py.Dataset) else np.empty(0)
            if np.any(values != values[:1]):
                hint = "make raw again with one table a channel: {key} in the name of its table in out_spec"
                count = len(np.unique(values))
                raise BadInput(f"{table} of {path} holds rows of {count} channels ({name})", hint=hint)


def digitizer(path: Path, table: str, bits: int | None = None) -> dict[str, Any]:
    """What a chain must know of the data's origin, as parameters: ``adc`` and ``presum``.

    Parameters
    ----------
    path, table
        A raw file, and a table in it that has rows.
    bits
        The digitizer's depth where the channel map tells.

    Returns
    -------
    dict
        ``adc.lowest`` and ``adc.highest``, the values from which on a sample counts as saturated; where the table has
        windowed and presummed traces, ``window.first``, the sample at which the former begin, and ``presum.norm``, by
        which the latter are to be divided.
    """
    with open_input(path) as file:
        depth, columns = bits or adc_bits(file, table), set(file[table])
    found: dict[str, Any] = {"adc": {"lowest": 0.0, "highest": highest_value(depth)}}
    if {"waveform_windowed", "waveform_presummed"} <= columns:
        found |= window_and_sums(path, table)
    return found


def highest_value(bits: int) -> float:
    """From where on a sample is at the top of a digitizer's range.

    FlashCam's 16 bits are sums of 12-bit samples: its highest value is 4095 · 2⁴ = 65520 and not 65535, and so it is in
    real saturated traces. The last 1/4096 of the range counts as its top, which holds for either.
    """
    return float(2**bits - 2 ** max(bits - FINE_BITS, 0))


def adc_bits(file: h5py.File, table: str) -> int:
    """The digitizer's depth: from the file's attribute, from its configuration tables, else 16.

    A file of several streams has several configurations; that of the table's ``fcid`` counts.
    """
    if ADC_BITS in file.attrs:
        return int(file.attrs[ADC_BITS])
    found = dict(_configured(file.values()))
    stream = int(file[table]["fcid"][0]) if "fcid" in file[table] else -1
    depths = {found[stream]} if stream in found else set(found.values())
    bits = depths.pop() if len(depths) == 1 else USUAL_BITS
    return bits if 1 <= bits <= 32 else USUAL_BITS


def _configured(nodes: Iterable[Any]) -> Iterable[tuple[int, int]]:
    """Stream number and depth, from all configuration tables; streams can have their own below the decoder's name."""
    for node in nodes:
        if not isinstance(node, h5py.Group) or "timestamp" in node:
            continue
        if isinstance(node.get("adcbits"), h5py.Dataset):
            depths = np.atleast_1d(node["adcbits"][()])
            name = "fcid" if "fcid" in node else "streamid"
            streams = np.atleast_1d(node[name][()]) if name in node else np.zeros(len(depths), dtype="i8")
            yield from ((int(stream) & 0xFFFF, int(depth)) for stream, depth in zip(streams, depths, strict=False))
        else:
            yield from _configured(node.values())


def window_and_sums(path: Path, table: str) -> dict[str, Any]:
    """Where windowed traces begin, and by what presummed ones are to be divided to be averages, from the first row.

    That is their rate, or 1 where they are averages already: windowed samples have the same mean as the presummed ones
    of the same time.
    """
    row = lh5.read(table, str(path), n_rows=1, field_mask=["waveform_windowed", "waveform_presummed"])
    window, summed = (_first(row[name]) for name in ("waveform_windowed", "waveform_presummed"))
    rate = round(summed["dt"] / window["dt"])
    begin = max(round((window["t0"] - summed["t0"]) / summed["dt"]), 0)
    same = summed["values"][begin : begin + max(len(window["values"]) // rate, 1)]
    ratio = float(np.mean(same)) / max(abs(float(np.mean(window["values"]))), 1e-9)
    norm = float(rate) if abs(ratio) > (1 + rate) / 2 else 1.0
    return {"window": {"first": window["t0"] / window["dt"]}, "presum": {"norm": norm}}


def _first(node: WaveformTable) -> Mapping[str, Any]:
    return {"dt": float(node.dt.nda[0]), "t0": float(node.t0.nda[0]), "values": node.values.nda[0].astype(np.float64)}
