"""What figures are drawn from, as plain LH5: under the names that the collaboration's dashboard reads, and as drawn.

A step says in one place, ``plot_data`` of its ``plotdata.py``, what has a name of its own
(``ecal/cuspEmax_ctc_cal/spectrum``). It need not: everything that a figure shows is taken from the figure itself, under
``<detector>/drawn/<step>``, so that it can be drawn again elsewhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .lh5files import LIBVER, open_input
from .lh5tables import properties, put_attributes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = Mapping[Any, Any]

COMMON = "common"
"""Beside the detectors: what the dashboard shows of all detectors of a string, by detector."""
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


def drawn(figure: Figure) -> dict[str, Any]:
    """What a figure shows: its texts, and by axes labels, limits and curves in the units of the axes.

    Returns
    -------
    dict
        ``texts``, and ``axes0`` … each with ``title``, ``xlabel``, ``ylabel``, ``xscale``, ``yscale``, ``xlim``,
        ``ylim``, and ``curve0`` … each with ``kind``, ``label`` and its arrays: ``x``, ``y`` of a line or points; of
        points with errors ``x_low``, ``x_high``, ``y_low``, ``y_high``; ``edges``, ``counts`` of a histogram;
        ``x_edges``, ``y_edges``, ``counts`` of a map.
    """
    texts = [text.get_text() for text in figure.texts]
    title = figure.get_suptitle()
    found: dict[str, Any] = {"texts": [*([title] if title else []), *texts]}
    return found | {f"axes{number}": _axes(axes) for number, axes in enumerate(figure.axes)}


def _axes(axes: Axes) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": axes.get_title(),
        "texts": [text.get_text() for text in axes.texts] or None,
        **{name: getattr(axes, f"get_{name}")() for name in ("xlabel", "ylabel", "xscale", "yscale")},
        **{name: np.asarray(getattr(axes, f"get_{name}")(), dtype=float) for name in ("xlim", "ylim")},
    }
    number = count()
    return found | {f"curve{next(number)}": curve for curve in _curves(axes)}


def _curves(axes: Axes) -> Iterator[dict[str, Any]]:
    from matplotlib.container import ErrorbarContainer

    within: set[int] = set()
    for bars in axes.containers:
        if isinstance(bars, ErrorbarContainer):
            within |= {id(artist) for artist in _flat(bars)}
            yield _label(bars) | {"kind": "points"} | _with_errors(bars)
    for artist in axes.get_children():
        curve = _curve(artist) if id(artist) not in within else None
        if curve is not None:
            yield _label(artist) | curve


def _flat(bars: Any) -> Iterator[Any]:
    data, caps, lines = bars
    yield from (data, *caps, *lines)


def _with_errors(bars: Any) -> dict[str, Any]:
    data, _, lines = bars
    found = _points(data) if data is not None else {}
    sides = [name for name, there in (("x", bars.has_xerr), ("y", bars.has_yerr)) if there]
    for name, bar in zip(sides, lines, strict=False):
        ends = np.array([segment[:, 0 if name == "x" else 1] for segment in bar.get_segments()])
        found |= {f"{name}_low": ends[:, 0], f"{name}_high": ends[:, -1]} if len(ends) else {}
    return found


def _curve(artist: Any) -> dict[str, Any] | None:
    from matplotlib.collections import PathCollection, PolyCollection, QuadMesh
    from matplotlib.lines import Line2D
    from matplotlib.patches import StepPatch

    if isinstance(artist, Line2D):
        return {"kind": "points" if artist.get_linestyle() == "None" else "line"} | _points(artist)
    if isinstance(artist, StepPatch):
        values, edges, _ = artist.get_data()
        return {"kind": "histogram", "edges": np.asarray(edges, float), "counts": np.asarray(values, float)}
    if isinstance(artist, PathCollection):
        places = np.asarray(artist.get_offsets(), dtype=float)
        return {"kind": "points", "x": places[:, 0], "y": places[:, 1]}
    if isinstance(artist, QuadMesh):
        return _map(artist)
    if isinstance(artist, PolyCollection):
        corners = np.concatenate([path.vertices for path in artist.get_paths()] or [np.empty((0, 2))])
        return {"kind": "area", "x": corners[:, 0], "y": corners[:, 1]}
    return None


def _points(line: Any) -> dict[str, NDArray[np.float64]]:
    return {name: np.asarray(getattr(line, f"get_{name}data")(orig=False), dtype=float) for name in ("x", "y")}


def _map(mesh: Any) -> dict[str, Any]:
    corners, values = mesh.get_coordinates(), np.ma.filled(np.ma.asarray(mesh.get_array()).astype(float), np.nan)
    shape = corners.shape[0] - 1, corners.shape[1] - 1
    return {"kind": "map", "x_edges": corners[0, :, 0], "y_edges": corners[:, 0, 1], "counts": values.reshape(shape)}


def _label(artist: Any) -> dict[str, Any]:
    """Its entry in the legend, if it has one."""
    label = str(artist.get_label() or "")
    return {} if label.startswith("_") else {"label": label}


def of_all(step: str, figure: Figure) -> dict[str, Any]:
    """What a step draws of all detectors in one figure."""
    return {COMMON: {DRAWN: {step: drawn(figure)}}}


def of_detector(name: str, step: str, figure: Figure, named: Values) -> dict[str, Any]:
    """All that a step has of a detector's figure: what it names itself, and what is drawn."""
    own = {key: value for key, value in named.items() if key != COMMON}
    shared = {COMMON: {name: named[COMMON]}} if COMMON in named else {}
    return {name: {**own, DRAWN: {step: drawn(figure)}}, **shared}
