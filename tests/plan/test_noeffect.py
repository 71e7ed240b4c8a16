"""What stands in configuration and metadata and does nothing is named with file and line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dataflow.plan import noeffect

from .conftest import KEYS, MAP, STATUSES, Tree
from .test_stepconfig import configure


def said(tree: Tree) -> list[str]:
    """The findings, with paths from the cycle's folder on."""
    return [str(found).replace(f"{tree.root}/", "") for found in noeffect.findings(tree.open())]


def test_a_tidy_cycle_has_nothing_without_effect(tree: Tree) -> None:
    assert said(tree) == []


def test_a_test_stand_has_nothing_without_effect(stand: Tree) -> None:
    assert said(stand) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("usability: on", "usability: onn", "3: the usability 'onn' of V02160A is none of on, off, ac, no_psd: it"),
        ("usability: on", "usablity: on", "3: the entry 'usablity' in the status of V02160A is not known"),
        (
            "V02160A:",
            "V02160X: {usability: 'on'}\nV02160A:",
            "3: V02160X is in no channel map, but has a status: nothing",
        ),
        ("B00000C: {", "B00000C: {reason: broken, ", ""),
    ],
)
def test_statuses(tree: Tree, old: str, new: str, message: str) -> None:
    tree.metadata(statuses="# \n# \n" + STATUSES.replace(old, new))
    found = said(tree)
    assert len(found) == bool(message)
    assert all(line.startswith(f"inputs/datasets/statuses/always.yaml:{message}") for line in found)
    assert all("did you mean" in line for line in found)


def test_many_detectors_are_one_sentence(tree: Tree) -> None:
    strangers = "".join(f"V9{number:04d}A: {{processable: true, usability: oon}}\n" for number in range(100))
    tree.metadata(statuses=STATUSES + strangers)
    where = "inputs/datasets/statuses/always.yaml:5: "
    assert said(tree) == [
        f"{where}the usability 'oon' of V90000A, V90001A, V90002A and 97 more is none of on, off, ac, no_psd: "
        "it selects nothing",
        f"{where}V90000A, V90001A, V90002A and 97 more are in no channel map, but have a status: nothing takes them",
    ]


def test_a_detector_of_another_times_map_is_known(tree: Tree) -> None:
    tree.write("inputs/hardware/configuration/channelmaps/later.yaml", MAP.replace("V02160B", "V09999A"))
    tree.validity(
        "hardware/configuration/channelmaps",
        {"valid_from": "20200101T000000Z", "apply": ["always.yaml"]},
        {"valid_from": "20400101T000000Z", "mode": "reset", "apply": ["later.yaml"]},
    )
    tree.write("inputs/datasets/statuses/always.yaml", STATUSES + "V09999A: {processable: true, usability: 'on'}\n")
    assert said(tree) == []


def test_overrides_and_configuration_of_unknown_detectors(tree: Tree) -> None:
    tree.write("inputs/dataprod/overrides/hit/a.yaml", "V02160A: {}\nV0216OB: {}\n")
    tree.validity("dataprod/overrides/hit", {"valid_from": "20200101T000000Z", "apply": ["a.yaml"]})
    inputs = {"hit_config": {"V0261OA": "$_/hit.yaml", "__default__": "$_/hit.yaml", "spms": "$_/hit.yaml"}}
    configure(tree, {"tier_hit": {"inputs": inputs}})
    tree.write("inputs/dataprod/config/hit.yaml", "{}\n")
    assert said(tree) == [
        "inputs/dataprod/overrides/hit/a.yaml:2: V0216OB is in no channel map, but has hit overrides: nothing takes it "
        "(did you mean 'V02160B'?)",
        "inputs/dataprod/config/all.yaml:6: V0261OA is in no channel map, but has a configuration of its own: nothing "
        "takes it (did you mean 'V02160A'?)",
    ]


def test_rules_one_level_too_high_and_unknown_entries(tree: Tree) -> None:
    entry: dict[str, Any] = {"tier_dsp": {}, "analysis": {}, "snakemake_rule": {}, "snakemake_rules": {}}
    spec = {"ged_config": "$_/x.yaml"}
    entry["snakemake_rules"] = {"tier_raw_orca": {"inputs": {"out_spec": spec}}}
    tree.write("inputs/dataprod/config/all.yaml", json.dumps(entry, indent=1))
    tree.write("inputs/dataprod/config/x.yaml", "{}\n")
    tree.validity("dataprod/config", {"valid_from": "20200101T000000Z", "apply": ["all.yaml"]})
    where = "inputs/dataprod/config/all.yaml"
    assert said(tree) == [
        f"{where}:2: tier_dsp stands one level too high: nothing reads it (put it below snakemake_rules)",
        f"{where}:4: the entry 'snakemake_rule' is not known: nothing reads it (did you mean 'snakemake_rules'?)",
        f"{where}:9: snakemake_rules.tier_raw_orca.inputs.out_spec has the entry 'ged_config', which is not known: "
        "nothing reads it (did you mean 'geds_config'?)",
    ]


def test_events_of_the_muon_veto_that_only_the_published_flow_builds(tree: Tree) -> None:
    muons = {"evt_config": "$_/muon_evt.yaml", "field_config": "$_/muon_field.yaml"}
    for name in muons.values():
        tree.write(f"inputs/dataprod/config/{name.removeprefix('$_/')}", "{}\n")
    configure(tree, {"tier_evt": {"inputs": {"muon_config": muons}}})
    (found,) = said(tree)
    assert "muon_config of tier_evt: events of the muon veto's own stream are built by no step here" in found
    assert tree.open().job("tier_evt", KEYS[2]).inputs["tcm"], "and nothing stops"


def test_a_name_twice_in_one_mapping(tree: Tree) -> None:
    tree.metadata(statuses=STATUSES + "S001:\n  processable: true\n  usability: 'on'\n  processable: false\n")
    where = "inputs/datasets/statuses/always.yaml"
    assert said(tree) == [
        f"{where}:5: 'S001' stands twice: only this one is read (keep one of them)",
        f"{where}:8: 'processable' stands twice in S001: only this one is read (keep one of them)",
    ]


def test_a_name_twice_in_json_and_merge_keys_in_yaml(tree: Tree) -> None:
    tree.write("inputs/datasets/statuses/more.json", '{"S001": {"usability": "on",\n "usability": "off"}}')
    tree.metadata(statuses="base: &b {processable: true}\n" + STATUSES + "PULS01: {<<: *b, usability: 'on'}\n")
    tree.validity("datasets/statuses", {"valid_from": "20200101T000000Z", "apply": ["always.yaml", "more.json"]})
    assert [line for line in said(tree) if "twice" in line] == [
        "inputs/datasets/statuses/more.json:2: 'usability' stands twice in S001: only this one is read "
        "(keep one of them)"
    ]


@pytest.mark.parametrize(("place", "expected"), [("hardware/detectors", 0), ("hardware/detektors", 1)])
def test_another_place_of_the_detectors_that_is_not_there(tree: Tree, place: str, expected: int) -> None:
    tree.config["paths"] = {"detector_db": f"$_/inputs/{place}"}
    tree.save()
    line = "config.json:1: paths.detector_db: there is no inputs/hardware/detektors (the detectors themselves) "
    assert said(tree) == [line + "(make it, or correct paths.detector_db)"] * expected


def test_paths_and_files_that_are_not_there(tree: Tree) -> None:
    tree.config["paths"] = {"par_overwrite": "$_/inputs/override", "tier_hit": "/nowhere/hit", "tier_dsp": "$_/new/dsp"}
    configure(tree, {"tier_hit": {"inputs": {"hit_config": "$_/hit.yaml"}}})
    tree.write("inputs/dataprod/config/hit.yaml", "operations:\n  x: {expression: a, lgdo_attrs: {c: $_/gone.bin}}\n")
    found = said(tree)
    assert found[:2] == [
        "config.json:1: paths.par_overwrite: there is no inputs/override (hand-made parameters; merged last) "
        "(make it, or correct paths.par_overwrite)",
        "config.json:1: paths.tier_hit: there is no /nowhere/hit (calibrated quantities by channel) "
        "(make it, or correct paths.tier_hit)",
    ]
    assert found[2:] == [
        "inputs/dataprod/config/hit.yaml:2: there is no file inputs/dataprod/config/gone.bin (correct the name)"
    ]


def test_files_that_no_validity_list_names(tree: Tree) -> None:
    tree.write("inputs/datasets/statuses/new.yaml", "{}\n")
    tree.write("inputs/dataprod/config/mine.yaml", "snakemake_rules: {}\n")
    tree.write("inputs/dataprod/config/chain.yaml", "outputs: []\n")
    assert said(tree) == [
        "inputs/datasets/statuses: new.yaml is named by no entry of inputs/datasets/statuses/validity.yaml: nothing "
        "reads it (add an entry that applies it)",
        "inputs/dataprod/config: mine.yaml is named by no entry of a validity.yaml: nothing reads it "
        "(add an entry that applies it)",
    ]


def test_energies_that_evt_uses_and_nothing_calibrates(tree: Tree) -> None:
    configure(tree, {"pars_hit_ecal": {"inputs": {"ecal_config": {"V02160A": "$_/ecal.yaml"}}}})
    tree.write("inputs/dataprod/config/ecal.yaml", "energy_params: [trapEmax]\n")
    (found,) = said(tree)
    assert found.startswith("inputs/dataprod/config/ecal.yaml:1: ")
    assert "evt makes geds___multiplicity, geds___rawid, geds___hit_idx and 2 more of hit.cuspEmax_ctc_cal" in found
    assert "which V02160A will not have: only trapEmax is calibrated (name it in energy_params" in found
    operation = "V02160A: {pars: {operations: {cuspEmax_ctc_cal: {parameters: {a: 0, b: 0.18}}}}}\n"
    tree.write("inputs/dataprod/overrides/hit/a.yaml", operation)
    tree.validity("dataprod/overrides/hit", {"valid_from": "20200101T000000Z", "apply": ["a.yaml"]})
    assert said(tree) == []
    tree.write("inputs/dataprod/overrides/hit/a.yaml", "{}\n")
    tree.write("inputs/dataprod/config/ecal.yaml", "energy_params: [cuspEmax]\n")
    assert said(tree) == []


def test_energies_that_nobody_makes(tree: Tree) -> None:
    """Beside others one may be missing; those of the defaults are, where a chain lacks them."""
    configure(tree, {"pars_hit_ecal": {"inputs": {"ecal_config": "$_/ecal.yaml"}}})
    tree.write("inputs/dataprod/config/ecal.yaml", "energy_params: [$default,\n  bestEmax]\n")
    (found,) = said(tree)
    assert found.startswith("inputs/dataprod/config/ecal.yaml:")
    assert "energy_params names 'bestEmax', which neither dsp nor hit_config makes: it is not calibrated" in found
    operation = "operations: {bestEmax: {expression: trapEmax * 2}}\n"
    configure(
        tree,
        {
            "pars_hit_ecal": {"inputs": {"ecal_config": "$_/ecal.yaml"}},
            "tier_hit": {"inputs": {"hit_config": {"geds": "$_/hit.yaml"}}},
        },
    )
    tree.write("inputs/dataprod/config/hit.yaml", operation)
    assert said(tree) == []


def test_columns_that_evt_uses_and_hit_does_not_have(tree: Tree) -> None:
    configure(tree, {"tier_evt": {"inputs": {"evt_config": "$_/evt.yaml"}}})
    operation = "{channels: geds_on, aggregation_mode: sum, expression: hit.lq_80}"
    tree.write("inputs/dataprod/config/evt.yaml", f"outputs: [$default, x]\noperations:\n  x: {operation}\n")
    (found,) = said(tree)
    assert found.startswith("inputs/dataprod/config/evt.yaml:3: evt makes x of hit.lq_80, which V02160A and V02160B")
    assert "it is not among the outputs of hit_config" in found


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{system: ged}", "'x' are of the system 'ged', which there is not: the list is empty (did you mean 'geds'?)"),
        ("{selectors: {analysis.usability: 'onn'}}", "'onn', which is none of on, off, ac, no_psd: the list is empty"),
        (
            "{selectors: {analysis.usability: on}}",
            "True, which is none of on, off, ac, no_psd: the list is empty (quote",
        ),
        (
            "{selectors: {analyis.usability: 'on'}}",
            "which no channel has: the list is empty (did you mean 'analysis'?)",
        ),
        ("{selectors: {analysis.psd.status.low_aoe: valid, daq.fcid: 3}}", ""),
    ],
)
def test_lists_of_channels_that_no_channel_can_be_on(tree: Tree, entry: str, message: str) -> None:
    configure(tree, {"tier_evt": {"inputs": {"evt_config": "$_/evt.yaml"}}})
    tree.write("inputs/dataprod/config/evt.yaml", f"\nchannels: {{x: {entry}}}\n")
    found = said(tree)
    assert len(found) == bool(message)
    assert all(
        line.startswith("inputs/dataprod/config/evt.yaml:2: the channels 'x'") and message in line for line in found
    )


def test_metadata_that_the_plan_does_not_need_and_cannot_be_read_is_told(tree: Tree) -> None:
    tree.write("inputs/dataprod/overrides/hit/validity.yaml", "- {valid_from: never, apply: [a.yaml]}\n")
    assert any("overrides/hit/validity.yaml:1: valid_from must be" in line for line in said(tree))


def change_at(tree: Tree, time: str, rules: dict[str, Any]) -> None:
    """Let another configuration hold from a time on."""
    configure(tree, {})
    tree.write("inputs/dataprod/config/later.yaml", json.dumps({"snakemake_rules": rules}))
    entries = [("20200101T000000Z", "all.yaml"), (time, "later.yaml")]
    tree.validity("dataprod/config", *({"valid_from": begin, "apply": [name]} for begin, name in entries))
    tree.write("inputs/dataprod/config/ecal.yaml", "threshold: 50\n")


ECAL = {"pars_hit_ecal": {"inputs": {"ecal_config": "$_/ecal.yaml"}}}


def test_a_configuration_that_changes_inside_a_run_holds_from_the_next_run_on_and_is_said(tree: Tree) -> None:
    change_at(tree, "20230312T003000Z", ECAL)
    assert said(tree) == [
        "inputs/dataprod/config/validity.yaml: the configuration of pars_hit_ecal changes inside "
        "l200-p03-r000-cal, at 20230312T005840Z: par_hit_ecal takes what holds at 20230311T235840Z for all of it "
        "(let it hold from the beginning of a run on; steps for single files take each file by what holds at its time)"
    ]
    cycle = tree.open()
    configs = [cycle.job("par_hit_ecal", key).config for key in (KEYS[0], KEYS[4])]
    assert [[path.name for path in config.files("ecal_config")] for config in configs] == [
        ["ecal_config.yaml"],
        ["ecal_config.yaml", "ecal.yaml"],
    ]


@pytest.mark.parametrize("time", ["20230312T043356Z", "20230317T211819Z"])
def test_a_configuration_that_changes_between_runs_is_not_said(tree: Tree, time: str) -> None:
    change_at(tree, time, ECAL)
    assert said(tree) == []


def test_files_are_processed_by_the_configuration_of_their_own_time(tree: Tree) -> None:
    chain = {"tier_dsp": {"inputs": {"processing_chain": "$_/own.yaml"}}}
    change_at(tree, "20230312T003000Z", chain)
    tree.write("inputs/dataprod/config/own.yaml", "outputs: [mine]\nprocessors: {mine: a}\n")
    assert said(tree) == []
    cycle = tree.open()
    configs = [cycle.job("tier_dsp", key).config for key in KEYS[:2]]
    assert [(config.read("processing_chain") or {}).get("outputs") for config in configs] == [None, ["mine"]]


def test_a_category_that_no_file_can_have(tree: Tree) -> None:
    change_at(tree, "20230312T043356Z", ECAL)
    entries = [{"valid_from": "20200101T000000Z", "apply": ["all.yaml"]}]
    entries += [{"valid_from": "20230312T043356Z", "category": "call", "apply": ["later.yaml"]}]
    tree.validity("dataprod/config", *entries)
    assert said(tree) == [
        "inputs/dataprod/config/validity.yaml: no file can have the category 'call': its entries hold for nothing "
        "(did you mean 'cal'?)"
    ]


def test_an_entry_of_daq_that_is_almost_one_that_is_read(tree: Tree) -> None:
    tree.metadata(channels=MAP.replace("fcid: 1}", "fcid: 1, adc_bit: 14, crate: 3}"))
    assert said(tree) == [
        "inputs/hardware/configuration/channelmaps/always.yaml:1: the entry 'daq.adc_bit' of V02160A is not known: "
        "nothing reads it (did you mean 'adc_bits'?)"
    ]


@pytest.mark.parametrize(
    ("psd", "message"),
    [
        (
            "status: {low_aoe: vallid}",
            "the psd status 'vallid' of low_aoe of V02160A is none of valid, present, missing",
        ),
        ("statuss: {low_aoe: valid}", "the entry 'psd.statuss' in the status of V02160A is not known"),
        ("{status: {low_aoe: present, lq: missing}, is_bb_like: low_aoe}", ""),
    ],
)
def test_statuses_of_pulse_shapes(tree: Tree, psd: str, message: str) -> None:
    value = psd if psd.startswith("{") else f"{{{psd}}}"
    tree.metadata(statuses=STATUSES.replace("usability: on}", f"usability: on, psd: {value}}}"))
    found = said(tree)
    assert len(found) == bool(message)
    assert all(f"datasets/statuses/always.yaml:1: {message}" in line and "did you mean" in line for line in found)


@pytest.mark.parametrize(
    ("entry", "close"),
    [("pzz: {tau1: 400*us}", "pz.tau1"), ("pz: {tauu1: 400*us}", "pz.tau1"), ("pz: {tau1: 400*us}", ""), ("a: 1", "")],
)
def test_an_override_that_no_chain_reads(tree: Tree, entry: str, close: str) -> None:
    tree.write("inputs/dataprod/overrides/dsp/o.yaml", f"V02160A: {{{entry}}}\n")
    tree.validity("dataprod/overrides/dsp", {"valid_from": "20200101T000000Z", "apply": ["o.yaml"]})
    found = said(tree)
    assert len(found) == bool(close)
    assert all("overrides/dsp/o.yaml:1: no processing chain reads" in line and close in line for line in found)


@pytest.mark.parametrize(
    ("skim", "asked", "close"),
    [
        ("evt_filter: geds_multiplicityy == 1", "geds_multiplicityy", "geds_multiplicity"),
        ("keep_fields: [trigger, geds.energyy]", "geds.energyy", "geds_energy"),
        ("keep_fields: [trigger, ged]", "ged", "geds"),
        ("evt_filter: geds.multiplicity == 1\nkeep_fields: [trigger, evt.geds.energy, geds.name]", "", ""),
        ("keep_fields: [geds.quality, geds_quality]", "", ""),
    ],
)
def test_a_field_that_skm_asks_for_and_evt_almost_makes(tree: Tree, skim: str, asked: str, close: str) -> None:
    configure(tree, {"tier_skm": {"inputs": {"skm_config": "$_/skm.yaml"}}})
    tree.write("inputs/dataprod/config/skm.yaml", f"{skim}\n")
    where = "inputs/dataprod/config/skm.yaml:1: "
    sentence = f"{where}skm asks for {asked!r}, which evt does not make (did you mean {close!r}?)"
    assert said(tree) == ([sentence] if asked else [])


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("{operations: {cuspEmx_ctc_cal: {expression: a, parameters: {a: 1}}}}", "'cuspEmx_ctc_cal'"),
        ("{operatoins: {cuspEmax_ctc_cal: {expression: a, parameters: {a: 1}}}}", "'operatoins'"),
        ("{operations: {cuspEmax_ctc_cal: {parameters: {a: 1}}}}", ""),
        ("{operations: {my_own: {expression: a, parameters: {a: 1}}}}", ""),
        ("{cuspEmax_ctc_cal: {parameters: {a: 1}}}", ""),
    ],
)
def test_an_operation_by_hand_that_is_almost_one(tree: Tree, entry: str, found: str) -> None:
    tree.write("inputs/dataprod/overrides/hit/a.yaml", f"V02160A:\n  pars: {entry}\n")
    tree.validity("dataprod/overrides/hit", {"valid_from": "20200101T000000Z", "apply": ["a.yaml"]})
    lines = said(tree)
    assert len(lines) == bool(found)
    if found:
        assert lines[0].startswith(f"inputs/dataprod/overrides/hit/a.yaml:2: nothing reads {found}, which V02160A has")
