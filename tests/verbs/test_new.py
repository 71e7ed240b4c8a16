"""``dataprod new --from``: a cycle on the files of another, which stays exactly as it is."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import dataprod
from dataflow.provenance.records import UNFINISHED, record_file

from ..plan.conftest import Tree
from .conftest import KEYS, Box, Snapshot, mark_as_ours, place

CAL, PHY, NEXT = KEYS
STEPS = ("tier_raw", "tier_tcm", "tier_dsp", "tier_hit", "tier_evt")


def records(tree: Tree) -> None:
    """Write the record that each tier file of the cycle has after a production."""
    mark_as_ours(tree.root)
    cycle = tree.open()
    for step in STEPS:
        for key in cycle.keys:
            path = cycle.output(step, key)
            tree.write(
                str(path.parent.relative_to(tree.root) / f".lineage/{path.name}.{cycle.lineage(step, key)}.json"), "{}"
            )
            tree.write(str(path.parent.relative_to(tree.root) / f".lineage/{'a' * 32}.recipe.json"), "{}")
            record_file(path, UNFINISHED).unlink()


def parent(box: Box) -> Tree:
    """A frozen cycle with records."""
    tree = box.cycle("cycles/a")
    (tree.root / "dataflow").unlink()
    shutil.copytree(box.env.root / "dataflow", tree.root / "dataflow")
    records(tree)
    box.ok("freeze", "cycles/a")
    return tree


def links(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in (root / "generated").rglob("*") if path.is_symlink()}


def test_a_derived_cycle_links_what_it_would_make_the_same(box: Box) -> None:
    tree = parent(box)
    assert "15 files linked" in box.ok("new", "cycles/b", "--from", "cycles/a")
    root = box.env.root / "cycles/b"
    tiers = {
        str(place(tree, "tier", tier, key).relative_to(tree.root))
        for tier in ("raw", "tcm", "dsp", "hit", "evt")
        for key in KEYS
    }
    assert links(root) == tiers | {"generated/tier/daq"}
    assert all(not os.path.isabs(os.readlink(root / name)) for name in links(root))  # noqa: PTH115, PTH117
    ours, theirs = (dataprod.open(folder).load("hit")["geds"] for folder in (root, tree.root))
    assert len(ours) == len(theirs) > 0


def test_all_that_is_linked_is_current_in_the_derived_cycle(box: Box) -> None:
    parent(box)
    box.ok("new", "cycles/b", "--from", "cycles/a")
    cycle = dataprod.open(box.env.root / "cycles/b").cycle
    assert all(cycle.lineages.is_current(step, key) for step in STEPS for key in cycle.keys)
    assert (
        place(Tree(box.env.root / "cycles/b"), "tier", "dsp", CAL).parent / f".lineage/{'a' * 32}.recipe.json"
    ).is_file()


def test_a_change_in_the_derived_cycle_concerns_exactly_what_it_concerns(box: Box) -> None:
    parent(box)
    box.ok("new", "cycles/b", "--from", "cycles/a")
    child = Tree(box.env.root / "cycles/b")
    child.write("inputs/dataprod/overrides/hit/fix.yaml", "V02160A: {x: 1}")
    child.validity("dataprod/overrides/hit", {"valid_from": "20230315T000000Z", "apply": ["fix.yaml"]})
    cycle = dataprod.open(child.root).cycle
    stale = {(step, str(key)) for step in STEPS for key in cycle.keys if not cycle.lineages.is_current(step, key)}
    assert stale == {("tier_hit", NEXT), ("tier_evt", NEXT)}


def test_the_parent_is_not_written(box: Box, snapshot: Snapshot) -> None:
    tree = parent(box)
    before = snapshot(tree.root)
    box.ok("new", "cycles/b", "--from", "cycles/a")
    child = box.env.root / "cycles/b"
    for name in sorted(links(child)):
        path = child / name
        if path.is_file():  # as a job does it
            path.with_name("part").write_text("own")
            path.with_name("part").replace(path)
    (child / "inputs/datasets/statuses/always.yaml").write_text("{}")
    (child / "config.json").write_text("{}")
    box.dataprod("clean", "cycles/b", "--tier", "dsp", "--yes")
    assert snapshot(tree.root) == before


def test_outputs_without_or_of_another_lineage_are_not_linked(box: Box) -> None:
    tree = box.cycle("cycles/a")
    records(tree)
    folder = place(tree, "tier", "hit", CAL).parent / ".lineage"
    for path in folder.iterdir():
        if path.name.startswith(CAL):
            path.rename(folder / f"{CAL}-tier_hit.lh5.{'0' * 32}.json")
    box.ok("new", "cycles/b", "--from", "cycles/a", "--unfrozen")
    found = links(box.env.root / "cycles/b")
    assert not any("par_" in name or f"{CAL}-tier_hit" in name for name in found)
    assert len([name for name in found if "tier_hit" in name]) == 2


def test_paths_of_the_configuration_into_the_parent_become_the_new_cycles_own(box: Box) -> None:
    tree = box.cycle("cycles/a")
    tree.config["paths"] = {"tmp": f"{tree.root}/generated/tmp"}
    tree.save()
    box.ok("new", "cycles/b", "--from", "cycles/a", "--unfrozen")
    assert json.loads((box.env.root / "cycles/b/config.json").read_text())["paths"] == {"tmp": "$_/generated/tmp"}


def test_the_parent_cannot_go_while_it_is_used(box: Box) -> None:
    parent(box)
    box.ok("new", "cycles/b", "--from", "cycles/a")
    done = box.dataprod("freeze", "cycles/a", "--thaw")
    assert (done.returncode, "is used by cycles/b" in done.stderr) == (2, True)
    assert box.json("show", "cycles/a")["used_by"] == ["cycles/b"]
    assert box.json("show", "cycles/b")["based_on"] == ["cycles/a"]
    shutil.rmtree(box.env.root / "cycles/b")
    box.ok("freeze", "cycles/a", "--thaw")


def test_files_that_changed_in_the_parent_are_noticed(box: Box) -> None:
    tree = box.cycle("cycles/a")
    records(tree)
    box.ok("new", "cycles/b", "--from", "cycles/a", "--unfrozen")
    place(tree, "tier", "hit", CAL).write_bytes(b"other")
    done = box.dataprod("doctor", "cycles/b", "--json")
    assert (
        f"has changed in the cycle that it is used from: generated/tier/hit/cal/p03/r000/{CAL}-tier_hit.lh5"
        in done.stdout
    )


def test_cycles_that_are_not_frozen_are_refused(box: Box, snapshot: Snapshot) -> None:
    tree = box.cycle("cycles/a")
    done = box.dataprod("new", "cycles/b", "--from", "cycles/a")
    assert done.returncode == 2
    assert "dataprod freeze cycles/a" in done.stderr
    before = snapshot(tree.root.parent)
    assert "links to up to 0 files" in box.ok("new", "cycles/b", "--from", "cycles/a", "--unfrozen", "--dry-run")
    assert snapshot(tree.root.parent) == before


def test_a_derived_cycle_is_archived_with_the_files_it_uses(box: Box) -> None:
    parent(box)
    box.ok("new", "cycles/b", "--from", "cycles/a")
    box.ok("archive", "cycles/b", box.env.root / "b.tar")
    box.ok("restore", box.env.root / "b.tar", "cycles/c")
    assert links(box.env.root / "cycles/c") == set()
    assert box.json("show", "cycles/c")["based_on"] == []
    assert len(dataprod.open(box.env.root / "cycles/c").load("hit")["geds"]) == 120


def moved(box: Box, source: str, target: str) -> Path:
    """Move a cycle within the environment; returns where it is now."""
    place = box.env.root / target
    place.parent.mkdir(parents=True, exist_ok=True)
    (box.env.root / source).rename(place)
    return place


@pytest.mark.parametrize(("source", "target"), [("cycles/b", "cycles/deep/er/b"), ("cycles/a", "cycles/deep/c")])
def test_after_a_move_links_are_mended_by_the_command_that_doctor_names(box: Box, source: str, target: str) -> None:
    parent(box)
    box.ok("new", "cycles/b", "--from", "cycles/a")
    whole = links(box.env.root / "cycles/b")
    place = moved(box, source, target)
    child = place if source == "cycles/b" else box.env.root / "cycles/b"
    name = str(child.relative_to(box.env.root))
    assert not any((child / link).exists() for link in whole)
    fixes = {each["fix"] for each in json.loads(box.dataprod("doctor", name, "--json").stdout)["findings"]}
    assert f"dataprod new {name} --relink" in fixes
    assert f"{len(whole)} links" in box.ok("new", name, "--relink")
    assert links(child) == whole and all((child / link).exists() for link in whole)
    cycle = dataprod.open(child).cycle
    assert all(cycle.lineages.is_current(step, key) for step in STEPS for key in cycle.keys)
    assert "0 links" in box.ok("new", name, "--relink")


def test_a_parent_that_was_moved_is_still_protected(box: Box) -> None:
    parent(box)
    box.ok("new", "cycles/b", "--from", "cycles/a")
    moved(box, "cycles/a", "cycles/c")
    done = box.dataprod("freeze", "cycles/c", "--thaw")
    assert done.returncode == 2 and "is used by cycles/b" in done.stderr
    assert {cycle["name"]: cycle["based_on"] for cycle in box.json("list")["cycles"]}["cycles/b"] == ["cycles/c"]


def test_links_are_not_led_to_other_files(box: Box) -> None:
    parent(box)
    box.ok("new", "cycles/b", "--from", "cycles/a")
    place = moved(box, "cycles/a", "cycles/c")
    raw = next(place.rglob(f"{CAL}-tier_raw.lh5"))
    os.utime(raw, (1, 1))
    done = box.dataprod("new", "cycles/b", "--relink")
    assert done.returncode == 2 and "is not the file that" in done.stderr
    child = box.env.root / "cycles/b"
    assert links(child) and not any((child / link).exists() for link in links(child))


def test_relinking_needs_a_derived_cycle_and_its_parent(box: Box) -> None:
    parent(box)
    done = box.dataprod("new", "cycles/a", "--relink")
    assert done.returncode == 2 and "is not derived" in done.stderr
    box.ok("new", "cycles/b", "--from", "cycles/a")
    place = moved(box, "cycles/a", "cycles/c")
    shutil.move(place, box.env.root.parent / "elsewhere")
    done = box.dataprod("new", "cycles/b", "--relink")
    assert done.returncode == 2 and "is gone" in done.stderr
    assert box.dataprod("new", "cycles/x").returncode == 2


def test_a_run_mends_the_links_before_it_plans(box: Box) -> None:
    parent(box)
    box.ok("new", "cycles/b", "--from", "cycles/a")
    moved(box, "cycles/a", "cycles/c")
    done = box.dataprod("run", "cycles/b", "all-nothing.gen")
    assert done.returncode == 2 and "linking again" in done.stderr
    child = box.env.root / "cycles/b"
    assert links(child) and all((child / link).exists() for link in links(child))
