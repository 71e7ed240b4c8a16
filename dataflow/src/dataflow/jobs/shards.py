"""A tier from channels: each channel is written by a worker into a shard, the shards are joined in channel order.

So the file is the same with any number of workers, and no channel waits in memory for another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dataflow.keys.channel import Channel
from dataflow.plan.job import Job
from dataflow.plan.troubles import FAILED

from .aliases import link_names
from .atomic import remove, whole_files
from .errors import WorkFailed
from .lh5files import annotate, join_shards
from .notes import note
from .policy import keep_or_fail
from .shares import outcomes

log = logging.getLogger(__name__)

Work = Callable[[Channel, Path], None]
"""Writes the table of a channel into an LH5 file of its own."""


def build_by_channel(job: Job, channels: Sequence[Channel], work: Work, threads: int, notes: Mapping[str, str]) -> None:
    """Make a tier file from its channels.

    Parameters
    ----------
    job
        The job; its output is ``tier``.
    channels
        Those that the input file has.
    work
        What is done for each.
    threads
        Worker processes.
    notes
        By channel name, what a reader must know of its table; written as its attribute ``degraded``.

    Raises
    ------
    WorkFailed
        If no channel could be processed, or one failed and the configuration does not allow that.
    """
    by_name = {channel.name: channel for channel in channels}
    with whole_files({"tier": job.outputs["tier"]}) as parts:
        folder = parts["tier"].with_suffix(".shards")
        folder.mkdir()
        try:
            failed = _write(job, by_name, folder, work, threads)
            good = [name for name in by_name if name not in failed]
            if not good:
                raise WorkFailed(f"{job.step} of {job.key}: no channel could be processed: {_reasons(failed)}")
            join_shards([folder / f"{name}.lh5" for name in good], parts["tier"])
            link_names(job, _tier(job), parts["tier"], [by_name[name] for name in good])
            _annotate(job, parts["tier"], {name: notes[name] for name in good if name in notes}, by_name, failed)
        finally:
            remove(folder)


def _write(job: Job, channels: Mapping[str, Channel], folder: Path, work: Work, threads: int) -> dict[str, str]:
    failed = {}

    def one(name: str) -> None:
        work(channels[name], folder / f"{name}.lh5")

    for outcome in outcomes(job, one, list(channels), threads, folder):
        keep_or_fail(job, outcome)
        if outcome.failed:
            failed[outcome.item] = outcome.reason
            note(outcome.item, FAILED, job.step, outcome.reason)
    return failed


def _annotate(
    job: Job, path: Path, notes: Mapping[str, str], channels: Mapping[str, Channel], failed: Mapping[str, str]
) -> None:
    for name, why in notes.items():
        annotate(path, job.table(_tier(job), channels[name]), degraded=why)
    if failed:
        annotate(path, failed_channels=_reasons(failed))


def _tier(job: Job) -> str:
    """Of the step's code, whose table formats are those of all tiers that are made by it."""
    return job.module.split(".")[1].partition("_")[2]


def _reasons(failed: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in sorted(failed.items())) or "none has data"
