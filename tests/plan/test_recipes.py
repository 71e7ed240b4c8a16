"""What changes a recipe, and what does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from dataflow.plan import open_cycle

from .conftest import KEYS, MAP, STATUSES, Tree

CAL, PHY = KEYS[0], KEYS[2]
JOBS = (
    ("tier_raw", PHY),
    ("tier_tcm", PHY),
    ("tier_dsp", PHY),
    ("tier_hit", PHY),
    ("tier_evt", PHY),
    ("par_dsp_pz", CAL),
    ("par_hit_ecal", CAL),
    ("tier_dsp", KEYS[7]),
)


def recipes(tree: Tree, jobs: Iterable[tuple[str, str]] = JOBS) -> dict[str, str]:
    cycle = tree.open()
    return {f"{step} {key[5:13]}": cycle.recipe(step, key) for step, key in jobs}


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [name for name, recipe in before.items() if after[name] != recipe]


def configure(tree: Tree, chain: str = "processors: {x: a + 1}\n", name: str = "V02160A") -> None:
    rules = {"snakemake_rules": {"tier_dsp": {"inputs": {"processing_chain": {name: "$_/chain.yaml"}}}}}
    tree.write("inputs/dataprod/config/all.yaml", json.dumps(rules))
    tree.write("inputs/dataprod/config/chain.yaml", chain)
    tree.validity("dataprod/config", {"valid_from": "20200101T000000Z", "apply": "all.yaml"})


def test_a_recipe_is_the_same_each_time(tree: Tree) -> None:
    assert recipes(tree) == recipes(tree)


def test_a_comment_or_another_order_changes_nothing(tree: Tree) -> None:
    configure(tree, "processors: {x: a + 1, y: a + 2}\n")
    before = recipes(tree)
    configure(tree, "# a comment\nprocessors:\n  y: a + 2\n  x: a + 1\n")
    assert changed(before, recipes(tree)) == []


def test_a_chain_changes_the_step_that_uses_it(tree: Tree) -> None:
    configure(tree)
    before = recipes(tree)
    configure(tree, "processors: {x: a + 2}\n")
    assert changed(before, recipes(tree)) == ["tier_dsp p03-r000", "tier_dsp p04-r000"]


def test_a_chain_of_a_channel_that_is_not_processed_changes_nothing(tree: Tree) -> None:
    configure(tree, name="B00000C")
    before = recipes(tree)
    configure(tree, "processors: {x: a + 2}\n", name="B00000C")
    assert changed(before, recipes(tree)) == []


def test_an_override_changes_what_takes_the_parameters_while_it_holds(tree: Tree) -> None:
    before = recipes(tree)
    tree.write("inputs/dataprod/overrides/dsp/a.yaml", "V02160A: {pz: {tau1: 1}}\n")
    tree.write("inputs/dataprod/overrides/dsp/none.yaml", "")
    tree.validity(
        "dataprod/overrides/dsp",
        {"valid_from": "20230301T000000Z", "apply": "a.yaml"},
        {"valid_from": "20230501T000000Z", "mode": "reset", "apply": "none.yaml"},
    )
    assert changed(before, recipes(tree)) == ["tier_dsp p03-r000", "par_hit_ecal p03-r000"]


def test_a_status_does_not_reach_raw(tree: Tree) -> None:
    before = recipes(tree)
    tree.metadata(statuses=STATUSES.replace("B00000C: {processable: false", "B00000C: {processable: true"))
    assert not [name for name in changed(before, recipes(tree)) if name.startswith(("tier_raw", "tier_tcm"))]
    assert "tier_dsp p03-r000" in changed(before, recipes(tree))


def test_a_channel_number_reaches_everything(tree: Tree) -> None:
    before = recipes(tree)
    tree.metadata(channels=MAP.replace("1104001", "1104009"))
    assert changed(before, recipes(tree)) == list(before)


def test_chains_that_are_not_compiled_change_the_steps_that_run_chains(tree: Tree) -> None:
    """They differ in the last digits, which are to be told from where they come."""
    before = recipes(tree)
    tree.config["compiled_chains"] = True
    assert changed(before, recipes(tree)) == []
    tree.config["compiled_chains"] = False
    assert changed(before, recipes(tree)) == ["tier_dsp p03-r000", "par_dsp_pz p03-r000", "tier_dsp p04-r000"]


def test_logging_options_and_threads_change_nothing(tree: Tree) -> None:
    before = recipes(tree)
    rules = {"snakemake_rules": {"tier_dsp": {"options": {"logging": {"level": "DEBUG"}}}}}
    tree.write("inputs/dataprod/config/all.yaml", json.dumps(rules))
    tree.validity("dataprod/config", {"valid_from": "20200101T000000Z", "apply": "all.yaml"})
    assert changed(before, recipes(tree)) == []


def test_a_new_run_changes_no_recipe_but_the_validity_list(tree: Tree) -> None:
    jobs = (*JOBS, ("validity_dsp", CAL))
    before = recipes(tree, jobs)
    tree.daq("l200-p05-r000-cal-20231001T000000Z")
    assert changed(before, recipes(tree, jobs)) == ["validity_dsp p03-r000"]


def test_a_moved_cycle_has_the_same_recipes(tree: Tree, tmp_path: Path) -> None:
    configure(tree, "processors: {x: {function: f, args: [$_/other.yaml]}}\n")
    before = recipes(tree)
    shutil.move(tree.root, tmp_path / 'a "new" place')
    cycle = open_cycle(tmp_path / 'a "new" place' / "config.json")
    assert changed(before, {f"{step} {key[5:13]}": cycle.recipe(step, key) for step, key in JOBS}) == []
