"""hit: calibrated quantities, by column operations in the form of pygama's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dataflow.base.errors import UserError
from dataflow.jobs import fast
from dataflow.jobs.notes import note
from dataflow.jobs.policy import note_degraded
from dataflow.jobs.shards import build_by_channel
from dataflow.keys.channel import Channel
from dataflow.metadata.expressions import parsed
from dataflow.metadata.merge import merged_all
from dataflow.plan.job import Job
from dataflow.plan.troubles import DEGRADED
from dataflow.steps.tier_dsp.build import channels_with_data, pars_of

CALIBRATION = "par_hit_ecal"
BUFFER = 100_000
"""Rows in memory; pygama's default of 3200 takes five times as long."""


def build(job: Job, threads: int = 1) -> None:
    """Calibrate one dsp file.

    Parameters
    ----------
    job
        Inputs ``dsp``, ``par_hit`` and, where there is one, ``spms``, output ``tier``; ``hit_config`` has the
        operations and outputs of each channel, the parameters' operations are merged over them.
    threads
        Worker processes over channels.
    """
    (source,) = job.inputs["dsp"]
    channels = channels_with_data(job, source, "dsp")
    pars = pars_of(job, "par_hit")
    configs = {channel.name: config_of(job, channel, pars.get(channel.name, {})) for channel in channels}

    def work(channel: Channel, target: Path) -> None:
        calibrate(source, job.table("dsp", channel), configs[channel.name], target, job.table("hit", channel))

    notes = {channel.name: f"par_hit: {why}" for channel in channels if (why := _missing(channel, pars, job))}
    for channel in channels:
        for why in _not_calibrated(pars.get(channel.name, {}), configs[channel.name]):
            note(channel.name, DEGRADED, CALIBRATION, why)
            notes.setdefault(channel.name, f"{CALIBRATION}: {why}")
    build_by_channel(job, channels, work, threads, notes)


def calibrate(source: Path, table: str, config: Mapping[str, Any], target: Path, name: str) -> None:
    """Evaluate the operations of a channel on its dsp table and write the outputs to the table `name`."""
    if fast.is_on():
        from .columns import write_columns

        write_columns(source, table, config, (target, name), BUFFER)
        return
    from pygama.hit import build_hit

    build_hit(str(source), str(target), lh5_tables_config={table: dict(config)}, wo_mode="of", buffer_len=BUFFER)
    written = table.replace("/dsp", "/hit")  # as build_hit names it: a table without a channel keeps its name
    if written != name:
        _rename(target, written, name)


def config_of(job: Job, channel: Channel, pars: Mapping[str, Any]) -> dict[str, Any]:
    """Operations, outputs and aggregations of a channel, with its parameters merged over them.

    Raises
    ------
    UserError
        If there is no configuration, or it has no outputs.
    """
    base = job.config.read("hit_config", channel)
    if base is None or "outputs" not in base:
        raise UserError(
            f"the hit configuration of {channel.name} ({channel.system}) has no outputs",
            hint="set hit_config of tier_hit in dataprod/config",
        )
    own = pars.get("pars") or {}
    operations = own.get("operations", own)
    merged = dict(merged_all([{"operations": {}}, base, {"operations": operations}]))
    checked = {name: _checked(name, value) for name, value in merged["operations"].items()}
    return {**merged, "operations": checked, "outputs": _outputs(merged, checked)}


def _outputs(config: dict[str, Any], operations: Mapping[str, Any]) -> list[str]:
    """The columns to write: pygama takes an output without operation for a column of dsp, and fails without it."""
    more = (name for name in config.pop("outputs_if_calibrated", ()) if name in operations)
    return list(dict.fromkeys([*config["outputs"], *more]))


def _missing(channel: Channel, pars: Mapping[str, Any], job: Job) -> str:
    """Why a channel that needs parameters has none, empty if it has or needs none."""
    role = {"geds": "par_hit", "spms": "spms"}.get(channel.system, "")
    if role not in job.inputs:
        return ""
    return note_degraded(channel.name, pars.get(channel.name), "par_hit")


def _not_calibrated(pars: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """Energies that are NaN because they alone, of those of a detector, could not be calibrated."""
    failed = (pars.get("results") or {}).get("ecal_failed") or {}
    for energy, reason in failed.items():
        operation = config["operations"].get(f"{energy}_cal") or {}
        values = (operation.get("parameters") or {}).values()
        if f"{energy}_cal" in config["outputs"] and any(map(math.isnan, values)):
            yield f"{energy} is not calibrated: {reason}"


def _checked(name: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    """An operation whose expression has been checked, for lgdo hands it to Python's ``eval`` where numexpr cannot.

    Its parameters are numbers even where YAML read ``1e5`` as a text.
    """
    parameters = {each: float(value) for each, value in dict(operation.get("parameters") or {}).items()}
    try:
        expression = parsed(operation.get("expression")).rewritten
    except UserError as error:
        raise UserError(f"hit operation {name}: {error.message}", hint=error.hint) from None
    return dict(operation) | {"parameters": parameters, "expression": expression}


def _rename(path: Path, old: str, new: str) -> None:
    import h5py

    with h5py.File(path, "a") as file:
        file.move(old, new)
