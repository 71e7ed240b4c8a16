"""Everything that is wrong with the metadata of a cycle comes out at once, and each thing once."""

from __future__ import annotations

import pytest

from dataflow.base.errors import UserError
from dataflow.door.health import findings
from dataflow.setup.config import read_config

from .conftest import MAP, STATUSES, Tree
from .test_stepconfig import PHY, configure


def bad(tree: Tree) -> list[str]:
    """What is wrong, with paths from the cycle's folder on."""
    found = findings(read_config(tree.save()))
    return [what.replace(f"{tree.root}/", "") for state, what, _ in found if state == "bad"]


def remedies(tree: Tree) -> list[str]:
    return [fix for state, _, fix in findings(read_config(tree.save())) if state == "bad"]


def test_rules_of_other_flows_never_stop_a_plan(tree: Tree) -> None:
    """Nor do entries beside inputs, and lists, in rules that no step here reads."""
    other = {"settings": "$_/a.yaml", "config": {"x": "$_/b.yaml"}, "options": {"logging": "$_/l.yaml"}}
    rules = {"tier_raw_blind": other, "tier_raw": {"inputs": {"raw_config": "x"}}, "make_waveforms": [1, 2]}
    configure(tree, rules | {"pars_pht_ecal": 3})
    assert tree.open().job("tier_dsp", PHY).config.inputs == {}
    assert bad(tree) == []
    said = [what for state, what, _ in findings(read_config(tree.save())) if state == "warning"]
    assert any("no step here reads the rules make_waveforms" in what for what in said)


def test_a_misspelt_rule_stops_it_all_the_same(tree: Tree) -> None:
    configure(tree, {"tier_hitt": {}, "tier_dps": {}})
    with pytest.raises(UserError, match="there is no rule 'tier_hitt'") as caught:
        tree.open().job("tier_dsp", PHY)
    assert [error.message.partition(": ")[2] for error in caught.value.all()] == [
        "there is no rule 'tier_hitt'",
        "there is no rule 'tier_dps'",
    ]


def test_all_errors_of_the_step_configuration_are_told(tree: Tree) -> None:
    tree.write("inputs/dataprod/config/e.yaml", "deg: -1\nfoo: 1\n")
    rules = {
        "tier_dsp": {"inputs": {"processing_chain": {"__default__": "nothing.yaml"}}},
        "tier_hit": {"inputs": {"hit_config": [1]}},
        "pars_hit_ecal": {"inputs": {"ecal_config": "e.yaml"}, "options": {"speed": 3}},
    }
    configure(tree, rules)
    text = "\n".join(bad(tree))
    for said in (
        "tier_dsp.inputs.processing_chain: there is no file",
        "tier_hit.inputs.hit_config must be a file name, not a int",
        "e.yaml:2: ecal_config has no entry 'foo'",
        "e.yaml:1: ecal_config.deg must be one of 0, 1, 2, not -1",
        "pars_hit_ecal.options has no entry 'speed'",
    ):
        assert text.count(said) == 1, text


def test_lists_where_mappings_are_expected_do_not_hide_one_another(tree: Tree) -> None:
    tree.write("inputs/hardware/configuration/channelmaps/always.yaml", "[1, 2]")
    tree.write("inputs/datasets/runlists.yaml", "[a]")
    tree.write("inputs/datasets/cal_groupings.yaml", "{a: [b]}")
    assert bad(tree) == [
        "inputs/datasets/runlists.yaml:1: a mapping is expected here, not a list",
        "inputs/datasets/cal_groupings.yaml:1: a must be a mapping, not a list",
        "inputs/hardware/configuration/channelmaps/always.yaml:1: a mapping is expected here, not a list",
    ]


def test_a_file_whose_name_differs_in_upper_and_lower_case_is_named(tree: Tree) -> None:
    folder = tree.root / "inputs/hardware/configuration/channelmaps"
    (folder / "always.yaml").rename(folder / "Always.YAML")
    assert bad(tree) == [
        "inputs/hardware/configuration/channelmaps/validity.yaml:2: there is no file 'always.yaml' in "
        "inputs/hardware/configuration/channelmaps"
    ]
    assert remedies(tree) == ["there is 'Always.YAML': upper and lower case differ, name it so"]


def test_a_hundred_detectors_without_status_are_one_sentence(tree: Tree) -> None:
    channels = "".join(
        f"V1{n:05d}A: {{name: V1{n:05d}A, system: geds, daq: {{rawid: {n + 2000000}}}}}\n" for n in range(100)
    )
    tree.metadata(MAP + channels, STATUSES)
    assert bad(tree) == [
        "inputs/datasets/statuses/always.yaml: V100000A, V100001A, V100002A and 97 more (geds) have no status from "
        "20200101T000000Z on"
    ]
