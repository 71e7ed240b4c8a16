"""dsp: quantities from waveforms, by dspeed's processing chains."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dataflow.base.errors import UserError
from dataflow.jobs.errors import BadInput
from dataflow.jobs.lh5files import open_input, rows
from dataflow.jobs.policy import note_degraded
from dataflow.jobs.shards import build_by_channel
from dataflow.keys.channel import Channel
from dataflow.metadata.merge import merged_all
from dataflow.physics.chains import run_chain
from dataflow.plan.job import Job

log = logging.getLogger(__name__)

SETTINGS: Mapping[str, int] = {"buffer_len": 4000, "block_width": 16}


def build(job: Job, threads: int = 1) -> None:
    """Process the waveforms of one raw file.

    Parameters
    ----------
    job
        Inputs ``raw``, ``par_dsp`` with the LH5 files that it names and, where there is one, ``spms``, output ``tier``;
        ``processing_chain`` is the chain of each channel, the options' ``settings`` are ``buffer_len`` and
        ``block_width`` (rows).
    threads
        Worker processes over channels.

    Raises
    ------
    BadInput
        If the raw file cannot be read or has none of the channels.
    """
    (source,) = job.inputs["raw"]
    channels = channels_with_data(job, source, "raw")
    pars = pars_of(job, "par_dsp")
    chains = {channel.name: chain_of(job, channel) for channel in channels}

    sizes = settings_of(job)

    def work(channel: Channel, target: Path) -> None:
        run_chain(
            source,
            job.table("raw", channel),
            chains[channel.name],
            pars.get(channel.name, {}),
            target=target,
            adc_bits=channel.adc_bits,
            buffer_len=sizes["buffer_len"],
            block_width=sizes["block_width"],
        )

    notes = {channel.name: f"par_dsp: {why}" for channel in channels if (why := _missing(channel, pars, job))}
    build_by_channel(job, channels, work, threads, notes)


def pars_of(job: Job, role: str) -> dict[str, dict[str, Any]]:
    """The parameters by detector: of calibrations, of SiPMs from the same data, over them what is set by hand."""
    own = job.pars("spms") if job.inputs.get("spms") else {}
    return dict(merged_all([own, job.pars(role)]))


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
    for source in (job.config.options.get("settings"), job.settings):
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
    role = {"geds": "par_dsp", "spms": "spms"}.get(channel.system, "")
    if role not in job.inputs:
        return ""
    return note_degraded(channel.name, pars.get(channel.name), "par_dsp")
