"""Lists of rows by event, in the order of a key: as by one sort of all rows by two keys."""

from __future__ import annotations

import numpy as np
import pytest

from dataflow.steps.tier_evt import aggregate
from dataflow.steps.tier_evt.aggregate import gathered


@pytest.mark.parametrize("sparse", [0, 8, 10**6])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("events", "rows"), [(1, 1), (50, 400), (2000, 900), (3, 0), (0, 0)])
def test_rows_are_sorted_by_event_then_by_key_then_as_they_came(
    monkeypatch: pytest.MonkeyPatch, events: int, rows: int, *, descending: bool, sparse: int
) -> None:
    monkeypatch.setattr(aggregate, "SPARSE", sparse)
    random = np.random.default_rng(7)
    event = random.integers(0, max(events // 2, 1), rows)
    key = random.integers(0, 4, rows).astype(float)  # many are equal
    key[random.random(rows) < 0.2] = np.nan
    key[random.random(rows) < 0.1] = np.inf
    key[random.random(rows) < 0.1] = -np.inf
    mask = random.random(rows) < 0.8
    value = np.where(random.random(rows) < 0.1, np.nan, np.arange(rows))
    chosen, counts = gathered(events, event, value, mask, key, descending=descending)
    wanted = []
    for number in range(events):
        own = [row for row in range(rows) if event[row] == number and mask[row] and not np.isnan(value[row])]
        sign = -1 if descending else 1
        wanted += sorted(own, key=lambda row: (np.isnan(key[row]), 0.0 if np.isnan(key[row]) else sign * key[row], row))
        assert counts[number] == len(own)
    assert chosen.tolist() == wanted
