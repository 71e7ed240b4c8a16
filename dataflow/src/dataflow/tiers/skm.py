"""skm: the events of a run that an analysis wants, with the fields that it wants."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import awkward as ak
import lh5
import numpy as np
from lgdo import Array, Table, VectorOfVectors
from numpy.typing import NDArray

from dataflow.jobs.atomic import whole_files
from dataflow.jobs.evaluate import evaluate
from dataflow.jobs.lgdos import selected
from dataflow.plan.errors import UserError
from dataflow.plan.expressions import parsed
from dataflow.plan.model import Job
from dataflow.plan.words import nearest

log = logging.getLogger(__name__)

BUFFER = 1_000_000
SEPARATOR = "_"


def build(job: Job, threads: int = 1) -> None:
    """Select the events of a run.

    Parameters
    ----------
    job
        Input ``evt`` (all files of the run), output ``tier``; ``skm_config`` has ``evt_filter``, an expression over
        flattened fields such as ``geds_multiplicity == 1``, and ``keep_fields``, names of fields or groups of fields.
    threads
        Not used.

    Raises
    ------
    UserError
        If the configuration names an unknown field.
    """
    config = job.config.read("skm_config") or {}
    table, group = job.table("evt", grp="").strip("/"), job.table("skm", grp="").strip("/")
    with whole_files({"tier": job.outputs["tier"]}) as parts:
        first = True
        for path in job.inputs["evt"]:
            for chunk in lh5.LH5Iterator(str(path), table, buffer_len=BUFFER):
                events = select(flattened(chunk), config)
                lh5.write(events, group, str(parts["tier"]), wo_mode="of" if first else "append")
                first = False


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
        If a field does not exist, or the filter is no expression that is true or false for each event.
    """
    kept = _fields(columns, config.get("keep_fields"))
    count = len(next(iter(columns.values())))
    mask = passing(columns, config["evt_filter"], count) if config.get("evt_filter") else np.ones(count, bool)
    return Table(col_dict={name: selected(columns[name], mask) for name in kept}, size=int(mask.sum()))


def passing(columns: Mapping[str, Any], text: object, count: int) -> NDArray[np.bool_]:
    """Which of `count` events a filter such as ``(geds_multiplicity == 1) & (coincident.puls == 0)`` lets pass."""
    expression = parsed(text, "evt_filter")
    fields = {name: name.removeprefix("evt.").replace(".", SEPARATOR) for name in expression.names}
    for name, field in fields.items():
        if field not in columns:
            raise UserError(f"evt_filter {text!r}: there is no field {name!r}", hint=nearest(field, columns))
    found = evaluate(expression, {name: _values(columns[field]) for name, field in fields.items()})
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
        name = field.removeprefix("evt.").replace(".", SEPARATOR)
        matches = [column for column in columns if column == name or column.startswith(name + SEPARATOR)]
        if not matches:
            raise UserError(f"keep_fields names {field!r}", hint=f"there are: {', '.join(columns)}")
        kept += [match for match in matches if match not in kept]
    return kept
