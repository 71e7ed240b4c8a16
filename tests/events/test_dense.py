"""Where each channel is in each event, pygama's event builder is right: ours gives the same columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pytest

from .conftest import GATHERED, column, op

if TYPE_CHECKING:
    from tests.events.conftest import Data

CHANNELS = [1000001, 1000002, 1000005, 1000010]
Maker = Callable[..., "Data"]

OPERATIONS: dict[str, dict[str, Any]] = {
    "time": op("first_at:dsp.timestamp", "dsp.timestamp"),
    "early": op("first_at:dsp.tp", "tcm.table_key", initial=0),
    "late": op("last_at:dsp.tp", "hit.energy * 2 - a", query="hit.energy > 40", parameters={"a": 1.5}),
    "early_small": op("first_at:dsp.tp", "hit.small", channels="two"),
    "number": op("sum", "hit.energy > a", channels=["all"], parameters={"a": 50}, initial=0, dtype="int16"),
    "number_two": op("sum", "hit.flag", channels=["all"], exclude_channels="two", initial=0),
    "energy_sum": op("sum", "hit.energy", query="(hit.energy > 25) & hit.flag", initial=0.0),
    "n_sum": op("sum", "dsp.n", initial=0),
    "some": op("any", "hit.energy > 300", initial=False),
    "every": op("all", "(hit.bits & 12) != 0", query="hit.energy > 1", initial=True),
    **GATHERED,
    "rawid_down": op("gather", "tcm.table_key", query="hit.flag", sort="descend_by:dsp.tp"),
    "row": op("gather", "tcm.row_in_table", channels="two"),
    "with_default": op("gather", "hit.energy", exclude_channels="two", initial=-1.0),
    "flag": op("keep_at_ch:evt.rawid", "hit.flag & (hit.energy < 200)", dtype="bool"),
    "energy_two": op("keep_at_ch:evt.rawid", "hit.energy", channels="two"),
    "group___relative": op("sum", "hit.energy / evt.energy_sum", query="hit.energy > 25", initial=0.0),
    "group___deep___is_single": {"expression": "(evt.number == 1) & (evt.energy_sum > a)", "parameters": {"a": 10}},
    "ratio": {"expression": "evt.energy_sum / (evt.number + 1)"},
    "largest": {"expression": "ak.fill_none(ak.max(evt.energy, axis=-1), 0)"},
    "above": {"expression": "evt.energy > 100"},
    "pairs": op("function", 'pygama.evt.modules.spms.gather_tcm_data(<...>, tcm_field="table_key")', channels="two"),
}


@pytest.mark.parametrize("seed", [1, 2])
def test_all_modes_agree_with_pygama_on_dense_data(data_of: Maker, dense: Callable[..., Any], seed: int) -> None:
    data = data_of(CHANNELS, dense(CHANNELS, 200), seed=seed)
    ours, theirs = data.build(OPERATIONS, lists=data.lists), data.by_pygama(OPERATIONS)
    assert set(ours.fields) == {*theirs.fields, "trigger"}
    differing = [name for name in OPERATIONS if not same(column(ours, name), column(theirs, name))]
    assert differing == []


def same(one: Any, other: Any) -> bool:
    """Whether two columns have equal values (NaN equals NaN) and, where lists, equal lengths."""
    if one.ndim > 1 and not ak.all(ak.num(one) == ak.num(other)):
        return False
    flat, known = (ak.to_numpy(ak.flatten(each, axis=None)) for each in (one, other))
    return bool(np.array_equal(flat, known, equal_nan=flat.dtype.kind == "f"))


@pytest.mark.parametrize("size", [1, 7, 200])
def test_the_number_of_events_in_memory_changes_nothing(data_of: Maker, dense: Callable[..., Any], size: int) -> None:
    data = data_of(CHANNELS, dense(CHANNELS, 41))
    whole, parts = (data.build(OPERATIONS, each, data.lists) for each in (1000, size))
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
    ours, theirs = data.build(operations), data.by_pygama(operations)
    expected = [data.columns[int(c)]["energy"][row] for row, c in enumerate(ours.first)]
    assert ours.energy.tolist() == expected
    assert theirs.energy.tolist() == data.columns[CHANNELS[-1]]["energy"].tolist()
