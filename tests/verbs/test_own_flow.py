"""Every verb answers by the cycle's own flow: with one more step, of an older form, or of somebody else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..contributing import CONTRIBUTING, follow
from ..lineage.conftest import Origin
from ..plan.conftest import KEYS, Tree
from ..workflow.stand_in import write_stand_in
from .conftest import Box

CAL, PHY = KEYS[4], KEYS[5]
TARGET = "all-l200-p03-r001-*-hit.gen"
PRODUCE = """
import sys
from pathlib import Path
from dataflow.plan import open_cycle
from dataflow.provenance.records import record_file
from dataflow.plan.survey import Survey, all_jobs
cycle = open_cycle(sys.argv[1])
for step, unit in all_jobs(cycle):
    for output in map(Path, Survey(cycle).outputs(step, unit)):
        record = record_file(output, cycle.lineage(step, unit))
        record.parent.mkdir(parents=True, exist_ok=True)
        output.write_text("")
        record.write_text('{"seconds": 2.0, "threads": 2, "recipe": {}}')
"""


def own(box: Box, name: str = "cycles/v01") -> Origin:
    """A cycle with data, and a flow of its own to be changed."""
    tree = Origin(box.env.root / name, box.env.root)
    tree.metadata()
    tree.daq(*KEYS)
    tree.save()
    write_stand_in(tree.root / "software/python/install/bin/python", alone=True)
    return tree


def add_a_step(tree: Origin) -> None:
    """The step that CONTRIBUTING adds: a folder, and a line of the registry."""
    follow(CONTRIBUTING, tree.root)


def make_older(tree: Origin) -> None:
    """Another name of figures: what only this flow knows."""
    file = tree.code("registry/step.py")
    text = file.read_text()
    assert '".pdf"' in text
    file.write_text(text.replace('".pdf"', '".png"'))


def produce(tree: Tree) -> None:
    """Make everything that the cycle's own flow knows, with records."""
    environ = os.environ | {"PYTHONPATH": str(tree.root / "dataflow/src"), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-P", "-c", PRODUCE, str(tree.root / "config.json")], env=environ, check=True)


def test_one_more_step_is_planned_and_run(box: Box) -> None:
    tree = own(box)
    add_a_step(tree)
    planned = {step["step"]: step["jobs"] for step in box.json("plan", "cycles/v01", TARGET)["steps"]}
    assert planned["par_hit_rate"] == planned["par_hit_ecal"] == 1
    assert planned == {s["step"]: s["jobs"] for s in box.json("run", "cycles/v01", TARGET, "--dry-run")["steps"]}
    box.ok("run", "cycles/v01", TARGET, "-j2")
    ran = [line.split()[0] for line in (tree.root / "jobs.txt").read_text().splitlines()]
    assert {step: ran.count(step) for step in ran} == planned
    assert box.json("plan", "cycles/v01", TARGET)["jobs"] == 0
    (run,) = (run for run in box.json("status", "cycles/v01")["runs"] if run["run"] == "l200-p03-r001-cal")
    assert run["steps"]["par_hit_rate"] == {"there": 1}


def test_one_more_step_is_known_to_every_verb(box: Box) -> None:
    tree = own(box)
    add_a_step(tree)
    produce(tree)
    assert set(box.json("status", "cycles/v01")["jobs"]) == {"there"}
    more = f"generated/tmp/par/{CAL}-par_hit_rate.yaml"
    assert box.json("why", "cycles/v01", more)["state"] == "there"
    (line,) = box.json("list")["cycles"]
    assert (line["state"], line["scheme"]) == ("ready", "l200")
    kinds = {kind["kind"]: kind["files"] for kind in box.json("show", "cycles/v01")["files"]}
    assert kinds["par_hit_rate"] == kinds["par_hit_ecal"] == 3
    going = box.json("clean", "cycles/v01", "--tier", "par_hit_rate", "--run", "p03-r001", "--dry-run")
    assert [each["file"] for each in going["files"]] == [more]
    assert len(box.ok("find", "cycles/v01", "--tier", "hit").splitlines()) == len(KEYS)
    findings = json_of(box, "doctor", "cycles/v01")["findings"]
    assert any(each["what"].endswith("runs can be planned") for each in findings)
    tree.code("steps/par_hit_rate/build.py").write_text("VALUE = 2\n")
    found = {s["step"]: s["states"] for s in box.json("plan", "cycles/v01", TARGET)["steps"]}
    alone = ("par_hit_rate", "par_hit", "plt_hit")
    assert found == {step: {"stale": 1} for step in alone} | {"tier_hit": {"stale": 2}}
    stale = box.json("clean", "cycles/v01", "--stale", "--run", "p03-r001", "--dry-run")["files"]
    assert {"par_hit_rate", "par_hit", "hit", "plt_hit"} <= {each["kind"] for each in stale}


@pytest.mark.parametrize("change", [add_a_step, make_older])
def test_a_cycle_that_is_derived_takes_all_that_its_own_flow_makes_in_the_same_way(box: Box, change: object) -> None:
    tree = own(box)
    change(tree)  # type: ignore[operator]
    produce(tree)
    box.ok("new", "cycles/v02", "--from", "cycles/v01", "--unfrozen")
    assert set(box.json("status", "cycles/v02")["jobs"]) == {"there"}
    assert box.json("show", "cycles/v02")["based_on"] == ["cycles/v01"]
    document = box.json("compare", "cycles/v01", "cycles/v02")
    assert [document[part] for part in ("workflow", "data", "physics")] == [[], [], []]
    assert box.dataprod("clean", "cycles/v01", "--tier", "hit", "--yes").returncode == 2


def test_an_older_flow_answers_for_its_cycle(box: Box) -> None:
    tree = own(box)
    make_older(tree)
    produce(tree)
    assert set(box.json("status", "cycles/v01")["jobs"]) == {"there"}
    going = box.json("clean", "cycles/v01", "--tier", "plt_hit", "--dry-run")["files"]
    assert {each["file"].rpartition(".")[2] for each in going} == {"png", "lh5"}
    assert box.json("plan", "cycles/v01", TARGET)["jobs"] == 0
    box.ok("freeze", "cycles/v01")
    assert "plt_hit" in {kind["kind"] for kind in box.json("show", "cycles/v01")["files"]}
    box.ok("archive", "cycles/v01", box.env.root / "v01.tar")
    box.ok("restore", box.env.root / "v01.tar", "cycles/v03")
    assert box.json("plan", "cycles/v03", TARGET)["jobs"] == 0


@pytest.fixture
def theirs(box: Box) -> Tree:
    """A cycle of a flow that is not ours, in the form of the collaboration's."""
    tree = Tree(box.env.root / "cycles/theirs")
    tree.write("dataflow/pyproject.toml", '[project]\nname = "legend-dataflow"\nversion = "1.0"\n')
    tree.write("dataflow/workflow/Snakefile", 'rule all:\n    output: "made.txt"\n    shell: "echo made > {output}"\n')
    tree.write("inputs/README.md", "metadata")
    tree.write("generated/tier/raw/phy/p03/r000/a-tier_raw.lh5", "x")
    tree.write("generated/tier/daq/phy/p03/r000/a.orca", "x")
    tree.write("generated/par/hit/cal/a-par_hit.yaml", "{}")
    tree.config = {
        "experiment": "l200",
        "paths": {"dataflow": "$_/dataflow", "par_dsp": "$_/generated/par/dsp", "tmp_own": "$_/generated/tmp/own"},
        "build_own_things": True,
        "keys": {"of": "theirs"},
    }
    tree.save()
    return tree


def test_a_flow_of_others_is_looked_at_and_never_guessed(box: Box, theirs: Tree) -> None:
    before = sorted(theirs.root.rglob("*"))
    for words, said in (
        (["plan", "x.gen"], "files that are there:"),
        (["why", "x"], "x is not there\n"),
        (["find"], ""),
        (["clean", "--tier", "raw"], ""),
    ):
        done = box.dataprod(words[0], "cycles/theirs", *words[1:])
        assert (done.returncode, done.stdout.startswith(said), bool(done.stdout)) == (2, True, bool(said)), words
        assert "is not that of this production environment: what it would make is unknown" in done.stderr
        assert "which files are there" in done.stderr
    assert box.json("status", "cycles/theirs")["flow"] == "unknown"
    assert [line["problem"] for line in box.json("list")["cycles"]] == [""]
    found = box.json("show", "cycles/theirs")
    assert found["flow"] == "unknown" and found["runs"] == {}
    assert {kind["kind"]: kind["files"] for kind in found["files"]} == {"raw": 1, "par_hit": 1}
    assert "the dataflow is not that of this production environment" in box.ok("show", "cycles/theirs")
    assert "contents of files are not checked" in box.ok("verify", "cycles/theirs")
    findings = json_of(box, "doctor", "cycles/theirs")["findings"]
    text = "is not that of this production environment"
    assert any(text in each["what"] and each["state"] == "ok" for each in findings)
    assert sorted(theirs.root.rglob("*")) == before


def json_of(box: Box, *words: str) -> dict[str, list[dict[str, str]]]:
    """The JSON document of a command, however it ends."""
    import json

    found: dict[str, list[dict[str, str]]] = json.loads(box.dataprod(*words, "--json").stdout)
    return found


def test_a_flow_of_others_is_run_frozen_and_archived(box: Box, theirs: Tree) -> None:
    pytest.importorskip("snakemake")
    box.ok("run", "cycles/theirs", "all", "-j1")
    assert (theirs.root / "made.txt").read_text() == "made\n"
    shutil.rmtree(theirs.root / ".snakemake")
    box.ok("freeze", "cycles/theirs")
    citation = (theirs.root / "frozen/CITATION.txt").read_text()
    assert "Data: unknown, since the workflow is not that of this production environment." in citation
    box.ok("archive", "cycles/theirs", box.env.root / "t.tar")
    box.ok("restore", box.env.root / "t.tar", "cycles/copy")
    assert (box.env.root / "cycles/copy/made.txt").read_text() == "made\n"
    assert Path(box.json("show", "cycles/copy")["path"]).name == "copy"
