"""Of jobs that are alike one is planned: what is found wrong, and what jobs need, is the same as of each by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dataflow.base.errors import UserError
from dataflow.plan import Cycle
from dataflow.plan.check import Check
from dataflow.plan.job import Unit
from dataflow.plan.survey import all_jobs
from dataflow.registry.step import Step

from .conftest import KEYS, MAP, STATUSES, Tree

SEVERAL = tuple(f"l200-p03-r000-phy-20230312T{hour:02d}0000Z" for hour in range(10, 16))
TURN = "20230312T125000Z"
"""From here on the metadata are others: between two of :data:`SEVERAL`."""


@pytest.fixture
def several(tree: Tree) -> Tree:
    """A run of several physics files."""
    tree.daq(*SEVERAL)
    return tree


def later(tree: Tree, rules: str) -> Path:
    """Let the configuration be another one from :data:`TURN` on."""
    tree.write("inputs/dataprod/config/first.yaml", "{}\n")
    file = tree.write("inputs/dataprod/config/later.yaml", rules)
    entries = [{"valid_from": "20200101T000000Z", "apply": ["first.yaml"]}]
    tree.validity("dataprod/config", *entries, {"valid_from": TURN, "mode": "reset", "apply": ["later.yaml"]})
    return file


def checked(cycle: Cycle) -> Cycle:
    """The cycle with everything checked."""
    cycle.check(list(all_jobs(cycle)))
    return cycle


def test_few_are_planned_and_all_are_known(several: Tree) -> None:
    cycle = checked(several.open())
    planned_by_themselves = [unit for step, unit in cycle._jobs if step == "tier_hit" and unit.key.datatype == "phy"]
    of_hit = [unit for step, unit in cycle.planned if step == "tier_hit"]
    assert len(of_hit) == len(KEYS) + len(SEVERAL)
    assert len({unit.key.series for unit in planned_by_themselves}) == len(planned_by_themselves)


def test_what_is_alike_needs_the_same_as_by_itself(several: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    cycle, other = checked(several.open()), several.open()
    for step, unit in cycle.planned:
        assert cycle.needs(step, unit) == other.needs(step, unit)
        assert cycle.lineage(step, unit) == other.lineage(step, unit)
    monkeypatch.setattr(Check, "_like", lambda self, step, unit: None)
    assert checked(several.open()).planned == cycle.planned


def test_a_mistake_that_holds_from_a_later_file_on_is_told(several: Tree) -> None:
    checked(several.open())
    file = later(several, json.dumps({"snakemake_rules": {"tier_hit": {"options": {"no_such": 1}}}}))
    with pytest.raises(UserError, match="no_such") as caught:
        checked(several.open())
    assert str(file) in caught.value.message


def test_a_channel_without_a_status_from_a_later_file_on_is_told(several: Tree) -> None:
    several.write("inputs/datasets/statuses/less.yaml", STATUSES.partition("\n")[2])
    entries = [{"valid_from": "20200101T000000Z", "apply": ["always.yaml"]}]
    several.validity("datasets/statuses", *entries, {"valid_from": TURN, "mode": "reset", "apply": ["less.yaml"]})
    with pytest.raises(UserError, match=f"V02160A .geds. has no status from {TURN} on"):
        checked(several.open())


def test_a_channel_map_that_changes_inside_a_series_plans_twice(several: Tree) -> None:
    several.write("inputs/hardware/configuration/channelmaps/other.yaml", MAP.replace("1104001", "1104009"))
    entries = [{"valid_from": "20200101T000000Z", "apply": ["always.yaml"]}]
    folder = "hardware/configuration/channelmaps"
    several.validity(folder, *entries, {"valid_from": TURN, "mode": "reset", "apply": ["other.yaml"]})
    cycle, other = checked(several.open()), several.open()
    raw = [unit for step, unit in cycle._jobs if step == "tier_raw" and unit.key.datatype == "phy"]
    assert len([unit for unit in raw if unit.key.series == "l200-p03-r000-phy"]) == 2
    assert all(cycle.lineage(*place) == other.lineage(*place) for place in cycle.planned)


def test_a_foreign_file_among_them_is_taken_as_it_is(several: Tree) -> None:
    whole = checked(several.open()).planned
    folder = "generated/tier/dsp/phy/p03/r000"
    several.write(f"{folder}/{SEVERAL[3]}-tier_dsp.lh5", "somebody else's")
    cycle = checked(several.open())
    assert {str(unit) for step, unit in whole - cycle.planned} == {SEVERAL[3]}
    assert {step for step, _ in whole - cycle.planned} >= {"tier_dsp"}


def test_nothing_is_alike_where_a_cycle_begins_at_a_later_tier(several: Tree) -> None:
    several.write("generated/tier/dsp/phy/p03/r000/l200-p03-r000-phy-20230313T000000Z-tier_dsp.lh5")
    cycle = checked(several.open())
    seen: list[tuple[Step, Unit]] = [(cycle.step(step), unit) for step, unit in cycle.planned]
    assert all(cycle._check._like(step, unit) is None for step, unit in seen)
