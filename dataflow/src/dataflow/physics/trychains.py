"""``python -m dataflow.physics.trychains``: build processing chains as jobs do, and say what is wrong with them.

A list of chains comes as JSON on the standard input. The last line of the standard output is a list of the same length:
null for a chain that can be built, or of which only data can tell, else ``message``, ``names``, the place in the
chain, and ``hint``. They are built on tables without pulses. Nothing is computed and nothing is written, compiled code
included.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from dspeed.processing_chain import ProcessingChain
from dspeed.units import unit_registry
from lgdo import Array, ArrayOfEqualSizedArrays, Table, WaveformTable
from numba.core import caching

from dataflow.jobs.compiled import is_ready
from dataflow.jobs.errors import BadInput

from . import deferred, dspeed_outputs
from .chains import DROPPED, PARTS, WHOLE, check_columns, fitted, made_by, used_names
from .dspeed_units import remembered

LENGTH, PERIOD, RATE, WINDOW = 8192, 16.0, 8, 1400
"""Of whole traces in samples of 16 ns: longer than those of any known digitizer; of summed and of windowed ones."""
FIRST = 2625
"""Sample at which windowed traces begin."""
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "f8": ("timestamp", "runtime", "lifetime", "deadtime"),
    "i4": ("eventnumber", "numtraces", "ts_pps", "ts_ticks", "ts_maxticks", "to_start_sec", "to_start_usec"),
    "u4": ("packet_id",),
    "u2": ("baseline", "daqenergy", "presum_rate", "board_id", "fc_input", "fcid", "t_sat_lo", "t_sat_hi"),
}
"""Columns of all FlashCam data by their types; others are taken for numbers."""
WORDS = frozenset({"db", *ProcessingChain.func_list})
"""What arguments have besides variables: the functions of dspeed's expressions, and the parameters."""
DIGITIZER: Mapping[str, Any] = {
    "adc": {"lowest": 0.0, "highest": 65520.0},
    "window": {"first": float(FIRST)},
    "presum": {"norm": float(RATE)},
}
OWN_UNITS = frozenset({"ADC", "sample", "samples", "none", "None", "arb"})
"""Words in units besides those of pint."""
_UNIT = re.compile(r"[^\W\d_]+")
_PARAMETER = re.compile(r"\bdb\.([\w.]+)")
_LINKED = re.compile(r"linking input buffer '(\w+)'")
_ADDED = re.compile(r"add processor:\n(\{.*\})", re.DOTALL)
_CIRCLE = re.compile(r"for parameter '?(\w+)")


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a chain, and where in it."""

    message: str
    names: tuple[str, ...] = ()
    hint: str = "see the documentation of dspeed's processing chains"


def main() -> int:
    """Read chains, try them, and answer; 1 without an answer where they would have to be compiled first."""
    logging.disable()
    if not is_ready():
        return 1
    keep_compiled_code()
    deferred.install()
    dspeed_outputs.install()
    chains = json.load(sys.stdin)
    with redirect_stdout(sys.stderr):
        found = [wrong(chain, frozenset(columns), form) for chain, columns, form in chains]
    print(json.dumps([each and asdict(each) for each in found]))
    return 0


def keep_compiled_code() -> None:
    """Let numba write nothing: code that two processes write at once kills all later ones (numba issue 10128)."""
    caching.Cache.save_overload = lambda *_: None


def wrong(chain: Mapping[str, Any], columns: frozenset[str] = frozenset(), form: str = "") -> Wrong | None:
    """What is wrong with a chain whatever the data are.

    Parameters
    ----------
    chain
        A chain as in the metadata, merged.
    columns
        Names among those that the chain uses that a raw table may have.
    form
        Of the traces in most raw tables, ``whole`` or ``windowed``; empty if it is not known: then it is enough that
        the chain can be built for one.

    Returns
    -------
    Wrong or None
        None if it can be built, or if only data can tell.
    """
    if chain.get("inputs"):
        return None
    wanted = sorted(FORMS, key=lambda name: name != form)
    fitting = [table for name in wanted if (table := table_of(FORMS[name])) and _fits(chain, table)]
    found = [_tried(chain, table, columns) for table in (fitting[:1] if form else fitting)]
    return None if None in found else next(iter(found), None)


def _fits(chain: Mapping[str, Any], table: Table) -> bool:
    """Whether a table has the traces that a chain is for."""
    try:
        check_columns({**fitted(chain, list(table)), "outputs": ()}, list(table), "")
    except BadInput:
        return False
    return True


def _tried(chain: Mapping[str, Any], table: Table, columns: frozenset[str]) -> Wrong | None:
    from dspeed import build_processing_chain

    fitting = fitted(chain, list(table))
    unknown = [name for name in _used(fitting) if name in columns and name not in table]
    for name in unknown:
        table[name] = Array(np.zeros(1, "f4"))
    given, guessed = _parameters(fitting)
    try:
        with remembered():
            built, _, out = build_processing_chain(fitting, tb_in=table, db_dict=given)
    except Exception as error:  # noqa: BLE001 - the user's configuration decides what comes here
        return None if unknown or guessed else _said(fitting, error)
    lost = next((name for name in fitting["outputs"] if name not in out), None)
    if lost:
        return Wrong(f"the outputs name {lost!r}, which no processor makes", ("outputs",))
    return next(_unknown_units(fitting), None)


def _unknown_units(chain: Mapping[str, Any]) -> Iterator[Wrong]:
    """Units that are none: dspeed writes a time of unknown unit in samples, without a word."""
    for key, node in chain["processors"].items():
        given = node.get("unit") if isinstance(node, Mapping) else None
        for text in given if isinstance(given, list) else [given]:
            word = next((word for word in _UNIT.findall(str(text or "")) if not _is_unit(word)), "")
            if word:
                hint = "a unit of time, energy, … as pint knows them, ADC, or sample"
                said = f"the unit {str(text)!r} of the processor {key!r} is not known"
                yield Wrong(said, ("processors", key, "unit"), hint)


def _is_unit(word: str) -> bool:
    return word in OWN_UNITS or word in unit_registry


def _used(chain: Mapping[str, Any]) -> list[str]:
    """The variables that a chain takes and does not make; units and functions stand in arguments like them."""
    taken = {*used_names(chain), *chain["outputs"]} - made_by(chain) - WORDS
    return sorted(name for name in taken if name not in unit_registry)


def _traces(length: int, period: float, begin: float) -> WaveformTable:
    values = ArrayOfEqualSizedArrays(nda=np.zeros((1, length), "u2"), attrs={"units": "ADC"})
    return WaveformTable(
        t0=np.array([begin]), t0_units="ns", dt=np.array([period]), dt_units="ns", values=values, values_units="ADC"
    )


FORMS: Mapping[str, Mapping[str, WaveformTable]] = {
    "whole": {WHOLE: _traces(LENGTH, PERIOD, 0.0)},
    "without lowest bits": {DROPPED: _traces(LENGTH, PERIOD, 0.0)},
    "windowed": dict(
        zip(PARTS, (_traces(WINDOW, PERIOD, FIRST * PERIOD), _traces(LENGTH // RATE, PERIOD * RATE, 0.0)), strict=True)
    ),
}
"""Traces of raw tables."""


def table_of(traces: Mapping[str, WaveformTable]) -> Table:
    """A raw table of one row with these traces."""
    scalars = {name: Array(np.zeros(1, dtype)) for dtype, names in COLUMNS.items() for name in names}
    return Table(col_dict={**scalars, **traces})


def _parameters(chain: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Parameters for a chain, and whether some are guessed: those that have no default and are a calibration's."""
    given = {part: dict(values) for part, values in DIGITIZER.items()}
    known = {f"{part}.{name}" for part, values in DIGITIZER.items() for name in values}
    nodes = [node for node in chain["processors"].values() if isinstance(node, Mapping)]
    defaults = {str(name).removeprefix("db.") for node in nodes for name in node.get("defaults") or ()}
    used = {name for node in chain["processors"].values() for name in _PARAMETER.findall(json.dumps(node))}
    missing = sorted(used - defaults - known)
    for name in missing:
        *folders, last = name.split(".")
        place: Any = given
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = 10.0
    return given, bool(missing)


def _said(chain: Mapping[str, Any], error: Exception) -> Wrong:
    """What dspeed says of a chain that cannot be built, with the processor."""
    text, cause = str(error), error.__cause__ or error.__context__
    if linked := _LINKED.search(text):
        name = linked[1]
        return Wrong(f"no processor makes the variable {name!r}, and no raw file has it", _using(chain, name))
    if added := _ADDED.search(text):
        name = _named(chain["processors"], json.loads(added[1]))
        why = str(cause or "").strip() or f"its arguments do not fit ({type(cause).__name__})"
        return Wrong(f"the processor {name!r} cannot be built: {' '.join(why.split())}", ("processors", name, "args"))
    if circle := _CIRCLE.search(text):
        return Wrong(" ".join(text.split()), _using(chain, circle[1]))
    return Wrong(" ".join((text or str(cause)).split()) or type(error).__name__)


def _named(processors: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """The name of the processor that dspeed shows without it."""
    same = (name for name, each in processors.items() if isinstance(each, Mapping) and _alike(each, node))
    return next(same, "")


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether dspeed shows this processor: with parameters in place of their names."""
    if one.get("function") != other.get("function"):
        return False
    mine, theirs = ([*node.get("args", ()), *node.get("init_args", ())] for node in (one, other))
    same = (a == b or _PARAMETER.search(str(a)) is not None for a, b in zip(mine, theirs, strict=False))
    return len(mine) == len(theirs) and all(same)


def _using(chain: Mapping[str, Any], variable: str) -> tuple[str, ...]:
    """The place of the first processor that uses or makes a variable."""
    word = re.compile(rf"\b{re.escape(variable)}\b")
    names: Sequence[str] = [name for name, node in chain["processors"].items() if word.search(json.dumps(node))]
    return ("processors", names[0]) if names else ()


if __name__ == "__main__":
    sys.exit(main())
