"""Two productions from one lock in different folders: equal value for value, and in lineage.

One runs on two workers, with jobs that are forked from one process, the other on one, with jobs that are started anew.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions of raw files
import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.production.conftest import Environment, Run

pytestmark = pytest.mark.production
RUN = "r000"


@pytest.fixture(scope="module")
def cycles(environment: Environment, demo: tuple[Path, Run], places: Path) -> tuple[Path, Path]:
    """The demo, made by two workers, and a cycle elsewhere in which one worker makes a run of it from the same data."""
    one, two = demo[0], places / "elsewhere" / "two"
    for name in ("dataflow", "inputs"):
        shutil.copytree(one / name, two / name, symlinks=True)
    config = json.loads((one / "config.json").read_text(encoding="utf-8"))
    config["setups"]["l200"]["forked_jobs"] = False
    (two / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shutil.copytree(one / "generated/tier/daq", two / "generated/tier/daq", copy_function=os.link)
    environment.install(two)
    environment.run("dataprod", "run", two, *wanted(one), "-j", 1)
    return one, two


def wanted(cycle: Path) -> list[str]:
    """Events of the run, their selection, and the lists of parameters; as files, since figures come with targets."""
    tiers = cycle / "generated/tier"
    made = [*tiers.glob(f"evt/*/*/{RUN}/*.lh5"), *tiers.glob(f"skm/**/*{RUN}*.lh5")]
    lists = (cycle / "generated/par").glob("*/validity.yaml")
    return sorted(str(path.relative_to(cycle)) for path in (*made, *lists))


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


def test_jobs_of_one_are_forked_and_of_the_other_started_anew(cycles: tuple[Path, Path]) -> None:
    one, two = ([log.read_text(encoding="utf-8") for log in logs(cycle)] for cycle in cycles)
    assert len(two) > 20
    assert not [text for text in two if " forked from " in text]
    assert [text for text in one if " forked from " not in text] == []


def logs(cycle: Path) -> list[Path]:
    """The logs of jobs."""
    return sorted((cycle / "generated/tmp/log").rglob("*.log"))


def test_the_same_files_are_made(cycles: tuple[Path, Path]) -> None:
    one, two = (files(cycle, "") for cycle in cycles)
    assert len(files(cycles[1], ".lh5")) > 15
    assert {name for name in one if f"/{RUN}/" in name or f"-{RUN}-" in name} <= two.keys() <= one.keys()


def test_tiers_are_equal_value_for_value(cycles: tuple[Path, Path]) -> None:
    one, two = (files(cycle, ".lh5") for cycle in cycles)
    for name in two:
        first, second = values(one[name]), values(two[name])
        assert first.keys() == second.keys(), name
        unlike = [place for place in first if not same(first[place], second[place])]
        assert unlike == [], name


def test_parameters_are_equal_byte_for_byte(cycles: tuple[Path, Path]) -> None:
    one, two = (files(cycle, ".yaml") for cycle in cycles)
    assert {"par_hit", "par_dsp", "validity"} <= {path.stem.rpartition("-")[2] for path in two.values()}
    assert [name for name in two if one[name].read_bytes() != two[name].read_bytes()] == []


def test_lineages_are_equal(cycles: tuple[Path, Path]) -> None:
    """Records carry the hash of the lineage in their names, and the same hash inside."""
    one, two = (files(cycle, ".json") for cycle in cycles)
    records = [name for name in two if "/.lineage/" in name]
    assert len(records) > 20
    for name in records:
        first, second = (json.loads(found[name].read_text()) for found in (one, two))
        if isinstance(first, dict) and "lineage" in first:
            assert first["lineage"] == second["lineage"], name
