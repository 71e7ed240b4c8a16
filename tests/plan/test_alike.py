"""Where metadata change and say the same of a channel or a rule, it is the same object: nothing is done twice."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from typing import Any

import pytest

from dataflow.base.errors import UserError
from dataflow.base.exact import exact
from dataflow.base.textfile import read
from dataflow.plan.cycle import Cycle
from dataflow.plan.survey import all_jobs
from dataflow.provenance.recipe import Recipe, Recipes, digest
from dataflow.registry.step import Step

from .conftest import KEYS, MAP, STATUSES, Tree

EARLY, LATE = "l200-p03-r000-cal-20230311T235840Z", "l200-p04-r000-cal-20230601T000000Z"
CHANGE = "20230401T000000Z"
CHANGES = "20230312T045000Z", "20230317T230000Z", CHANGE
MAPS, STATUS, CONFIG = "hardware/configuration/channelmaps", "datasets/statuses", "dataprod/config"


def later(tree: Tree, folder: str, text: str, time: str = CHANGE) -> None:
    """Another file of a folder of metadata from a time on."""
    always = {"valid_from": "20200101T000000Z", "apply": ["always.yaml"]}
    tree.write(f"inputs/{folder}/from_{time}.yaml", text)
    tree.validity(folder, always, {"valid_from": time, "mode": "reset", "apply": [f"from_{time}.yaml"]})


def two(cycle: Cycle) -> tuple[dict[str, Any], dict[str, Any]]:
    """The channels by name before and after the change."""
    found = (cycle.metadata.channels(cycle.scheme.key(key)) for key in (EARLY, LATE))
    first, second = ({channel.name: channel for channel in channels} for channels in found)
    return first, second


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (0, False), (1, 1.0), (None, []), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ("on", b"on"), (0.0, -0.0)],
    ids=str,
)
def test_what_may_be_read_otherwise_is_not_the_same(one: object, other: object) -> None:
    assert exact([one]) != exact([other])


def test_equal_values_are_the_same_wherever_they_come_from() -> None:
    shared = {"rawid": 1104000}
    twice, apart = [shared, shared, "geds"], json.loads('[{"rawid": 1104000}, {"rawid": 1104000}, "geds"]')
    assert exact(twice) == exact(apart) is not None
    assert exact([float("nan"), 0.1, None]) == exact([float("nan"), 0.1, None]) is not None


def test_nothing_is_said_of_what_plain_values_do_not_have() -> None:
    assert exact({"since": date(2023, 4, 1)}) is None


def test_a_change_leaves_the_channels_that_it_does_not_concern(tree: Tree) -> None:
    later(tree, STATUS, STATUSES.replace("usability: on", "usability: ac"))
    first, second = two(tree.open())
    assert [name for name in first if first[name] is not second[name]] == ["V02160A"]
    assert (first["V02160A"].usability, second["V02160A"].usability) == ("on", "ac")


def test_a_file_that_says_the_same_changes_nothing(tree: Tree) -> None:
    later(tree, MAPS, MAP)
    cycle = tree.open()
    before, after = (cycle.metadata.channels(cycle.scheme.key(key)) for key in (EARLY, LATE))
    assert before is after


def test_a_status_that_goes_is_missed_although_the_channel_is_the_same(tree: Tree) -> None:
    tree.write(f"inputs/{STATUS}/always.yaml", STATUSES.replace("{processable: true, usability: on}", "{}"))
    later(tree, STATUS, "\n".join(line for line in STATUSES.splitlines() if "V02160A" not in line))
    cycle = tree.open()
    cycle.job("tier_dsp", EARLY)
    with pytest.raises(UserError, match=rf"V02160A \(geds\) has no status from {CHANGE} on"):
        cycle.job("tier_dsp", LATE)


@pytest.mark.parametrize(
    ("folder", "before", "after", "message"),
    [
        (
            MAPS,
            MAP.replace("1104000", "1"),
            MAP.replace("1104000", "true"),
            "V02160A: daq.rawid must be a whole number",
        ),
        (STATUS, STATUSES, STATUSES.replace("true", "1"), "S001: processable must be true or false"),
        (MAPS, MAP, MAP.replace("1104001", "1104000"), "V02160A and V02160B have the same daq.rawid 1104000"),
    ],
    ids=["number", "status", "twice"],
)
def test_what_becomes_wrong_at_a_change_is_told(tree: Tree, folder: str, before: str, after: str, message: str) -> None:
    tree.write(f"inputs/{folder}/always.yaml", before)
    later(tree, folder, after)
    cycle = tree.open()
    assert cycle.metadata.channels(cycle.scheme.key(EARLY))
    with pytest.raises(UserError, match=message):
        cycle.metadata.channels(cycle.scheme.key(LATE))


def test_a_change_leaves_the_configuration_of_rules_that_it_does_not_concern(tree: Tree) -> None:
    rules = {name: {"options": {"buffer_len": 10}} for name in ("tier_dsp", "tier_hit")}
    tree.write(f"inputs/{CONFIG}/always.yaml", json.dumps({"snakemake_rules": rules}))
    later(tree, CONFIG, json.dumps({"snakemake_rules": rules | {"tier_hit": {"options": {"buffer_len": 10.0}}}}))
    cycle = tree.open()
    early, late = (cycle.scheme.key(key) for key in (EARLY, LATE))
    at = cycle.metadata.config
    assert at("tier_dsp", early) is at("tier_dsp", late)
    assert at("tier_hit", early) is not at("tier_hit", late), "a whole number and a real one are told apart"
    assert at("tier_evt", early) is at("tier_evt", late), "a rule that is not configured"


def test_lineages_are_those_that_each_job_has_alone(tree: Tree) -> None:
    """What was found for other times changes nothing: statuses, maps and rules change at different times."""
    later(tree, STATUS, STATUSES.replace("{processable: true, usability: 'off'", "{processable: false"), CHANGES[0])
    later(tree, MAPS, MAP.replace("1104000", "1104010"), CHANGES[1])
    chain = {"processing_chain": {"V02160A": "$_/own.yaml"}}
    tree.write(f"inputs/{CONFIG}/own.yaml", "processors: {own: baseline + 1}")
    tree.write(f"inputs/{CONFIG}/always.yaml", "{}")
    later(tree, CONFIG, json.dumps({"snakemake_rules": {"tier_dsp": {"inputs": chain}}}), CHANGES[2])
    cycle = tree.open()
    jobs = list(all_jobs(cycle))
    together = {(step, unit.name): cycle.lineage(step, unit) for step, unit in jobs}
    alone = {}
    for step, unit in reversed(jobs):
        fresh = tree.open()
        alone[step, unit.name] = fresh.lineage(step, fresh.unit(step, unit.name))
    assert together == alone
    shared = {cycle.lineages.recipe(cycle.job("tier_dsp", key)).own["shared"] for key in KEYS}
    assert len(shared) == len(CHANGES) + 1, "each change concerns dsp"


def test_a_change_is_computed_for_the_steps_that_it_concerns(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.write(f"inputs/{CONFIG}/own.yaml", "processors: {own: baseline + 1}")
    tree.write(f"inputs/{CONFIG}/always.yaml", "{}")
    chain = {"processing_chain": {"V02160A": "$_/own.yaml"}}
    later(tree, CONFIG, json.dumps({"snakemake_rules": {"tier_dsp": {"inputs": chain}}}))
    counted: Counter[str] = Counter()
    of = Recipes.of

    def count(self: Recipes, step: Step, *rest: Any) -> Recipe:
        counted[step.name] += 1
        return of(self, step, *rest)

    monkeypatch.setattr(Recipes, "of", count)
    cycle = tree.open()
    for key in map(cycle.scheme.key, KEYS):
        for step in ("tier_dsp", "tier_hit"):
            cycle.lineages.own(cycle.step(step), cycle.unit(step, key))
    assert counted == {"tier_dsp": 2, "tier_hit": 1}


@pytest.mark.parametrize("psd", ["{status: {low_aoe: valid}}", "{1: one, two: 2}"], ids=["texts", "mixed"])
def test_what_jobs_share_has_the_hash_of_the_whole(tree: Tree, psd: str) -> None:
    """Also where a mapping of the metadata has keys that cannot be sorted, or a text the path of the cycle."""
    tree.write(f"inputs/{STATUS}/always.yaml", STATUSES.replace("usability: on", f"usability: on, psd: {psd}"))
    rules = {"tier_dsp": {"inputs": {"processing_chain": {"V02160A": "$_/own.yaml"}}}}
    tree.write(f"inputs/{CONFIG}/own.yaml", "processors: {own: {function: f, args: [$_/none]}}")
    tree.write(f"inputs/{CONFIG}/always.yaml", json.dumps({"snakemake_rules": rules}))
    tree.validity(CONFIG, {"valid_from": "20200101T000000Z", "apply": ["always.yaml"]})
    cycle = tree.open()
    jobs = [cycle.job(step, unit) for step, unit in all_jobs(cycle)]
    for job in jobs:
        recipe = cycle.lineages.recipe(job)
        shared = recipe.own["shared"]
        assert digest(recipe.parts[shared], str(cycle.setup.directory)) == shared
    assert {job.step for job in jobs} >= {"tier_dsp", "tier_hit", "par_hit_aoe"}


def test_nothing_that_is_planned_changes_what_files_say(tree: Tree) -> None:
    """A merged configuration has parts in common with its files, also those that come with the flow."""
    rules = {
        "tier_dsp": {"inputs": {"processing_chain": "$_/own.yaml"}},
        "tier_hit": {"inputs": {"hit_config": "$_/hit.yaml"}},
    }
    tree.write(f"inputs/{CONFIG}/own.yaml", "processors: {own: {function: f, args: [a, b]}}\noutputs: [$default, own]")
    tree.write(f"inputs/{CONFIG}/hit.yaml", "operations: {more: {expression: own + 1}}")
    tree.write(f"inputs/{CONFIG}/always.yaml", json.dumps({"snakemake_rules": rules}))
    tree.validity(CONFIG, {"valid_from": "20200101T000000Z", "apply": ["always.yaml"]})
    cycle = tree.open()
    for step, unit in all_jobs(cycle):
        cycle.lineages.explained(step, unit)
    texts = cycle.metadata.reader.read
    assert any(text.path.name == "own.yaml" for text in texts) and any("defaults" in text.path.parts for text in texts)
    for text in texts:
        assert text.data == read(text.path).data, text.path
