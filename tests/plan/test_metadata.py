"""Channels, statuses and overrides from the metadata."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dataflow.base.errors import UserError
from dataflow.base.textfile import Reader
from dataflow.metadata.validity import Folder

from .conftest import MAP, STATUSES, Tree

PHY = "l200-p03-r000-phy-20230312T043356Z"
CAL = "l200-p03-r000-cal-20230311T235840Z"


def plain(value: object) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("folder", ["hardware/configuration/channelmaps", "datasets/statuses"])
@pytest.mark.parametrize("category", ["all", "cal", "phy"])
def test_the_collaborations_metadata_reads_as_dbetto_reads_it(shared_data: Path, folder: str, category: str) -> None:
    dbetto = pytest.importorskip("dbetto")
    path = shared_data / "legend/metadata" / folder
    ours, theirs = Folder(path, Reader()), dbetto.TextDB(path)
    compared = 0
    for time in ("20210701T000000Z", "20210801T000000Z", "20220101T120000Z", "20220601T000000Z", "20230401T000000Z",
                 "20250801T000000Z"):  # fmt: skip
        try:
            expected = plain(theirs.on(time, category=category))
        except RuntimeError:
            assert ours.validity.at(time, category) is None
        else:
            assert plain(ours.on(time, category)) == expected
            compared += 1
    assert compared >= 4


def test_the_collaborations_channel_map_gives_the_channels_of_pylegendmeta(
    shared_data: Path, empty: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    legendmeta = pytest.importorskip("legendmeta")
    monkeypatch.setenv("METADATA_NO_GIT_REPO", "1")
    shutil.copytree(shared_data / "legend/metadata", empty.root / "inputs")
    theirs = legendmeta.LegendMetadata(empty.root / "inputs", lazy=True).channelmap("20230312T000000Z", "cal")
    cycle = empty.open()
    ours = {channel.name: channel for channel in cycle.metadata.channels(cycle.scheme.key(CAL))}
    assert {name: (c.system, c.rawid) for name, c in ours.items()} == {
        name: (entry.system, entry.daq.rawid) for name, entry in theirs.items()
    }
    assert len(ours) == 235


def test_a_missing_file_of_the_collaborations_configuration_is_named(shared_data: Path, empty: Tree) -> None:
    shutil.copytree(shared_data / "legend/metadata", empty.root / "inputs")
    cycle = empty.open()
    with pytest.raises(
        UserError, match=r"config/validity\.yaml:\d+: there is no file 'L200-p02-r%-T%-all-config.yaml'"
    ):
        cycle.metadata.config("tier_dsp", cycle.scheme.key(PHY))


def test_channels_are_sorted_and_know_their_status(tree: Tree) -> None:
    cycle = tree.open()
    channels = cycle.metadata.channels(cycle.scheme.key(PHY))
    assert [channel.name for channel in channels] == ["B00000C", "MUON01", "PULS01", "S001", "V02160A", "V02160B"]
    first, second = channels[4], channels[5]
    assert (first.rawid, first.fcid, first.system, first.processable) == (1104000, 1, "geds", True)
    assert first.usability == "on", "an unquoted on of YAML"
    assert (second.usability, second.psd) == ("off", {"status": {"low_aoe": "missing"}})
    assert not channels[0].processable


def test_a_jobs_channels_are_the_processable_ones_of_its_systems(tree: Tree) -> None:
    cycle = tree.open()
    assert [c.name for c in cycle.job("tier_raw", PHY).channels] == [
        "B00000C", "MUON01", "PULS01", "S001", "V02160A", "V02160B",
    ]  # fmt: skip
    assert [c.name for c in cycle.job("tier_dsp", PHY).channels] == ["PULS01", "S001", "V02160A", "V02160B"]
    assert [c.name for c in cycle.job("par_dsp_pz", CAL).channels] == ["V02160A", "V02160B"]
    assert [c.name for c in cycle.job("par_dsp_pz", CAL).pulsers] == ["PULS01"]


def test_auxiliary_channels_are_processed_where_they_are_configured_by_name(tree: Tree) -> None:
    chain = {"MUON01": "$_/muon.yaml"}
    rules = {"snakemake_rules": {"tier_dsp": {"inputs": {"processing_chain": chain}}}}
    tree.write("inputs/dataprod/config/all.yaml", json.dumps(rules))
    tree.write("inputs/dataprod/config/muon.yaml", "outputs: []\n")
    tree.validity("dataprod/config", {"valid_from": "20200101T000000Z", "apply": "all.yaml"})
    assert "MUON01" in [channel.name for channel in tree.open().job("tier_dsp", PHY).channels]


def test_a_detector_without_status_is_named_with_the_file(tree: Tree) -> None:
    tree.metadata(statuses=STATUSES.replace("V02160A:", "V02160X:"))
    cycle = tree.open()
    cycle.job("tier_raw", PHY)
    with pytest.raises(UserError, match=r"statuses/always\.yaml: V02160A \(geds\) has no status") as caught:
        cycle.job("tier_dsp", PHY)
    assert "add V02160A" in caught.value.hint


def test_an_entry_that_applies_no_file_gives_no_status(tree: Tree) -> None:
    file = tree.validity("datasets/statuses", {"valid_from": "20200101T000000Z", "apply": []})
    with pytest.raises(UserError, match="V02160A and V02160B .geds. have no status from") as caught:
        tree.open().job("tier_dsp", PHY)
    assert caught.value.message.startswith(f"{file}: no file holds: ")


def test_detectors_without_status_are_one_sentence(tree: Tree) -> None:
    numbers = range(1200000, 1200100)
    strangers = "".join(
        f"V{number}A: {{name: V{number}A, system: geds, daq: {{rawid: {number}}}}}\n" for number in numbers
    )
    tree.metadata(channels=MAP + strangers)
    with pytest.raises(UserError) as caught:
        tree.open().job("tier_dsp", PHY)
    assert "always.yaml: V1200000A, V1200001A, V1200002A and 97 more (geds) have no status from" in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("system: spms", "system: spsm", "always.yaml:4: S001 has the unknown system 'spsm'"),
        ("rawid: 1104001", "rawid: 1104000", "always.yaml:2: V02160A and V02160B have the same daq.rawid 1104000"),
        ("rawid: 1104001", "rawid: many", "always.yaml:2: V02160B: daq.rawid must be a whole number, not 'many'"),
        ("daq: {rawid: 1052803}", "daq: {}", "always.yaml:4: S001: daq.rawid must be a whole number, not None"),
        ("{name: V02160B, system: geds, daq: {rawid: 1104001, fcid: 2}}", "5", "always.yaml:2: V02160B must be"),
    ],
)
def test_a_wrong_channel_map_is_named_with_file_and_line(tree: Tree, old: str, new: str, message: str) -> None:
    tree.metadata(channels=MAP.replace(old, new))
    with pytest.raises(UserError) as caught:
        tree.open().job("tier_raw", PHY)
    assert message in str(caught.value)


@pytest.mark.parametrize("status", ["{processable: maybe}", "5"])
def test_a_wrong_status_is_named_with_file_and_line(tree: Tree, status: str) -> None:
    tree.metadata(statuses=STATUSES.replace("{processable: true, usability: on}", status))
    with pytest.raises(UserError, match=r"statuses/always\.yaml:1: V02160A: processable must be true or false"):
        tree.open().job("tier_dsp", PHY)


def test_no_channel_map_at_that_time_is_an_error_that_says_from_when(tree: Tree) -> None:
    tree.validity("hardware/configuration/channelmaps", {"valid_from": "20240101T000000Z", "apply": ["always.yaml"]})
    with pytest.raises(UserError, match="nothing is valid at 20230312T043356Z") as caught:
        tree.open().job("tier_raw", PHY)
    assert "20240101T000000Z" in caught.value.hint


def test_overrides_are_those_valid_then_and_win(tree: Tree) -> None:
    tree.write("inputs/dataprod/overrides/dsp/early.yaml", "V02160A: {pz: {tau1: early}}\n")
    tree.write("inputs/dataprod/overrides/dsp/late.yaml", "V02160A: {pz: {tau1: late}}\n")
    tree.validity(
        "dataprod/overrides/dsp",
        {"valid_from": "20230301T000000Z", "apply": "early.yaml"},
        {"valid_from": "20230315T000000Z", "mode": "reset", "apply": "late.yaml"},
    )
    tree.write(
        "generated/par/dsp/cal/p03/r000/l200-p03-r000-cal-20230311T235840Z-par_dsp.yaml",
        "V02160A: {pz: {tau1: own, tau1_err: 1}}\nV02160B: {pz: {tau1: own}}\n",
    )
    job = tree.open().job("tier_dsp", PHY)
    assert [path.name for path in job.overrides] == ["early.yaml"]
    assert job.pars("par_dsp") == {
        "V02160A": {"pz": {"tau1": "early", "tau1_err": 1}},
        "V02160B": {"pz": {"tau1": "own"}},
    }
    job.pars("par_dsp")["V02160B"]["pz"]["tau1"] = "changed"
    assert job.pars("par_dsp")["V02160B"]["pz"]["tau1"] == "own", "what a job changes is its own"


def test_a_cycle_without_overrides_has_none(tree: Tree) -> None:
    assert tree.open().job("tier_dsp", PHY).overrides == ()


@pytest.mark.parametrize(
    ("tier", "text", "message"),
    [
        ("hit", "V02160A: [1, 2]\n", r"v\.yaml:1: the override of V02160A must be a mapping, not a list"),
        ("dsp", "V02160B: {pz: {tau1: 1}}\nV02160A: 5\n", r"v\.yaml:2: the override of V02160A must be a mapping"),
        ("dsp", "V02160A:\n", "V02160A must be a mapping, not nothing"),
        ("hit", "{pars: 3}\n", "the override of pars must be a mapping"),
        ("hit", "V02160A: {pars: 3}\n", r"the override V02160A\.pars must be a mapping"),
        ("hit", "V02160A: {pars: {operations: [1]}}\n", r"V02160A\.pars\.operations must be a mapping, not a list"),
        ("hit", "V02160A:\n  pars:\n    operations: {a_cal: 1}\n", r"v\.yaml:3: .*operations\.a_cal must be a mapping"),
        ("hit", "V02160A: {pars: {operations: {a: {parameters: {b: x}}}}}\n", "parameters.b must be a number, not 'x'"),
        ("dsp", "V02160A: {status: failed}\n", r"V02160A\.status must be a mapping, not text"),
        ("dsp", "12: {pz: {tau1: 1}}\n", "12 is not a detector"),
    ],
)
def test_overrides_of_a_wrong_form_are_refused_while_planning(tree: Tree, tier: str, text: str, message: str) -> None:
    tree.write(f"inputs/dataprod/overrides/{tier}/v.yaml", text)
    tree.validity(f"dataprod/overrides/{tier}", {"valid_from": "20230101T000000Z", "apply": "v.yaml"})
    cycle = tree.open()
    with pytest.raises(UserError, match=message):
        cycle.check([("tier_hit", cycle.scheme.key(PHY))])


@pytest.mark.parametrize(
    ("tier", "text"),
    [
        ("dsp", "V02160A: {pz: {tau1: 400.0*us}, anything: [1, 2]}\n"),
        ("hit", "V02160A: {pars: {operations: {a_cal: {parameters: {a: 1e5, b: .1}}}}, results: {ecal: 1}}\n"),
        ("hit", "V02160A: {x: 1}\n"),
        ("hit", ""),
    ],
)
def test_overrides_in_the_form_of_parameters_are_taken(tree: Tree, tier: str, text: str) -> None:
    tree.write(f"inputs/dataprod/overrides/{tier}/v.yaml", text)
    tree.validity(f"dataprod/overrides/{tier}", {"valid_from": "20230101T000000Z", "apply": "v.yaml"})
    cycle = tree.open()
    cycle.check([("tier_hit", cycle.scheme.key(PHY))])
