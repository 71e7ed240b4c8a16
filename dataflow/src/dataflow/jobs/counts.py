"""How much is in the files of events: numbers for the records, so that rates can be compared without reading files."""

from __future__ import annotations

from collections import Counter
from typing import Any

from dataflow.plan.job import Job

COUNTED = {"steps.tier_evt.build": "evt", "steps.tier_skm.build": "skm"}
"""Modules whose outputs are counted, with the name of the table."""
BACKWARD = "backward_steps"
RAW, SALVAGED = "steps.tier_raw.build", "salvaged"


def counts_of(job: Job) -> dict[str, Any]:
    """What is in the events that a job made.

    Parameters
    ----------
    job
        A finished job.

    Returns
    -------
    dict
        Empty for other steps than those in :data:`COUNTED`, ``tier_tcm`` and ``tier_raw``. ``events``, their number;
        for ``evt`` also ``from`` and ``to``, the first and last ``trigger/timestamp`` in seconds since 1970,
        ``repeated``, the number of events with several rows of a channel, and ``detectors``, for each detector the
        number of valid entries in ``geds/rawid``; each as far as the configuration of the events has these fields. For
        ``tcm``, ``backward_steps``, how often times go backwards, if they do. For ``raw``, ``salvaged``, where and how
        the DAQ file breaks off, if it does.
    """
    if job.module == "steps.tier_tcm.build":
        return _backward(job)
    if job.module not in (*COUNTED, RAW) or not job.outputs["tier"].is_file():
        return {}
    import h5py
    import hdf5plugin  # noqa: F401 - registers the compressions

    with h5py.File(job.outputs["tier"]) as file:
        if job.module == RAW:
            return {SALVAGED: str(file.attrs[SALVAGED])} if SALVAGED in file.attrs else {}
        table = file.get(job.table(COUNTED[job.module], grp="").strip("/"))
        if not isinstance(table, h5py.Group):
            return {}
        found: dict[str, Any] = {"events": _length(table)}
        if job.module == "steps.tier_evt.build":
            found |= _times(table) | _repeated(table)
            found |= _detectors(table, {c.rawid: c.name for c in job.channels if c.rawid is not None})
        return found


def _backward(job: Job) -> dict[str, int]:
    import h5py

    with h5py.File(job.outputs["tier"]) as file:
        steps = int(file.attrs.get(BACKWARD, 0))
    return {BACKWARD: steps} if steps else {}


def _repeated(table: Any) -> dict[str, int]:
    node = table.get("trigger/is_repeated")
    count = int(node[:].sum()) if node is not None else 0
    return {"repeated": count} if count else {}


def _length(table: Any) -> int:
    """Rows of an LH5 table: those of its first column, however deep it lies."""
    import h5py

    for name in sorted(table):
        node = table[name]
        if isinstance(node, h5py.Dataset):
            return len(node)
        return len(node["cumulative_length"]) if "cumulative_length" in node else _length(node)
    return 0


def _times(table: Any) -> dict[str, float]:
    """First and last time; an event of channels that are in no list of the configuration has none."""
    import numpy as np

    node = table.get("trigger/timestamp")
    times = node[:] if node is not None else np.empty(0)
    times = times[np.isfinite(times)]
    return {"from": float(times.min()), "to": float(times.max())} if len(times) else {}


def _detectors(table: Any, names: dict[int, str]) -> dict[str, dict[str, int]]:
    """Valid entries by detector, of those that have any."""
    numbers, valid = (table.get(f"geds/{name}/flattened_data") for name in ("rawid", "is_valid"))
    if numbers is None:
        return {}
    values = numbers[:]
    if valid is not None and valid.shape == numbers.shape:
        values = values[valid[:].astype(bool)]
    counts = Counter(int(value) for value in values)
    return {"detectors": {name: counts[number] for number, name in sorted(names.items()) if counts[number]}}
