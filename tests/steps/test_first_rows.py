"""The first rows of a detector in the files of a run."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from dataflow.jobs.lh5files import first_rows


def test_as_many_rows_as_wanted_are_taken_from_the_first_files_that_have_some(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.lh5" for number in range(4)]
    tables = ["ch1/raw", "ch1/raw", None, "ch2/raw"]
    for path, name, count in zip(paths, ("ch1", "other", "ch1", "ch2"), (3, 9, 9, 5), strict=True):
        with h5py.File(path, "w") as file:
            file[f"{name}/raw/timestamp"] = np.arange(count)
    first, last = (paths[0], "ch1/raw"), (paths[3], "ch2/raw")
    assert list(first_rows(paths, tables, 2)) == [(*first, range(2))]
    assert list(first_rows(paths, tables, 3)) == [(*first, range(3))]
    assert list(first_rows(paths, tables, 5)) == [(*first, range(3)), (*last, range(2))]
    assert list(first_rows(paths, tables, 99)) == [(*first, range(3)), (*last, range(5))]
