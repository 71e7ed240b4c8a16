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
