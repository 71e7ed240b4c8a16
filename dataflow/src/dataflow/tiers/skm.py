"""skm: the events of a run that an analysis wants, with the fields that it wants."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import lh5
from lgdo import Array, Table, VectorOfVectors

from dataflow.jobs.atomic import whole_files
from dataflow.plan.errors import UserError
from dataflow.plan.model import Job

log = logging.getLogger(__name__)

BUFFER = 1_000_000
SEPARATOR = "_"
NUMBER = "rawid"


def build(job: Job, threads: int = 1) -> None:
    """Select the events of a run.

    Parameters
    ----------
    job
        Input ``evt`` (all files of the run), output ``tier``; ``skm_config`` has ``evt_filter``, an expression over
        flattened fields such as ``geds_multiplicity == 1``, and ``keep_fields``, names of fields or groups of fields.
        Channel numbers (columns ``rawid``) become those of the run's first channel map: one number is one detector.
    threads
        Not used.

    Raises
    ------
    UserError
        If the configuration names an unknown field, or two detectors had one number in the course of the run.
    """
    config = job.config.read("skm_config") or {}
    numbers = {key: run_numbers(job, key) for key in job.maps}
    table, group = job.table("evt", grp="").strip("/"), job.table("skm", grp="").strip("/")
    with whole_files({"tier": job.outputs["tier"]}) as parts:
        first = True
        for path, changed in zip(job.inputs["evt"], numbers.values(), strict=True):
            for chunk in lh5.LH5Iterator(str(path), table, buffer_len=BUFFER):
                events = select(renumbered(flattened(chunk), changed), config)
                lh5.write(events, group, str(parts["tier"]), wo_mode="of" if first else "append")
                first = False


def run_numbers(job: Job, key: str) -> dict[int, int]:
    """The channel numbers of a file that have to be changed to those of the run's first file: old and new.

    Raises
    ------
    UserError
        If a detector that the first file does not have has a number that belongs to another there.
    """
    first = next(iter(job.maps.values()))
    of_name = {channel.name: channel.rawid for channel in first}
    owner = {channel.rawid: channel.name for channel in first}
    changed: dict[int, int] = {}
    for channel in job.maps[key]:
        wanted = of_name.get(channel.name)
        if channel.name not in of_name and channel.rawid in owner:
            raise UserError(
                f"{channel.name} has the channel number {channel.rawid} at {key}, which is {owner[channel.rawid]}'s at "
                f"the begin of {job.key.run}: one file cannot hold both",
                hint="give the channel a new rawid in the channel map, or let the new map begin with a new run",
            )
        if channel.rawid is not None and wanted is not None and wanted != channel.rawid:
            changed[channel.rawid] = wanted
    return changed


def renumbered(columns: Mapping[str, Array | VectorOfVectors], changed: Mapping[int, int]) -> dict[str, Any]:
    """Columns with other channel numbers in all that are called ``rawid``."""
    for name, column in columns.items():
        if changed and name.split(SEPARATOR)[-1] == NUMBER:
            values = (column.flattened_data if isinstance(column, VectorOfVectors) else column).nda
            old = values.copy()
            for number, new in changed.items():
                values[old == number] = new
    return dict(columns)


def flattened(table: Table, prefix: str = "") -> dict[str, Array | VectorOfVectors]:
    """The columns of a nested table, ``geds.energy`` as ``geds_energy``."""
    found: dict[str, Any] = {}
    for name, node in table.items():
        full = f"{prefix}{name}"
        found |= flattened(node, f"{full}{SEPARATOR}") if isinstance(node, Table) else {full: node}
    return found


def select(columns: Mapping[str, Any], config: Mapping[str, Any]) -> Table:
    """The events that pass the filter, with the fields to keep.

    Raises
    ------
    UserError
        If a field does not exist.
    """
    whole = Table(col_dict=dict(columns))
    kept = _fields(columns, config.get("keep_fields"))
    data = whole.view_as("ak")
    if config.get("evt_filter"):
        try:
            mask = whole.eval(str(config["evt_filter"]).replace("evt.", "").replace(".", SEPARATOR))
        except (KeyError, NameError, AttributeError, ValueError) as error:
            raise UserError(
                f"evt_filter {config['evt_filter']!r}: {error}", hint=f"fields: {', '.join(columns)}"
            ) from error
        data = data[mask.view_as("np")]
    chosen = Table(col_dict=data[kept])
    for name in kept:
        chosen[name].attrs |= {key: value for key, value in columns[name].attrs.items() if key != "datatype"}
    return chosen


def _fields(columns: Mapping[str, Any], wanted: list[str] | None) -> list[str]:
    if not wanted:
        return list(columns)
    kept: list[str] = []
    for field in wanted:
        name = field.removeprefix("evt.").replace(".", SEPARATOR)
        matches = [column for column in columns if column == name or column.startswith(name + SEPARATOR)]
        if not matches:
            raise UserError(f"keep_fields names {field!r}", hint=f"there are: {', '.join(columns)}")
        kept += [match for match in matches if match not in kept]
    return kept
