"""Where each channel is in each event, pygama's event builder is right: ours gives the same columns."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.events.conftest import Data

CHANNELS = [1000001, 1000002, 1000005, 1000010]
Maker = Callable[..., "Data"]

OPERATIONS: dict[str, dict[str, Any]] = {
    "time": {"channels": "all", "aggregation_mode": "first_at:dsp.timestamp", "expression": "dsp.timestamp"},
    "early": {"channels": "all", "aggregation_mode": "first_at:dsp.tp", "expression": "tcm.table_key", "initial": 0},
    "late": {
        "channels": "all",
        "aggregation_mode": "last_at:dsp.tp",
        "expression": "hit.energy * 2 - a",
        "query": "hit.energy > 40",
        "parameters": {"a": 1.5},
    },
    "early_small": {"channels": "two", "aggregation_mode": "first_at:dsp.tp", "expression": "hit.small"},
    "number": {
        "channels": ["all"],
        "aggregation_mode": "sum",
        "expression": "hit.energy > a",
        "parameters": {"a": 50},
        "initial": 0,
        "dtype": "int16",
    },
    "number_two": {
        "channels": ["all"],
        "exclude_channels": "two",
        "aggregation_mode": "sum",
        "expression": "hit.flag",
        "initial": 0,
    },
    "energy_sum": {
        "channels": "all",
        "aggregation_mode": "sum",
        "expression": "hit.energy",
        "query": "(hit.energy > 25) & hit.flag",
        "initial": 0.0,
    },
    "n_sum": {"channels": "all", "aggregation_mode": "sum", "expression": "dsp.n", "initial": 0},
    "some": {"channels": "all", "aggregation_mode": "any", "expression": "hit.energy > 300", "initial": False},
    "every": {
        "channels": "all",
        "aggregation_mode": "all",
        "expression": "(hit.bits & 12) != 0",
        "query": "hit.energy > 1",
        "initial": True,
    },
    "rawid": {
        "channels": "all",
        "aggregation_mode": "gather",
        "query": "hit.energy > 60",
        "expression": "tcm.table_key",
        "sort": "ascend_by:dsp.tp",
    },
    "rawid_down": {
        "channels": "all",
        "aggregation_mode": "gather",
        "query": "hit.flag",
        "expression": "tcm.table_key",
        "sort": "descend_by:dsp.tp",
    },
    "index": {
        "channels": "all",
        "aggregation_mode": "gather",
        "query": "hit.energy > 60",
        "expression": "tcm.index",
        "sort": "ascend_by:dsp.tp",
    },
    "row": {"channels": "two", "aggregation_mode": "gather", "expression": "tcm.row_in_table"},
    "with_default": {
        "channels": "all",
        "exclude_channels": "two",
        "aggregation_mode": "gather",
        "expression": "hit.energy",
        "initial": -1.0,
    },
    "energy": {"channels": "all", "aggregation_mode": "keep_at_ch:evt.rawid", "expression": "hit.energy"},
    "energy_idx": {"channels": "all", "aggregation_mode": "keep_at_idx:evt.index", "expression": "hit.energy"},
    "bits": {"channels": "all", "aggregation_mode": "keep_at_ch:evt.rawid", "expression": "hit.bits"},
    "flag": {
        "channels": "all",
        "aggregation_mode": "keep_at_ch:evt.rawid",
        "expression": "hit.flag & (hit.energy < 200)",
        "dtype": "bool",
    },
    "energy_two": {"channels": "two", "aggregation_mode": "keep_at_ch:evt.rawid", "expression": "hit.energy"},
    "group___relative": {
        "channels": "all",
        "aggregation_mode": "sum",
        "expression": "hit.energy / evt.energy_sum",
        "query": "hit.energy > 25",
        "initial": 0.0,
    },
    "group___deep___is_single": {"expression": "(evt.number == 1) & (evt.energy_sum > a)", "parameters": {"a": 10}},
    "ratio": {"expression": "evt.energy_sum / (evt.number + 1)"},
    "largest": {"expression": "ak.fill_none(ak.max(evt.energy, axis=-1), 0)"},
    "above": {"expression": "evt.energy > 100"},
    "pairs": {
        "channels": "two",
        "aggregation_mode": "function",
        "expression": 'pygama.evt.modules.spms.gather_tcm_data(<...>, tcm_field="table_key")',
    },
}


def by_pygama(data: Data, operations: dict[str, Any], size: int = 1000) -> Any:
    """The events as pygama builds them."""
    from pygama.evt import build_evt

    lists = {"all": data.tables, "two": data.tables[1:3]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas
        return build_evt(data.datainfo, {"channels": lists, "operations": operations}, buffer_len=size).view_as("ak")


@pytest.mark.parametrize("seed", [1, 2])
def test_all_modes_agree_with_pygama_on_dense_data(data_of: Maker, dense: Callable[..., Any], seed: int) -> None:
    data = data_of(CHANNELS, dense(CHANNELS, 200), seed=seed)
    lists = {"all": data.tables, "two": data.tables[1:3]}
    ours, theirs = data.build(OPERATIONS, lists=lists), by_pygama(data, OPERATIONS)
    assert set(ours.fields) == {*theirs.fields, "trigger"}
    differing = [name for name in OPERATIONS if not same(column(ours, name), column(theirs, name))]
    assert differing == []


def column(events: Any, name: str) -> Any:
    for part in name.split("___"):
        events = events[part]
    return events


def same(one: Any, other: Any) -> bool:
    """Whether two columns have equal values (NaN equals NaN) and, where lists, equal lengths."""
    if one.ndim > 1 and not ak.all(ak.num(one) == ak.num(other)):
        return False
    flat, known = (ak.to_numpy(ak.flatten(each, axis=None)) for each in (one, other))
    return bool(np.array_equal(flat, known, equal_nan=flat.dtype.kind == "f"))


@pytest.mark.parametrize("size", [1, 7, 200])
def test_the_number_of_events_in_memory_changes_nothing(data_of: Maker, dense: Callable[..., Any], size: int) -> None:
    data = data_of(CHANNELS, dense(CHANNELS, 41))
    lists = {"all": data.tables, "two": data.tables[1:3]}
    whole, parts = data.build(OPERATIONS, lists=lists), data.build(OPERATIONS, size=size, lists=lists)
    assert [name for name in OPERATIONS if not same(column(whole, name), column(parts, name))] == []


def test_pygama_keeps_values_of_the_wrong_channel_where_an_event_names_one(
    data_of: Maker, dense: Callable[..., Any]
) -> None:
    """Upstream, ``keep_at_ch`` with one channel an event takes the last channel's values; ours does not."""
    operations = {
        "first": OPERATIONS["early"],
        "energy": {"channels": "all", "aggregation_mode": "keep_at_ch:evt.first", "expression": "hit.energy"},
    }
    data = data_of(CHANNELS, dense(CHANNELS, 50))
    ours, theirs = data.build(operations), by_pygama(data, operations)
    expected = [data.columns[int(c)]["energy"][row] for row, c in enumerate(ours.first)]
    assert ours.energy.tolist() == expected
    assert theirs.energy.tolist() == data.columns[CHANNELS[-1]]["energy"].tolist()
