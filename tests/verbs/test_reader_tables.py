"""What tables of the reader hold: units, texts, systems with columns of their own, and missing values."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import lh5
import numpy as np
import pandas as pd
import pytest
from lgdo import Array, Table, VectorOfVectors

import dataprod
from dataprod import Production, UserError

from ..plan.conftest import Tree
from .conftest import KEYS, place

PHY = KEYS[1]
RAWIDS = {"V02160A": 1104000, "V02160B": 1104001, "S001": 1052803}
ENERGIES = {"V02160A": [10.0, 20.0], "V02160B": [30.0, 40.0]}


def in_kev(values: Any) -> Array:
    return Array(np.asarray(values), attrs={"units": "keV"})


def hits(name: str) -> dict[str, Any]:
    """Columns of a detector: V02160B lacks a number, a flag and a list, the SiPM has columns of its own."""
    if name == "S001":
        return {"energy_in_pe": VectorOfVectors([[1.0, 2.0], []], attrs={"units": "pe"})}
    columns: dict[str, Any] = {"e_cal": in_kev(ENERGIES[name])}
    if name == "V02160A":
        columns |= {"aoe": Array(np.array([0.5, 1.5])), "is_good": Array(np.array([True, False]))}
        columns["parts"] = VectorOfVectors([[1], [2, 3]])
    return columns


def write(tree: Tree, names: Mapping[str, int] = RAWIDS) -> None:
    """A cycle with hits of one file, and its events."""
    tree.metadata()
    tree.daq(PHY)
    tree.save()
    for name, rawid in names.items():
        lh5.write(Table(hits(name)), "hit", str(place(tree, "tier", "hit", PHY)), group=f"ch{rawid}", wo_mode="append")
    names = np.array([b"V02160A", b"V02160B", b"V02160A"])
    geds = Table(
        {
            "energy": VectorOfVectors([[10.0, 30.0], [20.0]], attrs={"units": "keV"}),
            "name": VectorOfVectors(flattened_data=Array(names), cumulative_length=[2, 3]),
        }
    )
    trigger = Table(
        {
            "timestamp": Array(np.array([1e9, 2e9]), attrs={"units": "s"}),
            "cycle": Array(np.array([b"20230312T043356Z"] * 2)),
        }
    )
    lh5.write(Table({"geds": geds, "trigger": trigger}), "evt", str(place(tree, "tier", "evt", PHY)), wo_mode="append")


@pytest.fixture
def cycle(tmp_path: Path) -> Production:
    """The cycle, opened."""
    tree = Tree(tmp_path / "cycle")
    write(tree)
    return dataprod.open(tree.root)


def test_without_columns_hits_come_by_system_with_all_columns_of_it(cycle: Production) -> None:
    found = cycle.load("hit")
    assert list(found) == ["geds", "spms"]
    assert set(found["geds"].fields) == {"e_cal", "aoe", "is_good", "parts", "detector"}
    assert ak.to_list(found["geds"].e_cal) == [10, 20, 30, 40]
    assert ak.to_list(found["spms"].energy_in_pe) == [[1, 2], []]
    assert set(cycle.load("hit", where="system == 'spms'")) == {"spms"}
    assert cycle.load("hit", where="e_cal > 1e9") == {}


def test_one_system_is_one_table(cycle: Production) -> None:
    assert ak.to_list(cycle.load("hit", system="spms").energy_in_pe) == [[1, 2], []]
    assert ak.to_list(cycle.load("hit", ["e_cal"], system="geds").e_cal) == [10, 20, 30, 40]
    with pytest.raises(UserError, match="there is no system 'gedz' in hit.*there are: .*geds, .*spms"):
        cycle.load("hit", system="gedz")
    with pytest.raises(UserError, match="evt is by event, not by system"):
        cycle.load("evt", system="geds")


def test_values_that_a_detector_lacks_are_missing_and_named(cycle: Production, caplog: Any) -> None:
    found = cycle.load("hit", system="geds")
    assert ak.to_list(found.is_good) == [True, False, None, None]
    assert ak.to_list(found.parts) == [[1], [2, 3], None, None]
    assert ak.to_list(found.aoe[:2]) == [0.5, 1.5]
    assert np.isnan(ak.to_numpy(found.aoe[2:])).all()
    assert "aoe (V02160B), is_good (V02160B)" in caplog.text
    frame = cycle.load("hit", system="geds", library="pd")
    assert frame["is_good"].isna().tolist() == [False, False, True, True]
    assert frame["is_good"][:2].tolist() == [True, False]
    assert frame["aoe"].isna().tolist() == [False, False, True, True]


def test_lgdo_has_no_missing_values(cycle: Production) -> None:
    with pytest.raises(UserError, match="LGDO has no missing values.*is_good.*take library='ak'"):
        cycle.load("hit", system="geds", library="lgdo")


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_iterating_goes_system_by_system(cycle: Production, rows: int) -> None:
    systems = [set(ak.to_list(table.system)) for table in cycle.iterate("hit", rows=rows)]
    assert [system for system, _ in itertools.groupby(systems)] == [{"geds"}, {"spms"}]
    energies = [table.e_cal for table in cycle.iterate("hit", rows=rows) if "e_cal" in table.fields]
    assert ak.to_list(ak.concatenate(energies)) == [10, 20, 30, 40]


def test_units_go_along_into_each_library_and_into_selected_rows(cycle: Production) -> None:
    of_events = {"geds/energy": "keV", "trigger/timestamp": "s"}
    events = cycle.load("evt")
    assert dataprod.units(events) == dataprod.units(events[events.trigger.timestamp > 1.5e9]) == of_events
    assert dataprod.units(events.geds.energy) == of_events
    frame = cycle.load("evt", library="pd")
    assert dataprod.units(frame[frame["trigger_timestamp"] > 1.5e9]) == {
        "geds_energy": "keV",
        "trigger_timestamp": "s",
    }
    assert dataprod.units(cycle.load("evt", library="lgdo")) == of_events
    assert dataprod.units(cycle.load("hit", ["e_cal"])) == {"e_cal": "keV"}
    assert dataprod.units(pd.DataFrame()) == {}


def test_texts_of_files_are_texts(cycle: Production) -> None:
    events = cycle.load("evt")
    assert ak.to_list(events.geds.name == "V02160A") == [[True, False], [True]]
    assert ak.to_list(events.geds.energy[events.geds.name == "V02160A"]) == [[10], [20]]
    assert ak.to_list(events.trigger.cycle) == ["20230312T043356Z"] * 2
    frame = cycle.load("evt", library="pd")
    assert frame["trigger_cycle"].tolist() == ["20230312T043356Z"] * 2
    assert ak.to_list(frame["geds_name"][0]) == ["V02160A", "V02160B"]


def test_what_the_reader_does_not_have_is_said() -> None:
    with pytest.raises(AttributeError, match="dataprod has no 'opn'; it has: .*open"):
        _ = dataprod.opn  # type: ignore[attr-defined]
