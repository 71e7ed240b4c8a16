"""tcm: which channels fired together, in the form of pygama's time coincidence map."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py

from dataflow.base.errors import UserError
from dataflow.jobs import fast
from dataflow.jobs.atomic import whole_files
from dataflow.jobs.errors import BadInput
from dataflow.jobs.lh5files import column, open_input
from dataflow.jobs.notes import warn
from dataflow.plan.job import Job

log = logging.getLogger(__name__)

DEFAULTS: Mapping[str, Any] = {"coin_cols": "timestamp", "coin_windows": 1e-5, "hash_func": r"\d+"}
"""Events are what follows within 10 us."""
BACKWARD = "backward_steps"
"""The attribute that says how often times go backwards: a number of the file, by channel of the table."""


def build(job: Job, threads: int = 1) -> None:
    """Find the events of one raw file.

    Parameters
    ----------
    job
        Input ``raw``, output ``tier``. Each crate (fcid) of the file gets a table ``hardware_tcm_{fcid}``; the first
        one is called as ``table_format`` says. Where times go backwards in a channel (a reset clock, records out of
        order), all rows of the file are sorted by time at once: time alone decides what belongs together. The steps
        are counted in the log and in the table's attribute ``backward_steps``.
    threads
        Not used: it is one pass over sorted times.
    """
    (source,) = job.inputs["raw"]
    groups = crates(job, source)
    with whole_files({"tier": job.outputs["tier"]}) as parts:
        for crate, (name, tables) in groups.items():
            chosen = options(job, crate)
            make = by_columns if fast.is_on() and is_simple(chosen) else by_pygama
            steps = make(source, tables, chosen, (parts["tier"], name))
            if steps:
                _tell(job, steps, parts["tier"], name)


def is_simple(chosen: Mapping[str, Any]) -> bool:
    """Whether there is one column of times, and no other column is taken over."""
    column, more = chosen["coin_cols"], chosen.get("out_fields")
    is_one = isinstance(column, str) and not isinstance(chosen["coin_windows"], list | tuple)
    return is_one and more in (None, column) and chosen.get("window_refs", "last") == "last"


def by_columns(
    source: Path, tables: list[str], chosen: Mapping[str, Any], target: tuple[Path, str]
) -> Mapping[str, int]:
    """By whole columns; returns how often times go backwards, by table."""
    from .columns import write_coincidences

    form = chosen["hash_func"]
    numbers = {table: number_of(table, form) if form else place for place, table in enumerate(tables)}
    attributes = {"tables": str(tables), "hash_func": str(form)}
    return write_coincidences(source, numbers, chosen["coin_cols"], float(chosen["coin_windows"]), target, attributes)


def number_of(table: str, form: str) -> int:
    """The number of a channel in the name of its table.

    Raises
    ------
    UserError
        If the expression finds none.
    """
    found = re.search(form, table)
    if not found or not found[0].isdigit():
        raise UserError(f"hash_func {form!r} of tier_tcm finds no number in {table}", hint=r"the default is \d+")
    return int(found[0])


def by_pygama(
    source: Path, tables: list[str], chosen: Mapping[str, Any], target: tuple[Path, str]
) -> Mapping[str, int]:
    """By :func:`pygama.evt.build_tcm`; returns how often times go backwards, by table."""
    from pygama.evt import build_tcm

    steps, longest = backward_steps(source, tables, chosen["coin_cols"])
    more = {"buffer_len": longest + 1} if steps else {}  # pygama sorts what is in memory, and merges only sorted parts
    if isinstance(chosen["coin_cols"], str):
        more |= {"out_fields": chosen.get("out_fields", chosen["coin_cols"])}
    build_tcm([(str(source), tables)], out_file=str(target[0]), out_name=target[1], wo_mode="a", **{**chosen, **more})
    return steps


def backward_steps(source: Path, tables: Sequence[str], columns: str | Sequence[str]) -> tuple[dict[str, int], int]:
    """How often the time of a row is before that of the row before it.

    Parameters
    ----------
    source
        A raw file.
    tables
        Its tables.
    columns
        The column, or columns, of times.

    Returns
    -------
    steps, longest
        The number of steps back by table, of those that have any; the number of rows of the longest table.
    """
    names = [columns] if isinstance(columns, str) else columns
    found, longest = {}, 0
    with open_input(source) as file:
        for table in tables:
            times = column(file, table, names[0])
            longest = max(longest, len(times))
            if count := int((times[1:] < times[:-1]).sum()):
                found[table] = count
    return found, longest


def _tell(job: Job, steps: Mapping[str, int], path: Path, name: str) -> None:
    """Say in the log, in the notes of the job and in the file how often times go backwards."""
    text = ", ".join(f"{table.partition('/')[0]}: {count}" for table, count in sorted(steps.items()))
    log.warning("times go backwards (%s): rows are sorted by time", text)
    for channel in job.channels:
        if count := steps.get(job.table("raw", channel)):
            warn(channel.name, [f"times go backwards {count} times; rows are sorted by time"])
    with h5py.File(path, "a") as file:
        file[name].attrs[BACKWARD] = text
        file.attrs[BACKWARD] = int(file.attrs.get(BACKWARD, 0)) + sum(steps.values())


def crates(job: Job, source: Path) -> dict[int, tuple[str, list[str]]]:
    """The tables of a raw file by crate, with the name of the crate's table of events.

    Raises
    ------
    BadInput
        If the file has no table of a channel in the map.
    """
    found: dict[int, list[str]] = {}
    with open_input(source) as file:
        for channel in job.channels:
            table = job.table("raw", channel)
            if table in file:
                found.setdefault(crate_of(file, table, channel.fcid), []).append(table)
    if not found:
        raise BadInput(f"{source} has no table of a channel in the channel map")
    main = job.table("tcm")
    first = min(found) if main_crate(main) not in found else main_crate(main)
    return {crate: (main if crate == first else f"hardware_tcm_{crate}", found[crate]) for crate in sorted(found)}


def main_crate(name: str) -> int:
    """The crate that the table name of the configuration stands for, -1 if none."""
    tail = name.rpartition("_")[2]
    return int(tail) if tail.isdigit() else -1


def crate_of(file: h5py.File, table: str, known: int | None) -> int:
    """The crate (fcid) of a channel: as the data say, else as the map says, else 0."""
    node = file.get(f"{table}/fcid")
    if isinstance(node, h5py.Dataset) and node.shape[0]:
        return int(node[0])
    return known or 0


def options(job: Job, crate: int) -> dict[str, Any]:
    """The options of :func:`pygama.evt.build_tcm` for a crate.

    Raises
    ------
    UserError
        If there is a configuration by crate, and none for this one.
    """
    value = job.config.inputs.get("config")
    if isinstance(value, Mapping) and str(crate) not in {str(name) for name in value}:
        raise UserError(f"tier_tcm has no config for the crate {crate}, only for {', '.join(map(str, value))}")
    name = f"config.{crate}" if isinstance(value, Mapping) else "config"
    found = dict(DEFAULTS) | (job.config.read(name) or {})
    if "{ch" not in job.setup.table_format["raw"]:
        found["hash_func"] = None
    return found
