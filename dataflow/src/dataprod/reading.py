"""Reading tables: each file is opened once, only the columns that are needed are read, in pieces of bounded size."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import h5py
import lh5
import numpy as np
from lgdo import Table
from numpy.typing import NDArray

from dataflow.base.errors import UserError
from dataflow.base.messages import listing, nearest
from dataflow.keys.channel import Channel
from dataflow.keys.scheme import TIMESTAMP

from .condition import FILE_TIME, Condition
from .production import BY_CHANNEL, CHANNEL_FIELDS, Production, TierFile
from .tables import Labelled, converted, joined, selected

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

log = logging.getLogger(__name__)

UNBOUNDED = 2**62
KEY = "key"
"""The column with the whole key of each row's file."""


@dataclass(frozen=True)
class Request:
    """What is to be read.

    Parameters
    ----------
    columns
        Columns of the files; None for all.
    labels
        Columns that are the same for all rows of a file or channel: ``detector``, fields of the key. The time in the
        name of the file is ``key_timestamp``: ``timestamp`` is a column of the tables.
    where
        The condition.
    detectors
        Names or patterns; None for all.
    system
        Only channels of this one; empty for all.
    """

    columns: tuple[str, ...] | None
    labels: tuple[str, ...]
    where: Condition
    detectors: tuple[str, ...] | None
    system: str = ""

    @property
    def by_system(self) -> bool:
        """Whether tables of several systems, which have different columns, are asked for at once."""
        return self.columns is None and self.detectors is None and not self.system


def load(
    production: Production,
    files: Sequence[TierFile],
    columns: Sequence[str] | None,
    where: Condition,
    detectors: Sequence[str] | None,
    system: str,
    library: str,
) -> Any:
    """All rows in one table, or in one for each system; see :meth:`Production.load`."""
    request = _request(production, files, columns, where, detectors, system)
    pieces = [piece for piece in _pieces(production, files, request, lambda: UNBOUNDED) if len(piece.table)]
    if files[0].tier in BY_CHANNEL and request.by_system:
        systems = sorted({piece.system for piece in pieces})
        return {name: _whole([piece for piece in pieces if piece.system == name], library) for name in systems}
    return _whole(pieces or [_empty(production, files, request)], library)


def _whole(pieces: Sequence[Labelled], library: str) -> Any:
    """Pieces in one table of a library; it is said which columns some of them lack."""
    found = joined(pieces)
    if found.lacking:
        log.warning("missing values, as not all have the column: %s", listing(map(_lacking, found.lacking.items())))
    if library == "lgdo" and found.absent:
        hint = "name columns that all have, or take library='ak'"
        raise UserError(f"LGDO has no missing values, and not all tables have {listing(found.absent)}", hint=hint)
    return converted(found, library)


def _lacking(entry: tuple[str, Sequence[Mapping[str, Any]]]) -> str:
    name, tables = entry
    who = sorted({str(labels.get("detector", "")) for labels in tables} - {""})
    return f"{name} ({listing(who)})" if who else name


def iterate(
    production: Production,
    files: Sequence[TierFile],
    columns: Sequence[str] | None,
    where: Condition,
    detectors: Sequence[str] | None,
    system: str,
    library: str,
    rows: int,
) -> Iterator[Any]:
    """Tables of `rows` rows, the last one of fewer; see :meth:`Production.iterate`."""
    request = _request(production, files, columns, where, detectors, system)
    if files[0].tier in BY_CHANNEL and request.by_system:
        for name in _systems(production, files):
            labels = (*request.labels, *({"system"} - {*request.labels}))
            yield from _iterated(production, files, replace(request, system=name, labels=labels), library, rows)
    else:
        yield from _iterated(production, files, request, library, rows)


def _iterated(
    production: Production, files: Sequence[TierFile], request: Request, library: str, rows: int
) -> Iterator[Any]:
    held = _Held(rows)
    for piece in _pieces(production, files, request, held.room):
        held.add(piece)
        if not held.room():
            yield _whole(held.taken(), library)
    if held.pieces:
        yield _whole(held.taken(), library)


def _systems(production: Production, files: Sequence[TierFile]) -> list[str]:
    """The systems of which there are tables in some files."""
    found: set[str] = set()
    for file in files:
        with opened(file) as node:
            found |= {channel.system for _, channel in _tables(production, file, node, None) if channel}
    return sorted(found)


class _Held:
    """Pieces that wait until they are `most` rows together."""

    def __init__(self, most: int) -> None:
        self.most, self.pieces = most, list[Labelled]()

    def room(self) -> int:
        """How many rows more may be read."""
        return self.most - sum(len(piece.table) for piece in self.pieces)

    def add(self, piece: Labelled) -> None:
        if len(piece.table):
            self.pieces.append(piece)

    def taken(self) -> list[Labelled]:
        """The pieces, which wait no more."""
        pieces, self.pieces = self.pieces, []
        return pieces


def columns_of(production: Production, files: Sequence[TierFile], detector: str) -> list[str]:
    """The columns of a table of the first of some files that has the detector, or any channel if none is named."""
    for file in files:
        if detector and file.tier in BY_CHANNEL and not production.has_channel(file, detector):
            continue
        with opened(file) as node:
            tables = list(_tables(production, file, node, [detector] if detector else None))
            if tables:
                germanium = [table for table, channel in tables if channel and channel.system == "geds"]
                return sorted(_columns(node[(germanium or [table for table, _ in tables])[0]]))
    raise _no_table(production, files, detector)


def _no_table(production: Production, files: Sequence[TierFile], detector: str) -> UserError:
    """Why no file has a table of a detector."""
    tier = files[0].tier
    which = f"{files[0]}" if len(files) == 1 else f"the {len(files)} files from {files[0]} to {files[-1]}"
    names = {channel.name for file in files if file.key for channel in production.channels(file, None)}
    hint = "" if not detector or detector in names else nearest(detector, names)
    return UserError(f"there is no {tier} table of {detector or 'any channel'} in {which}", hint=hint)


def _request(
    production: Production,
    files: Sequence[TierFile],
    columns: Sequence[str] | None,
    where: Condition,
    detectors: Sequence[str] | None,
    system: str,
) -> Request:
    """Sort out which names are columns of the files and which are the same for all rows of a piece."""
    by_channel = files[0].tier in BY_CHANNEL
    if detectors is not None and not by_channel:
        raise UserError(f"the tier {files[0].tier} is by event, not by detector", hint="leave detectors out")
    if system:
        _check_system(production, files, system, by_channel=by_channel)
    known = (KEY, FILE_TIME, *production.cycle.scheme.series_fields, *(CHANNEL_FIELDS if by_channel else ()))
    labels = [name for name in columns or () if name in known]
    if by_channel and "detector" not in labels:
        labels.append("detector")
    of_file = None if columns is None else tuple(name.replace(".", "/") for name in columns if name not in known)
    return Request(of_file, tuple(labels), where, None if detectors is None else tuple(detectors), system)


def _check_system(production: Production, files: Sequence[TierFile], system: str, *, by_channel: bool) -> None:
    """Refuse a system that no channel of the files belongs to."""
    if not by_channel:
        raise UserError(f"the tier {files[0].tier} is by event, not by system", hint="leave system out")
    there = {channel.system for file in files if file.key for channel in production.channels(file, None)}
    if system not in there:
        raise UserError(f"there is no system {system!r} in {files[0].tier}", hint=f"there are: {listing(there)}")


def _pieces(production: Production, files: Sequence[TierFile], request: Request, most: Any) -> Iterator[Labelled]:
    """Tables of single channels of single files, at most `most()` rows read at a time."""
    found = False
    lacking: set[str] = set()
    for file in files:
        with opened(file) as node:
            for table, channel in _tables(production, file, node, request.detectors):
                if request.system and (channel is None or channel.system != request.system):
                    continue
                known = _labels(file, channel)
                if not _may_hold(request.where, known):
                    found = True
                    continue
                missing = _missing(node[table], request, known)
                if missing:
                    _note_missing(file, table, channel, missing, request, lacking)
                    continue
                found = True
                yield from _read(node, table, known, request, most)
    if not found:
        raise _nothing(production, files, request)
    if lacking:
        log.warning("left out, because they do not have the columns: %s", listing(lacking))


def opened(file: TierFile) -> AbstractContextManager[Any]:
    """A file for reading.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    try:
        return h5py.File(file.path, "r")  # type: ignore[no-any-return]
    except OSError as error:
        raise UserError(
            f"{file.path} cannot be read: {error}", hint="`dataprod verify CYCLE` finds damaged files"
        ) from None


def _tables(
    production: Production, file: TierFile, node: h5py.File, detectors: Sequence[str] | None
) -> Iterator[tuple[str, Channel | None]]:
    """The tables of a file with their channels; of events without one."""
    if file.tier in BY_CHANNEL:
        for channel in production.channels(file, detectors):
            table = production.table(file.tier, channel)
            if table in node:
                yield table, channel
        return
    yield from ((group, None) for group in event_tables(production, file, node))


def event_tables(production: Production, file: TierFile, node: h5py.File) -> list[str]:
    """The tables of a file of events."""
    name = production.cycle.setup.table_format[file.tier].replace("{grp}/", "")
    return [name] if name in node else [f"{group}/{name}" for group in node if f"{group}/{name}" in node]


def _labels(file: TierFile, channel: Channel | None) -> dict[str, Any]:
    """What is the same for all rows of a table."""
    of_channel = (
        {
            "detector": channel.name,
            "system": channel.system,
            "usability": channel.usability,
            "processable": channel.processable,
        }
        if channel
        else {}
    )
    return {KEY: str(file)} | file.labels | of_channel


def _may_hold(where: Condition, known: Mapping[str, Any]) -> bool:
    """Whether the terms that need no columns hold."""
    return all(term(known) for term in where.terms if term.names <= known.keys())


def _needed(request: Request, known: Mapping[str, Any]) -> set[str]:
    """The columns that the condition needs."""
    return {name for name in request.where.names if name not in known}


def _missing(table: h5py.Group, request: Request, known: Mapping[str, Any]) -> list[str]:
    """The columns that a table should have and has not."""
    return sorted(name for name in {*(request.columns or ()), *_needed(request, known)} if name not in table)


def _note_missing(
    file: TierFile, table: str, channel: Channel | None, missing: list[str], request: Request, lacking: set[str]
) -> None:
    """Refuse missing columns of what was asked for by name; others are left out, germanium detectors not silently.

    Raises
    ------
    UserError
        It names the column and the nearest right one.
    """
    by_name = request.detectors is not None and channel is not None and channel.name in request.detectors
    if channel is None or by_name:
        with h5py.File(file.path, "r") as node:
            have = _columns(node[table])
        where = f"{channel.name if channel else file.tier} of {file}"
        raise UserError(f"there is no column {missing[0]!r} in {where}", hint=_hint(missing[0], have))
    if channel.system == "geds":
        lacking.add(f"{channel.name} in {file}")


def _hint(name: str, have: Sequence[str]) -> str:
    """What a missing column may be meant to be."""
    also = f"; the time in the name of a file is {FILE_TIME}" if name == TIMESTAMP else ""
    return nearest(name, [other for other in have if not also or other != FILE_TIME]) + also


def _nothing(production: Production, files: Sequence[TierFile], request: Request) -> UserError:
    """Why no table of any file could be used."""
    have = columns_of(production, files, "")
    known = _labels(files[0], None) | dict.fromkeys(CHANNEL_FIELDS)
    wrong = sorted({*(request.columns or ()), *_needed(request, known)} - set(have))
    if wrong:
        hint = _hint(wrong[0], [*have, *known])
        return UserError(f"no table of {files[0].tier} has the column {wrong[0]!r}", hint=hint)
    return UserError(f"{files[0].tier} has no tables of {listing(request.detectors or ())}")


def _columns(node: h5py.Group, above: str = "") -> list[str]:
    """The columns of a table, those of tables in it with slashes."""
    names = []
    for name in node:
        child = node[name]
        inner = isinstance(child, h5py.Group) and str(child.attrs.get("datatype", "")).startswith("table")
        names += _columns(child, f"{above}{name}/") if inner else [f"{above}{name}"]
    return names


def _read(node: h5py.File, table: str, known: Mapping[str, Any], request: Request, most: Any) -> Iterator[Labelled]:
    """Read a table piece by piece."""
    needed = _needed(request, known)
    names = None if request.columns is None else sorted({*request.columns, *needed} or {_first(node[table])})
    kept = set(names or ()) - (needed - set(request.columns or ())) if request.columns is not None else None
    labels = {name: known[name] for name in request.labels if name in known}
    total, start = lh5.read_n_rows(table, node), 0
    while start < total:
        count = min(most(), total - start)
        piece = lh5.read(table, node, start_row=start, n_rows=count, field_mask=names)
        start += count
        if needed:
            piece = selected(piece, _mask(piece, request.where, known))
        if kept is not None:
            _drop(piece, kept if request.columns else set())
        yield Labelled(piece, labels, known.get("system", ""))


def _first(node: h5py.Group) -> str:
    """Some column: labels alone still need the number of rows."""
    return _columns(node)[0]


def _mask(piece: Table, where: Condition, known: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which rows fit.

    Raises
    ------
    UserError
        If the condition gives no truth value a row.
    """
    values = dict(known)
    for name in where.names - values.keys():
        values[name] = _array(piece, name)
    result = where(values)
    if isinstance(result, bool):
        return np.full(len(piece), result)
    mask = np.asarray(result)
    if mask.dtype != np.bool_ or mask.shape != (len(piece),):
        raise UserError(
            f"{where.text!r} is not true or false for each row", hint="compare columns with one value a row"
        )
    return mask


def _array(piece: Table, name: str) -> NDArray[Any]:
    node = piece
    for part in name.split("/"):
        node = node[part]
    values = getattr(node, "nda", None)
    if values is None or values.ndim != 1:
        raise UserError(f"{name} has no single value a row, so it cannot be in a condition")
    return np.asarray(values)


def _drop(piece: Table, kept: set[str], above: str = "") -> None:
    """Take away columns that were read for the condition only."""
    for name in list(piece):
        place = f"{above}{name}"
        if place in kept or any(place.startswith(f"{each}/") for each in kept):
            continue
        if isinstance(piece[name], Table) and any(each.startswith(f"{place}/") for each in kept):
            _drop(piece[name], kept, f"{place}/")
        else:
            del piece[name]


def _empty(production: Production, files: Sequence[TierFile], request: Request) -> Labelled:
    """A table without rows, of the columns that were asked for."""
    everything = replace(request, where=Condition())
    for piece in _pieces(production, files, everything, lambda: 1):
        return Labelled(selected(piece.table, np.zeros(len(piece.table), dtype=bool)), piece.labels)
    raise UserError(f"the {files[0].tier} files have no rows")
