"""skm: the events of a run that an analysis wants, with the fields that it wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import awkward as ak
import lh5
import numpy as np
from lgdo import Array, Table, VectorOfVectors
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.base.messages import nearest
from dataflow.jobs.atomic import whole_files
from dataflow.jobs.evaluate import evaluate
from dataflow.jobs.lgdos import selected
from dataflow.metadata.expressions import parsed
from dataflow.plan.job import Job

BUFFER = 1_000_000
SEPARATOR = "_"
"""Between the names of a group and its field in an expression: ``geds_multiplicity`` of ``geds/multiplicity``."""
PLACE = "/"
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
    numbers = [run_numbers(job, path) for path in job.inputs["evt"]]
    table, group = job.table("evt", grp="").strip("/"), job.table("skm", grp="").strip("/")
    with whole_files({"tier": job.outputs["tier"]}) as parts:
        first = True
        for path, changed in zip(job.inputs["evt"], numbers, strict=True):
            for chunk in lh5.LH5Iterator(str(path), table, buffer_len=BUFFER):
                events = select(renumbered(flattened(chunk), changed), config)
                lh5.write(events, group, str(parts["tier"]), wo_mode="of" if first else "append")
                first = False


def run_numbers(job: Job, path: Path) -> dict[int, int]:
    """The channel numbers of a file that have to be changed to those of the run's first file: old and new.

    Raises
    ------
    UserError
        If a detector that the first file does not have has a number that belongs to another there.
    """
    first = job.all_channels
    of_name = {channel.name: channel.rawid for channel in first}
    owner = {channel.rawid: channel.name for channel in first}
    changed: dict[int, int] = {}
    for channel in job.map_of(path):
        wanted = of_name.get(channel.name)
        if channel.name not in of_name and channel.rawid in owner:
            raise UserError(
                f"{channel.name} has the channel number {channel.rawid} in {path.name}, which at the beginning of "
                f"{job.unit} is that of {owner[channel.rawid]}: one file cannot hold both",
                hint="give the channel a new rawid in the channel map, or let the new map begin with a new run",
            )
        if channel.rawid is not None and wanted is not None and wanted != channel.rawid:
            changed[channel.rawid] = wanted
    return changed


def renumbered(columns: Mapping[str, Array | VectorOfVectors], changed: Mapping[int, int]) -> dict[str, Any]:
    """Columns with other channel numbers in all that are called ``rawid``."""
    for name, column in columns.items():
        if changed and name.split(PLACE)[-1] == NUMBER:
            values = (column.flattened_data if isinstance(column, VectorOfVectors) else column).nda
            old = values.copy()
            for number, new in changed.items():
                values[old == number] = new
    return dict(columns)


def flattened(table: Table, prefix: str = "") -> dict[str, Array | VectorOfVectors]:
    """The columns of a nested table by their places, such as ``geds/energy``."""
    found: dict[str, Any] = {}
    for name, node in table.items():
        full = f"{prefix}{name}"
        found |= flattened(node, f"{full}{PLACE}") if isinstance(node, Table) else {full: node}
    return found


def select(columns: Mapping[str, Any], config: Mapping[str, Any]) -> Table:
    """The events that pass the filter, with the fields to keep.

    Raises
    ------
    UserError
        If a field does not exist, or the filter is not an expression that is true or false for each event.
    """
    kept = _fields(columns, config.get("keep_fields"))
    count = len(next(iter(columns.values())))
    mask = passing(columns, config["evt_filter"], count) if config.get("evt_filter") else np.ones(count, bool)
    return nested({name: selected(columns[name], mask) for name in kept}, int(mask.sum()))


def nested(columns: Mapping[str, Any], size: int) -> Table:
    """A table of `size` rows in which ``geds/energy`` is the column ``energy`` of the table ``geds``, as in evt."""
    found = Table(size=size)
    for place, column in columns.items():
        *groups, name = place.split(PLACE)
        table = found
        for group in groups:
            if group not in table:
                table.add_field(group, Table(size=size))
            table = table[group]
        table.add_field(name, column)
    return found


def _with_groups(place: str) -> Iterator[str]:
    """The groups around a field and itself: ``geds``, ``geds/quality``, ``geds/quality/is_bb_like``."""
    return accumulate(place.split(PLACE), "{}/{}".format)


def _flat(place: str) -> str:
    """How an expression names the column at a place."""
    return place.removeprefix("evt.").replace(PLACE, SEPARATOR).replace(".", SEPARATOR)


def passing(columns: Mapping[str, Any], text: object, count: int) -> NDArray[np.bool_]:
    """Which of `count` events a filter such as ``(geds_multiplicity == 1) & (coincident.puls == 0)`` lets pass."""
    expression = parsed(text, "evt_filter")
    fields = {_flat(place): column for place, column in columns.items()}
    for name in expression.names:
        if _flat(name) not in fields:
            raise UserError(f"evt_filter {text!r}: there is no field {name!r}", hint=nearest(_flat(name), fields))
    found = evaluate(expression, {name: _values(fields[_flat(name)]) for name in expression.names})
    if isinstance(found, ak.Array) and found.ndim == 1:
        found = ak.to_numpy(ak.fill_none(found, False))
    elif not isinstance(found, ak.Array) and np.ndim(found) == 0:
        found = np.full(count, found)
    if isinstance(found, ak.Array) or found.dtype.kind not in "bui" or len(found) != count:
        raise UserError(
            f"evt_filter {text!r} is not true or false for each event", hint="reduce lists, as ak.any(x, axis=-1)"
        )
    return np.asarray(found, dtype=bool)


def _values(column: Array | VectorOfVectors) -> Any:
    return column.view_as("ak") if isinstance(column, VectorOfVectors) else column.nda


def _fields(columns: Mapping[str, Any], wanted: list[str] | None) -> list[str]:
    if not wanted:
        return list(columns)
    kept: list[str] = []
    for field in wanted:
        matches = [place for place in columns if _flat(field) in map(_flat, _with_groups(place))]
        if not matches:
            raise UserError(f"keep_fields names {field!r}", hint=f"there are: {', '.join(map(_flat, columns))}")
        kept += [match for match in matches if match not in kept]
    return kept
