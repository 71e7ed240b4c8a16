"""The columns of the tables of FlashCam channels, laid out so that one call of compiled code fills those of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


class Columns:
    """The columns of all buffers in one array a type, so that one call of compiled code fills all of them.

    Parameters
    ----------
    buffers
        Tables of the same columns and size; from now on their columns are parts of these arrays.
    size
        Rows that are needed of each: what lies behind them would take memory with what lies before.
    layout
        Which columns there are.
    samples
        Of a trace, whatever their tables have room for.

    Attributes
    ----------
    by_type
        Arrays (buffers, columns, rows) of the types of the layout.
    samples
        Traces: uint16 (buffers, rows, samples).
    """

    def __init__(self, buffers: Sequence[Any], size: int, layout: Layout, samples: int) -> None:
        number = len(buffers)
        self.by_type = {kind: np.zeros((number, len(names), size), dtype=kind) for kind, names in layout.items()}
        self.samples = np.zeros((number, size, samples), dtype=np.uint16)
        for each, buffer in enumerate(buffers):
            for kind, names in layout.items():
                for name, values in zip(names, self.by_type[kind][each], strict=True):
                    column = buffer.lgdo[name]
                    column.nda = values.view(column.nda.dtype)
            buffer.lgdo[SAMPLES]["values"].nda = self.samples[each]

    @property
    def traces(self) -> NDArray[np.uint8]:
        """The bytes of all traces: (buffers, rows, bytes)."""
        return self.samples.view(np.uint8)


class Tables:
    """Buffers that compiled code fills.

    Parameters
    ----------
    buffers
        Tables of the same columns and size.
    most
        Rows that one event fills in one of them at most.
    layout
        Which columns they have.
    samples
        Of a trace.
    """

    def __init__(self, buffers: Sequence[Any], most: int, layout: Layout, samples: int) -> None:
        self.buffers = list(buffers)
        self.rows = np.zeros(len(self.buffers), dtype=np.int64)
        self.safe = len(self.buffers[0]) - self.buffers[0].fill_safety
        self.columns = Columns(self.buffers, min(self.safe + most, len(self.buffers[0])), layout, samples)

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
