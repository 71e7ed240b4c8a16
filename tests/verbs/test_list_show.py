"""``dataprod list`` and ``dataprod show``."""

from __future__ import annotations

import json

from ..control.conftest import git
from .conftest import KEYS, Box


def test_all_cycles_are_listed_with_state_and_size(box: Box) -> None:
    box.cycle("cycles/a")
    (box.cycle("ref/deep/b").root / "software/python/install/bin/python").unlink()
    found = {line["name"]: line for line in box.json("list")["cycles"]}
    assert list(found) == ["cycles/a", "ref/deep/b"]
    assert (found["cycles/a"]["state"], found["ref/deep/b"]["state"]) == ("ready", "no software")
    assert found["cycles/a"]["size"] > 1000
    assert "cycles/a" in box.ok("list")


def test_a_cycle_that_cannot_be_read_is_listed_as_broken(box: Box) -> None:
    (box.cycle().root / "config.json").write_text('{"experimnt": 1}')
    (line,) = box.json("list")["cycles"]
    assert line["state"] == "broken"
    assert "experimnt" in line["problem"]
    assert "experimnt" in box.ok("list")


def test_a_cycle_whose_paths_point_into_another_is_based_on_it(box: Box) -> None:
    parent = box.cycle("cycles/a")
    child = box.cycle("cycles/b")
    child.config["paths"] = {"tier_raw": str(parent.root / "generated/tier/raw")}
    child.save()
    found = {line["name"]: line["based_on"] for line in box.json("list")["cycles"]}
    assert found == {"cycles/a": [], "cycles/b": ["cycles/a"]}
    assert box.json("show", "cycles/a")["used_by"] == ["cycles/b"]


def test_files_that_are_no_daq_files_are_named(box: Box) -> None:
    tree = box.cycle("cycles/a")
    box.cycle("cycles/b")
    tree.write("generated/tier/daq/cal/notes.doc")
    tree.write("generated/tier/daq/run7.dat")
    found = {
        line["name"]: [name.rpartition("/")[2] for name in line["left_out"]] for line in box.json("list")["cycles"]
    }
    assert found == {"cycles/a": ["notes.doc", "run7.dat"], "cycles/b": []}
    said = f"2 files in {tree.root}/generated/tier/daq left out, since their form is unknown: cal/notes.doc, run7.dat"
    lines = box.ok("list").splitlines()
    assert lines[-1] == f"cycles/a: {said}"
    assert said in box.ok("show", "cycles/a").splitlines()
    assert said in box.dataprod("doctor", "cycles/a").stdout


def test_no_cycles_is_no_error(box: Box) -> None:
    assert box.json("list")["cycles"] == []
    assert "init-cycle" in box.ok("list")


def test_links_to_folders_are_not_searched_for_cycles(box: Box) -> None:
    box.cycle()
    (box.env.root / "again").symlink_to("cycles")
    assert [line["name"] for line in box.json("list")["cycles"]] == ["cycles/v01"]


def test_a_cycle_is_shown_in_full(box: Box) -> None:
    box.cycle()
    found = box.json("show", "cycles/v01")
    assert found["daq_files"] == len(KEYS)
    assert {kind["kind"]: kind["files"] for kind in found["files"]} == {
        "par_dsp": 2, "par_hit": 2, "dsp": 3, "evt": 3, "hit": 3, "raw": 3, "tcm": 3,
    }  # fmt: skip
    assert found["runs"] == {"l200-p03-r000-cal": 1, "l200-p03-r000-phy": 1, "l200-p03-r001-cal": 1}
    assert "l200-p03-r001-cal" in box.ok("show", "cycles/v01")


def test_a_cycle_is_named_by_folder_or_file_from_here_or_the_environment(box: Box) -> None:
    tree = box.cycle()
    for name in ("cycles/v01", str(tree.root), str(tree.root / "config.json")):
        assert box.json("show", name)["name"] == "cycles/v01"
    done = box.dataprod("show", ".", "--json", cwd=tree.root)
    assert json.loads(done.stdout)["name"] == "cycles/v01"


def test_a_wrong_name_is_answered_with_the_nearest(box: Box) -> None:
    box.cycle()
    done = box.dataprod("show", "cycles/v02")
    assert done.returncode == 2
    assert done.stderr == "error: there is no cycle 'cycles/v02'\nhint: did you mean 'cycles/v01'?\n"


def test_the_revision_of_the_environment_is_not_taken_for_that_of_the_metadata(box: Box) -> None:
    git(box.env.root, "init", "--quiet", "--initial-branch=main")
    git(box.env.root, "-c", "user.name=T", "-c", "user.email=t@t", "commit", "--quiet", "--allow-empty", "-m", "1")
    revision = git(box.env.root, "rev-parse", "HEAD")
    tree = box.cycle()
    before = box.json("show", "cycles/v01")["sources"]
    assert "revision" not in before["inputs"]
    tree.write("inputs/dataprod/overrides/hit/mine.yaml", "V02160A: {}")
    after = box.json("show", "cycles/v01")["sources"]
    assert before["inputs"]["content"] != after["inputs"]["content"]
    assert before["dataflow"] == after["dataflow"]
    for verb in ("show", "doctor"):
        text = box.dataprod(verb, "cycles/v01").stdout
        assert revision[:12] not in text
    content = after["inputs"]["content"]
    assert content in "".join(box.ok("show", "cycles/v01").split())
    box.ok("freeze", "cycles/v01")
    citation = (tree.root / "frozen/CITATION.txt").read_text()
    assert f"Metadata: not under version control, content sha256:{content}\n" in citation
    assert revision not in citation
