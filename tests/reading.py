"""How many rows of each dataset jobs read, by h5py and by lh5."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from typing import Any

import h5py
import lh5.io._serializers.read as readers
import numpy as np
import pytest
from h5py._hl.dataset import Dataset
from lh5.io._serializers.read import ndarray

Name = tuple[str, str]


class Rows:
    """Rows that were read, and that there are, by file and dataset."""

    def __init__(self) -> None:
        self.read: Counter[Name] = Counter()
        self.there: dict[Name, int] = {}

    def add(self, identifier: h5py.h5d.DatasetID, rows: int) -> None:
        """Note a reading."""
        name = h5py.h5i.get_file_id(identifier).name.decode(), h5py.h5i.get_name(identifier).decode()
        self.read[name] += rows
        self.there[name] = identifier.shape[0] if identifier.shape else 1

    def more_than_once(self, beyond: int) -> dict[Name, tuple[int, int]]:
        """Datasets of which more rows were read than there are and so many beyond them."""
        both = {name: (rows, self.there[name]) for name, rows in self.read.items()}
        return {name: (rows, there) for name, (rows, there) in both.items() if rows > there + beyond}


def counted(patch: pytest.MonkeyPatch) -> Rows:
    """Count what is read from now on in this process."""
    rows = Rows()
    item, direct, of_lh5 = Dataset.__getitem__, Dataset.read_direct, ndarray._h5_read_ndarray

    def by_item(self: Dataset, *arguments: Any) -> Any:
        found = item(self, *arguments)
        rows.add(self.id, len(found) if np.ndim(found) else 1)
        return found

    def directly(self: Dataset, dest: Any, source_sel: Any = None, dest_sel: Any = None) -> None:
        direct(self, dest, source_sel, dest_sel)
        rows.add(self.id, len(dest) if dest_sel is None else len(dest[dest_sel]))

    def by_lh5(identifier: h5py.h5d.DatasetID, *arguments: Any, **more: Any) -> Any:
        found = of_lh5(identifier, *arguments, **more)
        rows.add(identifier, int(found[2]))
        return found

    patch.setattr(Dataset, "__getitem__", by_item)
    patch.setattr(Dataset, "read_direct", directly)
    for each in pkgutil.iter_modules(readers.__path__, f"{readers.__name__}."):
        module = importlib.import_module(each.name)
        if hasattr(module, "_h5_read_ndarray"):
            patch.setattr(module, "_h5_read_ndarray", by_lh5)
    return rows
