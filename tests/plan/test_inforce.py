"""The configuration in force, with the origin of every value."""

from __future__ import annotations

from typing import Any

import pytest

from dataflow.base.errors import UserError
from dataflow.plan.inforce import in_force

from .conftest import Tree
from .test_stepconfig import CAL, PHY, configure


def values(part: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    return {".".join(map(str, v["place"])): (v["value"], v["origin"]) for v in part["values"]}


def test_every_value_has_its_origin(tree: Tree) -> None:
    configure(tree, {"pars_dsp_tau": {"inputs": {"tau_config": {"V02160A": ["$_/a.yaml", "$_/b.yaml"]}}}})
    tree.write("inputs/dataprod/config/a.yaml", "n_events: 10\nleast: 3\n")
    tree.write("inputs/dataprod/config/b.yaml", "\nleast: 4\n")
    found = in_force(tree.open(), "par_dsp_pz", "V02160A")
    assert (found["step"], found["rule"], found["key"]) == (
        "par_dsp_pz",
        "pars_dsp_tau",
        "l200-p04-r000-cal-20230601T000000Z",
    )
    tau, chain = found["parts"]
    assert (tau["name"], tau["detectors"]) == ("tau_config", ["V02160A"])
    assert tau["files"][1:] == ["inputs/dataprod/config/a.yaml", "inputs/dataprod/config/b.yaml"]
    assert values(tau) == {
        "n_events": (10, "inputs/dataprod/config/a.yaml:1"),
        "threshold": (0, "default"),
        "threshold_fraction": (0.2, "default"),
        "least": (4, "inputs/dataprod/config/b.yaml:2"),
        "mode": ("auto", "default"),
        "offset": (2.0, "default"),
    }
    assert chain["name"] == "processing_chain" and {v["origin"] for v in chain["values"]} == {"default"}


def test_detectors_with_the_same_configuration_are_one_part(tree: Tree) -> None:
    configure(tree, {"tier_dsp": {"inputs": {"processing_chain": {"V02160A": "$_/a.yaml"}}}})
    tree.write("inputs/dataprod/config/a.yaml", "outputs: [$default, new]\nprocessors: {new: baseline + 1}\n")
    parts = in_force(tree.open(), "tier_dsp", at=PHY)["parts"]
    detectors = [part["detectors"] for part in parts]
    assert detectors == [["B00000C", "V02160B"], ["PULS01"], ["S001"], ["V02160A"]]
    own = values(next(part for part in parts if part["detectors"] == ["V02160A"]))
    assert own["processors.new"] == ("baseline + 1", "inputs/dataprod/config/a.yaml:2")
    assert own["outputs.0"] == ("timestamp", "default")


def test_options_of_the_rule_and_settings_of_the_cycle_are_parts(tree: Tree) -> None:
    tree.config["settings"] = {"tier_dsp": {"buffer_len": 20}}
    configure(tree, {"tier_dsp": {"options": {"settings": {"buffer_len": 10}}}})
    found = {part["name"]: values(part) for part in in_force(tree.open(), "tier_dsp", "S001", PHY)["parts"]}
    assert found["options"] == {"settings.buffer_len": (10, "inputs/dataprod/config/all.yaml:6")}
    assert found["settings of the cycle"] == {"buffer_len": (20, "config.json:1")}


def test_the_time_decides(tree: Tree) -> None:
    tree.write(
        "inputs/dataprod/config/early.yaml", "snakemake_rules: {tier_skm: {inputs: {skm_config: $_/skm.yaml}}}\n"
    )
    tree.write("inputs/dataprod/config/late.yaml", "{}\n")
    tree.write("inputs/dataprod/config/skm.yaml", "evt_filter: null\n")
    tree.validity(
        "dataprod/config",
        {"valid_from": "20200101T000000Z", "apply": ["early.yaml"]},
        {"valid_from": "20230501T000000Z", "mode": "reset", "apply": ["late.yaml"]},
    )
    early = in_force(tree.open(), "tier_skm", at=PHY)["parts"][0]
    assert values(early)["evt_filter"] == (None, "inputs/dataprod/config/skm.yaml:1")
    assert values(in_force(tree.open(), "tier_skm")["parts"][0])["evt_filter"][1] == "default"


@pytest.mark.parametrize(
    ("step", "detector", "at", "message"),
    [
        ("tier_dps", "", "", "there is no step 'tier_dps' (did you mean 'tier_dsp'?)"),
        ("par_dsp", "", "", "par_dsp has no configuration (with one: tier_raw"),
        ("tier_dsp", "V02160C", PHY, "there is no detector 'V02160C' at"),
        ("par_hit_ecal", "S001", CAL, "par_hit_ecal does not work on S001 at"),
        ("tier_dsp", "", "l200-p03", "'l200-p03' is not a key"),
    ],
)
def test_what_is_not_there_is_a_sentence(tree: Tree, step: str, detector: str, at: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        in_force(tree.open(), step, detector, at)
    assert message in str(caught.value)
