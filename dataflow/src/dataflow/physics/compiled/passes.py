"""A whole pass over a table: rows read, a compiled chain run on them, results kept in memory and written together."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from lgdo import Array, Table

from dataflow.jobs.lh5tables import write_table
from dataflow.physics import processors
from dataflow.physics.dspeed_units import remembered

from .alone import alone
from .planner import Plan, compile_chain

log = logging.getLogger(__name__)

WIDTH = 128
"""Traces of a block: what is done once a block then takes little time, and its samples stay in the cache."""
BYTES_OF_A_LIST = 256
"""What a list of unknown length is taken for."""
KEPT = 2**25
"""Bytes of results in memory before they are written; writing them by the thousand rows takes ten times as long."""


def run_compiled(
    rows: Any,
    chain: Mapping[str, Any],
    database: Mapping[str, Any],
    outputs: Sequence[str] | None = None,
    target: tuple[Path, str] | None = None,
) -> Any:
    """Run a chain on rows of a table.

    Parameters
    ----------
    rows
        What :func:`dataflow.physics.rawtables.raw_rows` gives, or a table.
    chain
        Configuration for :func:`dspeed.build_dsp`.
    database
        What ``db.`` stands for.
    outputs
        Instead of the chain's.
    target
        LH5 file, and the name of the table in it; without it, the table is returned.

    Returns
    -------
    lgdo.Table or None
    """
    from dspeed import build_processing_chain

    first = rows if isinstance(rows, Table) else rows.first()  # a row tells types, lengths and units
    processors.take(chain)
    with remembered():
        made, needed, buffer = build_processing_chain(
            chain["processors"], first, db_dict=database, outputs=list(outputs or chain["outputs"]), block_width=WIDTH
        )
    say(compile_chain(made))
    parts = [rows] if isinstance(rows, Table) else rows.parts(needed)
    return _results(made, parts, Results(buffer, target), buffer)


def _results(chain: Any, parts: Iterable[Table], results: Results, buffer: Table) -> Any:
    """What a chain makes of parts of a table."""
    linked: dict[str, Any] = {}
    for part in parts:
        buffer.resize(len(part))  # sampling periods are filled in for as many rows as there are
        begin = 0 if linked else _first_block(chain, part, buffer)
        if any(part[name] is not node for name, node in linked.items()):
            _link(chain, part, buffer)
        chain.execute(begin, len(part))
        linked = dict(part.items())
        results.add(len(part))
    return results.end()


def _first_block(chain: Any, part: Table, buffer: Table) -> int:
    """Do the first block: numba compiles, or takes what another process has compiled, and others wait meanwhile."""
    _link(chain, part, buffer)
    with alone():
        chain.execute(0, min(len(part), WIDTH))
    return WIDTH


def _link(chain: Any, part: Table, buffer: Table) -> None:
    """Have a chain read from a table and write into another, which takes it as long as a block."""
    chain._buffer_len = len(part)
    for name in chain._input_managers:
        chain.link_input_buffer(name, part[name])
    for name in chain._output_managers:
        chain.link_output_buffer(name, buffer[name])


class Results:
    """Results of a pass: kept, and written from time to time.

    Parameters
    ----------
    buffer
        Table that a chain writes into.
    target
        File and table; None if the results are only kept.
    """

    def __init__(self, buffer: Table, target: tuple[Path, str] | None) -> None:
        self._buffer, self._target = buffer, target
        self._kept = deepcopy(buffer)
        self._kept.resize(0)
        self._written = False
        self._most = max(KEPT // max(_bytes_of_a_row(buffer), 1), 1)
        if target:
            target[0].unlink(missing_ok=True)

    def add(self, count: int) -> None:
        """Take what stands in the first rows of the buffer."""
        append(self._kept, self._buffer, count)
        if self._target and len(self._kept) >= self._most:
            self._write(*self._target)

    def end(self) -> Any:
        """Write what is left, or return everything."""
        if not self._target:
            return self._kept
        if len(self._kept) or not self._written:
            self._write(*self._target)
        return None

    def _write(self, path: Path, name: str) -> None:
        write_table(self._kept, name, path)
        self._kept.resize(0)
        self._written = True


def append(node: Any, buffer: Any, count: int) -> None:
    """Add the first rows of a buffer; lgdo's own method copies arrays number by number."""
    if isinstance(node, Table):
        for name, column in node.items():
            append(column, buffer[name], count)
        node.size += count
    elif isinstance(node, Array):
        known = len(node)
        node.resize(known + count)
        node.nda[known:] = buffer.nda[:count]
    else:
        buffer.resize(count)
        node.append(buffer)


def _bytes_of_a_row(node: Any) -> int:
    if isinstance(node, Table):
        return sum(_bytes_of_a_row(node[name]) for name in node)  # a table of waveforms has a column called values
    array = getattr(node, "nda", None)
    return int(array.itemsize * np.prod(array.shape[1:])) if array is not None else BYTES_OF_A_LIST


def say(plan: Plan) -> None:
    """Log which processors dspeed does itself."""
    for call, why in plan.left:
        log.info("not compiled: %s: %s", call, why)
    log.debug("%d calls compiled, %d not", len(plan.compiled), len(plan.left))
