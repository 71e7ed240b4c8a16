"""Files that no job of ours made: they are read, never stale, never written over; a cycle may begin at any tier."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dataflow.base.errors import UserError
from dataflow.door.contents import contents
from dataflow.plan.survey import Survey
from dataflow.plan.workflow import Workflow
from dataflow.provenance.records import UNFINISHED, Records, record_file
from prodenv.cli.main import run as run_command
from prodenv.cli.parsers import COMMANDS

from ..plan.conftest import KEYS, Tree
from ..workflow.conftest import Production
from .conftest import Origin, surveyed
from .test_survey import produce, states

CAL, PHY = KEYS[4], KEYS[5]
HIT = "all-l200-p03-r001-phy-hit.gen"
Verb = Callable[..., tuple[int, str, str]]


def place(tree: Tree, tier: str, key: str) -> Path:
    _, period, run, datatype, _ = key.split("-")
    return tree.root / f"generated/tier/{tier}/{datatype}/{period}/{run}/{key}-tier_{tier}.lh5"


def forget(tree: Tree, *paths: Path) -> None:
    """Take away every record of some files, as if somebody else had made them."""
    for path in paths:
        for record in (path.parent / ".lineage").glob(f"{path.name}.*"):
            record.unlink()


def state(tree: Tree, step: str, key: str) -> str:
    return next(item.state for item in surveyed(tree.open()) if (item.step, str(item.key)) == (step, key))


def test_a_file_without_any_record_is_foreign_and_what_is_made_of_it_is_ours(origin: Origin) -> None:
    produce(origin)
    forget(origin, place(origin, "dsp", PHY))
    assert state(origin, "tier_dsp", PHY) == "foreign"
    assert state(origin, "tier_hit", PHY) == "stale", "it is made of a file of another content now"
    assert states(origin)["tier_raw"] == {"there"}
    flow = Workflow(origin.save())
    assert [item.step for item in Survey(flow.cycle).to_make(flow.wanted([HIT]))] == ["tier_hit", "par_hit_spms"]


def test_a_file_that_a_killed_job_has_left_is_ours_and_made_again(origin: Origin) -> None:
    produce(origin)
    path = place(origin, "dsp", PHY)
    forget(origin, path)
    record_file(path, UNFINISHED).write_text("{}")
    assert state(origin, "tier_dsp", PHY) == "stale"
    assert not Records().is_foreign(path)


def test_figures_of_others_are_not_written_over(origin: Origin) -> None:
    figure = origin.write(f"generated/plt/hit/cal/p03/r001/{CAL}-plt_hit_ecal.pdf", "theirs")
    with pytest.raises(UserError, match="no job of this cycle made it: it is not overwritten") as error:
        Workflow(origin.save()).wanted([HIT])
    assert str(figure) in error.value.message


def test_snakemake_takes_foreign_files_as_they_are(production: Production) -> None:
    dsp = place(production.tree, "dsp", PHY)
    dsp.parent.mkdir(parents=True)
    dsp.write_text("theirs")
    made = production.made(HIT)
    assert f"tier_hit {PHY}" in made and f"tier_dsp {PHY}" not in made and f"tier_raw {PHY}" not in made
    assert dsp.read_text() == "theirs"
    assert production.made(HIT) == []


def test_a_cycle_begins_with_the_tier_that_is_there(production: Production) -> None:
    daq = production.root / "generated/tier/daq"
    shutil.rmtree(daq)
    for tier in ("tcm", "dsp", "hit"):
        path = place(production.tree, tier, PHY)
        path.parent.mkdir(parents=True)
        path.write_text(tier)
    flow = Workflow(production.root / "config.json")
    found = {item.step: item.state for item in surveyed(flow.cycle) if str(item.key) == PHY}
    assert {step: found[step] for step in ("tier_tcm", "tier_dsp", "tier_hit")} == dict.fromkeys(
        ("tier_tcm", "tier_dsp", "tier_hit"), "foreign"
    )
    assert "tier_raw" not in found
    with pytest.raises(UserError, match="tier_raw of .* needs a DAQ file"):
        flow.wanted(["all-l200-p03-r001-phy-raw.gen"])
    assert production.made(HIT) == []


def test_what_we_made_stays_when_its_source_is_gone(origin: Origin) -> None:
    produce(origin)
    for tier in ("daq", "raw"):
        for path in (origin.root / f"generated/tier/{tier}").rglob(f"{PHY}*"):
            path.unlink()
    assert state(origin, "tier_dsp", PHY) == state(origin, "tier_hit", PHY) == "there"


@pytest.fixture
def theirs(tmp_path: Path, shared_data: Path, repository: Path) -> Tree:
    """A cycle that reads the collaboration's dsp and hit files."""
    tree = Tree(tmp_path / "cycle")
    tree.metadata()
    (tree.root / "dataflow").symlink_to(repository / "dataflow")
    tiers = shared_data / "lh5/prod-ref-l200/generated/tier"
    tree.config["paths"] = {f"tier_{tier}": str(tiers / tier) for tier in ("dsp", "hit")}
    tree.save()
    return tree


def test_runs_that_begin_at_a_later_tier_are_shown(theirs: Tree) -> None:
    runs = contents({"config": str(theirs.root / "config.json")})["runs"]
    assert runs == {"l200-p03-r000-cal": 1, "l200-p03-r001-cal": 2, "l200-p03-r001-phy": 2}


def test_a_production_of_others_is_foreign_and_nothing_is_to_be_done(
    theirs: Tree, capfd: pytest.CaptureFixture[str]
) -> None:
    verb = verb_of(theirs, capfd)
    found = json.loads(verb("status", "--json")[1])
    assert found["jobs"] == {"foreign": 9}
    assert {run["run"]: run["steps"] for run in found["runs"]}["l200-p03-r001-phy"] == {
        "tier_dsp": {"foreign": 2},
        "tier_hit": {"foreign": 2},
    }
    assert "9 foreign: made by others" in verb("status")[1]
    code, out, _ = verb("plan", "all-l200-p03-r001-*-hit.gen", "--check", "--json")
    assert (code, json.loads(out)["jobs"]) == (0, 0)
    assert len(verb("find", "--tier", "hit")[1].splitlines()) == 4
    code, out, err = verb("plan", "all-l200-p03-r001-phy-evt.gen")
    assert (code, out) == (2, "") and "needs tier_tcm, which is not there and cannot be made" in err


def test_a_production_of_others_with_groupings_and_without_statuses_is_shown(
    theirs: Tree, capfd: pytest.CaptureFixture[str]
) -> None:
    """The collaboration's metadata have both: what nobody is about to make needs no statuses."""
    theirs.write("inputs/datasets/cal_groupings.yaml", "default: {partition01: {p03: [r000, r001]}}\n")
    theirs.validity("datasets/statuses", {"valid_from": "20200101T000000Z", "apply": ["few.yaml"]})
    theirs.write("inputs/datasets/statuses/few.yaml", "V99999A: {processable: true, usability: 'on'}\n")
    code, out, err = verb_of(theirs, capfd)("status", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["jobs"] == {"foreign": 9}
    assert len([line for line in found["warnings"] if "have no status" in line or "has no status" in line]) == 1


def test_good_files_of_others_are_not_advised_away(
    tmp_path: Path, shared_data: Path, repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tree = Tree(tmp_path / "cycle")
    tree.metadata()
    (tree.root / "dataflow").symlink_to(repository / "dataflow")
    shutil.copytree(shared_data / "lh5/prod-ref-l200/generated/tier", tree.root / "generated/tier")
    python = tree.root / "software/python/install/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    tree.save()
    verb = verb_of(tree, capfd)
    code, out, err = verb("verify", "--jobs", "2")
    assert code == 0 and "all is well" in out, out + err
    assert set(json.loads(verb("status", "--json")[1])["jobs"]) <= {"foreign", "missing"}
    broken = next(tree.root.rglob("*-tier_hit.lh5"))
    broken.chmod(0o644)
    broken.write_bytes(broken.read_bytes()[:5000])
    code, out, _ = verb("verify", "--jobs", "2", "--json")
    (problem,) = json.loads(out)["problems"]
    assert code == 1 and problem["fix"].startswith("no job of this cycle made it")


def verb_of(tree: Tree, capfd: pytest.CaptureFixture[str]) -> Verb:
    def call(name: str, *words: str) -> tuple[int, str, str]:
        command = COMMANDS[name]
        code = run_command(command, command.parse([str(tree.root), *words]))
        return code, *capfd.readouterr()

    return call
