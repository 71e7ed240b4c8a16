"""dsp: quantities from waveforms, by dspeed's processing chains."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lh5

from dataflow.jobs import dspeed_ufuncs
from dataflow.jobs.errors import BadInput
from dataflow.jobs.lh5files import open_input, rows
from dataflow.jobs.policy import note_degraded
from dataflow.jobs.shards import build_by_channel
from dataflow.plan.errors import UserError
from dataflow.plan.model import Channel, Job

dspeed_ufuncs.install()

log = logging.getLogger(__name__)

SETTINGS: Mapping[str, int] = {"buffer_len": 1000, "block_width": 16}


def build(job: Job, threads: int = 1) -> None:
    """Process the waveforms of one raw file.

    Parameters
    ----------
    job
        Inputs ``raw`` and ``par_dsp``, output ``tier``; ``processing_chain`` is the chain of each channel, the options'
        ``settings`` are ``buffer_len`` and ``block_width`` (rows).
    threads
        Worker processes over channels.

    Raises
    ------
    BadInput
        If the raw file cannot be read or has none of the channels.
    """
    (source,) = job.inputs["raw"]
    channels = channels_with_data(job, source, "raw")
    pars = job.pars("par_dsp") if job.inputs.get("par_dsp") else {}
    chains = {channel.name: chain_of(job, channel) for channel in channels}

    def work(channel: Channel, target: Path) -> None:
        table = job.table("raw", channel)
        process(source, table, chains[channel.name], pars.get(channel.name, {}), target, settings_of(job))

    notes = {channel.name: f"par_dsp: {why}" for channel in channels if (why := _missing(channel, pars, job))}
    build_by_channel(job, channels, work, threads, notes)


def process(
    source: Path,
    table: str,
    chain: Mapping[str, Any],
    pars: Mapping[str, Any],
    target: Path,
    settings: Mapping[str, int],
) -> None:
    """Run a chain on a raw table; the output table has ``dsp`` in place of ``raw``.

    Parameters
    ----------
    source, table
        File and table of waveforms.
    chain
        Configuration for :func:`dspeed.build_dsp`.
    pars
        The channel's parameters: ``db.`` in the chain.
    target
        File to write.
    settings
        ``buffer_len`` and ``block_width``.
    """
    from dspeed import build_dsp

    rows_in = lh5.LH5Iterator(str(source), table, buffer_len=settings["buffer_len"])
    build_dsp(
        rows_in,
        str(target),
        dsp_config=chain,
        lh5_tables=[table],
        database=database(table, pars),
        write_mode="r",
        **settings,
    )


def database(table: str, pars: Mapping[str, Any]) -> dict[str, Any]:
    """A channel's parameters as dspeed looks for them: below the first part of the table's name, if it has several."""
    channel = table.partition("/")[0] if "/" in table else ""
    return {channel: dict(pars)} if channel else dict(pars)


def chain_of(job: Job, channel: Channel) -> dict[str, Any]:
    """The processing chain of a channel.

    Raises
    ------
    UserError
        If there is none, or it lacks its outputs or processors.
    """
    chain = job.config.read("processing_chain", channel)
    missing = [name for name in ("outputs", "processors") if name not in (chain or {})]
    if chain is None or missing:
        raise UserError(
            f"the processing chain of {channel.name} ({channel.system}) has no {' and no '.join(missing)}",
            hint="set processing_chain of tier_dsp in dataprod/config",
        )
    return chain


def settings_of(job: Job) -> dict[str, int]:
    """Sizes of buffer and block: the defaults, the metadata's, the site's."""
    found = dict(SETTINGS)
    for source in (job.config.options.get("settings"), job.setup.settings.get("tier_dsp")):
        found |= {name: int(value) for name, value in dict(source or {}).items() if name in SETTINGS}
    return found


def channels_with_data(job: Job, source: Path, tier: str) -> list[Channel]:
    """The channels of a job that have rows in a file.

    Raises
    ------
    BadInput
        If the file has none of them.
    """
    with open_input(source) as file:
        found = [channel for channel in job.channels if _has_rows(file, job.table(tier, channel))]
        there = ", ".join(sorted(file)[:6])
    if not found:
        raise BadInput(f"{source} has no rows of a processable channel (it has: {there})", hint="check the channel map")
    absent: Sequence[str] = [channel.name for channel in job.channels if channel not in found]
    if absent:
        log.info("not in %s: %s", source.name, ", ".join(absent))
    return found


def _has_rows(file: Any, table: str) -> bool:
    return table in file and rows(file, table) > 0


def _missing(channel: Channel, pars: Mapping[str, Any], job: Job) -> str:
    """Why a channel that needs parameters has none, empty if it has or needs none."""
    if channel.system != "geds" or "par_dsp" not in job.inputs:
        return ""
    return note_degraded(channel.name, pars.get(channel.name), "par_dsp")
