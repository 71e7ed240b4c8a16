"""Two productions from one lock, on one and on two workers, in different folders: equal value for value, in lineage."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions of raw files
import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.production.conftest import Environment

pytestmark = pytest.mark.production
SCALE = 0.02


@pytest.fixture(scope="module")
def cycles(environment: Environment, places: Path) -> tuple[Path, Path]:
    """The two finished cycles, made at the same time."""
    made = places / "one", places / "elsewhere" / "two"

    def make(cycle: Path, workers: int) -> None:
        words = ["dataprod", "demo", "run", cycle.relative_to(environment.root), "-j", workers, "--scale", SCALE]
        environment.run(*words, code=None)  # so few events may miss the truth; what counts is that both do alike

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(make, made, (1, 2)))
    return made


def files(cycle: Path, suffix: str) -> dict[str, Path]:
    """Files that jobs made, by their place; no DAQ files."""
    found = [path for part in ("tier", "par") for path in sorted((cycle / "generated" / part).rglob(f"*{suffix}"))]
    return {str(path.relative_to(cycle)): path for path in found}


def values(path: Path) -> dict[str, object]:
    """Everything in an LH5 file: columns and attributes, by their place."""
    found: dict[str, object] = {}

    def visit(name: str, node: h5py.HLObject) -> None:
        found[name] = node[()] if isinstance(node, h5py.Dataset) else None
        found.update({f"{name}@{key}": value for key, value in node.attrs.items()})

    with h5py.File(path) as file:
        visit("/", file)
        file.visititems(visit)
    return found


def same(one: object, other: object) -> bool:
    """Whether two values are equal, NaN where the other is."""
    first, second = np.asarray(one), np.asarray(other)
    floats = first.dtype.kind == "f" and second.dtype.kind == "f"
    return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=floats)


def test_the_same_files_are_made(cycles: tuple[Path, Path]) -> None:
    one, two = (files(cycle, "") for cycle in cycles)
    assert len(files(cycles[0], ".lh5")) > 20
    assert one.keys() == two.keys()


def test_tiers_are_equal_value_for_value(cycles: tuple[Path, Path]) -> None:
    one, two = (files(cycle, ".lh5") for cycle in cycles)
    for name in one:
        first, second = values(one[name]), values(two[name])
        assert first.keys() == second.keys(), name
        unlike = [place for place in first if not same(first[place], second[place])]
        assert unlike == [], name


def test_parameters_are_equal_byte_for_byte(cycles: tuple[Path, Path]) -> None:
    one, two = (files(cycle, ".yaml") for cycle in cycles)
    assert any("par_hit" in name for name in one)
    assert [name for name in one if one[name].read_bytes() != two[name].read_bytes()] == []


def test_lineages_are_equal(cycles: tuple[Path, Path]) -> None:
    """Records carry the hash of the lineage in their names, and the same hash inside."""
    one, two = (files(cycle, ".json") for cycle in cycles)
    records = [name for name in one if "/.lineage/" in name]
    assert len(records) > 20
    assert sorted(records) == sorted(name for name in two if "/.lineage/" in name)
    for name in records:
        first, second = (json.loads(found[name].read_text()) for found in (one, two))
        if isinstance(first, dict) and "lineage" in first:
            assert first["lineage"] == second["lineage"], name
