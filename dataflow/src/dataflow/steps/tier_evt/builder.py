"""The columns of events, a range of events at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from lgdo import Array, Table, VectorOfVectors
from numpy.typing import NDArray

from dataflow.base.errors import SentenceError, UserError
from dataflow.jobs.evaluate import by_numexpr, evaluate
from dataflow.jobs.lh5files import open_input
from dataflow.metadata.expressions import Expression

from . import aggregate
from .functions import DEPTHS, Surroundings, called
from .operations import NESTED, EventConfig, Operation, flat_name
from .rows import Chunk, Integers, Reader, Tier, chunks

REPEATED = "trigger___is_repeated"
"""The column that is always there: whether a channel has several rows in the event."""
TIME, MAP_TIME = "trigger___timestamp", "timestamp"
"""The time of an event, and the column of the time coincidence map for events without a processed channel."""
ABOUT_REPEATED = "a channel has several rows in this event, of which the first in time is used"


@dataclass(frozen=True)
class Sources:
    """The files that events are made from.

    Attributes
    ----------
    tcm
        File and group of the time coincidence map.
    tiers
        By tier (``dsp``, ``hit``): file and group below a channel's table, ``ch0000001/dsp``.
    keys
        The number of each channel's table in the map.
    names
        Detector names by table.
    table_format
        Form of a channel's table: ``ch{:07d}``.
    """

    tcm: tuple[Path, str]
    tiers: Mapping[str, tuple[Path, str]]
    keys: Mapping[str, int]
    names: Mapping[str, str] = field(default_factory=dict)
    table_format: str = "ch{:07d}"

    @property
    def surroundings(self) -> Surroundings:
        """As processing functions of pygama want it; some of them know no padded numbers."""
        plain = all(table == f"ch{key}" for table, key in self.keys.items())
        form = "ch{}" if plain else self.table_format
        tiers: dict[str, tuple[str, ...]] = {
            name: (str(path), group, form) for name, (path, group) in self.tiers.items()
        }
        return Surroundings({"tcm": (str(self.tcm[0]), self.tcm[1])} | tiers, self.names)


@dataclass
class Events:
    """What is made of a chunk: rows, and the columns so far."""

    chunk: Chunk
    reader: Reader
    files: Surroundings
    columns: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Integers] = field(default_factory=dict)
    """By mode and column that names channels or rows: where those rows are in the chunk, -1 for none."""

    def local(self, name: str) -> Any:
        """A column by the name that an expression uses."""
        return self.columns.get(flat_name(name))


def build_events(sources: Sources, config: EventConfig, size: int) -> Iterator[Table]:
    """Make the events of a file.

    Parameters
    ----------
    sources
        The files.
    config
        The columns.
    size
        Events in memory.

    Yields
    ------
    Table
        Of at most `size` events, nested at ``___``; one without events where the file has none. Always there is the
        column ``trigger/is_repeated``.

    Raises
    ------
    UserError
        If an operation does not fit the data; it is named.
    BadInput
        If the files do not belong together.
    """
    with ExitStack() as stack:
        tiers = {
            name: Tier(path, stack.enter_context(open_input(path, locking=False)), group)
            for name, (path, group) in sources.tiers.items()
        }
        inherited = {operation.name: _inherited(operation, tiers) for operation in config.operations}
        indices = _indices(config)
        for chunk in chunks(*sources.tcm, size):
            events = Events(chunk, Reader(tiers, chunk, sources.keys), sources.surroundings)
            for operation in config.operations:
                events.columns[operation.name] = _made(operation, events)
            yield _table(events, config, inherited, indices)


def _made(operation: Operation, events: Events) -> Any:
    try:
        found = _column(operation, events)
    except UserError as error:
        raise UserError(f"evt_config: {operation.name}: {error.message}", hint=error.hint) from error
    except SentenceError as error:
        raise type(error)(f"evt_config: {operation.name}: {error.message}", hint=error.hint) from error
    if operation.name == TIME:
        found = _with_map_time(found, events.chunk)
    return found if operation.dtype is None else _cast(found, operation.dtype)


def _column(operation: Operation, events: Events) -> Any:
    if not operation.mode:
        return _of_events(operation, events)
    if operation.call:
        return _of_function(operation, events)
    if operation.mode in ("keep_at_ch", "keep_at_idx"):
        return _kept(operation, events)
    return _aggregated(operation, events)


def _cast(column: Any, dtype: str) -> Any:
    with np.errstate(invalid="ignore"):
        return ak.values_astype(column, dtype) if isinstance(column, ak.Array) else column.astype(dtype)


def _with_map_time(times: NDArray[Any], chunk: Chunk) -> NDArray[Any]:
    """Times of events in which only channels fired that are not processed, from the map."""
    known = chunk.columns.get(MAP_TIME)
    if known is None or np.isfinite(times).all():
        return times
    earliest = np.full(chunk.events, np.inf)
    np.minimum.at(earliest, chunk.event, known.astype(np.float64))
    return np.where(np.isfinite(times), times, earliest)


def _of_events(operation: Operation, events: Events) -> Any:
    """An expression over columns of the events; whole columns are multiplied as numexpr does, lists as awkward does."""
    expression = _expression(operation)
    values = {name: _named(name, operation, events) for name in expression.names}
    found = _by_numexpr(expression, values)
    if found is None:
        found = evaluate(expression, values)
    if _is_single(found):
        if any(isinstance(value, np.ndarray | ak.Array) for value in values.values()):
            raise UserError(f"{expression.text!r} gives one value for all events", hint="add axis=-1")
        return np.full(events.chunk.events, found)
    if len(found) != events.chunk.events:
        raise UserError(f"{expression.text!r} gives {len(found)} values for {events.chunk.events} events")
    return _plain(found)


def _by_numexpr(expression: Expression, values: Mapping[str, Any]) -> NDArray[Any] | None:
    """As upstream evaluates columns of one value. None where it cannot."""
    text = expression.rewritten
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(name, flat_name(name))
    return by_numexpr(text, {flat_name(name): value for name, value in values.items()})


def _named(name: str, operation: Operation, events: Events) -> Any:
    if name in operation.parameters:
        value = operation.parameters[name]
        return np.asarray(value) if isinstance(value, list) else value
    return events.local(name)


def _plain(found: Any) -> Any:
    """numpy where each event has one value."""
    if isinstance(found, ak.Array) and found.ndim == 1:
        return ak.to_numpy(found, allow_missing=False)
    return found


def _is_single(found: Any) -> bool:
    return not isinstance(found, ak.Array) and np.ndim(found) == 0


def _of_function(operation: Operation, events: Events) -> Any:
    assert operation.call  # noqa: S101 - the mode has one
    tables = [table for table in operation.channels or () if table not in operation.excluded]
    if operation.call.function in DEPTHS and not len(events.reader.places(tables)):
        return aggregate.empty_lists(events.chunk.events, *DEPTHS[operation.call.function])
    return called(operation.call, tables, events.chunk, events.columns | dict(operation.parameters), events.files)


def _expression(operation: Operation) -> Expression:
    assert operation.expression  # noqa: S101 - all other modes have one
    return operation.expression


def _values(expression: Expression, operation: Operation, tables: Sequence[str], events: Events) -> NDArray[Any]:
    """An expression at the rows of channels, channel by channel; columns of the events hold for all their rows."""
    places = events.reader.places(tables)
    values = {}
    for name in expression.names:
        if name.partition(".")[0] in ("dsp", "hit", "tcm") and "." in name:
            values[name] = events.reader.column(name, tables)
        elif name in operation.parameters:
            values[name] = _named(name, operation, events)
        else:
            values[name] = events.local(name)[events.chunk.event[places]]
    found = _plain(evaluate(expression, values))
    if _is_single(found):
        return np.full(len(places), found)
    if isinstance(found, ak.Array) or found.ndim > 1 or len(found) != len(places):
        raise UserError(
            f"{expression.text!r} must give one value a row", hint="reduce lists, as ak.sum(x, axis=-1) does"
        )
    return np.asarray(found)


def _default_type(operation: Operation) -> NDArray[Any]:
    """No values, of the type that a column without channels has."""
    text = _expression(operation).text.strip()
    if operation.mode in ("any", "all"):
        return np.empty(0, bool)
    if operation.mode == "gather":
        return np.empty(0, np.int64 if text.startswith("tcm.") else np.float64)
    return np.empty(0, np.asarray(operation.initial).dtype)


def _aggregated(operation: Operation, events: Events) -> Any:
    tables = [
        table for table in operation.channels or () if operation.mode == "gather" or table not in operation.excluded
    ]
    places = events.reader.places(tables)
    event, count = events.chunk.event[places], events.chunk.events
    value = _values(_expression(operation), operation, tables, events) if tables else _default_type(operation)
    mask = np.ones(len(places), bool)
    if operation.query and tables:
        mask = _values(operation.query, operation, tables, events).astype(bool)
    rows = (count, event, value, mask)
    if operation.mode == "sum":
        return aggregate.total(*rows, operation.initial)
    if operation.mode == "any":
        return aggregate.any_of(*rows, operation.initial)
    if operation.mode == "all":
        return aggregate.all_of(*rows, operation.initial)
    if operation.mode == "gather":
        return _gathered(operation, rows, tables, events)
    key = events.reader.column(operation.argument, tables)
    return aggregate.extreme(
        *rows, operation.initial, _one_value(key, operation.argument), last=operation.mode == "last_at"
    )


def _one_value(key: Any, name: str) -> NDArray[Any]:
    if isinstance(key, ak.Array):
        raise UserError(f"{name} has several values a row: it gives no order")
    return np.asarray(key)


def _gathered(
    operation: Operation,
    rows: tuple[int, Integers, NDArray[Any], NDArray[np.bool_]],
    tables: Sequence[str],
    events: Events,
) -> ak.Array:
    count, event, value, mask = rows
    if operation.excluded:
        keys = np.repeat([table in operation.excluded for table in tables], _lengths(tables, events))
        value = np.where(keys, operation.initial, value) if keys.any() else value
        if np.isnan(operation.initial):
            mask &= ~keys
    name, descending = operation.sort or ("", False)
    key = _one_value(events.reader.column(name, tables), name) if name else None
    chosen, counts = aggregate.gathered(count, event, value, mask, key, descending=descending)
    if operation.column in ("tcm.table_key", "tcm.index") and not operation.excluded:
        mode = "keep_at_ch" if operation.column == "tcm.table_key" else "keep_at_idx"
        events.places[f"{mode}:{operation.name}"] = events.reader.places(tables)[chosen]
    return aggregate.jagged(value[chosen], counts)


def _lengths(tables: Sequence[str], events: Events) -> list[int]:
    return [len(events.reader.places([table])) for table in tables]


def _kept(operation: Operation, events: Events) -> Any:
    """The expression at the channels, or rows, that an earlier column names."""
    where = events.columns[operation.argument]
    is_list = isinstance(where, ak.Array)
    if is_list and where.ndim != 2:
        raise UserError(f"{operation.argument} holds lists of lists")
    counts = aggregate.counts_of(where) if is_list else None
    places = _places(operation, where, counts, events)
    values = _everywhere(operation, events)
    there = places >= 0
    out = (
        np.full(len(places), operation.initial, values.dtype)
        if values.dtype.kind == "f"
        else np.zeros(len(places), values.dtype)
    )
    out[there] = values[places[there]]
    return out if counts is None else aggregate.jagged(out, counts)


def _places(operation: Operation, where: Any, counts: Integers | None, events: Events) -> Integers:
    """Where the rows are that a column names by channel or by place; found once a column."""
    name = f"{operation.mode}:{operation.argument}"
    if name not in events.places:
        flat = where if counts is None else np.asarray(ak.flatten(where))
        event = np.repeat(np.arange(events.chunk.events), 1 if counts is None else counts)
        by_index = operation.mode == "keep_at_idx"
        events.places[name] = _at_index(flat, events) if by_index else events.chunk.find(event, flat)
    return events.places[name]


def _at_index(flat: NDArray[Any], events: Events) -> Integers:
    count = len(events.chunk.key)
    places = aggregate.whole(flat)
    return np.where((places >= 0) & (places < count), places, -1)


def _everywhere(operation: Operation, events: Events) -> NDArray[Any]:
    """An expression at all rows, the initial value where a channel is not asked."""
    asked = list(events.files.names) if operation.channels is None else operation.channels
    tables = [table for table in asked if table not in operation.excluded]
    value = _values(_expression(operation), operation, tables, events) if tables else _default_type(operation)
    out = aggregate.full(len(events.chunk.key), operation.initial, value.dtype)
    if value.dtype.kind in "biu" and np.isnan(operation.initial):
        out = np.zeros(len(events.chunk.key), value.dtype)
    out[events.reader.places(tables)] = value
    return out


def _indices(config: EventConfig) -> frozenset[str]:
    """Columns that hold places in the map: they count from the beginning of the file when they are written."""
    direct = {each.name for each in config.operations if each.column == "tcm.index"}
    return frozenset(direct | {each.argument for each in config.operations if each.mode == "keep_at_idx"})


def _inherited(operation: Operation, tiers: Mapping[str, Tier]) -> dict[str, Any]:
    """Attributes of the column that an operation takes over as it is, such as units and names of bits.

    What is computed has none: a number of detectors above 25 keV is not an energy.
    """
    tier, _, name = operation.column.partition(".")
    if not operation.mode or operation.call or tier not in tiers:
        return {}
    for table in operation.channels or ():
        node = tiers[tier].file.get(f"{table}/{tiers[tier].group}/{name}")
        if node is not None:
            return {key: value for key, value in node.attrs.items() if key != "datatype"}
    return {}


def _table(
    events: Events, config: EventConfig, inherited: Mapping[str, Mapping[str, Any]], indices: frozenset[str]
) -> Table:
    """The columns that are written, in groups."""
    table = Table(size=events.chunk.events)
    for operation in config.operations:
        if operation.name in config.outputs:
            column = events.columns[operation.name]
            if operation.name in indices:
                column = _global(column, events.chunk)
            add(table, operation.name, column, dict(inherited[operation.name]) | dict(operation.attributes))
    if REPEATED not in config.outputs:
        add(table, REPEATED, events.chunk.is_repeated, {"description": ABOUT_REPEATED})
    return table


def _global(column: Any, chunk: Chunk) -> Any:
    if isinstance(column, ak.Array):
        return aggregate.jagged(
            chunk.index[np.asarray(ak.flatten(column), dtype=np.int64)], aggregate.counts_of(column)
        )
    places = aggregate.whole(column)
    known = np.append(chunk.index, -1)[np.where((places >= 0) & (places < len(chunk.index)), places, -1)]
    return known if column.dtype.kind in "iu" else np.where(known >= 0, known, np.nan)


def add(table: Table, name: str, column: Any, attributes: Mapping[str, Any]) -> None:
    """Put a column into a table, in the groups that its name says."""
    *groups, last = name.split(NESTED)
    for group in groups:
        if group not in table:
            table.add_field(group, Table(size=table.size))
        table = table[group]
    table.add_field(last, lgdo_of(column, dict(attributes)))


def lgdo_of(column: Any, attributes: dict[str, Any]) -> Array | VectorOfVectors:
    """An LGDO of a column."""
    if not isinstance(column, ak.Array):
        return Array(np.asarray(column), attrs=attributes)
    if column.ndim > 2:
        return VectorOfVectors(column, attrs=attributes)
    counts = aggregate.counts_of(column)
    flat = np.asarray(ak.flatten(column))
    return VectorOfVectors(flattened_data=Array(flat), cumulative_length=np.cumsum(counts), attrs=attributes)
