"""Which rows of a detector are pulser events, from the coincidence map: binary masks, one reading for all detectors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import BadInput
from dataflow.jobs.lh5files import open_input
from dataflow.plan.job import Job

log = logging.getLogger(__name__)

Mask = NDArray[np.bool_]
Ids = NDArray[np.int64]

EVERYWHERE = 0.9
"""A pulser channel that is in more than this part of the events is read out with every trigger and marks none."""


def pulser_rows(job: Job, counts: Mapping[str, Sequence[int]], role: str = "tcm") -> dict[str, Mask]:
    """The rows of each detector that belong to events with a pulser channel.

    Parameters
    ----------
    job
        Its inputs `role` are the coincidence maps of the run's files, in order; in each, channels have the numbers of
        that file's channel map.
    counts
        Number of rows of each detector in each file. A detector that a file's data do not have, because an earlier step
        could not do it there, has none, whatever the coincidence map says.
    role
        What the job calls the coincidence maps.

    Returns
    -------
    dict
        By detector, True for pulser rows, shape (rows of all files,).

    Raises
    ------
    BadInput
        If map and data have different numbers of rows.
    """
    files = job.inputs.get(role, ())
    masks: dict[str, list[Mask]] = {name: [] for name in counts}
    for number, path in enumerate(files):
        channels = job.map_of(path)
        ids = {channel.name: channel.rawid for channel in channels if channel.name in counts}
        pulsers = np.array([c.rawid for c in channels if c.system == "puls" and c.rawid is not None], dtype=np.int64)
        found = _of_file(path, job.table(role), ids, pulsers) if len(pulsers) else {}
        for name, rows in counts.items():
            masks[name].append(_checked(job, name, found.get(name), rows[number]))
    return {
        name: np.concatenate(masks[name]) if masks[name] else np.zeros(sum(rows), dtype=bool)
        for name, rows in counts.items()
    }


def _checked(job: Job, name: str, mask: Mask | None, rows: int) -> Mask:
    """The mask of a detector's rows in one file; none are marked where no pulser is."""
    if mask is None or rows == 0:
        return np.zeros(rows, dtype=bool)
    if len(mask) != rows:
        raise BadInput(
            f"{name} has {rows} rows in the data and {len(mask)} in the coincidence maps of {job.unit}",
            hint="the tiers of this run do not belong together: remove the tcm files, they are made again",
        )
    return mask


def _of_file(path: Path, table: str, ids: Mapping[str, int | None], pulsers: Ids) -> dict[str, Mask]:
    with open_input(path) as file:
        group = file.get(table)
        if not isinstance(group, h5py.Group):
            raise BadInput(f"{path} has no table {table}")
        keys = np.asarray(group["table_key/flattened_data"][:])
        with_pulser, sizes = _events(np.isin(keys, pulsers), np.asarray(group["table_key/cumulative_length"][:]))
        if len(with_pulser) and with_pulser.mean() > EVERYWHERE:
            log.warning("%s: the pulser channel is in every event, so it marks none", path.name)
            with_pulser[:] = False
        flagged = np.repeat(with_pulser, sizes)
        rows = np.asarray(group["row_in_table/flattened_data"][:])
    return {name: _mask(keys == number, rows, flagged) for name, number in ids.items()}


def _events(is_pulser: Mask, ends: NDArray[Any]) -> tuple[Mask, NDArray[Any]]:
    """Which events have a pulser row, and how many rows each event has.

    Rows are counted up to each event's end, in 32 bits, instead of being given the number of their event: a run of a
    hundred detectors has some ten million rows a file, and the job must not need more memory than its workers.
    """
    starts = np.concatenate([np.zeros(1, dtype=ends.dtype), ends[:-1]])
    counted = np.concatenate([np.zeros(1, dtype=np.int32), np.cumsum(is_pulser, dtype=np.int32)])
    return counted[ends] > counted[starts], ends - starts


def _mask(mine: Mask, rows: Ids, flagged: Mask) -> Mask:
    mask = np.zeros(int(mine.sum()), dtype=bool)
    mask[rows[mine]] = flagged[mine]
    return mask
