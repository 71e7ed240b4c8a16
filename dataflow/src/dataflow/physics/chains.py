"""Processing chains on raw tables: the form that fits the table's columns, and dspeed with its work-arounds."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from lgdo import Array, Table, WaveformTable
from numpy.typing import NDArray

import dataflow.physics.traces  # noqa: F401 - named in the shipped chains, and part of what they compute
from dataflow.jobs import lgdolists
from dataflow.jobs.errors import BadInput
from dataflow.jobs.lh5files import open_input
from dataflow.metadata.references import Reference, replaced
from dataflow.plan.job import Job

from . import deferred, dspeed_outputs, dspeed_ufuncs
from .compiled.alone import alone
from .compiled.passes import run_compiled
from .compiled.switch import is_on
from .processors import take
from .rawtables import RawRows, column_names, digitizer, raw_rows, refuse_mixed
from .svm import ARRAYS, SIGNATURE, TYPES, svm_label

dspeed_ufuncs.install()
deferred.install(alone)
lgdolists.install()

WHOLE = "waveform"
DENSE = 0.3
"""Part of the rows of a range that must be wanted for the range to be read as a whole."""
PARTS = ("waveform_windowed", "waveform_presummed")
TIMES = "tp_"
DROPPED = "waveform_bit_drop"
"""Whole traces without their lowest bits, as LEGEND-200 keeps those of SiPMs."""
WINDOWED = "windowed"
"""Entry of a chain: what differs for tables with :data:`PARTS` instead of :data:`WHOLE`."""
UNPICKLES = "svm_predict"
"""The processor of dspeed, and of the published chains, that reads a pickled machine."""
_WORD = re.compile(rf"\b{WHOLE}\b")


def run_chain(
    source: Path,
    table: str,
    chain: Mapping[str, Any],
    pars: Mapping[str, Any],
    *,
    target: Path | None = None,
    rows: Sequence[int] | None = None,
    outputs: Sequence[str] | None = None,
    adc_bits: int | None = None,
    buffer_len: int = 4000,
    block_width: int = 16,
) -> Any:
    """Run a chain on a raw table.

    Parameters
    ----------
    source, table
        File and table of waveforms.
    chain
        Configuration for :func:`dspeed.build_dsp`, and :data:`WINDOWED`.
    pars
        The channel's parameters: ``db.`` in the chain, over those of its digitizer.
    target
        LH5 file to write, with ``dsp`` for ``raw`` in the table's name; None to have the table returned.
    rows
        Those rows only.
    outputs
        Instead of the chain's.
    adc_bits
        The digitizer's depth; None if the file is to tell.
    buffer_len
        Rows that are read together.
    block_width
        Rows that dspeed's own processors do together where a chain is not compiled (:mod:`.compiled`).

    Raises
    ------
    BadInput
        If the table lacks a column that the chain needs.
    """
    install()
    refuse_mixed(source, table)
    columns = column_names(source, table)
    fitting = fitted(chain, columns)
    check_columns(fitting, columns, f"{table} of {source}")
    known = {**digitizer(source, table, adc_bits), **with_arrays(pars)}
    chosen, kept = _reading(rows, None if target else len(rows or ()))
    named = mentioned(columns, fitting, outputs or ())
    if is_on(fitting):
        with raw_rows(source, table, named, chosen, buffer_len) as read:
            place = (target, table.replace("raw", "dsp")) if target else None
            made = run_compiled(read, fitting, known, outputs, place)
    else:
        read = RawRows(str(source), table, buffer_len=buffer_len, field_mask=named or None, **chosen)
        made = _run_dspeed(read, fitting, known, outputs, table if target else "", target, buffer_len, block_width)
    return made if kept is None else rows_of(made, kept)


def mentioned(columns: Sequence[str], chain: Mapping[str, Any], outputs: Sequence[str]) -> list[str]:
    """The columns that a chain may need: those whose names stand anywhere in it, or among the outputs."""
    words = set(re.findall(r"\w+", json.dumps([chain, list(outputs)], default=str)))
    return [name for name in columns if name in words]


def load(job: Job, outputs: Iterable[str]) -> None:
    """Import dspeed and its processors that outputs of a job's chains need: before workers fork, else each does so."""
    from dspeed import build_processing_chain  # noqa: F401 - imported for the workers

    for channel in job.channels:
        for own in _needed(job.config.read("processing_chain", channel) or {}, outputs):
            take({"processors": own})


def _needed(chain: Mapping[str, Any], outputs: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The entries that outputs of a chain need, from the last ones to the first."""
    entries, wanted = dict(chain.get("processors", {})), set(outputs)
    while needed := [names for names in entries if _made(names) & wanted]:
        own = {names: entries.pop(names) for names in needed}
        wanted |= used_names({"processors": own})
        yield own


def install() -> None:
    """Put what is done otherwise here into dspeed."""
    dspeed_outputs.install()


def _run_dspeed(
    rows: Any,
    chain: Mapping[str, Any],
    known: Mapping[str, Any],
    outputs: Sequence[str] | None,
    table: str,
    target: Path | None,
    buffer_len: int,
    block_width: int,
) -> Any:
    """The same by dspeed's own driver."""
    from dspeed import build_dsp

    take(chain)
    return build_dsp(
        rows,
        str(target) if target else None,
        dsp_config=chain,
        lh5_tables=[table],
        database=database(table, known) if target else known,
        outputs=list(outputs) if outputs else None,
        write_mode="r" if target else None,
        buffer_len=buffer_len,
        block_width=block_width,
    )


def _reading(rows: Sequence[int] | None, count: int | None) -> tuple[dict[str, Any], NDArray[np.int64] | None]:
    """How rows are read, and which of those that were read are kept, None for all.

    Where most rows of a range are wanted (all but the pulser's), the range is read and processed as a whole: reading by
    a list of rows takes ten times as long.
    """
    if rows is None:
        return {}, None
    wanted = np.asarray(rows, dtype=np.int64)
    first, span = (int(wanted[0]), int(wanted[-1] - wanted[0]) + 1) if len(wanted) else (0, 0)
    if not count or count < DENSE * span or np.any(np.diff(wanted) <= 0):
        return {"entry_list": [int(row) for row in wanted]}, None
    return {"i_start": first, "n_entries": span}, None if span == count else wanted - first


def rows_of(node: Any, kept: NDArray[np.int64]) -> Any:
    """Some rows of a table (or of its columns), as a table of its own."""
    if isinstance(node, Table):
        columns = {name: rows_of(column, kept) for name, column in node.items()}
        if isinstance(node, WaveformTable):
            return WaveformTable(t0=columns["t0"], dt=columns["dt"], values=columns["values"], attrs=dict(node.attrs))
        return Table(col_dict=columns, attrs=dict(node.attrs))
    return type(node)(nda=node.nda[kept], attrs=dict(node.attrs))


def with_arrays(pars: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with the arrays that they name in LH5 files; dspeed would read them for each expression anew.

    Raises
    ------
    BadInput
        If a file or an array is not there.
    """

    def array(found: Reference, _: str) -> Any:
        with open_input(found.path, locking=False) as file:
            node = file.get(found.name)
            if not isinstance(node, h5py.Dataset):
                raise BadInput(f"{found.path} has no array {found.name}", hint="make the parameters again")
            return np.asarray(node[()])

    return dict(replaced(pars, array))


def continue_chain(
    table: Any,
    chain: Mapping[str, Any],
    pars: Mapping[str, Any],
    outputs: Sequence[str],
    *,
    trace: str = "wf_blsub",
    block_width: int = 16,
) -> Any:
    """Run the rest of a chain on a table of what its first processors made.

    Parameters
    ----------
    table
        An :class:`lgdo.Table`: columns and traces by the names that they have in the chain. Columns whose names begin
        with ``tp_`` are times from the beginning of the trace, in ns.
    chain, pars, block_width
        As for :func:`run_chain`.
    outputs
        What is wanted; what the table has is not made again.
    trace
        The traces of the table in whose samples times are counted.

    Returns
    -------
    lgdo.Table
        The outputs.
    """
    from dspeed import build_dsp

    install()
    processors = {names: entry for names, entry in chain["processors"].items() if not _made(names) & set(table)}
    needed = {name for name in used_names(chain) if name in table}
    times = {name: table[name].nda / table[trace].dt.nda[0] for name in needed if name.startswith(TIMES)}
    given = {name: table[name] for name in sorted({trace, *needed} - times.keys())}
    given |= {f"given_{name}": Array(samples.astype("f4")) for name, samples in times.items()}
    config = {
        "outputs": list(outputs),
        "processors": {name: _time(name, trace) for name in times} | deepcopy(processors),
    }
    if is_on(config):
        return run_compiled(Table(given), config, dict(pars))
    take(config)
    return build_dsp(Table(given), None, dsp_config=config, database=dict(pars), block_width=block_width)


def _time(name: str, trace: str) -> dict[str, Any]:
    """A processor that makes a column of numbers a time of a trace: dspeed knows no other way."""
    return {
        "function": "time_of",
        "module": "dataflow.physics.traces",
        "args": [trace, f"given_{name}", name],
        "kwargs": {"signature": "(n),()->()", "types": ["ff->f"]},
        "unit": "ns",
    }


def database(table: str, pars: Mapping[str, Any]) -> dict[str, Any]:
    """A channel's parameters as dspeed looks for them: below the first part of the table's name, if it has several."""
    channel = table.partition("/")[0] if "/" in table else ""
    return {channel: dict(pars)} if channel else dict(pars)


def fitted(chain: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """The chain in the form that the columns need.

    Parameters
    ----------
    chain
        ``outputs``, ``processors``, and under :data:`WINDOWED` the processors that are others (null: none) where a
        table has windowed and presummed traces and no whole ones. Where it has :data:`DROPPED` only, that is the trace.
    columns
        Of the table.
    """
    form = {name: deepcopy(value) for name, value in chain.items() if name != WINDOWED}
    if WINDOWED in chain and WHOLE not in columns and set(PARTS) <= set(columns):
        changed = {**form["processors"], **(chain[WINDOWED].get("processors") or {})}
        form["processors"] = {name: entry for name, entry in changed.items() if entry is not None}
    elif DROPPED in columns and WHOLE not in columns and WHOLE in used_names(form):
        form["processors"] = {name: _without_bits(entry) for name, entry in form["processors"].items()}
    return {**form, "processors": {name: _without_pickle(entry) for name, entry in form["processors"].items()}}


def _without_pickle(entry: Any) -> Any:
    """A processor that takes the machine of ``par_dsp_svm`` where dspeed's would unpickle one, and run its code."""
    if not isinstance(entry, Mapping) or entry.get("function") != UNPICKLES:
        return entry
    own = [f"db.svm.{name}" for name in (*ARRAYS, "gamma")]
    shapes, label = entry["args"]
    return {
        "function": svm_label.__name__,
        "module": svm_label.__module__,
        "args": [shapes, *own, 1, label],
        "kwargs": {"signature": SIGNATURE, "types": TYPES},
        "defaults": dict.fromkeys(own, "[1.0]") | dict.fromkeys(own[:2], "[[0.0]]") | {own[-1]: 1},
    }


def _without_bits(entry: Any) -> Any:
    """A processor that takes the traces without their lowest bits."""
    if isinstance(entry, str):
        return _WORD.sub(DROPPED, entry)
    return {**entry, "args": [_without_bits(each) if isinstance(each, str) else each for each in entry.get("args", ())]}


def check_columns(chain: Mapping[str, Any], columns: Sequence[str], where: str) -> None:
    """Make sure that a table has the traces that a chain starts from.

    Raises
    ------
    BadInput
        If it has not; the message names the traces that there are.
    """
    made = made_by(chain)
    passed_on = {name for name in chain["outputs"] if name not in made}
    needed = {name for name in used_names(chain) if name.startswith(WHOLE)} - made | passed_on
    missing = sorted(needed - set(columns))
    if missing:
        lacks, has = ", ".join(missing), ", ".join(columns)
        raise BadInput(
            f"{where} has no column {lacks}, which the processing chain needs (it has: {has})",
            hint="configure processing_chain of tier_dsp for these columns, or what raw keeps of the traces",
        )


def made_by(chain: Mapping[str, Any]) -> set[str]:
    """What the processors of a chain make."""
    return {name for names in chain.get("processors", {}) for name in _made(names)}


def _made(names: str) -> set[str]:
    return {name.strip() for name in names.split(",")}


def used_names(chain: Mapping[str, Any]) -> set[str]:
    """All names in the arguments of a chain's processors."""
    found: set[str] = set()
    for entry in chain["processors"].values():
        arguments = entry.get("args", ()) if isinstance(entry, Mapping) else (entry,)
        for argument in arguments:
            found |= _names(argument) if isinstance(argument, str) else frozenset()
    return found


@cache
def _names(argument: str) -> frozenset[str]:
    try:
        tree = ast.parse(argument, mode="eval")
    except SyntaxError:  # dspeed says what is wrong with it
        return frozenset()
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
