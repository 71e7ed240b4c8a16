"""What is there of what a cycle can make, in cycles of every kind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dataflow.plan.survey import START, Cost, Item, Survey, all_jobs, remaining
from dataflow.provenance.identity import LIST, Identities
from dataflow.provenance.records import record_file

from ..plan.conftest import KEYS, TESTSTAND_KEYS, Tree
from .conftest import Origin, surveyed

CAL, PHY = KEYS[4], KEYS[5]


def produce(tree: Tree) -> None:
    """Make everything: empty outputs with their records."""
    cycle = tree.open()
    survey = Survey(cycle)
    for step, key in all_jobs(cycle):
        for output in map(Path, survey.outputs(step, key)):
            record = record_file(output, cycle.lineage(step, key))
            record.parent.mkdir(parents=True, exist_ok=True)
            output.touch()
            record.write_text('{"seconds": 2.0, "threads": 2, "recipe": {}}')


def states(tree: Tree) -> dict[str, set[str]]:
    """The states of each step's outputs."""
    found: dict[str, set[str]] = {}
    for item in surveyed(tree.open()):
        found.setdefault(item.step, set()).add(item.state)
    return found


def test_everything_is_missing_and_then_there(origin: Origin) -> None:
    assert {state for found in states(origin).values() for state in found} == {"missing"}
    produce(origin)
    assert {state for found in states(origin).values() for state in found} == {"there"}


def test_a_test_stand_is_surveyed(empty: Tree) -> None:
    empty.config = {"experiment": "hades", "keys": "teststand", "paths": {}}
    for key in TESTSTAND_KEYS:
        _, detector, measurement, _, _ = key.split("-")
        empty.write(f"generated/tier/daq/{detector}/{measurement}/{key}.fcio")
    assert states(empty)["tier_dsp"] == {"missing"}
    produce(empty)
    assert {state for found in states(empty).values() for state in found} == {"there"}


def test_tiers_of_another_cycle_are_inputs_with_the_lineage_that_they_have(origin: Origin, tmp_path: Path) -> None:
    produce(origin)
    before = states(origin)
    for tier in ("raw", "tcm"):
        shutil.move(origin.root / f"generated/tier/{tier}", tmp_path / f"other_{tier}")
        origin.config["paths"][f"tier_{tier}"] = str(tmp_path / f"other_{tier}")
    assert states(origin) == {step: found for step, found in before.items() if step not in ("tier_raw", "tier_tcm")}
    file = tmp_path / f"other_tcm/phy/p03/r001/{PHY}-tier_tcm.lh5"
    shutil.rmtree(file.parent / ".lineage")
    file.write_text("another one")
    assert states(origin)["tier_evt"] == {"there", "stale"} and states(origin)["tier_hit"] == {"there"}


def test_files_without_parameters_are_no_error_of_the_survey(origin: Origin) -> None:
    produce(origin)
    shutil.rmtree(origin.root / "generated/tier/daq/cal/p03")
    for tier in ("raw", "tcm", "dsp", "hit", "evt"):
        shutil.rmtree(origin.root / f"generated/tier/{tier}/cal/p03")
    assert states(origin)["tier_dsp"] == {"there", "stale"}


def test_only_what_is_needed_is_made(origin: Origin) -> None:
    produce(origin)
    cycle = origin.open()
    for tier in ("raw", "hit"):
        (origin.root / f"generated/tier/{tier}/phy/p03/r001/{PHY}-tier_{tier}.lh5").unlink()
    wanted = [("tier_hit", cycle.scheme.key(PHY))]
    assert [(item.step, str(item.key)) for item in Survey(cycle).to_make(wanted)] == [("tier_hit", PHY)]


def test_the_time_is_learned_from_finished_jobs(origin: Origin) -> None:
    produce(origin)
    cycle = origin.open()
    survey = Survey(cycle)
    costs = survey.costs(all_jobs(cycle))
    assert costs["tier_hit"] == Cost(2.0, 2, 0)
    missing = [Item("tier_hit", cycle.scheme.key(PHY), "missing")] * 6
    assert remaining(missing, costs, 4) == (round(6 * (2.0 * 2 + START) / 4, 1), [])
    assert remaining(missing, {}, 4) == (None, ["tier_hit"])
    assert remaining([], {}, 4) == (0.0, [])


def test_an_identity_is_read_once_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.fcio"
    file.write_bytes(b"abc")
    first = Identities(tmp_path, tmp_path / LIST)
    found = first.of(file)
    assert found == {"size": 3, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
    assert not (tmp_path / LIST).exists(), "looking writes nothing"
    first.save()
    with (tmp_path / LIST).open("a") as stream:
        stream.write('["half a li')
    monkeypatch.setattr("dataflow.provenance.identity.hashed", lambda path: pytest.fail(f"{path} was read again"))
    assert Identities(tmp_path, tmp_path / LIST).of(file) == found


def test_two_records_of_one_output_are_none(origin: Origin) -> None:
    produce(origin)
    output = origin.root / f"generated/tier/hit/phy/p03/r001/{PHY}-tier_hit.lh5"
    record_file(output, "0" * 32).write_text("{}")
    assert "stale" in states(origin)["tier_hit"]
