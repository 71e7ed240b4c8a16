"""What to decode into which table: the output specification for legend-daq2lh5, from the configuration and the map.

Its form is that of :class:`daq2lh5.raw_buffer.RawBufferLibrary`. Where the metadata configures nothing, each channel
of the map that the file has gets its table, under the decoder that offers it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dataflow.base.errors import UserError
from dataflow.jobs.errors import BadInput
from dataflow.keys.channel import Channel
from dataflow.plan.job import Job

from .daqfile import DaqFile

SYSTEM_CONFIGS: Mapping[str, tuple[str, ...]] = {
    "geds_config": ("geds",),
    "spms_config": ("spms",),
    "muon_config": ("pmts", "muon"),
    "auxs_config": ("auxs", "puls", "bsln"),
}
"""Which systems each configuration of ``out_spec`` is for (upstream's names)."""
Spec = dict[str, dict[str, dict[str, Any]]]
"""Groups of tables by decoder and name."""
WRITTEN = "raw"
"""The only stream: the file that the job makes. A group without it is decoded and not written."""
PLACE = "{filekey}"
KEYED = "{key"


def output_spec(job: Job, daq: DaqFile) -> Spec:
    """The output specification of a file.

    Parameters
    ----------
    job
        A raw job.
    daq
        The file, with its channels.

    Raises
    ------
    BadInput
        If none of the file's channels is in the channel map, or a table without number would hold several.
    UserError
        If a configuration has no decoder, puts several channels into one table, or writes elsewhere.
    """
    configured = {name: job.config.read(f"out_spec.{name}") for name in SYSTEM_CONFIGS}
    general = job.config.read("out_spec.gen_config")
    special = {system for name, value in configured.items() if value for system in SYSTEM_CONFIGS[name]}
    plain = [channel for channel in job.channels if channel.system not in special]
    spec: Spec = {}
    for decoder, name, group in _groups("gen_config", general) if general else _default(job, daq, plain):
        _add(spec, decoder, name, group)
    for config, value in configured.items():
        if value:
            channels = [channel for channel in job.channels if channel.system in SYSTEM_CONFIGS[config]]
            for decoder, name, group in _for_channels(config, value, channels, daq):
                _add(spec, decoder, name, group)
    _refuse_mixed(spec, daq)
    return _without_triggers(spec, daq)


def _without_triggers(spec: Spec, daq: DaqFile) -> Spec:
    """In groups with ``*`` and waveforms, all channels that no other group names: not the software triggers.

    Decoders of FCIO records offer both. A trigger has other columns, its name is not a number, and it has no waveform.
    """
    for decoder, offered in daq.keys.items():
        groups = spec.get(decoder, {})
        named = {key for group in groups.values() for key in _named(group["key_list"], offered)}
        for name, group in groups.items():
            if "*" in group["key_list"]:
                rest = [key for key in offered if key not in named]
                own = [key for key in group["key_list"] if key != "*"]
                groups[name] = {**group, "key_list": [*own, *rest]}
    return spec


Group = tuple[str, str, dict[str, Any]]
"""Decoder, name and specification of a group of tables."""


def _add(spec: Spec, decoder: str, name: str, group: dict[str, Any]) -> None:
    """Add a group; where two systems have the same one, it is for the channels of both."""
    groups = spec.setdefault(decoder, {})
    if name in groups:
        old = groups[name]
        if {**old, "key_list": ()} != {**group, "key_list": ()}:
            raise UserError(
                f"out_spec has two different groups {name!r} of {decoder}", hint="give them different names"
            )
        group = {**group, "key_list": [*old["key_list"], *(k for k in group["key_list"] if k not in old["key_list"])]}
    groups[name] = group


def _default(job: Job, daq: DaqFile, channels: list[Channel]) -> Iterator[Group]:
    """One table for each channel that the file has, decoded as it is."""
    for decoder, tables in daq.context.items():
        for table, keys in tables.items():
            yield decoder, table, _group(keys)
    if any(channel.rawid is None for channel in channels):
        yield _single(job, daq)
        return
    wanted = {channel.rawid: job.table("raw", channel) for channel in channels}
    present = {key for keys in daq.keys.values() for key in keys if key in wanted}
    if len({wanted[key] for key in present}) < len(present):
        raise _one_table(job, len(present))
    for decoder, found in daq.keys.items():
        for key in found:
            if key in wanted:
                yield decoder, wanted[key], _group([key])


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


def _single(job: Job, daq: DaqFile) -> Group:
    keys = [(decoder, key) for decoder, found in daq.keys.items() for key in found]
    if len(keys) != 1:
        raise _one_table(job, len(keys), daq)
    decoder, key = keys[0]
    return decoder, job.table("raw"), _group([key])


def _one_table(job: Job, number: int, daq: DaqFile | None = None) -> BadInput:
    path = daq.path if daq else job.inputs["daq"][0]
    return BadInput(
        f"the DAQ file {path} has {number} channels, but the table {job.table('raw')!r} is for one detector",
        hint="use a table_format with {ch}, and a channel map",
    )


def _for_channels(config: str, spec: Mapping[str, Any], channels: list[Channel], daq: DaqFile) -> Iterator[Group]:
    """A system's configuration with the channels that the file has filled in.

    A name with ``{key}`` stands for one table a channel, so that two systems may have the same.
    """
    for decoder, name, group in _groups(config, spec):
        offered = set(daq.keys.get(decoder, ()))
        keys = sorted(channel.rawid for channel in channels if channel.rawid in offered)
        if KEYED in name:
            yield from ((decoder, name.format(key=key), {**group, "key_list": [key]}) for key in keys)
        elif keys:
            yield decoder, name, {**group, "key_list": keys}


def _groups(config: str, spec: Mapping[str, Any]) -> Iterator[Group]:
    """The groups of a configuration, written into the file of the job: a group of the stream precedes the name."""
    for decoder, groups in spec.items():
        if not isinstance(groups, Mapping) or not all(isinstance(group, Mapping) for group in groups.values()):
            raise UserError(
                f"out_spec.{config} must be decoders with groups of tables", hint="see docs/configuration.md"
            )
        for name, group in groups.items():
            place, _, inside = str(group.get("out_stream", PLACE)).partition(":")
            if place not in (PLACE, ""):
                hint = "leave out_stream out, or write {filekey} or {filekey}:/GROUP"
                raise UserError(f"out_spec.{config}: {name} is written into another file, {place}", hint=hint)
            inside = inside if decoder == "*" else inside.replace("{name}", name)
            path = "/".join(filter(None, (inside.strip("/"), str(group.get("out_name", name)))))
            kept = {part: value for part, value in group.items() if part not in ("out_stream", "out_name")}
            yield decoder, path, {"key_list": ["*"], **kept, "out_stream": WRITTEN if place else ""}


def _refuse_mixed(spec: Spec, daq: DaqFile) -> None:
    """Several channels in one table would be taken for one detector; of a channel in two tables, one would stay empty.

    Raises
    ------
    UserError
        If a group of waveforms without ``{key}`` in its name has several channels, or two groups have the same one.
    """
    for decoder, offered in daq.keys.items():
        groups = spec.get(decoder, spec.get("*", {}))
        owner: dict[int, str] = {}
        for name, group in groups.items():
            for key in _named(group["key_list"], offered):
                if owner.setdefault(key, name) != name:
                    hint = "name each channel once"
                    raise UserError(f"out_spec has the channel {key} in {owner[key]!r} and in {name!r}", hint=hint)
        for name, group in groups.items():
            rest = [key for key in offered if key not in owner] if "*" in group["key_list"] else []
            keys = _named(group["key_list"], offered) + rest
            if KEYED not in name and len(keys) > 1:
                hint = "write {key} into its name, for example ch{key:07d}/raw: one table a channel"
                said = f"out_spec puts the {len(keys)} channels {listed(keys)} into one table {name!r}"
                raise UserError(said, hint=hint)


def _named(wanted: Iterable[Any], offered: Iterable[int]) -> list[int]:
    """The channels that a key list names; two numbers in a list are the first and the last of a range."""
    found: list[int] = []
    for key in wanted:
        if isinstance(key, list | tuple) and len(key) == 2:
            found += [each for each in offered if key[0] <= each <= key[1]]
        elif key in offered:
            found.append(key)
    return found


def _group(keys: Iterable[Any]) -> dict[str, Any]:
    return {"key_list": list(keys), "out_stream": WRITTEN}


def listed(numbers: Iterable[int]) -> str:
    """Numbers for a sentence, the first six of many."""
    shown = [str(number) for number in numbers]
    return ", ".join(shown[:6]) + (f" … ({len(shown)})" if len(shown) > 6 else "")
