"""``dataprod verify``: every damage is found, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from dataflow.checks.verify import How, brought, check_all, groups_of, joined
from dataflow.jobs.aliases import link
from dataflow.provenance.identity import hashed
from dataflow.provenance.records import UNFINISHED, recipe_file, record_file

from ..plan.conftest import Tree
from .conftest import KEYS, Box, fill, place

CAL = KEYS[0]
Damage = Callable[[h5py.File], None]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A finished cycle, without a production environment around it."""
    tree = Tree(tmp_path / "cycle")
    tree.metadata()
    tree.daq(*KEYS)
    tree.save()
    for key in KEYS:
        fill(tree, key)
    for path in tree.root.rglob("*.lh5"):  # not those of somebody else
        mark = record_file(path, UNFINISHED)
        mark.parent.mkdir(exist_ok=True)
        mark.write_text("{}")
    return tree


def problems(tree: Tree, how: How | None = None) -> dict[str, list[str]]:
    """Problems by tier, with the names of files left out."""
    config = tree.root / "config.json"
    root, groups = groups_of(config)
    how = replace(how or How(), brought=brought(config))
    found: dict[str, list[str]] = {}
    for finding in joined(check_all(root, groups, jobs=1, how=how)).findings:
        found.setdefault(finding.file.split("-tier_")[1].removesuffix(".lh5"), []).append(finding.problem)
    return found


def damaged(tree: Tree, tier: str, change: Damage) -> dict[str, list[str]]:
    with h5py.File(place(tree, "tier", tier, CAL), "a") as file:
        change(file)
    return problems(tree)


def replaced(name: str, values: Any) -> Damage:
    def change(file: h5py.File) -> None:
        attrs = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, data=values)
        file[name].attrs.update(attrs)

    return change


def removed(name: str) -> Damage:
    def change(file: h5py.File) -> None:
        del file[name]

    return change


def test_a_good_cycle_has_no_problems(tree: Tree) -> None:
    assert problems(tree) == {}


def test_a_truncated_file_is_found(tree: Tree) -> None:
    path = place(tree, "tier", "dsp", CAL)
    path.write_bytes(path.read_bytes()[:3000])
    (problem,) = problems(tree)["dsp"]
    assert problem.startswith("it cannot be read: ")


def spoil(path: Path) -> None:
    """Overwrite data of a raw file that are compressed."""
    with h5py.File(path) as file:
        chunk = file["ch1104000/raw/baseline"].id.get_chunk_info(0)
    with path.open("r+b") as stream:
        stream.seek(chunk.byte_offset)
        stream.write(b"\xff" * chunk.size)


def test_damaged_data_is_found_unless_only_the_structure_is_looked_at(tree: Tree) -> None:
    path = place(tree, "tier", "raw", CAL)
    spoil(path)
    (problem,) = problems(tree)["raw"]
    assert problem.startswith("ch1104000/raw/baseline cannot be read")
    assert problems(tree, How(quick=True)) == {}


def recorded(path: Path, sha256: str = "") -> None:
    """Write the record of a file, with the hash that it has."""
    with h5py.File(path, "a") as file:
        file.attrs["lineage"] = "1" * 32
    record = record_file(path, "1" * 32)
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps({"recipe": {}, "inputs": {}, "sha256": sha256 or hashed(path)}))


def test_bytes_that_no_reader_misses_are_found_by_the_hash_in_the_record(tree: Tree) -> None:
    path = place(tree, "tier", "hit", CAL)
    recorded(path)
    assert problems(tree) == {}
    with path.open("ab") as stream:
        stream.write(b"\0")
    assert problems(tree) == {"hit": ["it is not what its job wrote"]}
    assert problems(tree, How(quick=True)) == {}


def test_a_file_with_the_hash_of_its_record_is_not_decompressed(tree: Tree) -> None:
    path = place(tree, "tier", "raw", CAL)
    spoil(path)
    recorded(path)
    assert problems(tree) == {}
    (problem,) = problems(tree, How(full=True))["raw"]
    assert problem.startswith("ch1104000/raw/baseline cannot be read")


def test_hashes_that_are_known_are_not_found_again(tree: Tree) -> None:
    path = place(tree, "tier", "hit", CAL)
    recorded(path)
    name = str(path.relative_to(tree.root))
    assert problems(tree, How(known={name: "0" * 64})) == {"hit": ["it is not what its job wrote"]}
    recorded(path, "0" * 64)
    assert problems(tree, How(known={name: "0" * 64})) == {}


def test_missing_rows_are_found(tree: Tree) -> None:
    found = damaged(
        tree,
        "hit",
        lambda file: [replaced(f"ch1104000/hit/{name}", np.arange(19.0))(file) for name in ("timestamp", "e_cal")],
    )
    assert found == {"hit": ["ch1104000/hit has 19 rows, dsp has 20"]}


@pytest.mark.parametrize("tiers", [("raw", "dsp", "hit"), ("raw",), ("dsp",)])
def test_names_of_detectors_beside_their_tables_are_no_further_tables(tree: Tree, tiers: tuple[str, ...]) -> None:
    for tier in tiers:
        link(place(tree, "tier", tier, CAL), [(f"ch110400{n}/{tier}", f"V0216{n}A") for n in (0, 1)])
    assert problems(tree) == {}
    found = damaged(tree, "hit", replaced("ch1104001/hit/timestamp", np.arange(20.0)))
    assert found == {"hit": ["the timestamps of ch1104001/hit are not those of dsp"]}


def test_rows_of_other_events_are_found(tree: Tree) -> None:
    found = damaged(tree, "dsp", replaced("ch1104001/dsp/timestamp", np.arange(20.0)))
    assert found["dsp"] == ["the timestamps of ch1104001/dsp are not those of raw"]


def test_columns_of_different_lengths_are_found(tree: Tree) -> None:
    found = damaged(tree, "hit", replaced("ch1104000/hit/e_cal", np.arange(7.0)))
    assert any("different lengths: e_cal 7, timestamp 20" in problem for problem in found["hit"])


def test_a_missing_channel_is_found(tree: Tree) -> None:
    found = damaged(tree, "hit", removed("ch1104001"))
    assert found["hit"] == ["ch1104001 of dsp is missing", "the file does not hold what its datatype says: ch1104001"]


def test_a_missing_column_is_found(tree: Tree) -> None:
    found = damaged(tree, "hit", removed("ch1104001/hit/e_cal"))
    assert found == {"hit": ["ch1104001/hit does not hold what its datatype says: e_cal"]}


def test_a_map_with_hits_that_are_not_there_is_found(tree: Tree) -> None:
    keys = np.array([1104000] * 25 + [1104001] * 15)
    found = damaged(tree, "tcm", replaced("hardware_tcm_1/table_key/flattened_data", keys))
    assert found == {
        "tcm": ["it has 15 hits of ch1104001, raw has 20 rows", "it has 25 hits of ch1104000, raw has 20 rows"]
    }


def test_ends_of_vectors_beyond_their_values_are_found(tree: Tree) -> None:
    found = damaged(tree, "evt", replaced("evt/geds/energy/cumulative_length", np.arange(20) * 3))
    assert found == {"evt": ["evt/geds/energy has 40 values, its vectors need 57"]}


def test_missing_events_are_found(tree: Tree) -> None:
    def change(file: h5py.File) -> None:
        replaced("evt/trigger/timestamp", np.arange(10.0))(file)
        replaced("evt/geds/energy/cumulative_length", np.arange(10) * 2)(file)

    assert damaged(tree, "evt", change) == {"evt": ["evt has 10 events, tcm has 20"]}


def test_a_record_of_another_file_is_found(tree: Tree) -> None:
    path = place(tree, "tier", "hit", CAL)
    with h5py.File(path, "a") as file:
        file.attrs["lineage"] = "1" * 32
    record = path.parent / f".lineage/{path.name}.{'1' * 32}.json"
    record.parent.mkdir(exist_ok=True)
    record.write_text('{"recipe": {}}')
    assert problems(tree) == {}
    record.rename(record.with_name(f"{path.name}.{'2' * 32}.json"))
    assert problems(tree) == {"hit": [f"its record is that of another file: {'2' * 32}, not {'1' * 32}"]}


NO_RECORD = "it carries a lineage and has no record, or more than one"


def test_a_record_that_is_gone_or_damaged_is_found(tree: Tree) -> None:
    path = place(tree, "tier", "hit", CAL)
    recorded(path)
    record = record_file(path, "1" * 32)
    for damage in ("{", "[1, 2]", "", "null"):
        record.write_text(damage)
        assert problems(tree) == {"hit": ["its record in .lineage cannot be read"]}
        assert problems(tree, How(quick=True)) == {"hit": ["its record in .lineage cannot be read"]}
    shutil.copy(record, record_file(path, "2" * 32))
    assert problems(tree) == {"hit": [NO_RECORD]}
    shutil.rmtree(record.parent)
    assert problems(tree) == {"hit": [NO_RECORD]}


def test_a_part_of_a_recipe_that_is_gone_or_damaged_is_found(tree: Tree) -> None:
    path = place(tree, "tier", "hit", CAL)
    recorded(path)
    digest = "a" * 32
    record, part = record_file(path, "1" * 32), recipe_file(path, digest)
    record.write_text(json.dumps({"recipe": {"step": "tier_hit", "overrides": {"par_hit": digest}}}))
    part.write_text('{"V02160A": {}}\n')
    assert problems(tree) == {}
    part.write_text("[1, 2]")
    wanted = f"its record needs {part.name} in .lineage, which is"
    assert problems(tree) == {"hit": [f"{wanted} damaged: remove that too"]}
    part.unlink()
    assert problems(tree) == {"hit": [f"{wanted} missing"]}


def test_a_raw_file_that_came_alone_needs_no_record(tree: Tree) -> None:
    path = place(tree, "tier", "raw", CAL)
    with h5py.File(path, "a") as file:
        file.attrs["lineage"] = "1" * 32
    assert problems(tree) == {"raw": [NO_RECORD]}
    (daq,) = tree.root.rglob(f"{CAL}.fcio")
    daq.unlink()
    assert problems(tree) == {}


def test_parameters_whose_record_is_gone_or_damaged_are_found(box: Box) -> None:
    tree = box.cycle()
    path = place(tree, "par", "hit", CAL, ".yaml")
    path.write_text(path.read_text() + f"\n# lineage: {'1' * 32}\n")
    assert f"{path.name}: {NO_RECORD}" in box.dataprod("verify", "cycles/v01").stdout
    record = record_file(path, "1" * 32)
    record.parent.mkdir(exist_ok=True)
    record.write_text("[1, 2]")
    done = box.dataprod("verify", "cycles/v01")
    assert (done.returncode, f"{path.name}: its record in .lineage cannot be read" in done.stdout) == (1, True)
    record.write_text('{"recipe": {}}')
    assert "all is well" in box.ok("verify", "cycles/v01")


def test_a_verified_cycle_says_so_and_a_bad_one_ends_with_1(box: Box) -> None:
    tree = box.cycle()
    assert "all is well" in box.ok("verify", "cycles/v01")
    place(tree, "tier", "hit", CAL).write_bytes(b"no HDF5")
    place(tree, "par", "hit", CAL, ".yaml").write_text("{")
    done = box.dataprod("verify", "cycles/v01")
    assert done.returncode == 1
    assert f"{CAL}-tier_hit.lh5: it cannot be read" in done.stdout
    assert f"{CAL}-par_hit.yaml:" in done.stdout


def test_a_frozen_cycle_is_compared_with_its_manifest(box: Box) -> None:
    tree = box.cycle()
    box.ok("freeze", "cycles/v01")
    assert {check["what"]: check["files"] > 0 for check in box.json("verify", "cycles/v01")["checks"]} == {
        "manifest": True, "parameters": True, "LH5 files": True,
    }  # fmt: skip
    (tree.root / "config.json").chmod(0o644)
    (tree.root / "config.json").write_text('{"experiment":  "l200"}')
    place(tree, "par", "dsp", CAL, ".yaml").unlink()
    tree.write("inputs/new.yaml", "{}")
    done = box.dataprod("verify", "cycles/v01")
    assert done.returncode == 1
    for sentence in ("config.json: is not what it was", "par_dsp.yaml: is gone since", "inputs/new.yaml: is new since"):
        assert sentence in done.stdout


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5"])
def test_a_number_of_processes_that_is_none_is_refused(number: str, box: Box) -> None:
    done = box.dataprod("verify", "cycles/v01", "--jobs", number)
    assert done.returncode == 2
    assert f"argument --jobs: {number!r} is not a number of processes; give 1 or more" in done.stderr


def test_without_software_the_reason_is_one_sentence(box: Box) -> None:
    (box.cycle().root / "software/python/install/bin/python").unlink()
    done = box.dataprod("verify", "cycles/v01")
    assert done.returncode == 1
    assert "no software is installed" in done.stderr
    assert "dataprod-install-sw" in done.stderr
