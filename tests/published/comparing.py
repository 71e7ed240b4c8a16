"""Two LH5 files dataset by dataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions that dsp and hit use
import numpy as np


def datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """The datasets of the tables by raw id, by path; links with the names of detectors are the same tables again."""
    found: dict[str, h5py.Dataset] = {}

    def take(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item

    for top in file:
        if top.startswith(("ch", "hardware_tcm")):
            file[top].visititems(lambda name, item, top=top: take(f"{top}/{name}", item))
    return found


def differences(ours: Path, theirs: Path) -> Iterator[tuple[str, str]]:
    """What is in both and differs, as path and reason; datasets of one alone are not looked at."""
    with h5py.File(ours) as one, h5py.File(theirs) as other:
        left, right = datasets(one), datasets(other)
        for name in sorted(left.keys() & right.keys()):
            a, b = left[name][()], right[name][()]
            if np.shape(a) != np.shape(b):
                yield name, f"shapes {np.shape(a)} and {np.shape(b)}"
            elif not np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f"):
                size = np.max(np.abs(np.asarray(a, "float64") - np.asarray(b, "float64")))
                yield name, f"up to {size:g}"


def in_both(ours: Path, theirs: Path) -> set[str]:
    """The datasets that both files have."""
    with h5py.File(ours) as one, h5py.File(theirs) as other:
        return datasets(one).keys() & datasets(other).keys()
