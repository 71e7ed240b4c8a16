"""What figures are drawn from, as plain LH5: under the names that the collaboration's dashboard reads, and as drawn.

A step says in one place, ``plot_data`` of its ``plotdata.py``, what has a name of its own
(``ecal/cuspEmax_ctc_cal/spectrum``). It need not: its pages are there as a whole, under ``<detector>/drawn/<step>``,
from which they are drawn, by another job or elsewhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dataflow.jobs.lh5files import LIBVER, open_input
from dataflow.jobs.lh5tables import properties, put_attributes

from .page import Page
from .stored import from_values, values_of

Values = Mapping[Any, Any]

COMMON = "common"
"""Beside the detectors: what the dashboard shows of all detectors of a string, by detector."""
ALL = "_"
"""Instead of a detector: a page of all of them."""
DRAWN = "drawn"
COMPRESSED = 256
"""Elements from which on an array is compressed."""
CHUNK = 1 << 17
"""Elements of a chunk at most: a megabyte of floating-point numbers, as HDF5 keeps one."""
TEXT = h5py.string_dtype()
_UNSAFE = re.compile(r"[/.]")
DATATYPES = {"b": "bool", "U": "string", "O": "string"}


def field_name(name: object) -> str:
    """A name as LH5 can have it and the collaboration writes it: ``2614p511`` for 2614.511."""
    return _UNSAFE.sub(lambda match: "p" if match[0] == "." else "_", str(name))


def write(path: Path, content: Values) -> None:
    """Write nested mappings of arrays, numbers and texts into a file; None is left out.

    Parameters
    ----------
    path
        The file, which must not be there.
    content
        Structs by name; arrays of numbers, booleans or texts have any shape.
    """
    with h5py.File(path, "w", libver=LIBVER) as file:
        _write_members(file.id, content)


def _write_members(group: Any, content: Values) -> None:
    names = set()
    for name, value in content.items():
        if value is not None:
            names.add(field_name(name))
        if isinstance(value, Mapping):
            _write_members(h5py.h5g.create(group, field_name(name).encode()), value)
        elif value is not None:
            _write_value(group, field_name(name), value)
    if h5py.h5i.get_name(group) != b"/":
        put_attributes(group, {"datatype": _struct(sorted(names))})


def _write_value(group: Any, name: str, value: Any) -> None:
    """Write an array, number or text: some hundred a page, so by single calls of HDF5 with what is made once."""
    array = np.asarray(value)
    kind = DATATYPES.get(array.dtype.kind, "real")
    array = np.asarray(array, dtype=TEXT) if kind == "string" else np.asarray(array, order="C")
    stored, held = _types(array.dtype)
    storage = (
        properties(_chunk(array.shape), everywhere=True) if array.size >= COMPRESSED and kind != "string" else _plain()
    )
    data = h5py.h5d.create(group, name.encode(), stored, h5py.h5s.create_simple(array.shape), storage)
    if array.size:
        data.write(h5py.h5s.ALL, h5py.h5s.ALL, array, held)
    put_attributes(data, {"datatype": f"array<{array.ndim}>{{{kind}}}" if array.ndim else kind})


@lru_cache
def _types(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """How values lie in the file, and in memory."""
    stored, held = (h5py.h5t.py_create(dtype, logical=own) for own in (True, False))
    return stored, held


@lru_cache
def _plain() -> Any:
    """Properties of what is stored as it is; without times, so that the same figure makes the same bytes."""
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_obj_track_times(False)
    return made


def _chunk(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of chunks: whole rows, of :data:`CHUNK` elements or one row."""
    row = math.prod(shape[1:])
    return (max(min(shape[0], CHUNK // max(row, 1)), 1), *shape[1:])


def _name_members(group: h5py.Group) -> None:
    if group.name != "/":
        group.attrs["datatype"] = _struct(group)


def _struct(names: Iterable[str]) -> str:
    return f"struct{{{','.join(names)}}}"


def join(paths: Iterable[Path], target: Path) -> None:
    """Put the content of several files into one; what several have under one name is that of the first."""
    with h5py.File(target, "w", libver=LIBVER) as out:
        for path in paths:
            with open_input(path) as source:
                _join(source, out)


def _join(source: h5py.Group, out: h5py.Group) -> None:
    for name in source:
        if name not in out:
            source.copy(name, out)
        elif isinstance(source[name], h5py.Group) and isinstance(out[name], h5py.Group):
            _join(source[name], out[name])
    _name_members(out)


def drawn_of(path: Path, step: str, names: Iterable[str]) -> list[str]:
    """Of some detectors, those of which there is a page of a step.

    Raises
    ------
    BadInput
        If the file cannot be read.
    """
    with open_input(path) as file:
        return [name for name in names if _place(name, step) in file]


def page_of(path: Path, step: str, name: str) -> Page:
    """The page of a detector.

    Raises
    ------
    BadInput, WorkFailed
        If the file cannot be read, or what is there is no page.
    """
    with open_input(path) as file:
        return from_values(_content(file[_place(name, step)]))


def _place(name: str, step: str) -> str:
    return f"{field_name(name)}/{DRAWN}/{step}"


def _content(group: h5py.Group) -> dict[str, Any]:
    return {name: _content(child) if isinstance(child, h5py.Group) else _value(child) for name, child in group.items()}


def _value(data: h5py.Dataset) -> Any:
    if h5py.check_string_dtype(data.dtype):
        return data.asstr()[()] if not data.shape else list(data.asstr()[()])
    return data[()]


def of_detector(name: str, step: str, page: Page | None, named: Values) -> dict[str, Any]:
    """All that a step has of a detector's figure: what it names itself, and its page.

    Parameters
    ----------
    name
        The detector, or :data:`ALL`.
    step
        The step.
    page
        The page; None where there is one of all detectors.
    named
        What has a name, below the detector; what stands below ``common`` is kept for all detectors together.
    """
    own = {key: value for key, value in named.items() if key != COMMON}
    shared = {COMMON: {name: named[COMMON]}} if COMMON in named else {}
    drawn = {DRAWN: {step: values_of(page)}} if page else {}
    return {COMMON if name == ALL else name: {**own, **drawn}, **shared}
