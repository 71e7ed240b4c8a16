"""The configuration of steps from ``dataprod/config``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dataflow.base.errors import UserError
from dataflow.base.textfile import read as read_text
from dataflow.keys.channel import Channel
from dataflow.metadata import stepconfig
from dataflow.metadata.schemas import OPTIONS, documented_rules, schema
from dataflow.registry.step import PROCESSING_CHAIN
from dataflow.registry.steps import STEPS
from dataflow.steps.par_dsp_nopt.settings import NoptSettings
from dataflow.steps.par_dsp_pz.settings import PzSettings
from dataflow.steps.par_hit_ecal.source import calibration_of

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


COMPLETE = "outputs: [b]\nprocessors: {x: a + 1, y: {function: f, args: [$_/w]}}\n"


def chain_of(tree: Tree, channel: Channel = GED) -> dict[str, Any]:
    found = tree.open().job("tier_dsp", PHY).config.read("processing_chain", channel)
    assert found is not None
    return found


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Defaults of two systems' chains in place of those that are shipped."""
    folder = tmp_path / "steps/tier_dsp/defaults"
    folder.mkdir(parents=True)
    for system in ("geds", "spms", "puls"):
        text = f"outputs: [{system}, t]\nprocessors: {{p: {{function: {system}, args: [1, 2]}}, q: a}}\n"
        (folder / f"processing_chain-{system}.yaml").write_text(text)
    monkeypatch.setattr(stepconfig, "STEPS_FOLDER", tmp_path / "steps")
    return folder


def test_a_detectors_own_file_comes_before_that_of_its_system_and_the_default(tree: Tree) -> None:
    chains = {"V02160A": "$_/own.yaml", "__default__": ["$_/base.yaml", "$_/more.yaml"], "spms": "$_/light.yaml"}
    configure(tree, {"tier_dsp": {"inputs": {"processing_chain": chains}}})
    tree.write("inputs/dataprod/config/own.yaml", "outputs: [a]\nprocessors: {}\n")
    tree.write("inputs/dataprod/config/base.yaml", COMPLETE)
    tree.write("inputs/dataprod/config/light.yaml", "outputs: [light]\nprocessors: {}\n")
    tree.write("inputs/dataprod/config/more.yaml", "processors: {y: {function: g}}\n")
    assert chain_of(tree) == {"outputs": ["a"], "processors": {}}
    assert chain_of(tree, SIPM) == {"outputs": ["light"], "processors": {}}
    weights = str(tree.root / "inputs/dataprod/config/w")
    processors = {"x": "a + 1", "y": {"function": "g", "args": [weights]}}
    assert chain_of(tree, OTHER) == {"outputs": ["b"], "processors": processors}


def test_one_option_is_changed_and_the_rest_is_what_is_shipped(tree: Tree, shipped: Path) -> None:
    configure(tree, {"tier_dsp": {"inputs": {"processing_chain": "$_/change.yaml"}}})
    tree.write("inputs/dataprod/config/change.yaml", "outputs: [new, $default]\nprocessors: {p: {args: [3]}}\n")
    for channel, system in ((GED, "geds"), (SIPM, "spms")):
        assert chain_of(tree, channel) == {
            "outputs": ["new", system, "t"],
            "processors": {"p": {"function": system, "args": [3]}, "q": "a"},
        }


def test_a_complete_file_stands_alone_as_in_the_published_flow(tree: Tree, shipped: Path) -> None:
    configure(tree, {"tier_dsp": {"inputs": {"processing_chain": "$_/chain.yaml"}}})
    tree.write("inputs/dataprod/config/chain.yaml", "outputs: [mine]\nprocessors: {mine: a}\n")
    assert chain_of(tree) == {"outputs": ["mine"], "processors": {"mine": "a"}}
    files = tree.open().job("tier_dsp", PHY).config.files("processing_chain", GED)
    assert [path.name for path in files] == ["chain.yaml"]


def test_steps_that_apply_a_chain_share_the_one_that_is_shipped(shipped: Path) -> None:
    """An edit of it in a cycle reaches the calibration too, whatever the step calls it."""
    chains = [(step.rule, name) for step in STEPS for name, kind in step.configs.items() if kind == PROCESSING_CHAIN]
    assert ("pars_dsp_dplms", "proc_chain") in chains and ("pars_dsp_tau", "processing_chain") in chains
    for rule, name in chains:
        for system in ("geds", "spms"):
            files = stepconfig.shipped_files(rule, name, system)
            assert files == (shipped / f"processing_chain-{system}.yaml",), (rule, name, system)


def test_no_file_of_the_flow_is_a_link_which_a_cycle_would_have_as_a_copy() -> None:
    assert [path for path in stepconfig.STEPS_FOLDER.rglob("*") if path.is_symlink()] == []


def test_replacing_and_merging_can_be_asked_for(tree: Tree, shipped: Path) -> None:
    configure(tree, {"tier_dsp": {"inputs": {"processing_chain": "$_/chain.yaml"}}})
    tree.write("inputs/dataprod/config/chain.yaml", "processors: {$replace: true, mine: a}\n")
    assert chain_of(tree) == {"outputs": ["geds", "t"], "processors": {"mine": "a"}}
    tree.write("inputs/dataprod/config/chain.yaml", "$replace: false\noutputs: [mine]\nprocessors: {mine: a}\n")
    assert chain_of(tree)["outputs"] == ["mine"]
    assert set(chain_of(tree)["processors"]) == {"p", "q", "mine"}


def test_what_cannot_be_merged_is_named_with_its_line(tree: Tree, shipped: Path) -> None:
    configure(tree, {"tier_dsp": {"inputs": {"processing_chain": "$_/chain.yaml"}}})
    tree.write("inputs/dataprod/config/chain.yaml", "processors:\n  p:\n    prereqs: [$default]\n")
    with pytest.raises(UserError, match=r"chain.yaml:3: processors.p.prereqs says \$default, and no file before"):
        tree.open().job("tier_dsp", PHY)
    tree.write("inputs/dataprod/config/chain.yaml", "processors:\n  $replace: perhaps\n")
    with pytest.raises(UserError, match=r"chain.yaml:2: \$replace must be true or false"):
        tree.open().job("tier_dsp", PHY)


def test_what_the_metadata_leaves_out_comes_from_the_defaults(tree: Tree, shipped: Path) -> None:
    (shipped / "processing_chain.yaml").write_text("outputs: [others]\nprocessors: {}\n")
    configure(tree, {"tier_dsp": {"inputs": {"processing_chain": {"V02160A": "$_/own.yaml"}}}})
    tree.write("inputs/dataprod/config/own.yaml", "outputs: [one]\nprocessors: {}\n")
    config = tree.open().job("tier_dsp", PHY).config
    baseline = Channel("BSLN01", "bsln", 1027201)
    found = [(config.read("processing_chain", c) or {})["outputs"][0] for c in (GED, OTHER, SIPM, baseline)]
    assert found == ["one", "geds", "spms", "others"]
    assert config.read("hit_config", GED) is None


def test_each_reading_is_ones_own(tree: Tree) -> None:
    configure(tree, {"tier_dsp": {"inputs": {"processing_chain": "$_/chain.yaml"}}})
    tree.write("inputs/dataprod/config/chain.yaml", "outputs: [x]\nprocessors: {x: a}\n")
    config = tree.open().job("tier_dsp", PHY).config
    first = config.read("processing_chain", GED)
    assert first is not None
    first["outputs"].append("y")
    assert config.read("processing_chain", GED) == {"outputs": ["x"], "processors": {"x": "a"}}


def test_dots_lead_into_an_entry_of_several_files(tree: Tree) -> None:
    spec = {"gen_config": "$_/gen.yaml", "spms_config": "$_/spms.yaml"}
    configure(tree, {"tier_raw_fcio": {"inputs": {"out_spec": spec}}})
    tree.write("inputs/dataprod/config/gen.yaml", "A: {a: {key_list: [1]}}\n")
    tree.write("inputs/dataprod/config/spms.yaml", "B: {b: {out_name: c}}\n")
    config = tree.open().job("tier_raw", PHY).config
    assert config.rule == "tier_raw_fcio"
    assert config.read("out_spec.spms_config") == {"B": {"b": {"out_name": "c"}}}
    assert config.read("out_spec.geds_config") is None


def test_numbers_are_names_too(tree: Tree) -> None:
    configure(tree, {})
    tree.write(
        "inputs/dataprod/config/all.yaml", "snakemake_rules: {tier_tcm: {inputs: {config: {0: $_/crate.yaml}}}}\n"
    )
    tree.write("inputs/dataprod/config/crate.yaml", "coin_windows: 1\n")
    assert tree.open().job("tier_tcm", PHY).config.read("config.0") == {"coin_windows": 1}


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
            assert known[step.rule] == tuple(step.configs)


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


WRONG = [
    (
        "pars_hit_ecal",
        "ecal_config",
        "par_hit_ecal",
        "energy_params: [a]\ntreshold: 100\n",
        "2: ecal_config has no entry",
    ),
    (
        "pars_hit_ecal",
        "ecal_config",
        "par_hit_ecal",
        "energy_params: trapEmax\n",
        "1: ecal_config.energy_params must be a",
    ),
    ("pars_hit_ecal", "ecal_config", "par_hit_ecal", "threshold: soon\n", "1: ecal_config.threshold must be a number"),
    ("pars_hit_ecal", "ecal_config", "par_hit_ecal", "deg: 1\nsource: Th282\n", "2: ecal_config.source: there is no"),
    ("pars_hit_ecal", "ecal_config", "par_hit_ecal", "source: Cs137\n", "1: ecal_config: one line (661.655 keV)"),
    ("pars_hit_ecal", "ecal_config", "par_hit_ecal", "lines: [661.7]\n", "1: ecal_config: one line (661.7 keV)"),
    ("pars_hit_ecal", "ecal_config", "par_hit_ecal", "excluded_lines: [1580]\n", "1: ecal_config.excluded_lines: the"),
    (
        "pars_hit_ecal",
        "ecal_config",
        "par_hit_ecal",
        "copy_calibration: {x_cal: {copy_param: y_cal, old_input_param: y, new_input_param: x}}\n",
        "1: ecal_config.copy_calibration.x_cal: there is no calibration 'y_cal' to copy",
    ),
    ("pars_hit_ecal", "sources", "par_hit_ecal", "Xy1: {lines: []}\n", "1: sources.Xy1.lines must be a list of at"),
    ("pars_dsp_tau", "tau_config", "par_dsp_pz", "n_event: 5\n", "1: tau_config has no entry 'n_event'"),
    ("pars_dsp_tau", "tau_config", "par_dsp_pz", "\nleast: many\n", "2: tau_config.least must be a whole number"),
    (
        "tier_dsp",
        "processing_chain",
        "tier_dsp",
        "processors: {x: {functon: f}}\n",
        "1: processing_chain.processors.x has no",
    ),
    ("tier_dsp", "processing_chain", "tier_dsp", "output: [x]\n", "1: processing_chain has no entry 'output'"),
    ("tier_hit", "hit_config", "tier_hit", "operations: {x: null}\n", "1: hit_config.operations.x must be a mapping"),
    (
        "tier_evt",
        "evt_config",
        "tier_evt",
        "operations: {x: {agregation_mode: sum}}\n",
        "operations.x has no entry 'agreg",
    ),
    ("tier_skm", "skm_config", "tier_skm", "keep_field: [x]\n", "1: skm_config has no entry 'keep_field'"),
    ("tier_tcm", "config", "tier_tcm", "coin_window: 5\n", "1: config has no entry 'coin_window'"),
    ("tier_raw_fcio", "settings", "tier_raw", "bufer_size: 5\n", "1: settings has no entry 'bufer_size'"),
]


@pytest.mark.parametrize(("rule", "name", "step", "text", "message"), WRONG)
def test_wrong_settings_stop_the_plan_with_file_and_line(
    tree: Tree, rule: str, name: str, step: str, text: str, message: str
) -> None:
    configure(tree, {rule: {"inputs": {name: "$_/settings.yaml"}}})
    tree.write("inputs/dataprod/config/settings.yaml", text)
    with pytest.raises(UserError) as caught:
        tree.open().job(step, CAL)
    assert "inputs/dataprod/config/settings.yaml:" in caught.value.message and message in caught.value.message


def test_a_source_of_ones_own_is_a_source(tree: Tree) -> None:
    inputs = {"ecal_config": "$_/ecal.yaml", "sources": "$_/sources.yaml"}
    configure(tree, {"pars_hit_ecal": {"inputs": inputs}})
    tree.write("inputs/dataprod/config/ecal.yaml", "source: [Xy1, Co60]\n")
    tree.write("inputs/dataprod/config/sources.yaml", "Xy1: {lines: [{energy: 500.5}]}\n")
    config = tree.open().job("par_hit_ecal", CAL).config
    _, source = calibration_of(config, GED)
    assert [line.energy for line in source.lines] == [500.5, 1173.228, 1332.492]
    assert source.reference_energy == 1332.492


@pytest.mark.parametrize(
    "node",
    [
        "{function: system, module: os, args: [\"'true'\"]}",
        "{function: os.system(\"'true'\")}",
        "{function: subprocess.run, args: [\"'true'\"]}",
        "{function: exec, module: builtins, args: [\"'1'\"]}",
    ],
)
def test_a_processor_is_no_function_of_python_itself(tree: Tree, node: str) -> None:
    configure(tree, {"tier_dsp": {"inputs": {"processing_chain": {"geds": "$_/chain.yaml"}}}})
    tree.write("inputs/dataprod/config/chain.yaml", f"outputs: [a]\nprocessors:\n  a: {node}\n")
    cycle = tree.open()
    with pytest.raises(UserError, match=r"chain.yaml:3: the processor 'a': functions of the module '\w+' may not be"):
        cycle.check([("tier_dsp", cycle.scheme.key(PHY))])


def test_settings_of_one_detector_among_many_are_checked(tree: Tree) -> None:
    configure(tree, {"pars_hit_ecal": {"inputs": {"ecal_config": {"V02160B": "$_/one.yaml"}}}})
    tree.write("inputs/dataprod/config/one.yaml", "treshold: 1\n")
    with pytest.raises(UserError, match=r"one.yaml:1: ecal_config has no entry 'treshold' \(did you mean 'threshold'"):
        tree.open().job("par_hit_ecal", CAL)


def test_options_are_checked_where_they_stand(tree: Tree) -> None:
    configure(tree, {"tier_dsp": {"options": {"settings": {"bufer_len": 10}, "logging": {"level": "DEBUG"}}}})
    with pytest.raises(UserError) as caught:
        tree.open().job("tier_dsp", PHY)
    assert "all.yaml:6: snakemake_rules.tier_dsp.options.settings has no entry 'bufer_len'" in caught.value.message
    assert "did you mean 'buffer_len'?" in caught.value.hint


def test_planning_what_nobody_configures_does_without_pydantic(tree: Tree) -> None:
    """It takes 0.08 s to import, and every job plans."""
    check = (
        "import sys\nfrom dataflow.plan import open_cycle\n"
        f"open_cycle({str(tree.save())!r}).job('tier_dsp', {PHY!r})\n"
        "sys.exit('pydantic' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_entries_of_the_published_flow_are_accepted(tree: Tree) -> None:
    configure(tree, {"pars_dsp_tau": {"inputs": {"tau_config": "$_/tau.yaml"}}})
    tree.write("inputs/dataprod/config/tau.yaml", "run_tau: true\nmode: single\nn_events: 7\n")
    config = tree.open().job("par_dsp_pz", CAL).config
    assert config.settings("tau_config", PzSettings, GED).n_events == 7
    with pytest.raises(TypeError, match="tau_config of pars_dsp_tau is declared with other settings: PzSettings"):
        config.settings("tau_config", NoptSettings, GED)


@pytest.mark.parametrize("rule", documented_rules())
def test_what_is_shipped_fits_its_settings(rule: str) -> None:
    found = 0
    for path in sorted(stepconfig.shipped_folder(rule).glob("*.yaml")):
        name = path.stem.partition("-")[0]
        kind = schema(rule, name)
        if kind is not None:
            text = read_text(path)
            kind.read(text.mapping(), name, text)
            found += 1
    assert found or not stepconfig.shipped_folder(rule).is_dir()


def test_every_input_of_a_step_has_settings_and_every_entry_a_meaning() -> None:
    for step in STEPS:
        for form in ("fcio", "orca") if step.rule else ():
            for name in [OPTIONS, *(name for name, place in step.configs.items() if place)]:
                kind = schema(step.rule.format(daq=form), name)
                assert kind is not None, (step.name, name)
                assert set(kind.entries()) <= set(kind.meanings()), kind
