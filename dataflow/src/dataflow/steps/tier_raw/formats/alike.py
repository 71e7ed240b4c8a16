"""Buffers of many channels, of which only the first is made by legend-daq2lh5.

The library describes each column of each channel anew: half a millisecond a channel, a tenth of a second for a large
array, which is as long as decoding some hundred megabytes.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from daq2lh5.data_decoder import DataDecoder
from lgdo import Array, ArrayOfEqualSizedArrays, Table, WaveformTable

PLAIN = (Array, ArrayOfEqualSizedArrays)


class Alike:
    """Stands for :meth:`daq2lh5.DataDecoder.make_lgdo` of a decoder.

    Parameters
    ----------
    decoder
        The decoder.
    """

    def __init__(self, decoder: DataDecoder) -> None:
        self._decoder = decoder
        self._made: list[tuple[Any, int | None, Any]] = []

    def __call__(self, key: int | str | None = None, size: int | None = None) -> Any:
        """A table for a channel: a copy of one for the same columns and size, if there is one."""
        columns = self._decoder.get_decoded_values(key)
        for known, rows, table in self._made:
            if known is columns and rows == size:
                return alike(table)
        made = DataDecoder.make_lgdo(self._decoder, key=key, size=size)
        if is_plain(made):
            self._made.append((columns, size, made))
        return made


def install(decoder: DataDecoder) -> None:
    """Have a decoder make its tables so, if it makes them as most do."""
    if type(decoder).make_lgdo is DataDecoder.make_lgdo and "make_lgdo" not in vars(decoder):
        decoder.make_lgdo = Alike(decoder)


def is_plain(node: Any) -> bool:
    """Whether a table holds arrays only."""
    if type(node) in (Table, WaveformTable):
        return all(map(is_plain, node.obj_dict.values()))
    return type(node) in PLAIN


def alike(node: Any) -> Any:
    """A table with the same columns, of which those with one number a row have the same values."""
    made = copy.copy(node)
    made.attrs = dict(node.attrs)
    if isinstance(node, Table):
        made.obj_dict = {name: alike(child) for name, child in node.obj_dict.items()}
    else:
        made.nda = node.nda.copy() if node.nda.ndim == 1 else np.empty_like(node.nda)
    return made
