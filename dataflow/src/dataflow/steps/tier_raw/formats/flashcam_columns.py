"""The columns of the tables of FlashCam channels, laid out so that one call of compiled code fills those of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SAMPLES = "waveform"
Layout = Mapping[str, Sequence[str]]
"""Names of columns with one number a row, by the type in which compiled code fills them."""


def suit(buffers: Sequence[Any], layout: Layout) -> bool:
    """Whether tables have columns of the sizes that compiled code fills, and are of one size themselves."""
    sizes = all(
        buffer.lgdo[name].nda.dtype.itemsize == np.dtype(kind).itemsize
        for buffer in buffers
        for kind, names in layout.items()
        for name in names
    )
    return sizes and len({(len(buffer), buffer.fill_safety) for buffer in buffers}) == 1


class Tables:
    """Buffers that compiled code fills: their columns become parts of one array a type, for one call to fill all.

    Parameters
    ----------
    buffers
        Tables of the same columns and size.
    most
        Rows that one event fills in one of them at most. There is no room for more behind a full buffer: it would take
        memory with what lies before.
    layout
        Which columns they have.
    samples
        Of a trace, whatever the tables have room for.

    Attributes
    ----------
    rows, safe
        Rows in each buffer; rows from which one is full.
    columns
        Arrays (buffers, columns, rows) of the types of the layout.
    waveforms
        Traces: uint16 (buffers, rows, samples).
    """

    def __init__(self, buffers: Sequence[Any], most: int, layout: Layout, samples: int) -> None:
        self.buffers, number = list(buffers), len(buffers)
        self.rows = np.zeros(number, dtype=np.int64)
        self.safe = len(buffers[0]) - buffers[0].fill_safety
        size = min(self.safe + most, len(buffers[0]))
        self.columns = {kind: np.zeros((number, len(names), size), dtype=kind) for kind, names in layout.items()}
        self.waveforms = np.zeros((number, size, samples), dtype=np.uint16)
        for each, buffer in enumerate(buffers):
            for kind, names in layout.items():
                for name, values in zip(names, self.columns[kind][each], strict=True):
                    column = buffer.lgdo[name]
                    column.nda = values.view(column.nda.dtype)
            buffer.lgdo[SAMPLES]["values"].nda = self.waveforms[each]

    def begin(self) -> None:
        """Take over how many rows are in the buffers."""
        self.rows[:] = [buffer.loc for buffer in self.buffers]

    def end(self) -> None:
        """Tell the buffers how many rows they have."""
        for buffer, rows in zip(self.buffers, self.rows.tolist(), strict=True):
            buffer.loc = rows

    def release(self) -> None:
        """Leave the tables to other readers, which may fill more rows with one event."""
        for buffer in self.buffers:
            values = buffer.lgdo[SAMPLES]["values"]
            for column in (*(node for name, node in buffer.lgdo.items() if name != SAMPLES), values):
                own = np.zeros((len(buffer), *column.nda.shape[1:]), column.nda.dtype)
                own[: buffer.loc] = column.nda[: buffer.loc]
                column.nda = own
