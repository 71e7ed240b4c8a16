"""Pulser events are found through the coincidence map, row by row."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lgdo import Table, VectorOfVectors
from lh5 import write

from dataflow.jobs.errors import BadInput
from dataflow.keys.channel import Channel
from dataflow.physics.pulser import pulser_rows


def job_with(events: list[list[tuple[int, int]]], path: Path, pulser: int | None = 9) -> Any:
    """A job whose map has these events, each a list of (rawid, row)."""
    columns = {
        "table_key": VectorOfVectors([[rawid for rawid, _ in event] for event in events], dtype="int64"),
        "row_in_table": VectorOfVectors([[row for _, row in event] for event in events], dtype="int64"),
    }
    write(Table(col_dict=columns), "hardware_tcm_1", str(path), wo_mode="of")
    channels = [Channel("V1", "geds", 1), Channel("V2", "geds", 2)]
    pulsers = [] if pulser is None else [Channel("PULS01", "puls", pulser)]
    return SimpleNamespace(
        map_of=lambda _: (*channels, *pulsers),
        unit="l200-p03-r000-cal-20230311T235840Z",
        inputs={"tcm": (path,)},
        table=lambda tier: "hardware_tcm_1",
        key=SimpleNamespace(run="l200-p03-r000-cal"),
    )


def test_rows_with_the_pulser_in_the_event_are_marked(tmp_path: Path) -> None:
    events = [[(1, 0)], [(1, 1), (2, 0), (9, 0)], [(2, 1)], [(9, 1), (1, 2)], [(1, 3), (2, 2)]]
    masks = pulser_rows(job_with(events, tmp_path / "tcm.lh5"), {"V1": [4], "V2": [3]})
    np.testing.assert_array_equal(masks["V1"], [False, True, True, False])
    np.testing.assert_array_equal(masks["V2"], [True, False, False])


def test_without_a_pulser_channel_nothing_is_marked(tmp_path: Path) -> None:
    masks = pulser_rows(job_with([[(1, 0)], [(2, 0)]], tmp_path / "tcm.lh5", pulser=None), {"V1": [1], "V2": [1]})
    assert not masks["V1"].any()
    assert not masks["V2"].any()


def test_a_pulser_that_is_read_out_always_marks_nothing(tmp_path: Path) -> None:
    events = [[(1, row), (9, row)] for row in range(20)]
    masks = pulser_rows(job_with(events, tmp_path / "tcm.lh5"), {"V1": [20], "V2": [0]})
    assert not masks["V1"].any()


def test_a_map_of_other_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="V1 has 7 rows in the data and 1 in the coincidence maps"):
        pulser_rows(job_with([[(1, 0)], [(9, 0)], [(2, 0)]], tmp_path / "tcm.lh5"), {"V1": [7], "V2": [1]})


def test_a_detector_that_an_earlier_step_could_not_do_has_no_rows(tmp_path: Path) -> None:
    """It is in the coincidence map, which is made from raw data, and must not stop the others."""
    masks = pulser_rows(job_with([[(1, 0)], [(9, 0), (2, 0)]], tmp_path / "tcm.lh5"), {"V1": [0], "V2": [1]})
    np.testing.assert_array_equal(masks["V1"], np.zeros(0, dtype=bool))
    np.testing.assert_array_equal(masks["V2"], [True])
