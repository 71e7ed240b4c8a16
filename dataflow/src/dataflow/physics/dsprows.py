"""The rows of dsp that calibrate the detectors of a run: how many, which are the pulser's, and their columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dataflow.jobs.lh5files import Tables, columns_of, read_many, rows_by_file
from dataflow.plan.job import Job

from .pulser import Mask, event_masks


@dataclass(frozen=True)
class DspRows:
    """What the dsp files of a run have, by detector.

    Attributes
    ----------
    paths
        The files, in order.
    tables
        The detector's table in each file.
    counts
        Number of its rows in all files.
    accepted
        Which of them are no pulser events, no forced triggers, and not shortly after a discharge, shape (rows,).
    columns
        The columns that all its tables have.
    """

    paths: tuple[Path, ...]
    tables: Tables
    counts: Mapping[str, int]
    accepted: Mapping[str, Mask]
    columns: Mapping[str, set[str]]

    def read(self, name: str, wanted: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Those of some columns that a detector has, shape (rows,) each.

        The worker of a detector reads them: a job that reads the columns of all detectors before it forks has all of
        them in memory, 7 GB for 100 detectors with a million events each.
        """
        names = sorted(self.columns[name] & set(wanted))
        return read_many(self.paths, {name: self.tables[name]}, names)[name]


def dsp_rows(job: Job) -> DspRows:
    """The rows of a job with the inputs ``dsp`` and ``masks``."""
    paths = job.inputs["dsp"]
    tables = {channel.name: job.tables_in("dsp", channel) for channel in job.channels}
    rows = rows_by_file(paths, tables)
    accepted = {name: masks.usable for name, masks in event_masks(job, rows, paths).items()}
    counts = {name: sum(of_files) for name, of_files in rows.items()}
    return DspRows(paths, tables, counts, accepted, columns_of(paths, tables))
