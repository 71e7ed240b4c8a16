"""The configuration of events: typed, and checked before any data are read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dataflow.base.errors import UserError
from dataflow.base.messages import nearest
from dataflow.metadata.expressions import Call, Expression, parsed, parsed_call, words

MODULES = "pygama.evt.modules"
"""The package whose functions an operation of mode ``function`` may call."""
LOGICAL, NUMERIC, ORDERED = ("any", "all"), ("sum",), ("first_at", "last_at")
KEPT = ("keep_at_ch", "keep_at_idx")
MODES = (*NUMERIC, *LOGICAL, *ORDERED, *KEPT, "gather", "function")
TIERS = ("dsp", "hit")
KNOWN = words(
    "aggregation_mode channels description dtype exclude_channels expression initial lgdo_attrs parameters query sort"
)
INITIAL = {"np.nan": math.nan, "np.inf": math.inf, "-np.inf": -math.inf}
DTYPE = re.compile(r"bool|u?int(8|16|32|64)?|float(16|32|64)?")
NESTED = "___"

Refuse = Callable[..., UserError]


@dataclass(frozen=True)
class Operation:
    """How one column of the events is made.

    Attributes
    ----------
    name
        Of the column; ``a___b`` is ``b`` in the group ``a``.
    mode
        How rows are aggregated, without its argument; empty for an expression over columns of the events.
    argument
        Of the mode: the column to order by (``dsp.timestamp``), or the column of the events to keep at.
    expression, call
        What is evaluated: an expression, or in the mode ``function`` a call.
    query
        Which rows count.
    channels, excluded
        Tables of channels; None where no channels are named.
    parameters
        Values by name.
    initial
        Value where no row counts.
    sort
        For ``gather``, the column to order by and whether it descends.
    dtype
        Type of the column, None as it comes.
    attributes
        LGDO attributes; ``description`` is among them.
    """

    name: str
    mode: str = ""
    argument: str = ""
    expression: Expression | None = None
    call: Call | None = None
    query: Expression | None = None
    channels: tuple[str, ...] | None = None
    excluded: frozenset[str] = frozenset()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    initial: Any = math.nan
    sort: tuple[str, bool] | None = None
    dtype: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def column(self) -> str:
        """The column of a tier that the expression is (``hit.quality_flags``); empty where it computes something."""
        names = self.expression.names if self.expression else frozenset()
        only = next(iter(names)) if len(names) == 1 else ""
        return only if self.expression and self.expression.text.strip() == only and "." in only else ""


@dataclass(frozen=True)
class EventConfig:
    """All columns of the events in the order in which they are made, and which of them are written."""

    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]


def event_config(
    config: Mapping[str, Any], lists: Mapping[str, Iterable[str]], refuse: Refuse | None = None
) -> EventConfig:
    """Check a configuration of events.

    Parameters
    ----------
    config
        With ``operations``, and ``outputs`` (all columns where it is left out).
    lists
        Tables of channels by the name of the list.
    refuse
        Makes the error about an entry: ``refuse(message, *names, hint=…)``; it may add file and line.

    Raises
    ------
    UserError
        If anything in it is unknown, misspelt, of a wrong type, or no expression.
    """

    def refused(message: str, *names: object, hint: str = "") -> UserError:
        sentence = f"evt_config: {message}"
        return refuse(sentence, *names, hint=hint) if refuse else UserError(sentence, hint=hint)

    named = config.get("operations")
    if not isinstance(named, Mapping) or not named:
        raise refused("operations must be a mapping of columns", "operations", hint="see docs/configuration.md")
    tables = {name: tuple(dict.fromkeys(value)) for name, value in lists.items()}
    operations: dict[str, Operation] = {}
    for name, entry in named.items():
        try:
            operations[str(name)] = _operation(str(name), entry, tables, operations)
        except UserError as error:
            raise refused(f"{name}: {error.message}", "operations", name, hint=error.hint) from None
    outputs = config.get("outputs")
    chosen = list(operations) if outputs is None else outputs
    if not isinstance(chosen, list | tuple) or not chosen:
        raise refused("outputs must be a list of columns", "outputs")
    for index, name in enumerate(chosen):
        if name not in operations:
            raise refused(f"outputs names {name!r}", "outputs", index, hint=nearest(name, operations))
    return EventConfig(tuple(operations.values()), tuple(name for name in operations if name in chosen))


def _operation(
    name: str, entry: Any, tables: Mapping[str, tuple[str, ...]], earlier: Mapping[str, Operation]
) -> Operation:
    if not isinstance(entry, Mapping):
        raise UserError("an operation is a mapping with an expression", hint="see docs/configuration.md")
    for key in entry:
        if key not in KNOWN:
            raise UserError(f"there is no entry {key!r}", hint=nearest(key, KNOWN))
    if not all(re.fullmatch(r"\w+", part) for part in name.split(NESTED)):
        raise UserError("a column's name has letters, digits and underscores", hint=f"a{NESTED}b is b in the group a")
    mode, _, argument = str(entry.get("aggregation_mode") or "").partition(":")
    if mode and mode not in MODES:
        raise UserError(f"there is no aggregation_mode {mode!r}", hint=nearest(mode, MODES))
    call = parsed_call(entry.get("expression"), MODULES) if mode == "function" else None
    expression = None if call else parsed(entry.get("expression"))
    query = parsed(entry["query"], "a query") if entry.get("query") is not None else None
    parameters = _mapping(entry, "parameters")
    attributes = dict(_mapping(entry, "lgdo_attrs"))
    if "description" in entry:
        attributes["description"] = str(entry["description"])
    made = Operation(
        name=name,
        mode=mode,
        argument=_argument(mode, argument, earlier),
        expression=expression,
        call=call,
        query=query,
        channels=_channels(entry.get("channels"), tables) if "channels" in entry else None,
        excluded=frozenset(_channels(entry.get("exclude_channels") or [], tables)),
        parameters=parameters,
        initial=_initial(entry.get("initial", math.nan)),
        sort=_sort(entry.get("sort")),
        dtype=_dtype(entry.get("dtype")),
        attributes=attributes,
    )
    _check_names(made, earlier)
    return made


def _mapping(entry: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = entry.get(key) or {}
    if not isinstance(found, Mapping):
        raise UserError(f"{key} must be a mapping, not {found!r}")
    return found


def _argument(mode: str, argument: str, earlier: Mapping[str, Operation]) -> str:
    """What stands after the colon of a mode."""
    text = argument.strip()
    if mode in ORDERED:
        return _tier_column(text, f"{mode}:")
    if mode in KEPT:
        column = flat_name(text)
        if column not in earlier:
            raise UserError(f"{mode}: needs a column made before it, not {text!r}", hint=nearest(column, earlier))
        return column
    if text:
        raise UserError(f"aggregation_mode {mode!r} has no argument, but {text!r} is given")
    return ""


def _tier_column(text: str, what: str) -> str:
    tier, _, column = text.partition(".")
    if tier not in (*TIERS, "tcm") or not re.fullmatch(r"\w+", column):
        raise UserError(f"{what} needs a column such as dsp.timestamp, not {text!r}")
    return text


def flat_name(text: str) -> str:
    """The name of a column of the events as operations call it: ``evt.a.b`` and ``a___b`` are ``a___b``."""
    return text.removeprefix("evt.").replace(".", NESTED)


def _channels(value: Any, tables: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        raise UserError(f"channels must be the name of a list or several, not {value!r}")
    for name in names:
        if name not in tables:
            raise UserError(f"it names the channels {name!r}", hint=nearest(name, tables))
    return tuple(dict.fromkeys(table for name in names for table in tables[name]))


def _initial(value: Any) -> Any:
    found = INITIAL.get(value, value) if isinstance(value, str) else value
    if not isinstance(found, bool | int | float):
        raise UserError(f"initial must be a number or a boolean, not {value!r}", hint="np.nan is one, too")
    return found


def _sort(value: Any) -> tuple[str, bool] | None:
    if value is None:
        return None
    order, _, column = str(value).partition(":")
    if order not in ("ascend_by", "descend_by"):
        raise UserError(f"sort must be ascend_by:COLUMN or descend_by:COLUMN, not {value!r}")
    return _tier_column(column.strip(), f"{order}:"), order == "descend_by"


def _dtype(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and DTYPE.fullmatch(value)):
        raise UserError(f"there is no dtype {value!r}", hint="bool, int16, int32, float32, float64, …")
    return value


def _check_names(operation: Operation, earlier: Mapping[str, Operation]) -> None:
    """Names in expressions are columns of dsp, hit, tcm, earlier columns of the events, or parameters."""
    for expression in filter(None, (operation.expression, operation.query)):
        for name in expression.names:
            tier = name.partition(".")[0]
            if tier in (*TIERS, "tcm") and "." in name:
                if not operation.mode:
                    raise UserError(f"{name!r} is a column of channels", hint="set aggregation_mode and channels")
            elif flat_name(name) not in earlier and name not in operation.parameters:
                known = [*(f"evt.{each}" for each in earlier), *operation.parameters]
                raise UserError(f"{expression.text!r}: there is no {name!r} yet", hint=nearest(name, known))
