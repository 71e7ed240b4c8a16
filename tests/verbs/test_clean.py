"""``dataprod clean``: exactly what was asked for goes, to the attic; the rest of the world stays as it is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from prodenv.cycles.lock import forget, record

from ..plan.conftest import Tree
from .conftest import KEYS, Box, Snapshot, fill, mark_as_ours, place

CAL, PHY, NEXT = KEYS
LINEAGE = "0" * 32


def files(tree: Tree) -> set[str]:
    """All files of a cycle that are not in its attic."""
    paths = (path for path in (tree.root / "generated").rglob("*") if not path.is_dir() or path.is_symlink())
    names = (str(path.relative_to(tree.root / "generated")) for path in paths)
    return {name for name in names if not name.startswith("attic/")}


def attic(tree: Tree) -> set[str]:
    """All files in the attic, without the time of their going."""
    top = tree.root / "generated/attic"
    paths = (path.relative_to(top) for path in top.rglob("*") if not path.is_dir() or path.is_symlink())
    return {str(Path(*path.parts[2:])) for path in paths}


def gone(box: Box, tree: Tree, *words: str) -> set[str]:
    """The files that a command moves to the attic."""
    before = files(tree)
    box.ok("clean", "cycles/v01", "--yes", *words)
    moved = before - files(tree)
    assert attic(tree) == moved
    return moved


def name(kind: str, tier: str, key: str, suffix: str = ".lh5") -> str:
    _, period, run, datatype, _ = key.split("-")
    return f"{kind}/{tier}/{datatype}/{period}/{run}/{key}-{kind}_{tier}{suffix}"


def test_a_tier_goes_and_nothing_else(box: Box) -> None:
    tree = box.cycle()
    assert gone(box, tree, "--tier", "dsp") == {name("tier", "dsp", key) for key in KEYS}


def test_a_run_of_a_tier_goes(box: Box) -> None:
    tree = box.cycle()
    assert gone(box, tree, "--tier", "hit", "--tier", "par_hit", "--run", "r000-cal") == {
        name("tier", "hit", CAL), name("par", "hit", CAL, ".yaml"),
    }  # fmt: skip


def test_patterns_of_runs_stand_for_several(box: Box) -> None:
    assert gone(box, box.cycle(), "--tier", "evt", "--run", "p03-r00*-cal") == {
        name("tier", "evt", key) for key in (CAL, NEXT)
    }


def test_parameters_with_failed_channels_go_and_what_killed_jobs_left(box: Box) -> None:
    tree = box.cycle()
    text = json.dumps({"V02160A": {"status": {"state": "failed", "step": "par_hit_ecal", "reason": "no peak"}}})
    place(tree, "par", "hit", NEXT, ".yaml").write_text(text)
    part = f"tier/dsp/cal/p03/r001/.{NEXT}-tier_dsp.host-4242424-part.lh5"
    failure = f"tier/dsp/cal/p03/r001/.lineage/{NEXT}-tier_dsp.lh5.failed.json"
    for each in (part, failure):
        tree.write(f"generated/{each}", "{}")
    assert gone(box, tree, "--failed") == {name("par", "hit", NEXT, ".yaml"), part, failure}


def test_the_record_of_a_file_goes_with_it(box: Box) -> None:
    tree = box.cycle()
    records = [f"tier/dsp/cal/p03/r000/.lineage/{CAL}-tier_{tier}.lh5.{LINEAGE}.json" for tier in ("dsp", "dspx")]
    for each in records:
        tree.write(f"generated/{each}", "{}")
    assert gone(box, tree, "--tier", "dsp", "--run", "r000-cal") == {name("tier", "dsp", CAL), records[0]}


def test_stale_files_are_those_whose_record_is_of_another_recipe(box: Box) -> None:
    tree = box.cycle()
    mark_as_ours(tree.root)
    cycle = tree.open()
    for tier in ("raw", "tcm", "dsp", "hit", "evt"):
        for key in cycle.keys:
            path = cycle.output(f"tier_{tier}", key)
            lineage = LINEAGE if tier == "evt" else cycle.lineage(f"tier_{tier}", key)
            tree.write(str(path.parent.relative_to(tree.root) / f".lineage/{path.name}.{lineage}.json"), "{}")
    moved = {
        path
        for path in gone(box, tree, "--stale", "--tier", "evt", "--tier", "hit", "--tier", "raw")
        if ".lineage" not in path
    }
    assert moved == {name("tier", "evt", key) for key in KEYS}


def test_a_dry_run_and_a_no_change_nothing(box: Box, snapshot: Snapshot) -> None:
    tree = box.cycle()
    before = snapshot(tree.root)
    assert "dsp" in box.ok("clean", "cycles/v01", "--tier", "dsp", "--dry-run")
    assert len(box.json("clean", "cycles/v01", "--tier", "dsp", "--dry-run")["files"]) == 3
    assert box.dataprod("clean", "cycles/v01", "--tier", "dsp").returncode == 1
    assert snapshot(tree.root) == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "what is to be cleaned?"),
        (("--tier", "dps"), "did you mean 'dsp'?"),
        (("--tier", "daq"), "DAQ files cannot be made again"),
        (("--run", "r007"), "there are: l200-p03-r000-cal, l200-p03-r000-phy, l200-p03-r001-cal"),
        (("--attic", "--tier", "dsp"), "--attic goes alone"),
    ],
)
def test_slips_are_answered_with_a_sentence(box: Box, words: tuple[str, ...], sentence: str) -> None:
    box.cycle()
    done = box.dataprod("clean", "cycles/v01", *words)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_raw_files_without_daq_files_stay(box: Box) -> None:
    tree = box.cycle()
    next((tree.root / "generated/tier/daq").rglob(f"{CAL}*")).unlink()
    assert gone(box, tree, "--tier", "raw") == {name("tier", "raw", key) for key in (PHY, NEXT)}


def test_the_attic_is_emptied_when_asked_and_nothing_else_is(box: Box, tmp_path: Path) -> None:
    tree = box.cycle()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("!")
    gone(box, tree, "--tier", "dsp")
    (tree.root / "generated/attic/link").symlink_to(outside)
    before = files(tree)
    assert "permanently" in box.dataprod("clean", "cycles/v01", "--attic").stderr
    assert attic(tree)
    box.ok("clean", "cycles/v01", "--attic", "--yes")
    assert list((tree.root / "generated/attic").iterdir()) == []
    assert files(tree) == before
    assert (outside / "precious").exists()


def test_an_attic_that_is_a_link_is_refused(box: Box, tmp_path: Path) -> None:
    tree = box.cycle()
    (tmp_path / "precious").mkdir()
    (tree.root / "generated/attic").symlink_to(tmp_path / "precious")
    for words in (["--attic"], ["--tier", "dsp"]):
        done = box.dataprod("clean", "cycles/v01", "--yes", *words)
        assert (done.returncode, "is a link" in done.stderr) == (2, True)
    assert (tmp_path / "precious").exists()


def test_files_behind_a_link_stay(box: Box, tmp_path: Path) -> None:
    tree = box.cycle()
    (tree.root / "generated/tier").rename(tmp_path / "elsewhere")
    (tree.root / "generated/tier").symlink_to(tmp_path / "elsewhere")
    done = box.dataprod("clean", "cycles/v01", "--tier", "dsp", "--yes")
    assert "link" in done.stdout
    assert len(list((tmp_path / "elsewhere/dsp").rglob("*.lh5"))) == 3


def test_a_linked_file_goes_and_what_it_leads_to_stays(box: Box, tmp_path: Path) -> None:
    tree = box.cycle()
    path = place(tree, "tier", "dsp", CAL)
    path.rename(tmp_path / "real.lh5")
    path.symlink_to(tmp_path / "real.lh5")
    assert name("tier", "dsp", CAL) in gone(box, tree, "--tier", "dsp")
    assert (tmp_path / "real.lh5").is_file()


def test_what_another_cycle_uses_cannot_go(box: Box) -> None:
    tree, child = box.cycle(), box.cycle("cycles/v02")
    link = place(child, "tier", "dsp", CAL)
    link.unlink()
    link.symlink_to(os.path.relpath(place(tree, "tier", "dsp", CAL), link.parent))
    child.write(".derived.json", json.dumps({"parent": "../v01"}))
    before = files(tree)
    done = box.dataprod("clean", "cycles/v01", "--tier", "dsp", "--yes")
    assert done.returncode == 2
    assert "is used by the cycle cycles/v02" in done.stderr
    assert files(tree) == before
    box.ok("clean", "cycles/v01", "--tier", "hit", "--yes")


def test_frozen_and_running_cycles_are_not_cleaned(box: Box) -> None:
    root = box.cycle().root
    record(root, os.getpid())
    assert "works on" in box.dataprod("clean", "cycles/v01", "--tier", "dsp", "--yes").stderr
    forget(root, os.getpid())
    box.ok("freeze", "cycles/v01")
    assert "is frozen: no cleaning" in box.dataprod("clean", "cycles/v01", "--tier", "dsp", "--yes").stderr


def test_what_was_cleaned_can_be_put_back_by_hand(box: Box, snapshot: Snapshot) -> None:
    tree = box.cycle()
    fill(tree, CAL)
    before = snapshot(tree.root / "generated/tier")
    gone(box, tree, "--tier", "dsp")
    (folder,) = (tree.root / "generated/attic").iterdir()
    for path in folder.rglob("*.lh5"):
        path.rename(tree.root / path.relative_to(folder))
    assert snapshot(tree.root / "generated/tier") == before
