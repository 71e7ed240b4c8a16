"""Outputs that are links into another cycle: theirs as long as that one has not made them anew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dataflow.jobs.atomic import whole_files
from dataflow.plan.survey import all_jobs
from dataflow.provenance.records import FOLDER, Records

from ..plan.conftest import KEYS, Tree
from ..workflow.conftest import Production
from .conftest import Origin, surveyed
from .test_survey import produce

TARGET = "all-l200-p03-r001-phy-raw.gen"
PHY = KEYS[5]
RAW = f"generated/tier/raw/phy/p03/r001/{PHY}-tier_raw.lh5"
HIT = RAW.replace("raw", "hit")
OTHER = "0" * 32


def derive(parent: Path, child: Path) -> None:
    """Copy a cycle, but for its outputs, which become links, with copies of their records."""
    ignored = shutil.ignore_patterns("daq", ".snakemake", "jobs.txt", "identities.jsonl")
    shutil.copytree(parent, child, ignore=ignored)
    (child / "generated/tier/daq").symlink_to(os.path.relpath(parent / "generated/tier/daq", child / "generated/tier"))
    outputs = [path for name in ("tier", "par", "plt") for path in (child / f"generated/{name}").rglob("*.*")]
    for path in outputs:
        if path.is_file() and not path.is_symlink() and FOLDER not in path.parts:
            path.unlink()
            path.symlink_to(os.path.relpath(parent / path.relative_to(child), path.parent))


def record_of(root: Path, name: str) -> Path:
    """The one record of an output."""
    (found,) = (root / name).parent.glob(f"{FOLDER}/{Path(name).name}.*.json")
    return found


def derived(origin: Origin, tmp_path: Path) -> Tree:
    """A cycle derived from a finished one."""
    produce(origin)
    origin.save()
    derive(origin.root, tmp_path / "child")
    child = Tree.__new__(Tree)
    child.root, child.config = tmp_path / "child", origin.config
    return child


def stale(tree: Tree) -> set[str]:
    """The outputs that would be made again, by survey; the plan of Snakemake must agree."""
    cycle = tree.open()
    found = {f"{item.step} {item.key}" for item in surveyed(cycle) if item.to_make}
    again = tree.open()
    assert found == {f"{step} {key}" for step, key in all_jobs(again) if not again.lineages.is_current(step, key)}
    return found


def test_links_to_files_of_the_same_lineage_are_current(origin: Origin, tmp_path: Path) -> None:
    child = derived(origin, tmp_path)
    assert (child.root / RAW).is_symlink() and stale(child) == set()


def test_a_link_to_a_file_that_was_made_anew_is_stale(origin: Origin, tmp_path: Path) -> None:
    child = derived(origin, tmp_path)
    record = record_of(origin.root, HIT)
    record.rename(record.with_name(f"{Path(HIT).name}.{OTHER}.json"))
    assert stale(child) == {f"tier_hit {PHY}"}


def test_a_link_to_a_file_without_record_is_stale(origin: Origin, tmp_path: Path) -> None:
    child = derived(origin, tmp_path)
    record_of(origin.root, HIT).unlink()
    assert stale(child) == {f"tier_hit {PHY}"}


def test_a_link_to_a_link_counts_as_the_file_at_the_end(origin: Origin, tmp_path: Path) -> None:
    child = derived(origin, tmp_path)
    derive(child.root, tmp_path / "grandchild")
    grandchild = Tree.__new__(Tree)
    grandchild.root, grandchild.config = tmp_path / "grandchild", origin.config
    assert os.readlink(grandchild.root / HIT).count("child/") and stale(grandchild) == set()  # noqa: PTH115
    record_of(origin.root, HIT).unlink()
    assert stale(grandchild) == {f"tier_hit {PHY}"}


def test_links_that_lead_nowhere_have_no_lineage(origin: Origin, tmp_path: Path) -> None:
    child = derived(origin, tmp_path)
    (origin.root / HIT).unlink()
    assert stale(child) == {f"tier_hit {PHY}"}
    link = child.root / HIT
    link.unlink()
    link.symlink_to(link.name)
    assert Records().lineage(link) is None


def test_a_run_makes_a_file_of_its_own_and_leaves_the_other_cycle_alone(production: Production, tmp_path: Path) -> None:
    assert production.made(TARGET, RENAMED="1")
    parent, child = production.root, tmp_path / "child"
    derive(parent, child)
    production.root = child
    assert production.made(TARGET) == []
    record = record_of(parent, RAW)
    record.rename(record.with_name(f"{Path(RAW).name}.{OTHER}.json"))
    (parent / RAW).write_text("made by something else")
    assert production.made(TARGET, RENAMED="1") == [f"tier_raw {PHY}"]
    assert (parent / RAW).read_text() == "made by something else" and not (child / RAW).is_symlink()
    assert (child / RAW).read_text() == f"tier_raw {PHY}\n"
    assert record_of(parent, RAW).name.endswith(f"{OTHER}.json"), "records of the other cycle stay"
    assert production.made(TARGET) == []


def test_an_output_takes_the_place_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "theirs.yaml").write_text("a: 1\n")
    ours = tmp_path / "ours.yaml"
    ours.symlink_to("theirs.yaml")
    with whole_files({"par": ours}) as parts:
        parts["par"].write_text("a: 2\n")
    assert not ours.is_symlink() and ours.read_text() == "a: 2\n"
    assert (tmp_path / "theirs.yaml").read_text() == "a: 1\n"
