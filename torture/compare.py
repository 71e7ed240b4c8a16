"""Whether two files hold the same, value for value."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions of raw files
import numpy as np
import yaml

RESULTS = ("tier", "par", "tmp/par", "plt")
UNEQUAL_BYTES = (".pdf",)
"""Figures carry the time at which they were made."""


def differences(one: Path, other: Path) -> str:
    """The first difference between two files; empty if there is none."""
    if not other.exists() or not one.exists():
        return f"{other if one.exists() else one} is missing"
    if one.suffix in UNEQUAL_BYTES:
        return ""
    if one.suffix == ".lh5":
        with h5py.File(one) as first, h5py.File(other) as second:
            return _nodes(first, second, one.name)
    if one.suffix in (".yaml", ".json"):
        same = yaml.safe_load(one.read_text()) == yaml.safe_load(other.read_text())
    else:
        same = one.read_bytes() == other.read_bytes()
    return "" if same else f"{one.name} differs"


def _nodes(one: h5py.Group, other: h5py.Group, place: str) -> str:
    if sorted(one) != sorted(other):
        return f"{place}: {sorted(one)} and {sorted(other)}"
    if found := _attributes(one, other, place):
        return found
    for name in sorted(one):
        first, second, here = one[name], other[name], f"{place}/{name}"
        if isinstance(first, h5py.Group):
            found = _nodes(first, second, here)
        else:
            found = _attributes(first, second, here) or _values(first, second, here)
        if found:
            return found
    return ""


def _values(one: h5py.Dataset, other: h5py.Dataset, place: str) -> str:
    first, second = one[()], other[()]
    if one.dtype != other.dtype or one.shape != other.shape:
        return f"{place}: {one.dtype}{one.shape} and {other.dtype}{other.shape}"
    equal_nan = one.dtype.kind == "f"
    return "" if np.array_equal(first, second, equal_nan=equal_nan) else f"{place}: values differ"


def _attributes(one: h5py.HLObject, other: h5py.HLObject, place: str) -> str:
    first, second = (dict(node.attrs) for node in (one, other))
    for name in sorted(first.keys() | second.keys()):
        if name not in first or name not in second or not np.array_equal(first[name], second[name]):
            return f"{place}: attribute {name}: {first.get(name)} and {second.get(name)}"
    return ""


def results(cycle: Path) -> dict[str, Path]:
    """All results of a cycle and the records beside them, by their place in it."""
    found = [path for part in RESULTS for path in sorted((cycle / "generated" / part).rglob("*")) if path.is_file()]
    daq = cycle / "generated/tier/daq"
    return {str(path.relative_to(cycle)): path for path in found if daq not in path.parents}


def lineages(cycle: Path) -> set[str]:
    """The names of all records of how a result was made: they hold the lineage."""
    return {name for name in results(cycle) if "/.lineage/" in name and name.endswith(".json")}


def cycles_differ(one: Path, other: Path) -> str:
    """The first difference between the results of two cycles, in values or in lineage; empty if there is none."""
    first, second = (
        {name: path for name, path in results(each).items() if "/.lineage/" not in name} for each in (one, other)
    )
    if first.keys() != second.keys():
        return f"different files: {sorted(first.keys() ^ second.keys())[:6]}"
    if unlike := lineages(one) ^ lineages(other):
        return f"different lineages: {sorted(unlike)[:6]}"
    return next((found for name in first if (found := differences(first[name], second[name]))), "")
