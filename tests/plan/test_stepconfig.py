"""The configuration of steps from ``dataprod/config``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dataflow.plan import stepconfig
from dataflow.plan.errors import UserError
from dataflow.plan.model import Channel
from dataflow.plan.steps import STEPS

from .conftest import Tree

PHY = "l200-p03-r000-phy-20230312T043356Z"
CAL = "l200-p03-r000-cal-20230311T235840Z"
GED = Channel("V02160A", "geds", 1104000)
OTHER = Channel("V02160B", "geds", 1104001)
SIPM = Channel("S001", "spms", 1052803)


def configure(tree: Tree, *rules: dict[str, Any], categories: tuple[str, ...] = ("all",)) -> None:
    """Write one configuration a category."""
    for category, entry in zip(categories, rules, strict=True):
        tree.write(f"inputs/dataprod/config/{category}.yaml", json.dumps({"snakemake_rules": entry}, indent=1))
    tree.validity(
        "dataprod/config",
        *[
            {"valid_from": "20200101T000000Z", "category": name, "mode": "reset", "apply": [f"{name}.yaml"]}
            for name in categories
        ],
    )


def test_a_detectors_own_file_comes_before_the_default(tree: Tree) -> None:
    chains = {"V02160A": "$_/own.yaml", "__default__": ["$_/base.yaml", "$_/more.yaml"]}
    configure(tree, {"tier_dsp": {"inputs": {"processing_chain": chains}}})
    tree.write("inputs/dataprod/config/own.yaml", "outputs: [a]\n")
    tree.write("inputs/dataprod/config/base.yaml", "outputs: [b]\nprocessors: {x: 1, y: 2}\nhere: $_\n")
    tree.write("inputs/dataprod/config/more.yaml", "processors: {y: 3}\n")
    config = tree.open().job("tier_dsp", PHY).config
    assert config.read("processing_chain", GED) == {"outputs": ["a"]}
    assert config.read("processing_chain", OTHER) == {
        "outputs": ["b"],
        "processors": {"x": 1, "y": 3},
        "here": str(tree.root / "inputs/dataprod/config"),
    }


def test_what_the_metadata_leaves_out_comes_from_the_defaults(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "defaults/tier_dsp"
    folder.mkdir(parents=True)
    (folder / "processing_chain-geds.yaml").write_text("for: geds\n")
    (folder / "processing_chain.yaml").write_text("for: others\n")
    monkeypatch.setattr(stepconfig, "DEFAULTS", tmp_path / "defaults")
    configure(tree, {"tier_dsp": {"inputs": {"processing_chain": {"V02160A": "$_/own.yaml"}}}})
    tree.write("inputs/dataprod/config/own.yaml", "for: one\n")
    config = tree.open().job("tier_dsp", PHY).config
    assert [(config.read("processing_chain", c) or {})["for"] for c in (GED, OTHER, SIPM)] == ["one", "geds", "others"]
    assert config.read("hit_config", GED) is None


def test_each_reading_is_ones_own(tree: Tree) -> None:
    configure(tree, {"tier_dsp": {"inputs": {"processing_chain": "$_/chain.yaml"}}})
    tree.write("inputs/dataprod/config/chain.yaml", "processors: {x: [1]}\n")
    config = tree.open().job("tier_dsp", PHY).config
    first = config.read("processing_chain", GED)
    assert first is not None
    first["processors"]["x"].append(2)
    assert config.read("processing_chain", GED) == {"processors": {"x": [1]}}


def test_dots_lead_into_an_entry_of_several_files(tree: Tree) -> None:
    spec = {"gen_config": "$_/gen.yaml", "spms_config": "$_/spms.yaml"}
    configure(tree, {"tier_raw_fcio": {"inputs": {"out_spec": spec}}})
    tree.write("inputs/dataprod/config/gen.yaml", "a: 1\n")
    tree.write("inputs/dataprod/config/spms.yaml", "b: 2\n")
    config = tree.open().job("tier_raw", PHY).config
    assert config.rule == "tier_raw_fcio"
    assert config.read("out_spec.spms_config") == {"b": 2}
    assert config.read("out_spec.geds_config") is None


def test_numbers_are_names_too(tree: Tree) -> None:
    configure(tree, {})
    tree.write(
        "inputs/dataprod/config/all.yaml", "snakemake_rules: {tier_tcm: {inputs: {config: {0: $_/crate.yaml}}}}\n"
    )
    tree.write("inputs/dataprod/config/crate.yaml", "coin_window: 1\n")
    assert tree.open().job("tier_tcm", PHY).config.read("config.0") == {"coin_window": 1}


def test_the_category_decides(tree: Tree) -> None:
    for_all = {"tier_dsp": {"options": {"settings": {"buffer_len": 10}}}}
    for_cal = {"tier_dsp": {"options": {"settings": {"buffer_len": 20}}}}
    configure(tree, for_all, for_cal, categories=("all", "cal"))
    cycle = tree.open()
    assert cycle.job("tier_dsp", PHY).config.options["settings"] == {"buffer_len": 10}
    assert cycle.job("tier_dsp", CAL).config.options["settings"] == {"buffer_len": 20}


def test_a_daq_file_of_orca_has_the_rule_of_orca(tree: Tree) -> None:
    tree.daq("l200-p04-r001-phy-20230701T000000Z", extension=".orca.bz2")
    assert tree.open().job("tier_raw", "l200-p04-r001-phy-20230701T000000Z").config.rule == "tier_raw_orca"


def test_the_collaborations_other_rules_are_accepted(tree: Tree) -> None:
    configure(tree, {"pars_dsp_eopt": {"inputs": {"optimiser_config": "$_/x.yaml"}}, "pars_pht_partcal": None})
    assert tree.open().job("tier_dsp", PHY).config.inputs == {}


def test_every_rule_of_the_registry_may_be_configured() -> None:
    known = stepconfig.known_rules()
    for step in STEPS:
        if step.rule and "{" not in step.rule:
            assert known[step.rule] == step.configs


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"tier_hits": {}}, "all.yaml:3: there is no rule 'tier_hits' (did you mean 'tier_hit'?)"),
        ({"tier_dsp": {"input": {}}}, "snakemake_rules.tier_dsp has no entry 'input' (did you mean 'inputs'?)"),
        ({"tier_dsp": {"inputs": {"chain": "x"}}}, "all.yaml:5: snakemake_rules.tier_dsp.inputs has no entry 'chain'"),
        ({"tier_dsp": {"inputs": ["x"]}}, "snakemake_rules.tier_dsp.inputs must be a mapping, not a list"),
        ({"tier_dsp": 3}, "all.yaml:3: snakemake_rules.tier_dsp must be a mapping, not a int"),
        (["tier_dsp"], "all.yaml:2: snakemake_rules must be a mapping, not a list"),
    ],
)
def test_a_wrong_entry_is_named_with_file_and_line(tree: Tree, rules: Any, message: str) -> None:
    configure(tree, rules)
    with pytest.raises(UserError) as caught:
        tree.open().job("tier_dsp", PHY)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("$_/none.yaml", "there is no file"),
        ("/etc/hostname", "lies outside the metadata"),
        ("$_/../../../config.json", "lies outside the metadata"),
        ({"__default__": 7}, "must be a file name"),
        (["$_/link.yaml"], "lies outside the metadata"),
    ],
)
def test_a_wrong_file_is_refused_when_it_is_read(tree: Tree, value: Any, message: str) -> None:
    configure(tree, {"tier_dsp": {"inputs": {"processing_chain": value}}})
    outside = tree.write("outside.yaml", "a: 1\n")
    (tree.root / "inputs/dataprod/config/link.yaml").symlink_to(outside)
    with pytest.raises(UserError) as caught:
        tree.open().job("tier_dsp", PHY).config.read("processing_chain", GED)
    assert message in str(caught.value) and "snakemake_rules.tier_dsp.inputs.processing_chain" in str(caught.value)
