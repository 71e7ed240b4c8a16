"""Processing functions of pygama, called by name with arguments that are values or columns; never by ``eval``."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import awkward as ak
import lh5
import numpy as np
from lgdo import LGDO, Array, Table, VectorOfVectors
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.base.messages import nearest
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.lgdos import attributes
from dataflow.metadata.expressions import Call, Column

from .rows import Chunk

SUPPLIED = ("datainfo", "tcm", "table_names", "channel_mapping")
"""Arguments that the event builder gives."""

READERS = ("pygama.evt.utils", "pygama.evt.modules.spms", "pygama.evt.modules.geds", "pygama.evt.modules.xtalk")
"""The modules of pygama that read files for its functions."""
_SPMS, _GEDS = "pygama.evt.modules.spms", "pygama.evt.modules.geds"
DEPTHS = {
    f"{_SPMS}.gather_pulse_data": (3, "float64"),
    f"{_SPMS}.gather_tcm_data": (2, "int64"),
    f"{_SPMS}.make_pulse_data_mask": (3, "bool"),
    f"{_GEDS}.apply_xtalk_correction": (2, "float64"),
    f"{_GEDS}.apply_xtalk_correction_and_calibrate": (2, "float64"),
}
"""Functions that fail where none of their channels fired: dimensions and type of what they return elsewhere."""


@dataclass(frozen=True)
class Surroundings:
    """What processing functions are given about files.

    Attributes
    ----------
    datainfo
        By tier: file, group, and form of table names, as :func:`pygama.evt.build_evt` takes it.
    names
        Detector names by table.
    """

    datainfo: Mapping[str, tuple[str, ...]]
    names: Mapping[str, str]


def called(call: Call, tables: Sequence[str], chunk: Chunk, columns: Mapping[str, Any], files: Surroundings) -> Any:
    """The result of a processing function.

    Parameters
    ----------
    call
        Which function, with which arguments.
    tables
        The channels that it works on.
    chunk
        The rows.
    columns
        Earlier columns of the events and parameters by name.
    files
        Where it may read.

    Returns
    -------
    array
        numpy with a value, or awkward with a list, an event.

    Raises
    ------
    UserError
        If there is no such function or argument.
    WorkFailed
        If the function fails, or returns another number of events.
    """
    function = _function(call)
    arguments = {name: _argument(value, columns, call) for name, value in call.arguments.items()}
    given = (_datainfo(files), _tcm(chunk), list(tables), dict(files.names))
    try:
        with reading_in_any_order(_is_ordered(chunk)):
            found = function(*given, **arguments)
    except Exception as error:
        raise WorkFailed(f"{call.function} failed: {type(error).__name__}: {error}") from error
    if not isinstance(found, LGDO) or len(found) != chunk.events:
        raise WorkFailed(f"{call.function} did not return a column of {chunk.events} events")
    return found.view_as("ak") if isinstance(found, VectorOfVectors) else np.asarray(found.view_as("np"))


def _is_ordered(chunk: Chunk) -> bool:
    """Whether the rows of each channel come in the order of its table."""
    places = (chunk.of_channel(key) for key in np.unique(chunk.key))
    return all((np.diff(chunk.row[place]) > 0).all() for place in places)


@contextmanager
def reading_in_any_order(is_ordered: bool) -> Iterator[None]:
    """Let the functions of pygama read rows that are not in order: times went backwards, and events are sorted by time.

    Within the block their ``lh5`` is :class:`AnyOrder`; lh5 itself refuses such rows.
    """
    modules = [] if is_ordered else [importlib.import_module(name) for name in READERS]
    for module in modules:
        module.lh5 = AnyOrder(lh5)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in modules:
            module.lh5 = lh5  # type: ignore[attr-defined]


class AnyOrder:
    """lh5, with rows in any order."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def read(self, *args: Any, idx: Any = None, **options: Any) -> Any:
        """As :func:`lh5.read`."""
        if idx is None:
            return self._real.read(*args, **options)
        rows, order = np.unique(idx, return_inverse=True)
        return taken(self._real.read(*args, idx=rows, **options), order)

    def read_as(self, *args: Any, idx: Any = None, **options: Any) -> Any:
        """As :func:`lh5.read_as`."""
        if idx is None:
            return self._real.read_as(*args, **options)
        rows, order = np.unique(idx, return_inverse=True)
        return self._real.read_as(*args, idx=rows, **options)[order]


def taken(node: Any, order: NDArray[np.int64]) -> Any:
    """The rows of an LGDO object in another order."""
    if isinstance(node, Table):
        return Table({name: taken(node[name], order) for name in node}, attrs=attributes(node))
    if isinstance(node, VectorOfVectors):
        return VectorOfVectors(node.view_as("ak")[order], attrs=attributes(node))
    return type(node)(nda=node.nda[order], attrs=attributes(node))


def _function(call: Call) -> Any:
    module, _, name = call.function.rpartition(".")
    try:
        home = importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"there is no module {module}: {error}") from error
    own = {key: value for key, value in vars(home).items() if inspect.isfunction(value) and value.__module__ == module}
    if name not in own:
        raise UserError(f"{module} has no function {name!r}", hint=nearest(name, own))
    known = inspect.signature(own[name]).parameters
    if tuple(known)[: len(SUPPLIED)] != SUPPLIED:
        raise UserError(f"{call.function} is not a processing function of events", hint="see pygama.evt.modules")
    for argument in call.arguments:
        if argument not in known or argument in SUPPLIED:
            raise UserError(f"{call.function} has no argument {argument!r}", hint=nearest(argument, known))
    return own[name]


def _argument(value: Any, columns: Mapping[str, Any], call: Call) -> Any:
    if not isinstance(value, Column):
        return value
    name = value.name.replace(".", "___")
    if name not in columns:
        raise UserError(f"{call.function}: there is no {value.name!r}", hint=nearest(name, columns))
    found = columns[name]
    if isinstance(found, ak.Array):
        return VectorOfVectors(found)
    return Array(found) if isinstance(found, np.ndarray) else found


def _datainfo(files: Surroundings) -> Any:
    from pygama.evt.utils import make_files_config

    return make_files_config(dict(files.datainfo))


def _tcm(chunk: Chunk) -> Any:
    from pygama.evt.utils import TCMData

    from .aggregate import jagged

    counts = np.bincount(chunk.event, minlength=chunk.events)
    return TCMData(table_key=jagged(chunk.key, counts), row_in_table=jagged(chunk.row, counts))
