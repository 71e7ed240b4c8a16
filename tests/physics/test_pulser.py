"""Masks that ``par_tcm_pulser`` made, as calibrations read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lgdo import Array, Struct, Table
from lh5 import write

from dataflow.jobs.errors import BadInput
from dataflow.physics.pulser import FLAGS, event_masks

KEYS = ("l200-p03-r000-cal-20230311T235840Z", "l200-p03-r000-cal-20230312T005840Z")


def job_with(masks: dict[str, list[tuple[int, int, int, int]]], folder: Path, keys: Sequence[str] = KEYS) -> Any:
    """A job whose masks have these rows by detector: number of the file, pulser, forced, recovering."""
    tables = {
        name: Table(
            {
                "file": Array(np.array([row[0] for row in rows], dtype="u2")),
                **{flag: Array(np.array([row[n + 1] for row in rows], dtype=bool)) for n, flag in enumerate(FLAGS)},
            }
        )
        for name, rows in masks.items()
    }
    path = folder / "masks.lh5"
    write(Struct({"files": Array(np.array(keys, dtype="S")), **tables}), "masks", str(path), wo_mode="of")
    paths = tuple(folder / f"{key}-tier_dsp.lh5" for key in keys)
    return SimpleNamespace(inputs={"masks": (path,), "dsp": paths}, unit=keys[0])


ROWS = [(0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (1, 0, 0, 1), (1, 0, 0, 0)]


def test_rows_are_those_of_the_files_in_their_order(tmp_path: Path) -> None:
    job = job_with({"V1": ROWS}, tmp_path)
    masks = event_masks(job, {"V1": [3, 2]})["V1"]
    np.testing.assert_array_equal(masks.pulser, [False, True, False, False, False])
    np.testing.assert_array_equal(masks.forced, [False, False, True, False, False])
    np.testing.assert_array_equal(masks.recovering, [False, False, False, True, False])
    np.testing.assert_array_equal(masks.usable, [True, False, False, False, True])
    second = event_masks(job, {"V1": [2]}, job.inputs["dsp"][1:])["V1"]
    np.testing.assert_array_equal(second.usable, [False, True])


def test_a_partition_has_the_masks_of_all_its_runs(tmp_path: Path) -> None:
    """A file of masks for each run, here of one file each."""
    job = job_with({"V1": [row for row in ROWS if row[0] == 0]}, tmp_path)
    (tmp_path / "next").mkdir()
    other = job_with(
        {"V1": [(0, 1, 0, 0), (0, 0, 0, 0)]}, tmp_path / "next", keys=["l200-p03-r001-cal-20230401T000000Z"]
    )
    job.inputs = {name: job.inputs[name][:1] + other.inputs[name] for name in job.inputs}
    masks = event_masks(job, {"V1": [3, 2]})["V1"]
    np.testing.assert_array_equal(masks.pulser, [False, True, False, True, False])
    np.testing.assert_array_equal(masks.usable, [True, False, False, False, True])


def test_where_nothing_is_known_nothing_is_marked(tmp_path: Path) -> None:
    job = job_with({"V1": ROWS}, tmp_path)
    assert event_masks(job, {"V2": [1, 2]})["V2"].usable.tolist() == [True, True, True]
    del job.inputs["masks"]
    assert event_masks(job, {"V1": [3, 2]})["V1"].usable.all()


def test_masks_of_other_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="V1 has 7 rows in the data and 3 in the coincidence maps"):
        event_masks(job_with({"V1": ROWS}, tmp_path), {"V1": [7, 2]})


def test_a_detector_that_an_earlier_step_could_not_do_has_no_rows(tmp_path: Path) -> None:
    """It is in the coincidence map, which is made from raw data, and must not stop the others."""
    masks = event_masks(job_with({"V1": ROWS}, tmp_path), {"V1": [0, 2]})["V1"]
    np.testing.assert_array_equal(masks.recovering, [True, False])
