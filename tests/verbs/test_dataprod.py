"""The Python interface: keys, tables and parameters of a cycle."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pytest
from lgdo import Table

import dataprod
from dataprod import Condition, Production, UserError

from ..plan.conftest import Tree
from .conftest import CHANNELS, KEYS, ROWS, fill, hit_par, place

CAL, PHY, NEXT = KEYS
DETECTORS = sorted(CHANNELS)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A finished cycle."""
    tree = Tree(tmp_path / "ref" / "v1")
    tree.metadata()
    tree.daq(*KEYS)
    tree.save()
    for key in KEYS:
        fill(tree, key)
    return tree


@pytest.fixture
def cycle(tree: Tree) -> Production:
    """The same, opened."""
    return dataprod.open(tree.root)


def test_a_cycle_is_opened_by_folder_file_or_name(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODENV", str(tree.root.parents[1]))
    for name in (tree.root, tree.root / "config.json", "ref/v1"):
        assert len(dataprod.open(name).keys()) == 3
    with pytest.raises(UserError, match="there is no cycle 'ref/v2'"):
        dataprod.open("ref/v2")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", KEYS),
        ("p03-r00*-cal", (CAL, NEXT)),
        ("l200-p03-r000", (CAL, PHY)),
        ("r000", (CAL, PHY)),
        ("cal", (CAL, NEXT)),
        ("p03-r000_r001-phy", (PHY,)),
        (NEXT, (NEXT,)),
        ("p04", ()),
        ("l200-p03-r000-cal-20230311T235840Z-x", ()),
        ("p99-r000", ()),
        ("r00[0-9]-cal", (CAL, NEXT)),
        ("r00[!0]", (NEXT,)),
    ],
)
def test_keys_are_found_by_patterns(cycle: Production, pattern: str, found: tuple[str, ...]) -> None:
    assert tuple(map(str, cycle.keys(pattern))) == found


@pytest.mark.parametrize(
    "pattern", ["p03-r0[0", "p03-r0]0", "p03--cal", "", "p03-", "p03/r000", "p03 r000", "r00[]", None, 5, ["cal"]]
)
def test_a_pattern_that_is_none_is_refused(cycle: Production, pattern: Any) -> None:
    for ask in (cycle.keys, cycle.detectors, partial(cycle.files, "hit"), partial(cycle.columns, "hit")):
        with pytest.raises(UserError, match="pattern"):
            ask(pattern)
    if isinstance(pattern, str):
        with pytest.raises(UserError, match="is not a pattern of keys"):
            cycle.load("hit", keys=pattern)


def test_a_pattern_that_nothing_fits_is_answered_with_what_there_is(cycle: Production) -> None:
    for ask in (
        lambda: cycle.load("hit", keys="p99-r000"),
        lambda: cycle.iterate("hit", keys="p99-r000"),
        lambda: cycle.files("hit", "p99-r000"),
        lambda: cycle.files("hit", where="period == 'p99'"),
        lambda: cycle.columns("hit", "p99-r000"),
        lambda: cycle.par("hit", "p99-r000", "V02160A"),
        lambda: cycle.detectors("p99-r000"),
    ):
        with pytest.raises(dataprod.NothingFound, match="p99.*l200-p03-r000-cal"):
            ask()
    assert cycle.keys("p99-r000") == []


def test_a_system_that_is_none_is_answered_with_those_that_there_are(cycle: Production) -> None:
    assert {*DETECTORS} <= {channel.name for channel in cycle.detectors(CAL, "geds")}
    with pytest.raises(UserError, match="there is no system 'gedz'.*there are: .*geds"):
        cycle.detectors(CAL, "gedz")


def test_keys_are_found_without_daq_and_raw_files(tree: Tree) -> None:
    for tier in ("daq", "raw"):
        for path in (tree.root / f"generated/tier/{tier}").rglob("*.*"):
            path.unlink()
    cycle = dataprod.open(tree.root)
    assert tuple(map(str, cycle.keys())) == KEYS
    assert len(cycle.load("hit", ["e_cal"])) == 3 * 2 * ROWS
    assert cycle.keys(tier="raw") == []


def test_keys_need_no_numpy(tree: Tree, repository: Path) -> None:
    program = f"import dataprod, sys; print(len(dataprod.open({str(tree.root)!r}).keys('cal')), 'numpy' in sys.modules)"
    environ = {"PYTHONPATH": str(repository / "dataflow/src")}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


def test_rows_of_all_files_and_detectors_come_one_after_the_other(cycle: Production) -> None:
    found = cycle.load("hit", ["e_cal", "timestamp", "run"], keys="cal")
    assert len(found) == 2 * 2 * ROWS
    assert ak.to_list(found.detector[::ROWS]) == DETECTORS * 2
    assert ak.to_list(found.run[::ROWS]) == ["r000", "r000", "r001", "r001"]
    assert found.e_cal[ROWS] == 1e9 + CHANNELS[DETECTORS[1]]
    assert found.timestamp[0] == 1e9


def test_each_library_gives_the_same(cycle: Production) -> None:
    awkward = cycle.load("hit", ["e_cal"], keys="cal")
    frame = cycle.load("hit", ["e_cal"], keys="cal", library="pd")
    table = cycle.load("hit", ["e_cal"], keys="cal", library="lgdo")
    assert isinstance(frame, pd.DataFrame)
    assert isinstance(table, Table)
    for values in (frame["e_cal"].to_numpy(), table["e_cal"].nda):
        assert np.array_equal(values, awkward.e_cal)
    for names in (frame["detector"].tolist(), table["detector"].nda.tolist()):
        assert names == ak.to_list(awkward.detector)
    assert frame["detector"].dtype == "category"


@pytest.mark.parametrize("rows", [1, 7, ROWS, 33, 1000])
def test_iterating_gives_the_same_in_tables_of_bounded_size(cycle: Production, rows: int) -> None:
    pieces = list(cycle.iterate("hit", ["e_cal"], rows=rows, where="e_cal > 0"))
    assert [len(piece) for piece in pieces[:-1]] == [rows] * (len(pieces) - 1)
    whole = cycle.load("hit", ["e_cal"])
    assert ak.to_list(ak.concatenate([piece.e_cal for piece in pieces])) == ak.to_list(whole.e_cal)
    assert [name for piece in pieces for name in ak.to_list(piece.detector)] == ak.to_list(whole.detector)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("period == 'p03'", 120),
        ("run > 'r000'", 40),
        ("datatype in ('cal', 'fft') and detector == 'V02160A'", 40),
        ("key_timestamp < '20230312T000000Z'", 40),
        ("timestamp < 1000000005.", 3 * 2 * 5),
        ("timestamp >= 1000000005. and key_timestamp > '20230312T000000Z'", 2 * 2 * 15),
        ("usability == 'on'", 60),
        ("not datatype == 'cal'", 40),
        ("e_cal >= 1001104010.0", 63),
        ("e_cal >= 1001104010.0 and run == 'r001'", 21),
        ("1001104000 <= e_cal < 1001104002 and detector == 'V02160A'", 6),
        ("run == 'r001' or e_cal < 0", 40),
        ("run == 'r009'", None),
        ("detector == 'X'", 0),
    ],
)
def test_conditions_on_keys_detectors_and_columns(cycle: Production, where: str, rows: int | None) -> None:
    if rows is None:
        with pytest.raises(UserError, match="there is no hit file"):
            cycle.load("hit", ["timestamp"], where=where)
        return
    found = cycle.load("hit", ["timestamp"], where=where)
    assert len(found) == rows
    assert found.fields == ["timestamp", "detector"]


def test_events_are_loaded_with_columns_in_groups(cycle: Production) -> None:
    found = cycle.load("evt", ["geds/energy", "trigger.timestamp", "key"], keys=PHY)
    assert len(found) == ROWS
    assert ak.to_list(found.geds.energy[0]) == [1, 1]
    assert ak.to_list(found.key[:1]) == [PHY]
    assert len(cycle.load("evt", where="trigger.timestamp < 1000000005")) == 3 * 5


def test_vectors_survive_joining_and_conditions_in_each_library(cycle: Production) -> None:
    for library in ("ak", "pd", "lgdo"):
        found = cycle.load("evt", ["geds/energy"], where="trigger.timestamp >= 1000000010", library=library)
        assert len(found) == 3 * 10


def test_detectors_are_named_by_patterns(cycle: Production) -> None:
    assert set(ak.to_list(cycle.load("dsp", ["e"], detectors="V*0A").detector)) == {"V02160A"}
    assert set(ak.to_list(cycle.load("dsp", ["e"], detectors=DETECTORS).detector)) == set(DETECTORS)


def test_the_channel_map_of_the_time_of_each_file_names_the_detectors(tree: Tree) -> None:
    swapped = "".join(
        f"{name}: {{name: {name}, system: geds, daq: {{rawid: {rawid}, fcid: 1}}}}\n"
        for name, rawid in zip(DETECTORS, sorted(CHANNELS.values(), reverse=True), strict=True)
    )
    tree.write("inputs/hardware/configuration/channelmaps/swapped.yaml", swapped)
    tree.validity(
        "hardware/configuration/channelmaps",
        {"valid_from": "20200101T000000Z", "apply": ["always.yaml"]},
        {"valid_from": "20230315T000000Z", "mode": "reset", "apply": ["swapped.yaml"]},
    )
    cycle = dataprod.open(tree.root)
    first = {key: cycle.load("hit", ["e_cal"], keys=key, detectors="V02160A").e_cal[0] - 1e9 for key in (CAL, NEXT)}
    assert first == {CAL: 1104000, NEXT: 1104001}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"tier": "hti"}, "there is no tier 'hti'.*did you mean 'hit'"),
        ({"columns": ["e_cla"]}, "has the column 'e_cla'.*did you mean 'e_cal'"),
        ({"columns": ["x"], "detectors": "V02160A"}, "no column 'x' in V02160A of l200-p03-r000-cal"),
        ({"detectors": "V02160"}, "there is no detector 'V02160'.*did you mean 'V02160"),
        ({"keys": "r009"}, "there is no hit file for 'r009'.*l200-p03-r001-cal"),
        ({"keys": []}, "there are no hit files of these keys"),
        ({"where": "perod == 'p03'"}, "'perod'.*did you mean 'period'"),
        ({"where": "e_cal > 'a'"}, "e_cal is a number and 'a' a text: they cannot be compared.*texts stand in quotes"),
        ({"where": "e_cal == 'a'"}, "e_cal is a number and 'a' a text"),
        ({"where": "run == 0"}, "run is a text and 0 a number"),
        ({"where": "e_cal in ('a', 'b')"}, "e_cal is a number and 'a' a text"),
        ({"where": "timestamp > '20230312T000000Z'"}, "they cannot be compared.*file is key_timestamp"),
        ({"where": "not e_cal"}, "e_cal is not a truth value"),
        ({"where": "e_cal and run == 'r000'"}, "e_cal is not a truth value"),
        ({"where": "e_cal"}, "e_cal is not a truth value"),
        ({"where": "run"}, "run is not a truth value"),
        ({"where": 5}, "a condition is a text, not 5"),
        ({"columns": [5]}, "columns is a name, or a list of names: 5 is none"),
        ({"columns": 5}, "columns is a name, or a list of names, not 5"),
        ({"detectors": [None]}, "detectors is a name, or a list of names: None is none"),
        ({"keys": [CAL]}, "keys is a pattern, or keys as .keys.. gives"),
        ({"keys": 5}, "keys is a pattern, or keys as .keys.. gives, not 5"),
        ({"tier": None}, "there is no tier None"),
        ({"tier": "evt", "where": "timestamp > 5"}, "did you mean 'trigger/timestamp'.*file is key_timestamp"),
        ({"tier": "evt", "columns": ["timestamp"]}, "did you mean 'trigger/timestamp'"),
        ({"library": "root"}, "there is no library 'root'"),
        ({"tier": "evt", "detectors": "V02160A"}, "by event, not by detector"),
        ({"tier": "evt", "where": "geds.energy > 1"}, "no single value a row"),
        ({"tier": "skm"}, "there is no skm file"),
    ],
)
def test_slips_are_answered_with_a_sentence(cycle: Production, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        cycle.load(**{"tier": "hit", **arguments})


@pytest.mark.parametrize("rows", [0, -1, 1.5, "x", None])
def test_a_number_of_rows_that_is_none_is_refused(cycle: Production, rows: Any) -> None:
    with pytest.raises(UserError, match="rows is the most rows of a table"):
        cycle.iterate("hit", rows=rows)
    assert len(next(cycle.iterate("hit", rows=np.int64(3)))) == 3


@pytest.mark.parametrize("name", [None, 5, b"ref/v1", "", ["ref/v1"]])
def test_what_names_no_cycle_is_refused(name: Any) -> None:
    with pytest.raises(UserError, match="a cycle is named by its folder"):
        dataprod.open(name)


def test_no_condition_is_none(cycle: Production) -> None:
    assert len(cycle.keys(where=None)) == len(cycle.files("hit", where=None)) == len(KEYS)
    assert len(cycle.load("hit", ["e_cal"], where=None)) == 3 * 2 * ROWS
    assert len(next(cycle.iterate("hit", ["e_cal"], where=None))) == 3 * 2 * ROWS


def test_the_time_in_the_name_of_a_file_goes_by_its_own_name(cycle: Production) -> None:
    found = cycle.load("hit", ["timestamp", "key_timestamp"], keys=CAL)
    assert found.timestamp[0] == 1e9
    assert ak.to_list(found.key_timestamp[:1]) == [CAL.rpartition("-")[2]]
    for name in ("timestamp", "key_timestamp"):
        assert [str(key) for key in cycle.keys(where=f"{name} < '20230312T000000Z'")] == [CAL]
        assert [str(file) for file in cycle.files("hit", where=f"{name} < '20230312T000000Z'")] == [CAL]


def test_columns_are_those_of_the_first_file_that_has_the_detector(tree: Tree, cycle: Production) -> None:
    import h5py

    for key in (CAL, PHY):
        with h5py.File(place(tree, "tier", "hit", key), "a") as file:
            del file["ch1104001"]
    assert cycle.columns("hit") == cycle.columns("hit", detector="V02160B") == ["e_cal", "timestamp"]
    with pytest.raises(UserError, match=f"no hit table of V02160B in {CAL}$"):
        cycle.columns("hit", CAL, "V02160B")
    with pytest.raises(UserError, match=f"no hit table of V02160 in the 3 files from {CAL} .*did you mean 'V02160"):
        cycle.columns("hit", detector="V02160")


def test_parameters_of_several_runs_are_not_mixed_up(cycle: Production) -> None:
    assert cycle.par("hit", "r000", "V02160A").files == cycle.par("hit", CAL, "V02160A").files
    with pytest.raises(UserError, match="different hit parameters of several runs: .*p03-r000, .*p03-r001"):
        cycle.par("hit", "p03-*-cal", "V02160A")


def test_detectors_that_lack_a_column_are_left_out_and_named(
    tree: Tree, cycle: Production, caplog: pytest.LogCaptureFixture
) -> None:
    import h5py

    with h5py.File(place(tree, "tier", "hit", CAL), "a") as file:
        del file["ch1104000/hit/e_cal"]
    assert len(cycle.load("hit", ["e_cal"])) == 5 * ROWS
    assert f"V02160A in {CAL}" in caplog.text


def test_a_damaged_file_is_named(tree: Tree, cycle: Production) -> None:
    place(tree, "tier", "hit", CAL).write_bytes(b"nothing")
    with pytest.raises(UserError, match=f"{CAL}-tier_hit.lh5 cannot be read"):
        cycle.load("hit")


def test_parameters_are_those_that_hold_with_overrides_last(tree: Tree) -> None:
    place(tree, "par", "hit", NEXT, ".yaml").write_text(json.dumps({name: hit_par(3.0) for name in CHANNELS}))
    tree.write("inputs/dataprod/overrides/hit/fix.yaml", "V02160A: {results: {ecal: {e_cal: {note: fixed}}}}")
    tree.validity("dataprod/overrides/hit", {"valid_from": "20230312T000000Z", "apply": ["fix.yaml"]})
    cycle = dataprod.open(tree.root)
    early, late = (cycle.par("hit", key, "V02160A") for key in (PHY, "r001"))
    assert early.results.ecal.e_cal.eres_linear.Qbb_fwhm_in_kev == 2.2
    assert late["results"]["ecal"]["e_cal"]["eres_linear"]["Qbb_fwhm_in_kev"] == 3.0
    assert late.results.ecal.e_cal.note == "fixed"
    assert [path.name for path in late.files] == [f"{NEXT}-par_hit.yaml", "fix.yaml"]
    assert late.as_dict()["results"]["ecal"]["e_cal"]["note"] == "fixed"
    with pytest.raises(AttributeError, match="V02160A has no 'reslts'"):
        _ = late.reslts
    with pytest.raises(UserError, match="no hit parameters of 'V02160C'"):
        cycle.par("hit", CAL, "V02160C")


def test_a_failed_detector_says_why(tree: Tree) -> None:
    text = json.dumps({"V02160A": {"status": {"state": "failed", "reason": "no peak"}}})
    place(tree, "par", "hit", CAL, ".yaml").write_text(text)
    assert dataprod.open(tree.root).par("hit", CAL, "V02160A").failed == "no peak"


def test_reading_writes_nothing(tree: Tree, cycle: Production, snapshot: Any) -> None:
    before = snapshot(tree.root)
    cycle.load("hit")
    cycle.par("hit", CAL, "V02160A")
    assert snapshot(tree.root) == before


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')", "open('x') == 1", "a.b() == 1", "[x for x in y]", "lambda: 1", "a if b else c", "a + b",
        "1", "a == b == ", "f'{a}' == 'x'", "a := 1", "(a, b) == (1, 2)", "a in b", "a is None", "1j == a",
        "b'x' == a", "None", "a in ('x', b)", "not", "*a", "a; b", "x" * 20_000, "(" * 3000 + "a" + ")" * 3000,
        "not " * 5000 + "a", "-" * 3000 + "1 == a", "a\0",
    ],
)  # fmt: skip
def test_what_is_no_comparison_is_no_condition(text: str) -> None:
    with pytest.raises(UserError):
        Condition(text)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True), ("a == 1", True), ("a != 1", False), ("a < 2 <= 3", True), ("not a == 1", False), ("not t", False),
        ("t and a == 1", True), ("a == 2 or b == 'x'", True), ("b in ('x', 'y')", True), ("b not in ['x']", False),
        ("a == -1", False), ("t == True", True),
        ("a + 1 == 2", True), ("(a > 0) & ~(b == 'y')", True), ("sqrt(a) > 1 | a", False), ("(a & 1) == 1", True),
        ("0 < a and not (b == 'y' or a > 5)", True),
    ],
)  # fmt: skip
def test_conditions_mean_what_they_mean_in_python(text: str, holds: bool) -> None:
    values = {"a": 1, "b": "x", "t": True}
    assert Condition(text)(values) is holds
    arrays = {name: np.array([value] * 3) for name, value in values.items()}
    assert np.all(np.asarray(Condition(text)(arrays)) == holds)
