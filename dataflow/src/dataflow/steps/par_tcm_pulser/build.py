"""The masks of a calibration's files: reads coincidence maps and saturation, writes one LH5 file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from lgdo import Array, Struct, Table

from dataflow.jobs.atomic import whole_files
from dataflow.jobs.errors import BadInput
from dataflow.jobs.lh5files import column, open_input
from dataflow.keys.channel import Channel
from dataflow.physics.pulser import FILE, FILES, FLAGS, Mask, file_name
from dataflow.plan.job import Job

from .masks import Hits, Ids, forced_events, pulser_events, recovering, rows_of
from .settings import PulserSettings

ROLES = (("tcm", "raw"), ("other_tcm", "other_raw"))
SATURATION, TIME = "t_sat_lo", "timestamp"
MS = 1e-3

Masks = dict[str, Mask]


def build(job: Job, threads: int = 1) -> None:
    """Mark the rows of all channels.

    Parameters
    ----------
    job
        Inputs ``tcm`` and, where there are such files, ``raw`` of the calibration, ``other_tcm`` and ``other_raw`` of
        other datatypes of its run;
        output ``masks``: by channel a table with a row for each row of its raw tables, file after file, and the list
        ``files`` of their keys. Channels without a number have none.
    threads
        Not used: it is one pass over the maps.
    """
    import lh5

    settings = PulserSettings.read(job.config.read("pulser_config") or {}, "pulser_config")
    pairs = [pair for tcm, raw in ROLES for pair in _pairs(job, tcm, raw)]
    parts: dict[str, list[Masks]] = {}
    for number, (tcm, raw) in enumerate(pairs):
        for name, masks in _of_file(job, tcm, raw, settings).items():
            masks[FILE] = np.full(len(masks[FLAGS[0]]), number, dtype=np.uint16)
            parts.setdefault(name, []).append(masks)
    content: dict[str, Any] = {FILES: Array(np.array([file_name(tcm) for tcm, _ in pairs], dtype="S"))}
    content |= {name: _table(each) for name, each in sorted(parts.items())}
    with whole_files({"masks": job.outputs["masks"]}) as paths:
        lh5.write(Struct(content), "masks", str(paths["masks"]), wo_mode="of")


def _pairs(job: Job, tcm: str, raw: str) -> list[tuple[Path, Path | None]]:
    """Maps and raw files, None where there are none: a cycle may begin with later tiers."""
    maps_of = job.inputs.get(tcm, ())
    return list(zip(maps_of, job.inputs.get(raw) or (None,) * len(maps_of), strict=True))


def _table(parts: list[Masks]) -> Table:
    return Table({name: Array(np.concatenate([part[name] for part in parts])) for name in (FILE, *FLAGS)})


def _of_file(job: Job, tcm: Path, raw: Path | None, settings: PulserSettings) -> dict[str, Masks]:
    """The masks of all channels of a file, by channel and flag."""
    channels = [channel for channel in job.map_of(tcm) if channel.rawid is not None]
    found: dict[str, Masks] = {}
    for hits in maps(tcm):
        there = set(np.unique(hits.keys).tolist())
        pulser = pulser_events(hits, _ids(channels, "puls"), _ids(channels, "geds"), settings, tcm.name)
        forced = forced_events(hits, _ids(channels, "bsln"), tcm.name)
        for channel in channels:
            number = channel.rawid or 0
            if number in there:
                flags = (rows_of(hits, number, pulser), rows_of(hits, number, forced))
                found[channel.name] = dict(zip(FLAGS, flags, strict=False))
    numbers = {channel.name: channel for channel in channels if channel.name in found}
    rows = {name: len(masks[FLAGS[0]]) for name, masks in found.items()}
    late = _recovering(job, raw, numbers, rows, settings.recovery_time * MS) if raw else {}
    for name, masks in found.items():
        masks[FLAGS[2]] = late.get(name, np.zeros(rows[name], dtype=bool))
    return found


def _ids(channels: list[Channel], system: str) -> Ids:
    return np.array([channel.rawid for channel in channels if channel.system == system], dtype=np.int64)


def maps(path: Path) -> list[Hits]:
    """The coincidence maps of a file, one for each crate.

    Raises
    ------
    BadInput
        If it has none.
    """
    with open_input(path) as file:
        groups = [file[name] for name in sorted(file) if isinstance(file[name], h5py.Group)]
        tables = [group for group in groups if "table_key" in group]
        if not tables:
            raise BadInput(f"{path} has no coincidence map")
        return [
            Hits(
                np.asarray(group["table_key/flattened_data"][:], dtype=np.int64),
                np.asarray(group["row_in_table/flattened_data"][:], dtype=np.int64),
                np.asarray(group["table_key/cumulative_length"][:], dtype=np.int64),
            )
            for group in tables
        ]


def _recovering(job: Job, path: Path, channels: Mapping[str, Channel], rows: Mapping[str, int], after: float) -> Masks:
    """The rows after a discharge, of channels whose raw table says when its traces are at the lowest value."""
    found: Masks = {}
    with open_input(path) as file:
        for name, channel in channels.items():
            table = job.table("raw", channel)
            if table in file and SATURATION in file[table]:
                times = column(file, table, TIME).astype(np.float64)
                if len(times) != rows[name]:
                    raise BadInput(
                        f"{name} has {len(times)} rows in {path.name} and {rows[name]} in its coincidence map",
                        hint="the tiers of this run do not belong together: remove the tcm files, they are made again",
                    )
                found[name] = recovering(times, column(file, table, SATURATION) > 0, after)
    return found
