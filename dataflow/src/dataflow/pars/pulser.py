"""Which rows of a detector are pulser events, from the coincidence map: binary masks, one reading for all detectors."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import BadInput
from dataflow.jobs.lh5files import open_input
from dataflow.plan.model import Job

log = logging.getLogger(__name__)

Mask = NDArray[np.bool_]
Ids = NDArray[np.int64]

EVERYWHERE = 0.9
"""A pulser channel that is in more than this part of the events is read out with every trigger and marks none."""


def pulser_rows(job: Job, counts: Mapping[str, int]) -> dict[str, Mask]:
    """The rows of each detector that belong to events with a pulser channel.

    Parameters
    ----------
    job
        Its input ``tcm`` are the coincidence maps of the run's files, in order.
    counts
        Number of rows by detector over all files.

    Returns
    -------
    dict
        By detector, True for pulser rows, shape (rows,).

    Raises
    ------
    BadInput
        If map and data have different numbers of rows.
    """
    ids = {channel.name: channel.rawid for channel in job.channels if channel.name in counts}
    pulsers = [channel.rawid for channel in job.pulsers if channel.rawid is not None]
    files = job.inputs.get("tcm", ())
    if not pulsers or not files:
        return {name: np.zeros(count, dtype=bool) for name, count in counts.items()}
    parts: dict[str, list[Mask]] = {name: [] for name in ids}
    for path in files:
        for name, mask in _of_file(path, job.table("tcm"), ids, np.array(pulsers)).items():
            parts[name].append(mask)
    masks = {name: np.concatenate(found) if found else np.zeros(0, dtype=bool) for name, found in parts.items()}
    for name, mask in masks.items():
        if len(mask) != counts[name]:
            raise BadInput(
                f"{name} has {counts[name]} rows in the data and {len(mask)} in the coincidence maps of {job.key.run}",
                hint="the tiers of this run do not belong together: remove the tcm files, they are made again",
            )
    return masks


def _of_file(path: Path, table: str, ids: Mapping[str, int | None], pulsers: Ids) -> dict[str, Mask]:
    with open_input(path) as file:
        group = file.get(table)
        if not isinstance(group, h5py.Group):
            raise BadInput(f"{path} has no table {table}")
        keys = np.asarray(group["table_key/flattened_data"][:], dtype=np.int64)
        rows = np.asarray(group["row_in_table/flattened_data"][:], dtype=np.int64)
        ends = np.asarray(group["table_key/cumulative_length"][:], dtype=np.int64)
    events = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    with_pulser = np.zeros(len(ends), dtype=bool)
    with_pulser[events[np.isin(keys, pulsers)]] = True
    if len(ends) and with_pulser.mean() > EVERYWHERE:
        log.warning("%s: the pulser channel is in every event, so it marks none", path.name)
        with_pulser[:] = False
    return {name: _mask(keys == number, rows, with_pulser[events]) for name, number in ids.items()}


def _mask(mine: Mask, rows: Ids, flagged: Mask) -> Mask:
    mask = np.zeros(int(mine.sum()), dtype=bool)
    mask[rows[mine]] = flagged[mine]
    return mask
