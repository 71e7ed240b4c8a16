"""evt: one row an event, by pygama's event builder."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.atomic import whole_files
from dataflow.jobs.errors import BadInput
from dataflow.jobs.lh5files import annotate, open_input, rows
from dataflow.jobs.policy import failure_of
from dataflow.plan.errors import UserError
from dataflow.plan.model import Channel, Job

log = logging.getLogger(__name__)

BUFFER = 1_000_000
"""Events in memory: with 10,000 as in pygama a calibration file takes thirty times as long (upstream's figure)."""
FUNCTION = re.compile(r"pygama\.evt\.modules\.\w+\.\w+\([\w\s.,='\"\[\]+\-*/<>]*\)", re.DOTALL)
"""What an operation in function mode may call; pygama evaluates it as Python."""


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
    from pygama.evt import build_evt

    (tcm,), (dsp,), (hit,) = (job.inputs[role] for role in ("tcm", "dsp", "hit"))
    present = channels_with_hits(job, dsp, hit)
    if not present:
        raise BadInput(f"{hit} has no table of a processable channel")
    config = resolved(job, present)
    group, form = job.table("evt", grp="").strip("/"), table_form(job)
    with whole_files({"tier": job.outputs["tier"]}) as parts:
        datainfo = {
            "tcm": (str(tcm), job.table("tcm")),
            "dsp": (str(dsp), "dsp", form),
            "hit": (str(hit), "hit", form),
            "evt": (str(parts["tier"]), group),
        }
        build_evt(datainfo, config, wo_mode="of", buffer_len=buffer_of(job))
        drop_inherited_units(parts["tier"], group, config["operations"])
        add_key(job, parts["tier"], group)
        _annotate(job, parts["tier"], group, present)


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


def resolved(job: Job, present: Sequence[Channel]) -> dict[str, Any]:
    """The configuration with channel lists in place of systems and selectors.

    Raises
    ------
    UserError
        If a list is of an unknown form, an operation names an unknown list, or calls what it may not.
    """
    config = job.config.read("evt_config")
    if config is None or not {"channels", "operations", "outputs"} <= set(config):
        raise UserError("evt_config needs channels, operations and outputs", hint="see docs/configuration.md")
    lists = {name: _tables(job, name, value, present) for name, value in config["channels"].items()}
    operations = {name: _operation(name, value, lists) for name, value in config["operations"].items()}
    return dict(config) | {"channels": lists, "operations": without_empty(operations, lists)}


SCALAR_MODES = ("sum", "any", "all", "first_at", "last_at")


def without_empty(operations: Mapping[str, Any], lists: dict[str, list[str]]) -> dict[str, Any]:
    """Operations over no channel become constants of the same form: pygama cannot build a column of nothing.

    Parameters
    ----------
    operations
        All operations.
    lists
        Tables by the name of the list.

    Returns
    -------
    dict
        The operations; an aggregation to one number becomes its initial value, any other an empty list in each event.
    """
    filled = [name for name, value in operations.items() if _channels_of(value, lists)]
    anchor = next((name for name in filled if _mode_of(operations[name]) in ("first_at", "sum")), "")
    if not anchor:
        raise UserError("evt_config has no operation of mode first_at or sum with a channel that is there")
    table = _channels_of(operations[anchor], lists)[0]
    empty = {name for name, value in operations.items() if "aggregation_mode" in value and name not in filled}
    found = {anchor: operations[anchor]}
    for name, value in operations.items():
        found[name] = _constant(value, anchor) if name in empty else value
    lists[EMPTY] = [table]
    return found


EMPTY = "one_channel_for_empty_columns"


def _channels_of(operation: Mapping[str, Any], lists: Mapping[str, list[str]]) -> list[str]:
    named = operation.get("channels", [])
    return [table for name in ([named] if isinstance(named, str) else named) for table in lists[name]]


def _mode_of(operation: Mapping[str, Any]) -> str:
    return str(operation.get("aggregation_mode", "")).partition(":")[0]


def _constant(operation: Mapping[str, Any], anchor: str) -> dict[str, Any]:
    kept = {name: operation[name] for name in ("dtype", "lgdo_attrs", "description") if name in operation}
    if _mode_of(operation) not in SCALAR_MODES:
        nothing = {"channels": EMPTY, "aggregation_mode": "gather", "expression": "tcm.table_key"}
        return nothing | {"query": "dsp.timestamp < 0"} | kept
    initial = operation.get("initial", float("nan"))
    if isinstance(initial, bool):
        return {"expression": f"evt.{anchor} {'>=' if initial else '<'} a", "parameters": {"a": float("-inf")}} | kept
    return {"expression": f"evt.{anchor} * 0 + a", "parameters": {"a": float(initial)}} | kept


def _tables(job: Job, name: str, value: Any, present: Iterable[Channel]) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [str(item) for item in value]
    if not isinstance(value, Mapping) or "system" not in value:
        raise UserError(f"evt_config: channels.{name} must be a list of tables, or a system with selectors")
    chosen = [
        channel
        for channel in present
        if channel.system == value["system"]
        and all(selected(channel, *item) for item in (value.get("selectors") or {}).items())
    ]
    return [job.table("hit", channel).partition("/")[0] for channel in chosen]


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


def _operation(name: str, value: Mapping[str, Any], lists: Mapping[str, list[str]]) -> dict[str, Any]:
    if value.get("aggregation_mode") == "function" and not FUNCTION.fullmatch(value["expression"].strip()):
        raise UserError(
            f"evt_config: {name} calls {value['expression']!r}",
            hint="only functions of pygama.evt.modules may be called",
        )
    for key in ("channels", "exclude_channels"):
        named = value.get(key, [])
        for item in [named] if isinstance(named, str) else named:
            if item not in lists:
                raise UserError(
                    f"evt_config: {name} names the channels {item!r}", hint=f"there are: {', '.join(lists)}"
                )
    return dict(value)


def buffer_of(job: Job) -> int:
    """Events in memory: the site's or the metadata's number, else the default."""
    own = job.settings.get("buffer_len")
    return int(own or job.config.options.get("buffer_len") or job.setup.options.get("evt_buffer_len") or BUFFER)


FIELD = re.compile(r"\s*\w+\.\w+\s*")
"""An expression that is nothing but a column of a tier."""


def drop_inherited_units(path: Path, group: str, operations: Mapping[str, Any]) -> None:
    """Take units away from what is computed: pygama hands on those of the column that an expression looks at.

    A number of detectors above 25 keV is no energy.
    """
    with h5py.File(path, "a") as file:
        for name, operation in operations.items():
            node = file.get(f"{group}/{name.replace('___', '/')}")
            if node is None or FIELD.fullmatch(operation["expression"]):
                continue
            if "units" in node.attrs and "units" not in (operation.get("lgdo_attrs") or {}):
                del node.attrs["units"]


def add_key(job: Job, path: Path, group: str) -> None:
    """Add which period, run and file an event is of, as upstream does (``trigger/period``, ``run``, ``cycle``)."""
    with h5py.File(path, "a") as file:
        table = file.get(f"{group}/trigger")
        if table is None:
            return
        count = rows(file, table.name)
        for name in ("period", "run"):
            digits = re.sub(r"\D", "", job.key.fields.get(name, ""))
            if digits:
                add_column(table, name, np.full(count, int(digits), dtype="int16"), "real")
        add_column(table, "cycle", np.full(count, job.key.timestamp.encode(), dtype="S16"), "string")


def add_column(table: h5py.Group, name: str, values: NDArray[Any], kind: str) -> None:
    """Add an array to an LH5 table; it is no part of the table before the table's datatype names it."""
    node = table.create_dataset(name, data=values, compression="gzip")
    node.attrs["datatype"] = f"array<1>{{{kind}}}"
    fields = str(table.attrs["datatype"]).removeprefix("table{").removesuffix("}")
    table.attrs["datatype"] = f"table{{{fields},{name}}}"


def _annotate(job: Job, path: Path, group: str, present: Sequence[Channel]) -> None:
    """Say in the file which detectors are without calibration."""
    if not job.inputs.get("par_hit"):
        return
    pars = job.pars("par_hit")
    failed = {c.name: why for c in present if c.system == "geds" and (why := failure_of(pars.get(c.name)))}
    if failed:
        annotate(path, group, degraded="; ".join(f"{name}: {why}" for name, why in sorted(failed.items())))
