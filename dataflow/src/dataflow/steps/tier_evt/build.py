"""evt: one row an event, by :func:`dataflow.steps.tier_evt.builder.build_events`."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lgdo import Array, Table, VectorOfVectors
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.base.messages import listing
from dataflow.jobs.atomic import whole_files
from dataflow.jobs.errors import BadInput
from dataflow.jobs.lh5files import annotate, open_input
from dataflow.jobs.lh5tables import write_table
from dataflow.jobs.notes import warn
from dataflow.jobs.policy import failure_of
from dataflow.keys.channel import Channel
from dataflow.plan.job import Job

from .aggregate import whole
from .builder import Sources, build_events
from .operations import EventConfig, event_config

log = logging.getLogger(__name__)

BUFFER = 1_000_000
"""Events in memory."""
UNKNOWN = b""
"""The name of a channel that the map does not have."""


def build(job: Job, threads: int = 1) -> None:
    """Build the events of one file.

    Parameters
    ----------
    job
        Inputs ``tcm``, ``dsp``, ``hit`` and ``par_hit``, output ``tier``; ``evt_config`` has channels, operations and
        outputs in the form of :func:`pygama.evt.build_evt`, channels by system and selectors.
    threads
        Not used: it is one pass over the file.

    Raises
    ------
    BadInput
        If the inputs do not belong together.
    UserError
        If the configuration is wrong.
    """
    (tcm,), (dsp,), (hit,) = (job.inputs[role] for role in ("tcm", "dsp", "hit"))
    present = channels_with_hits(job, dsp, hit)
    if not present:
        raise BadInput(f"{hit} has no table of a processable channel")
    tables = {job.table("hit", channel).partition("/")[0]: channel for channel in present}
    sources = Sources(
        (tcm, job.table("tcm")),
        {"dsp": (dsp, "dsp"), "hit": (hit, "hit")},
        {table: int(channel.rawid or 0) for table, channel in tables.items()},
        {table: channel.name for table, channel in tables.items()},
        table_form(job),
    )
    config, names = resolved(job, present), {c.rawid: c.name for c in job.all_channels if c.rawid is not None}
    group, repeated = job.table("evt", grp="").strip("/"), 0
    with whole_files({"tier": job.outputs["tier"]}) as parts:
        for number, events in enumerate(build_events(sources, config, buffer_of(job))):
            add_names(events, names)
            add_key(job, events)
            repeated += int(events["trigger"]["is_repeated"].nda.sum())
            write_table(events, group, parts["tier"], new=not number, everywhere=True)
        _annotate(job, parts["tier"], group, present)
    if repeated:
        sentence = f"{repeated} events have several rows of a channel; the first in time is used"
        log.warning(sentence)
        warn("", [sentence])


def channels_with_hits(job: Job, dsp: Path, hit: Path) -> list[Channel]:
    """The channels that both files have."""
    with open_input(dsp) as one, open_input(hit) as other:
        return [
            channel
            for channel in job.channels
            if job.table("dsp", channel) in one and job.table("hit", channel) in other
        ]


def table_form(job: Job) -> str:
    """The channel part of table names as pygama wants it: ``ch{:07d}``.

    Raises
    ------
    UserError
        If tables have no channel part.
    """
    form = job.setup.table_format["hit"].partition("/")[0]
    if "{ch" not in form:
        raise UserError(
            f"events need tables with a channel number, table_format.hit is {job.setup.table_format['hit']!r}",
            hint="use ch{ch:07d}/hit",
        )
    return form.replace("{ch", "{")


def resolved(job: Job, present: Sequence[Channel]) -> EventConfig:
    """The configuration, which planning has checked, with channel lists in place of systems and selectors."""
    config = job.config.read("evt_config") or {}
    lists = config.get("channels") or {}
    return event_config(config, {name: _tables(job, name, value, present) for name, value in lists.items()})


def _tables(job: Job, name: str, value: Any, present: Iterable[Channel]) -> list[str]:
    """The tables of a list: named one by one, or all of a system (of all systems where none is named)."""
    there = {job.table("hit", channel).partition("/")[0]: channel for channel in present}
    if isinstance(value, str | list):
        named = [value] if isinstance(value, str) else [str(item) for item in value]
        if absent := [table for table in named if table not in there]:
            log.warning("channels.%s: not in this file: %s", name, listing(absent))
        return [table for table in named if table in there]
    return [
        table
        for table, channel in there.items()
        if value.get("system", channel.system) == channel.system
        and all(selected(channel, *item) for item in (value.get("selectors") or {}).items())
    ]


def selected(channel: Channel, path: str, wanted: Any) -> bool:
    """Whether a channel has a value at a dotted path of its (enriched) map entry."""
    node: Any = {
        "name": channel.name,
        "system": channel.system,
        "daq": channel.daq,
        "analysis": {"usability": channel.usability, "processable": channel.processable, "psd": channel.psd},
    }
    for part in path.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return bool(node == wanted)


def buffer_of(job: Job) -> int:
    """Events in memory: the site's or the metadata's number, else the default."""
    own = job.settings.get("buffer_len")
    return int(own or job.config.options.get("buffer_len") or job.setup.options.get("evt_buffer_len") or BUFFER)


def add_names(events: Table, names: Mapping[int, str]) -> None:
    """Add the detectors' names beside each column ``rawid``, as ``name``: a text, or a list of texts, an event."""
    for group in [events, *(node for node in events.values() if isinstance(node, Table))]:
        node = group.get("rawid")
        if isinstance(node, VectorOfVectors) and node.ndim == 2 and "name" not in group:
            flat = Array(named(node.flattened_data.nda, names))
            group.add_field("name", VectorOfVectors(flattened_data=flat, cumulative_length=node.cumulative_length.nda))
        elif isinstance(node, Array) and "name" not in group:
            group.add_field("name", Array(named(node.nda, names)))


def named(numbers: NDArray[Any], names: Mapping[int, str]) -> NDArray[np.bytes_]:
    """The detectors' names of channel numbers, all of one length in bytes; an empty one where there is none."""
    known = np.array(sorted(names), dtype=np.int64)
    longest = max((len(name.encode()) for name in names.values()), default=1)
    texts = np.array([names[number].encode() for number in known] + [UNKNOWN], dtype=f"S{longest}")
    wanted = whole(numbers)
    place = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
    return texts[np.where(known[place] == wanted, place, -1)] if len(known) else np.full(len(wanted), UNKNOWN, "S1")


def add_key(job: Job, events: Table) -> None:
    """Add which period, run and file an event is of, as upstream does (``trigger/period``, ``run``, ``cycle``)."""
    count, trigger = len(events), events["trigger"]
    for name in ("period", "run"):
        digits = re.sub(r"\D", "", job.key.fields.get(name, ""))
        if digits:
            trigger.add_field(name, Array(np.full(count, int(digits), dtype="int16")))
    trigger.add_field("cycle", Array(np.full(count, job.key.timestamp.encode(), dtype="S16")))


def _annotate(job: Job, path: Path, group: str, present: Sequence[Channel]) -> None:
    """Say in the file which detectors are without calibration."""
    if not job.inputs.get("par_hit"):
        return
    pars = job.pars("par_hit")
    failed = {c.name: why for c in present if c.system == "geds" and (why := failure_of(pars.get(c.name)))}
    if failed:
        annotate(path, group, degraded="; ".join(f"{name}: {why}" for name, why in sorted(failed.items())))
