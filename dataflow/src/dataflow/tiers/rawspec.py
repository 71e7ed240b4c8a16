"""What to decode into which table: the output specification for legend-daq2lh5, from the configuration and the map.

Its form is that of :class:`daq2lh5.raw_buffer.RawBufferLibrary`. Where the metadata configures nothing, each channel
of the map that the file has gets its table, under the decoder that offers it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dataflow.jobs.errors import BadInput
from dataflow.plan.errors import UserError
from dataflow.plan.merge import merged_all
from dataflow.plan.model import Channel, Job

from .daqfile import DaqFile

SYSTEM_CONFIGS: Mapping[str, tuple[str, ...]] = {
    "geds_config": ("geds",),
    "spms_config": ("spms",),
    "muon_config": ("pmts", "muon"),
    "auxs_config": ("auxs", "puls", "bsln"),
}
"""Which systems each configuration of ``out_spec`` is for (upstream's names)."""


def output_spec(job: Job, daq: DaqFile, target: Path) -> dict[str, Any]:
    """The output specification of a file.

    Parameters
    ----------
    job
        A raw job.
    daq
        The file, with its channels.
    target
        The LH5 file to write.

    Raises
    ------
    BadInput
        If none of the file's channels is in the channel map, or a table without number would hold several.
    UserError
        If a configuration has no decoder.
    """
    configured = {name: job.config.read(f"out_spec.{name}") for name in SYSTEM_CONFIGS}
    general = job.config.read("out_spec.gen_config")
    special = {system for name, value in configured.items() if value for system in SYSTEM_CONFIGS[name]}
    plain = [channel for channel in job.channels if channel.system not in special]
    parts = [_finished(general, target) if general else default_spec(job, daq, plain, target)]
    for name, value in configured.items():
        if value:
            channels = [channel for channel in job.channels if channel.system in SYSTEM_CONFIGS[name]]
            parts.append(_for_channels(job, name, value, channels, daq, target))
    return dict(merged_all(parts))


def default_spec(job: Job, daq: DaqFile, channels: Iterable[Channel], target: Path) -> dict[str, Any]:
    """One table for each channel that the file has, decoded as it is."""
    channels = list(channels)
    context = {name: {name.removesuffix("Decoder"): _group(["*"], target)} for name in daq.context}
    if any(channel.rawid is None for channel in channels):
        return context | _single(job, daq, target)
    wanted = {channel.rawid: job.table("raw", channel) for channel in channels}
    spec: dict[str, Any] = context
    for decoder, keys in daq.keys.items():
        groups = {wanted[key]: _group([key], target) for key in keys if key in wanted}
        if groups:
            spec[decoder] = groups
    return spec


def unmapped(job: Job, daq: DaqFile) -> tuple[int, ...]:
    """The file's channels that the channel map does not know.

    Raises
    ------
    BadInput
        If it knows none of them.
    """
    known = {channel.rawid for channel in job.channels}
    found = sorted({key for keys in daq.keys.values() for key in keys})
    if None in known:
        return ()
    missing = tuple(key for key in found if key not in known)
    if len(missing) == len(found):
        have = listed(sorted(key for key in known if key is not None))
        raise BadInput(
            f"the DAQ file {daq.path} has the channels {listed(found)}, the channel map at {job.key.timestamp} has "
            f"none of them but {have}",
            hint="check rawid in hardware/configuration/channelmaps, and its validity.yaml",
        )
    return missing


def _single(job: Job, daq: DaqFile, target: Path) -> dict[str, Any]:
    keys = [(decoder, key) for decoder, found in daq.keys.items() for key in found]
    if len(keys) != 1:
        raise BadInput(
            f"the DAQ file {daq.path} has {len(keys)} channels, but the table {job.table('raw')!r} is for one detector",
            hint="use a table_format with {ch}, and a channel map",
        )
    decoder, key = keys[0]
    return {decoder: {job.table("raw"): _group([key], target)}}


def _for_channels(
    job: Job, name: str, spec: Mapping[str, Any], channels: list[Channel], daq: DaqFile, target: Path
) -> dict[str, Any]:
    """A system's configuration with the channels that the file has filled in."""
    if not all(isinstance(groups, Mapping) for groups in spec.values()):
        raise UserError(f"out_spec.{name} must be decoders with groups of tables", hint="see docs/configuration.md")
    made: dict[str, Any] = {}
    for decoder, groups in spec.items():
        offered = set(daq.keys.get(decoder, ()))
        keys = sorted(channel.rawid for channel in channels if channel.rawid in offered)
        if keys:
            made[decoder] = {group: dict(entry) | {"key_list": list(keys)} for group, entry in groups.items()}
    return _finished(made, target)


def _finished(spec: Mapping[str, Any], target: Path) -> dict[str, Any]:
    """The specification with a place to write to where it names none."""
    return {
        decoder: {group: {"out_stream": str(target)} | dict(entry) for group, entry in groups.items()}
        for decoder, groups in spec.items()
    }


def _group(keys: list[int] | list[str], target: Path) -> dict[str, Any]:
    return {"key_list": keys, "out_stream": str(target)}


def listed(numbers: Iterable[int]) -> str:
    """Numbers for a sentence, the first six of many."""
    shown = [str(number) for number in numbers]
    return ", ".join(shown[:6]) + (f" … ({len(shown)})" if len(shown) > 6 else "")
