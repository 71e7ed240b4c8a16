"""raw: DAQ files decoded into LH5 tables by legend-daq2lh5."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin

from dataflow.jobs.atomic import whole_files
from dataflow.jobs.deadline import OPTION
from dataflow.jobs.errors import BadInput
from dataflow.jobs.lh5files import annotate
from dataflow.jobs.notes import note, warn
from dataflow.plan.errors import UserError
from dataflow.plan.model import Job
from dataflow.plan.steps import WITH_CHAINS
from dataflow.plan.troubles import MISSING

from .daqfile import DaqFile, open_daq, refuse_undecodable
from .rawspec import listed, output_spec, unmapped

log = logging.getLogger(__name__)

MEMORY = 400e6
"""Bytes that the decoding buffers of all channels may take together."""
MOST_ROWS, LEAST_ROWS = 8192, 64

FILTERS: Mapping[str, Any] = {
    "zstd": hdf5plugin.Zstd,
    "blosc": hdf5plugin.Blosc,
    "lz4": hdf5plugin.LZ4,
    "bitshuffle": hdf5plugin.Bitshuffle,
    "bzip2": hdf5plugin.BZip2,
}
"""Compressions that HDF5 has as plugins, by the names of the collaboration's configuration."""


def build(job: Job, threads: int = 1) -> None:
    """Decode one DAQ file.

    Parameters
    ----------
    job
        Input ``daq``, output ``tier``; options ``settings`` of the rule are those of :func:`daq2lh5.build_raw`.
    threads
        Not used: a stream is decoded in one piece.

    Raises
    ------
    BadInput
        If the file is empty, truncated, corrupted, or has no known channel.
    """
    (source,) = job.inputs["daq"]
    daq = open_daq(source)
    missing = unmapped(job, daq)
    with whole_files({"tier": job.outputs["tier"]}) as parts:
        decode(job, daq, parts["tier"])
        check_rows(job, daq, parts["tier"])
        if missing:
            log.warning("%s has channels that the channel map does not know: %s", source, missing)
            annotate(parts["tier"], unmapped_channels=" ".join(map(str, missing)))
            warn("", [f"the DAQ file has channels that the channel map does not know: {listed(missing)}"])
    note_absent(job, daq)


def note_absent(job: Job, daq: DaqFile) -> None:
    """Note the channels of the map that should be processed and that the DAQ file does not have.

    One that the file has and that no trigger read out is not missing: a detector may be quiet in a short file.
    """
    there = {key for keys in daq.keys.values() for key in keys}
    for channel in job.channels:
        wanted = channel.processable and channel.system in WITH_CHAINS and channel.rawid is not None
        if wanted and channel.rawid not in there:
            note(channel.name, MISSING, job.step, f"the DAQ file has no channel {channel.rawid}")
            log.warning("%s: the DAQ file has no channel %s", channel.name, channel.rawid)


def decode(job: Job, daq: DaqFile, target: Path) -> None:
    """Run legend-daq2lh5 on a file.

    Raises
    ------
    BadInput
        If it cannot decode it.
    """
    from daq2lh5 import build_raw

    spec = output_spec(job, daq, target)
    settings = settings_of(job)
    settings.setdefault("buffer_size", buffer_rows(spec, daq))
    try:
        build_raw(
            str(daq.path), in_stream_type=daq.stream, out_spec=spec, overwrite=True, filekey=str(target), **settings
        )
    except Exception as error:  # noqa: BLE001 - as when looking at the file
        refuse_undecodable(daq.path, "decoded", error)


def check_rows(job: Job, daq: DaqFile, target: Path) -> None:
    """Make sure that something was decoded.

    Raises
    ------
    BadInput
        If the file has no event of a known channel.
    """
    if not target.is_file() or not _tables(target, job):
        raise BadInput(
            f"the DAQ file {daq.path} has no events of a channel in the map",
            hint="list its key in ignored_daq_cycles.yaml",
        )


def _tables(target: Path, job: Job) -> list[str]:
    with h5py.File(target) as file:
        return [table for channel in job.channels if (table := job.table("raw", channel)) in file]


def settings_of(job: Job) -> dict[str, Any]:
    """The settings of the rule and of the site, with compressions as HDF5 wants them.

    Raises
    ------
    UserError
        If there is no such compression.
    """
    found: dict[str, Any] = {"hdf5_settings": {"compression": "zstd", "shuffle": True}}
    for source in (job.config.read("settings"), job.config.options.get("settings"), job.setup.settings.get("tier_raw")):
        found |= dict(source or {})
    found.pop(OPTION, None)
    hdf5 = dict(found["hdf5_settings"])
    name = hdf5.get("compression")
    if isinstance(name, str) and name not in ("gzip", "lzf"):
        if name not in FILTERS:
            known = ", ".join(sorted([*FILTERS, "gzip", "lzf"]))
            raise UserError(f"there is no compression {name!r} for raw files", hint=f"use one of {known}")
        hdf5.pop("compression")
        hdf5 |= FILTERS[name]()
    return found | {"hdf5_settings": hdf5}


def buffer_rows(spec: Mapping[str, Any], daq: DaqFile) -> int:
    """Rows that each channel's buffer holds, so that all together stay within the memory."""
    tables = sum(len(groups) for groups in spec.values()) or 1
    channels = sum(len(keys) for keys in daq.keys.values()) or 1
    rows = int(MEMORY / (tables * max(2 * daq.samples, 512)))
    return max(min(rows, MOST_ROWS), LEAST_ROWS, channels + 1)
