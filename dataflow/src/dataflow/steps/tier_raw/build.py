"""raw: DAQ files decoded into LH5 tables by legend-daq2lh5."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py

from dataflow.base.parts import part_name
from dataflow.base.times import FORMAT
from dataflow.jobs.aliases import link_names
from dataflow.jobs.atomic import whole_files
from dataflow.jobs.deadline import OPTION
from dataflow.jobs.errors import BadInput
from dataflow.jobs.lh5files import ADC_BITS, annotate
from dataflow.jobs.notes import note, warn
from dataflow.keys.key import Key
from dataflow.plan.job import Job
from dataflow.plan.troubles import MISSING
from dataflow.registry.step import PROCESSED

from .daqfile import DaqFile, opened, refuse_undecodable
from .decode import WAVEFORMS, decode, filters
from .rawspec import listed, output_spec, unmapped
from .storing import HDF5, TRACES

log = logging.getLogger(__name__)

MEMORY = 32e6
"""Bytes that the decoding buffers of all channels may take together, if that is enough for a chunk of each. With more,
the kernel clears more pages, which takes as long as is gained by fewer calls."""
MOST_ROWS = 8192
TRIGGER_BYTES = 2400 * 8
"""A row of a software trigger, for which legend-daq2lh5 provides places for all channels that a crate can have."""
UPSTREAMS = ("overwrite",)
"""A setting of :func:`daq2lh5.build_raw` that has no meaning here: outputs are always new."""


def build(job: Job, threads: int = 1) -> None:
    """Decode one DAQ file.

    Parameters
    ----------
    job
        Input ``daq``, output ``tier``; options ``settings`` of the rule are those of :func:`daq2lh5.build_raw`, and
        ``salvage``, ``aliases``.
    threads
        Not used: a stream is decoded in one piece.

    Raises
    ------
    BadInput
        If the file is empty, truncated, corrupted, or has no known channel.
    """
    (source,) = job.inputs["daq"]
    settings = settings_of(job)
    with whole_files({"tier": job.outputs["tier"]}) as parts:
        work = part_name(job.outputs["tier"].with_suffix(".daq"))
        with opened(source, work, settings, salvage=bool(settings.get("salvage"))) as daq:
            missing = unmapped(job, daq)
            _decode(job, daq, parts["tier"], settings)
            check_rows(job, daq, parts["tier"])
            link_names(job, "raw", parts["tier"], job.channels, settings)
            _annotate(daq, missing, parts["tier"], job.key)
    note_absent(job, daq)


def note_absent(job: Job, daq: DaqFile) -> None:
    """Note the channels of the map that should be processed and that the DAQ file does not have.

    One that the file has and that no trigger read out is not missing: a detector may be quiet in a short file.
    """
    there = {key for keys in daq.keys.values() for key in keys}
    for channel in job.channels:
        wanted = channel.processable and channel.system in PROCESSED.systems and channel.rawid is not None
        if wanted and channel.rawid not in there:
            note(channel.name, MISSING, job.step, f"the DAQ file has no channel {channel.rawid}")
            log.warning("%s: the DAQ file has no channel %s", channel.name, channel.rawid)


def _decode(job: Job, daq: DaqFile, target: Path, settings: Mapping[str, Any]) -> None:
    spec = output_spec(job, daq)
    rows = buffer_rows(spec, daq)
    begin = datetime.strptime(job.key.timestamp, FORMAT).replace(tzinfo=UTC).timestamp()
    try:
        decode(daq, spec, target, {"buffer_size": rows, **settings}, begin)
    except Exception as error:  # noqa: BLE001 - as when looking at the file
        refuse_undecodable(daq.path, "decoded", error)


def _annotate(daq: DaqFile, missing: tuple[int, ...], target: Path, key: Key) -> None:
    """Say in the file what it lacks, and how deep the digitizers are."""
    if daq.bits:
        annotate(target, **{ADC_BITS: str(daq.bits)})
    if missing:
        log.warning("%s has channels that the channel map does not know: %s", daq.path, missing)
        annotate(target, unmapped_channels=" ".join(map(str, missing)))
        warn("", [f"the DAQ file has channels that the channel map does not know: {listed(missing)}"])
    if daq.lost:
        log.warning("%s is %s; what is whole was taken", daq.path, daq.lost)
        annotate(target, salvaged=daq.lost)
        warn("", [f"only a part of {key} could be read: its DAQ file is {daq.lost}"])


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
    """The settings of the rule and of the site.

    Raises
    ------
    UserError
        If there is no such compression.
    """
    found: dict[str, Any] = {}
    for source in (job.config.read("settings"), job.config.options.get("settings"), job.settings):
        found |= dict(source or {})
    if HDF5 not in found:
        found |= {HDF5: {"compression": "zstd", "shuffle": True}, WAVEFORMS: True}
    filters(found[HDF5] or {})
    return {name: value for name, value in found.items() if name not in (OPTION, *UPSTREAMS)}


def buffer_rows(spec: Mapping[str, Any], daq: DaqFile) -> int:
    """Rows of each channel's buffer, of which whole chunks are filled, and these within the memory.

    A buffer counts as full when it could not take all that one more packet may have. The rows behind that take no
    memory as long as nothing is written there.
    """
    tables = sum(len(groups) for groups in spec.values()) or 1
    channels = sum(len(keys) for keys in daq.keys.values()) or 1
    keys = [str(key) for groups in spec.values() for group in groups.values() for key in group["key_list"]]
    triggers = sum(key.startswith("swtid_") and key.endswith("/event") for key in keys)
    rows = int(MEMORY / (tables * max(2 * daq.samples, 512) + triggers * TRIGGER_BYTES))
    return max(min(rows, MOST_ROWS) // TRACES, 1) * TRACES + (daq.rows or channels) - 1
