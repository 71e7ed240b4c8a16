"""``dataprod freeze``: read-only, with a manifest that anybody can check."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dataflow.provenance.identity import hashed
from dataflow.provenance.records import record_file
from prodenv.cycles import manifest
from prodenv.cycles.lock import forget, record

from .conftest import KEYS, Box, Snapshot, place


def frozen(box: Box) -> Path:
    root = box.cycle().root
    box.ok("freeze", "cycles/v01")
    return root


def test_nothing_of_a_frozen_cycle_may_be_written(box: Box) -> None:
    root = frozen(box)
    paths = [root, *(root / name for name in ("config.json", "inputs", "generated/tier/raw/cal"))]
    paths += (root / "generated").rglob("*.lh5")
    assert [path for path in paths if path.stat().st_mode & 0o222] == []


def test_nothing_is_drawn_into_a_frozen_cycle(box: Box, snapshot: Snapshot) -> None:
    root = frozen(box)
    before = snapshot(root)
    done = box.dataprod("demo", "draw", "cycles/v01")
    assert done.returncode == 2
    assert "cycles/v01 is frozen" in done.stderr
    assert snapshot(root) == before


def test_the_manifest_is_one_of_sha256sum(box: Box) -> None:
    root = frozen(box)
    done = subprocess.run(["sha256sum", "--check", "--strict", "frozen/manifest.sha256"], cwd=root, capture_output=True)
    assert done.returncode == 0
    files = manifest.read(root / "frozen/manifest.sha256")
    assert {"config.json", "inputs/datasets/statuses/always.yaml"} <= files.keys()
    assert len([name for name in files if name.endswith(".lh5")]) == 15
    assert not any(name.startswith("software/python/install") for name in files)


def test_the_citation_says_what_it_is(box: Box) -> None:
    text = (frozen(box) / "frozen/CITATION.txt").read_text()
    for part in ("cycles/v01", "l200", "3 files of 3 runs", "Workflow:", "Metadata:", "Software:", "Manifest:"):
        assert part in text


def test_files_of_which_only_a_part_could_be_read_are_named(box: Box) -> None:
    tree = box.cycle()
    raw = record_file(place(tree, "tier", "raw", KEYS[1]), "0" * 32)
    raw.parent.mkdir(exist_ok=True)
    reason = "cut off after 40 whole records"
    raw.write_text(json.dumps({"lineage": "0" * 32, "recipe": {}, "counts": {"salvaged": reason}}))
    assert box.json("show", "cycles/v01")["salvaged"] == {KEYS[1]: reason}
    assert f"only a part of {KEYS[1]} could be read: its DAQ file is {reason}" in box.ok("show", "cycles/v01")
    box.ok("freeze", "cycles/v01")
    text = (tree.root / "frozen/CITATION.txt").read_text()
    assert f"\nOnly a part of {KEYS[1]} is in it: its DAQ file is {reason}\n" in text
    assert "Only a part" not in text.replace(f"Only a part of {KEYS[1]}", "")


def test_thawing_gives_back_exactly_the_permissions_there_were(box: Box, snapshot: Snapshot) -> None:
    root = box.cycle().root
    (root / "inputs/shared.yaml").write_text("{}")
    (root / "inputs/shared.yaml").chmod(0o664)
    before = snapshot(root)
    box.ok("freeze", "cycles/v01")
    assert snapshot(root) != before
    box.ok("freeze", "cycles/v01", "--thaw")
    assert snapshot(root) == before


def test_a_dry_run_changes_nothing(box: Box, snapshot: Snapshot) -> None:
    root = box.cycle().root
    before = snapshot(root)
    assert "would" in box.ok("freeze", "cycles/v01", "--dry-run")
    assert snapshot(root) == before


def test_a_freeze_that_was_killed_is_finished_by_the_next_with_the_first_permissions(box: Box) -> None:
    root = frozen(box)
    first = json.loads((root / "frozen/frozen.json").read_text())["modes"]
    (root / "frozen/manifest.sha256").unlink()  # as if it had been killed while it was hashing
    box.ok("freeze", "cycles/v01")
    assert json.loads((root / "frozen/frozen.json").read_text())["modes"] == first


def test_a_damaged_file_is_not_sealed(box: Box, snapshot: Snapshot) -> None:
    tree = box.cycle()
    right, wrong = (place(tree, "tier", tier, KEYS[0]) for tier in ("raw", "hit"))
    for path in (right, wrong):
        note = record_file(path, "1" * 32)
        note.parent.mkdir()
        note.write_text(json.dumps({"recipe": {}, "inputs": {}, "sha256": hashed(path)}))
    with wrong.open("ab") as stream:
        stream.write(b"\0")
    before = snapshot(tree.root)
    done = box.dataprod("freeze", "cycles/v01")
    assert (done.returncode, done.stdout) == (2, "")
    name = wrong.relative_to(tree.root)
    assert f"error: cycles/v01 is not frozen: 1 file is not what its job wrote\n  {name}\nhint: " in done.stderr
    assert "dataprod verify cycles/v01" in done.stderr
    assert snapshot(tree.root) == before
    wrong.unlink()
    assert "frozen: cycles/v01" in box.ok("freeze", "cycles/v01")


def test_freezing_twice_and_thawing_what_is_not_frozen_are_refused(box: Box) -> None:
    frozen(box)
    done = box.dataprod("freeze", "cycles/v01")
    assert (done.returncode, "frozen already" in done.stderr) == (2, True)
    box.ok("freeze", "cycles/v01", "--thaw")
    done = box.dataprod("freeze", "cycles/v01", "--thaw")
    assert (done.returncode, done.stderr) == (2, "error: cycles/v01 is not frozen\n")


def test_what_links_lead_to_keeps_its_permissions(box: Box, tmp_path: Path) -> None:
    root = box.cycle().root
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    (root / "inputs/folder").symlink_to(outside)
    (root / "inputs/file").symlink_to(outside / "file")
    modes = [path.stat().st_mode for path in (outside, outside / "file")]
    box.ok("freeze", "cycles/v01")
    box.ok("freeze", "cycles/v01", "--thaw")
    assert [path.stat().st_mode for path in (outside, outside / "file")] == modes


def test_thawing_does_not_follow_a_link_that_took_the_place_of_a_folder(box: Box, tmp_path: Path) -> None:
    root = frozen(box)
    outside = tmp_path / "outside"
    shutil.copytree(root / "inputs/datasets", outside)
    (outside / "statuses").chmod(0o500)
    root.chmod(0o755)
    (root / "inputs").chmod(0o755)
    shutil.rmtree(root / "inputs/datasets")
    (root / "inputs/datasets").symlink_to(outside)
    box.ok("freeze", "cycles/v01", "--thaw")
    assert (outside / "statuses").stat().st_mode & 0o777 == 0o500


def test_a_cycle_that_somebody_works_on_is_not_frozen(box: Box) -> None:
    root = box.cycle().root
    record(root, os.getpid())
    done = box.dataprod("freeze", "cycles/v01")
    assert (done.returncode, f"process {os.getpid()} on" in done.stderr) == (1, True)
    forget(root, os.getpid())
    (root / ".snakemake/locks").mkdir(parents=True)
    (root / ".snakemake/locks/0.input.lock").touch()
    done = box.dataprod("freeze", "cycles/v01")
    assert (done.returncode, "was interrupted" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "name", ["plain", "with space", "line\nbreak", "back\\slash", "\\n", "a\\\nb\r", "trap  gap", "ü"]
)
def test_every_name_survives_the_manifest(name: str) -> None:
    text = manifest.text_of({name: "0" * 64, "other": "1" * 64})
    assert manifest.parsed(text) == {name: "0" * 64, "other": "1" * 64}


def test_names_that_are_no_text_survive_too(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.dat")
    (tmp_path / name).write_bytes(b"x")
    (entry,) = manifest.entries_of(tmp_path)
    assert manifest.parsed(manifest.text_of(manifest.hash_all({entry.name: entry.path}))).keys() == {name}
