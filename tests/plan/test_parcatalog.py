"""Which calibration run gives the parameters for a file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from dataflow.base.errors import UserError
from dataflow.keys.scheme import L200, TESTSTAND, scheme_of
from dataflow.metadata.calibrations import ParCatalog, build
from dataflow.metadata.validity import Entry

from .conftest import KEYS, TESTSTAND_KEYS, Tree


def catalog(*keys: str, overrides: tuple[Entry, ...] = ()) -> ParCatalog:
    return build([L200.key(key) for key in keys], L200, overrides)


def starts(found: ParCatalog) -> list[tuple[str, str]]:
    (intervals,) = found.groups.values()
    return [(valid.valid_from, "+".join(str(key) for key in valid.keys)) for valid in intervals]


def at(found: ParCatalog, timestamp: str) -> list[str] | None:
    keys = found.at(L200.key(f"l200-p03-r000-phy-{timestamp}"))
    return None if keys is None else [str(key) for key in keys]


def test_the_first_file_of_a_calibration_run_begins_an_interval() -> None:
    found = catalog(*KEYS)
    assert starts(found) == [
        ("20230311T235840Z", KEYS[0]),
        ("20230317T211819Z", KEYS[4]),
        ("20230601T000000Z", KEYS[6]),
    ]
    assert at(found, "20230311T235839Z") is None
    assert at(found, "20230311T235840Z") == [KEYS[0]], "intervals are closed where they begin"
    assert at(found, "20230317T211818Z") == [KEYS[0]]
    assert at(found, "20230317T211819Z") == [KEYS[4]], "and open where they end"
    assert at(found, "20300101T000000Z") == [KEYS[6]]


def test_the_order_of_files_does_not_matter() -> None:
    assert catalog(*reversed(KEYS)) == catalog(*KEYS)


def test_a_run_that_was_interrupted_by_another_begins_twice() -> None:
    keys = [
        "l200-p03-r000-cal-20230101T000000Z",
        "l200-p03-r001-cal-20230102T000000Z",
        "l200-p03-r000-cal-20230103T000000Z",
        "l200-p03-r000-cal-20230104T000000Z",
    ]
    assert starts(catalog(*keys)) == [(key[-16:], key) for key in keys[:3]]


def test_several_calibration_datatypes_are_carried_along() -> None:
    scheme = scheme_of({"calibration": ["cal", "lar"]})
    cal, lar, later = (
        "l200-p03-r000-cal-20230101T000000Z",
        "l200-p03-r000-lar-20230102T000000Z",
        "l200-p03-r001-cal-20230103T000000Z",
    )
    found = build([scheme.key(key) for key in (cal, lar, later)], scheme)
    assert starts(found) == [(cal[-16:], cal), (lar[-16:], f"{cal}+{lar}"), (later[-16:], f"{later}+{lar}")]


def test_an_override_replaces_what_begins_until_the_next_override() -> None:
    keys = [f"l200-p03-r{n:03d}-cal-202301{n + 1:02d}T000000Z" for n in range(6)]
    overrides = (
        Entry("20230103T000000Z", (keys[0],)),
        Entry("20230105T000000Z", ()),
    )
    assert starts(catalog(*keys, overrides=overrides)) == [
        ("20230101T000000Z", keys[0]),
        ("20230102T000000Z", keys[1]),
        ("20230103T000000Z", keys[0]),
        ("20230105T000000Z", keys[4]),
        ("20230106T000000Z", keys[5]),
    ]


def test_neighbours_with_the_same_files_become_one() -> None:
    keys = [f"l200-p03-r{n:03d}-cal-202301{n + 1:02d}T000000Z" for n in range(3)]
    overrides = (Entry("20230102T000000Z", (keys[0],)),)
    assert starts(catalog(*keys, overrides=overrides)) == [("20230101T000000Z", keys[0])]


def test_run_overrides_come_from_the_metadata(tree: Tree) -> None:
    tree.write(
        "inputs/datasets/run_override.yaml",
        f"- valid_from: 20230317T211819Z\n  mode: reset\n  apply: [{KEYS[0]}]\n"
        "- valid_from: 20230401T000000Z\n  mode: reset\n  apply: []\n",
    )
    job = tree.open().job("tier_dsp", "l200-p03-r001-phy-20230318T015140Z")
    assert [path.name for path in job.inputs["par_dsp"]] == [f"{KEYS[0]}-par_dsp.yaml"]


def test_a_test_stand_takes_the_preferred_measurement_of_each_detector() -> None:
    found = build([TESTSTAND.key(key) for key in TESTSTAND_KEYS], TESTSTAND)
    for name in TESTSTAND_KEYS:
        preferred = TESTSTAND_KEYS[1] if "B00000B" in name else TESTSTAND_KEYS[4]
        chosen = found.at(TESTSTAND.key(name))
        assert chosen == (TESTSTAND.key(preferred),), "for all its measurements, earlier ones too"


def test_a_file_before_any_calibration_is_refused_with_the_first_time(tree: Tree) -> None:
    tree.daq("l200-p03-r000-phy-20230310T000000Z")
    with pytest.raises(UserError) as caught:
        tree.open().job("tier_dsp", "l200-p03-r000-phy-20230310T000000Z")
    assert "l200-p03-r000-phy-20230310T000000Z" in caught.value.message
    assert "valid from 20230311T235840Z" in caught.value.message


def test_without_any_calibration_the_error_says_what_is_missing(empty: Tree) -> None:
    empty.metadata()
    empty.daq(KEYS[2])
    with pytest.raises(UserError, match=r"no calibration data \(cal\) of experiment l200"):
        empty.open().job("tier_dsp", KEYS[2])


def test_parameters_of_another_cycle_without_their_list_are_not_called_a_missing_calibration(
    tree: Tree, tmp_path: Path
) -> None:
    (tmp_path / "theirs/cal").mkdir(parents=True)
    tree.config["paths"] = {"par_dsp": str(tmp_path / "theirs")}
    with pytest.raises(UserError) as caught:
        tree.open().job("tier_dsp", KEYS[2])
    assert f"{tmp_path / 'theirs'} has no validity.yaml that names some" in caught.value.message
    assert "paths.par_dsp" in caught.value.hint
    tree.config["allow_none_par"] = True
    assert tree.open().job("tier_dsp", KEYS[2]).inputs["par_dsp"] == ()


def test_allow_none_par_goes_on_without(empty: Tree) -> None:
    empty.metadata()
    empty.daq(KEYS[2])
    empty.config["allow_none_par"] = True
    job = empty.open().job("tier_dsp", KEYS[2])
    assert job.inputs["par_dsp"] == () and job.pars("par_dsp") == {}


@pytest.mark.parametrize("kind", ["l200", "teststand"])
def test_the_validity_list_is_read_by_dbetto(kind: str, request: pytest.FixtureRequest) -> None:
    dbetto = pytest.importorskip("dbetto")
    chosen: Tree = request.getfixturevalue("tree" if kind == "l200" else "stand")
    cycle = chosen.open()
    folder = cycle.setup.path("par_dsp")
    for key in cycle.catalog.keys:
        path = cycle.paths.fill(cycle.paths.par("dsp"), key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({key["detector"] if kind == "teststand" else "V02160A": {"from": str(key)}}))
    (folder / "validity.yaml").write_text(yaml.safe_dump(cycle.validity("dsp")))
    for key in cycle.keys:
        theirs = dbetto.TextDB(folder, lazy=True).on(key.timestamp, category=key.datatype)
        (wanted,) = cycle.catalog.at(key) or ()
        name = key["detector"] if kind == "teststand" else "V02160A"
        assert theirs[name]["from"] == str(wanted)


def test_parameters_of_another_cycle_are_used_by_their_own_list(tree: Tree, tmp_path: Path) -> None:
    other = tmp_path / "other/par/dsp"
    (other / "cal").mkdir(parents=True)
    (other / "cal/first.yaml").write_text("V02160A: {pz: {tau1: 1}}\n")
    (other / "validity.yaml").write_text("- valid_from: 20230312T000000Z\n  apply: cal/first.yaml\n")
    tree.config["paths"]["par_dsp"] = str(other)
    cycle = tree.open()
    assert cycle.job("tier_dsp", KEYS[2]).inputs["par_dsp"] == (other / "cal/first.yaml",)
    assert not [step.name for step in cycle.steps if step.name.endswith("_dsp") and step.kind != "tier"]
    with pytest.raises(UserError, match="the first ones are valid from 20230312T000000Z"):
        cycle.job("tier_dsp", KEYS[0])


def test_looking_up_does_not_grow_with_the_number_of_runs() -> None:
    keys = [
        f"l200-p{p:02d}-r{r:03d}-cal-2{p:03d}{m:02d}{d:02d}T000000Z"
        for p in range(10, 90)
        for r, (m, d) in enumerate((m, d) for m in range(1, 11) for d in range(1, 11))
    ]
    found = catalog(*keys)
    begin = time.process_time()
    for key in keys:
        assert found.at(L200.key(key)) is not None
    assert time.process_time() - begin < 2
