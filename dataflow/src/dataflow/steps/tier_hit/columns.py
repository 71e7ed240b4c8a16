"""The columns of hit, each computed once from whole columns of dsp: what :func:`pygama.hit.build_hit` makes.

Only what the outputs need is read and computed, and no table of texts is made of values on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import awkward as ak
import h5py
import lh5
import numpy as np
from lgdo import Array, ArrayOfEqualSizedArrays, Table, VectorOfVectors
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.base.messages import listing
from dataflow.jobs.errors import BadInput
from dataflow.jobs.evaluate import by_numexpr, evaluate
from dataflow.jobs.lh5files import open_input, rows, values_of
from dataflow.jobs.lh5tables import write_table
from dataflow.metadata.expressions import parsed

Lgdo: TypeAlias = Any
"""An :class:`lgdo.Array`, or lists: a :class:`lgdo.VectorOfVectors`."""
WIDTHS = (8, 16, 32, 64)
"""Bits of the types for columns of bits."""


def write_columns(source: Path, table: str, config: Mapping[str, Any], target: tuple[Path, str], buffer: int) -> None:
    """Write the outputs of a configuration, computed from a table of dsp.

    Parameters
    ----------
    source, table
        The dsp file, and the table in it.
    config
        As for :func:`pygama.hit.build_hit`, with expressions that have been checked.
    target
        File and name of the table.
    buffer
        Rows in memory.
    """
    with open_input(source, locking=False) as file:
        count = rows(file, table)
        for begin in range(0, max(count, 1), buffer):
            part = Columns(file[table], config, begin, min(begin + buffer, count))
            write_table(part.table(config["outputs"]), target[1], target[0], new=begin == 0)


class Columns:
    """Columns of some rows, by name: operations, columns of bits, or what dsp has.

    Parameters
    ----------
    group
        The table of dsp.
    config
        Operations and aggregations.
    begin, end
        The rows.
    """

    def __init__(self, group: h5py.Group, config: Mapping[str, Any], begin: int, end: int) -> None:
        self._group, self._begin, self._end = group, begin, end
        self._operations: Mapping[str, Any] = config.get("operations") or {}
        self._bits: Mapping[str, Mapping[str, str]] = config.get("aggregations") or {}
        self._known: dict[str, Lgdo] = {}
        self._begun: set[str] = set()
        self._read: dict[str, Lgdo] = {}

    def table(self, names: Sequence[str]) -> Table:
        """Some columns as a table, with their attributes, which those of dsp hand on."""
        found = {name: self.column(name) for name in names}
        for name, column in found.items():
            if column is self._read.get(name) and isinstance(column, Array):
                column.attrs |= dict(self._group[name].attrs)
        return Table(found, size=self._end - self._begin)

    def column(self, name: str) -> Lgdo:
        """A column; of dsp, plain ones come without attributes.

        Raises
        ------
        UserError
            If an operation needs itself, or cannot be evaluated.
        BadInput
            If dsp does not have it.
        """
        if name not in self._known:
            if name in self._begun:
                raise UserError(f"hit operation {name} needs itself")
            if name in self._bits or name in self._operations:
                self._begun.add(name)
            if name in self._bits:
                self._known[name] = self._aggregated(self._bits[name])
            elif name in self._operations:
                self._known[name] = self._computed(name, self._operations[name])
            else:
                return self._of_dsp(name)
        return self._known[name]

    def _of_dsp(self, name: str) -> Lgdo:
        if name not in self._read:
            node = self._group.get(name)
            if node is None:
                has = listing(self._group)
                raise BadInput(f"{self._group.file.filename} has no column {name!r} in {self._group.name} ({has})")
            self._read[name] = self._loaded(node)
        return self._read[name]

    def _loaded(self, node: h5py.Dataset | h5py.Group) -> Lgdo:
        if isinstance(node, h5py.Dataset):
            return _lgdo(values_of(node, self._begin, self._end), {})
        return lh5.read(node.name, node.file, start_row=self._begin, n_rows=self._end - self._begin)

    def _computed(self, name: str, operation: Mapping[str, Any]) -> Lgdo:
        expression, values = parsed(operation["expression"]), dict(operation.get("parameters") or {})
        for each in expression.names - values.keys():
            column = self._of_dsp(each) if each == name else self.column(each)
            values[each] = column.view_as("ak") if isinstance(column, VectorOfVectors) else column.nda
        found = by_numexpr(expression.rewritten, values)
        if found is None:
            found = evaluate(expression, values)
        if (not isinstance(found, ak.Array) and np.ndim(found) == 0) or len(found) != self._end - self._begin:
            raise UserError(f"hit operation {name}: {expression.text!r} does not give a value for each row")
        attributes = dict(operation.get("lgdo_attrs") or {})
        if "description" in operation:
            attributes["description"] = operation["description"]
        return _lgdo(found, attributes)

    def _aggregated(self, bits: Mapping[str, str]) -> Array:
        kind = np.dtype(f"u{next(width for width in WIDTHS if len(bits) <= width) // 8}")
        found = np.zeros(self._end - self._begin, kind)
        for place, name in enumerate(bits.values()):
            found += self.column(name).nda.astype(kind) * kind.type(2**place)
        return Array(found, attrs={"bit_names": ",".join(bits.values())})


def _lgdo(values: NDArray[Any] | ak.Array, attributes: dict[str, Any]) -> Lgdo:
    if isinstance(values, ak.Array) and values.ndim > 1:
        return VectorOfVectors(values, attrs=attributes)
    plain = ak.to_numpy(values, allow_missing=False) if isinstance(values, ak.Array) else values
    return ArrayOfEqualSizedArrays(nda=plain, attrs=attributes) if plain.ndim > 1 else Array(plain, attrs=attributes)
