"""Where not each channel is in each event: ours against a slow computation, event by event, that shares no code."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dataflow.base.errors import UserError
from dataflow.jobs.errors import BadInput, WorkFailed

from .conftest import GATHERED, column, op

if TYPE_CHECKING:
    from tests.events.conftest import Data

CHANNELS = [1000002, 1000001, 1000010, 1000005]
Maker = Callable[..., "Data"]
Row = dict[str, Any]

OPERATIONS: dict[str, dict[str, Any]] = {
    "trigger___timestamp": op("first_at:dsp.timestamp", "dsp.timestamp"),
    "late": op("last_at:dsp.tp", "hit.energy", channels="two", query="hit.flag", initial=-1.0),
    "first": op("first_at:dsp.tp", "tcm.table_key"),
    "number": op("sum", "hit.energy > 60", initial=0),
    "energy_sum": op("sum", "hit.energy", query="hit.energy > 25", initial=0.0),
    "some": op("any", "hit.flag", channels="two", initial=False),
    "every": op("all", "hit.flag", channels="two", initial=True),
    **GATHERED,
    "first_energy": op("keep_at_ch:evt.first", "hit.energy"),
    "in_two": op("keep_at_ch:evt.rawid", "hit.energy", channels="two"),
    "with_others": op("sum", "hit.energy", query="evt.number > 1", initial=0.0),
    "pulses": op("sum", "ak.num(hit.pulses, axis=1)", query="ak.sum(hit.pulses, axis=-1) > 150", initial=0),
    "pulse_energies": op(
        "function", "pygama.evt.modules.spms.gather_pulse_data(<...>, observable='hit.pulses')", channels="two"
    ),
    "pulse_sum": {"expression": "ak.sum(ak.sum(evt.pulse_energies, axis=-1), axis=-1)"},
    "is_single": {"expression": "evt.number == 1 and not evt.some"},
}


def by_event(data: Data) -> list[dict[str, Any]]:
    """The same columns, each event for itself."""
    two, place, found = CHANNELS[1:3], 0, []
    for event in data.hits:
        rows: list[Row] = []
        for channel, row in event:
            if channel not in [known["channel"] for known in rows]:
                own = {name: values[row] for name, values in data.columns[channel].items()}
                rows.append({"channel": channel, "index": place} | own)
            place += 1
        found.append(_event(rows, two, len({channel for channel, _ in event}) < len(event)))
    return found


def _event(rows: list[Row], two: list[int], repeated: bool) -> dict[str, Any]:
    paired = [row for row in rows if row["channel"] in two]
    flagged = sorted((row for row in paired if row["flag"]), key=lambda row: row["tp"])
    high = sorted((row for row in rows if row["energy"] > 60), key=lambda row: row["tp"])
    first = min(rows, key=lambda row: row["tp"])
    some = any(row["flag"] for row in paired)
    return {
        "trigger___timestamp": min(row["timestamp"] for row in rows),
        "trigger___is_repeated": repeated,
        "late": flagged[-1]["energy"] if flagged else -1.0,
        "first": first["channel"],
        "number": len(high),
        "energy_sum": math.fsum(row["energy"] for row in rows if row["energy"] > 25),
        "some": some,
        "every": all(row["flag"] for row in paired),
        "rawid": [row["channel"] for row in high],
        "index": [row["index"] for row in high],
        "energy": [row["energy"] for row in high],
        "energy_idx": [row["energy"] for row in high],
        "bits": [int(row["bits"]) for row in high],
        "first_energy": first["energy"],
        "in_two": [row["energy"] if row["channel"] in two else math.nan for row in high],
        "with_others": math.fsum(row["energy"] for row in rows) if len(high) > 1 else 0.0,
        "pulses": sum(int(row["energy"] // 100) for row in rows if row["energy"] > 150),
        "pulse_sum": math.fsum(row["energy"] for row in paired if row["energy"] >= 100),
        "is_single": len(high) == 1 and not some,
    }


def compare(data: Data, size: int) -> None:
    built = data.build(OPERATIONS, size, data.lists)
    expected = by_event(data)
    assert len(built) == len(expected) == len(data.hits)
    for name in (*OPERATIONS, "trigger___is_repeated"):
        if name == "pulse_energies":
            continue
        known_values = (event[name] for event in expected)
        for number, (one, known) in enumerate(zip(column(built, name).tolist(), known_values, strict=True)):
            assert one == pytest.approx(known, rel=1e-12, nan_ok=True), f"{name} of event {number}"


@pytest.mark.parametrize("size", [13, 1000])
@pytest.mark.parametrize(
    ("repeat", "shuffled"),
    [(0.0, False), (0.3, False), (0.0, True), (0.3, True)],
    ids=["plain", "twice", "mixed", "all"],
)
def test_all_modes_agree_with_a_computation_event_by_event(
    data_of: Maker, sparse: Callable[..., Any], size: int, repeat: float, shuffled: bool
) -> None:
    data = data_of(CHANNELS, sparse(CHANNELS, 60, repeat=repeat, shuffled=shuffled))
    compare(data, size)


def test_the_number_of_rows_in_memory_changes_nothing(
    data_of: Maker, sparse: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflow.steps.tier_evt.rows.MOST_ROWS", 9)
    compare(data_of(CHANNELS, sparse(CHANNELS, 30, repeat=0.2, shuffled=True)), 1000)


def test_one_channel_alone(data_of: Maker) -> None:
    data = data_of([5], [[(5, 2)], [(5, 0), (5, 1)], [(5, 3)]])
    built = data.build({"energy": {"channels": "all", "aggregation_mode": "gather", "expression": "hit.energy"}})
    energy = data.columns[5]["energy"]
    assert built.energy.tolist() == [[energy[2]], [energy[0]], [energy[3]]]
    assert built.trigger.is_repeated.tolist() == [False, True, False]


@pytest.mark.parametrize("size", [1, 1000])
def test_a_file_without_events_has_columns_of_the_same_types(
    data_of: Maker, sparse: Callable[..., Any], size: int
) -> None:
    lists = {"all": ["ch1", "ch2", "ch3"], "two": ["ch1", "ch2"]}
    empty = data_of([1, 2, 3], [], name="empty").build(OPERATIONS, size, lists)
    some = data_of([1, 2, 3], sparse([1, 2, 3], 20, repeat=0.1, shuffled=False)).build(OPERATIONS, size, lists)
    assert len(empty) == 0
    assert str(empty.type).removeprefix("0 * ") == str(some.type).removeprefix("20 * ")


def test_lists_without_a_channel_give_initial_values_and_empty_lists(data_of: Maker) -> None:
    data = data_of([1], [[(1, 0)], [(1, 1)]])
    operations = {name: dict(entry) for name, entry in OPERATIONS.items()}
    built = data.build(operations, lists={"all": [], "two": []})
    assert np.isnan(np.asarray(built.trigger.timestamp)).all()
    assert built.number.tolist() == [0, 0]
    assert built.late.tolist() == [-1.0, -1.0]
    assert built.every.tolist() == [True, True]
    assert built.rawid.tolist() == built.energy.tolist() == [[], []]
    assert built.is_single.tolist() == [False, False]


def test_columns_keep_units_only_where_nothing_is_computed(data_of: Maker) -> None:
    from dataflow.steps.tier_evt.builder import build_events
    from dataflow.steps.tier_evt.operations import event_config

    data = data_of([1], [[(1, 0)]])
    operations = {
        "bits": {"channels": "all", "aggregation_mode": "gather", "expression": "hit.bits"},
        "energy": {"channels": "all", "aggregation_mode": "sum", "expression": "hit.energy", "initial": 0},
        "number": {"channels": "all", "aggregation_mode": "sum", "expression": "hit.energy > 2", "initial": 0},
        "own": {
            "channels": "all",
            "aggregation_mode": "sum",
            "expression": "hit.energy",
            "lgdo_attrs": {"units": "MeV"},
            "description": "a sum",
        },
    }
    (table,) = build_events(data.sources, event_config({"operations": operations}, {"all": data.tables}), 10)
    assert table["bits"].attrs["bit_names"] == "a,b"
    assert table["energy"].attrs["units"] == "keV"
    assert "units" not in table["number"].attrs
    assert (table["own"].attrs["units"], table["own"].attrs["description"]) == ("MeV", "a sum")


def test_pygama_loses_times_on_sparse_data(data_of: Maker, sparse: Callable[..., Any]) -> None:
    """The reason for a builder of our own; when this fails, upstream has been repaired."""
    data = data_of(CHANNELS, sparse(CHANNELS, 60, repeat=0, shuffled=False))
    theirs = data.by_pygama({"time": OPERATIONS["trigger___timestamp"]})
    assert np.isnan(np.asarray(theirs.time)).any()


def test_a_channel_without_the_column_is_named(data_of: Maker) -> None:
    data = data_of([1, 2], [[(1, 0), (2, 0)]])
    operation = {"channels": "all", "aggregation_mode": "sum", "expression": "hit.energie"}
    with pytest.raises(BadInput, match=r"evt_config: e: .*ch1/hit has no column 'energie' \(it has: bits, energy"):
        data.build({"e": operation})


def test_a_map_with_more_rows_than_the_data_is_refused(data_of: Maker) -> None:
    data = data_of([1, 2], [[(1, 0), (2, 0)], [(1, 1)]])
    other = data_of([1, 2], [[(1, 0), (2, 0)]], name="other")
    other.folder.joinpath("tcm.lh5").write_bytes(data.folder.joinpath("tcm.lh5").read_bytes())
    with pytest.raises(BadInput, match="ch1/hit has 1 rows, the tcm names row 1"):
        other.build({"e": {"channels": "all", "aggregation_mode": "sum", "expression": "hit.energy"}})


def test_a_function_that_fails_is_named(data_of: Maker) -> None:
    data = data_of([1], [[(1, 0)]])
    call = "pygama.evt.modules.geds.apply_recovery_cut(<...>, timestamps=1, flag=2, time_window=3)"
    operation = {"channels": "all", "aggregation_mode": "function", "expression": call}
    with pytest.raises(WorkFailed, match="evt_config: e: pygama.evt.modules.geds.apply_recovery_cut failed: Attribute"):
        data.build({"e": operation})


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"expression": "hit.energy"}, "'hit.energy' is a column of channels"),
        ({"expression": "evt.nothing + 1"}, "there is no 'evt.nothing' yet"),
        ({"expression": "__import__('os').system('true')"}, "may not be called"),
        ({"aggregation_mode": "first", "expression": "hit.energy"}, "there is no aggregation_mode 'first'"),
        ({"aggregation_mode": "first_at", "expression": "hit.energy"}, "first_at: needs a column"),
        ({"aggregation_mode": "keep_at_ch:evt.x", "expression": "hit.energy"}, "needs a column made before it"),
        ({"aggregation_mode": "sum", "expression": "hit.energy", "channels": "al"}, "it names the channels 'al'"),
        ({"aggregation_mode": "sum", "expression": "hit.energy", "sort": "dsp.tp"}, "sort must be ascend_by"),
        ({"aggregation_mode": "sum", "expression": "hit.energy", "initial": "exit()"}, "initial must be"),
        ({"aggregation_mode": "sum", "expression": "hit.energy", "dtype": "O"}, "there is no dtype 'O'"),
        ({"aggregation_mode": "sum", "expression": "hit.energy", "querry": "1"}, "there is no entry 'querry'"),
        ({"aggregation_mode": "function", "expression": "os.system('true')"}, "may not be called"),
        (
            {"aggregation_mode": "function", "expression": "pygama.evt.modules.spms.log.info(<...>, a=1)"},
            "may not be called",
        ),
        (
            {"aggregation_mode": "function", "expression": "pygama.evt.modules.spms.f(<...>, a=exit())"},
            "neither a value nor a name",
        ),
    ],
)
def test_mistakes_in_the_configuration_are_named_before_data_are_read(entry: dict[str, Any], sentence: str) -> None:
    from dataflow.steps.tier_evt.operations import event_config

    with pytest.raises(UserError) as caught:
        event_config({"operations": {"e": entry}}, {"all": ["ch1"]})
    assert caught.value.message.startswith("evt_config: e: ")
    assert sentence in caught.value.message
