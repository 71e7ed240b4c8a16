"""Which files hold when: validity lists and the folders that they belong to.

A folder of metadata has a ``validity.yaml`` (also ``.yml``, ``.json``, or the legacy ``validity.jsonl``): a list of
``{valid_from, category = all, mode = append, apply}``. For each category the list is a timeline; at a time, the files
of the last entry at or before it are merged in order. A category without an entry yet falls back to ``all``.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from dataflow.base.errors import UserError
from dataflow.base.messages import listing, nearest
from dataflow.base.textfile import SUFFIXES, Reader, TextFile, is_inside, kind
from dataflow.base.times import to_text

from .merge import merged_all

ALL = "all"
MODES = ("append", "remove", "reset", "replace")
FIELDS = ("valid_from", "category", "mode", "apply")
RENAMED = {"system": "category", "select": "category"}


@dataclass(frozen=True)
class Entry:
    """From `valid_from` on, these files hold; `place` says where that is written."""

    valid_from: str
    files: tuple[str, ...]
    place: str = ""


@dataclass(frozen=True)
class Validity:
    """The timelines of a validity list, one a category, each sorted by time."""

    timelines: Mapping[str, Sequence[Entry]]

    @cached_property
    def _starts(self) -> Mapping[str, Sequence[str]]:
        return {name: [entry.valid_from for entry in line] for name, line in self.timelines.items()}

    def at(self, timestamp: str, category: str = ALL) -> Entry | None:
        """The entry that holds at a time, None if nothing does yet."""
        for name in (category, ALL):
            position = bisect_right(self._starts.get(name, ()), timestamp)
            if position:
                return self.timelines[name][position - 1]
        return None

    def first(self, category: str = ALL) -> str | None:
        """The earliest time at which anything holds for the category."""
        starts = [line[0].valid_from for name in (category, ALL) if (line := self.timelines.get(name))]
        return min(starts, default=None)


@dataclass(frozen=True)
class _Item:
    """One entry of the list as it is written, checked."""

    valid_from: str
    categories: tuple[str, ...]
    mode: str
    apply: tuple[str, ...]
    place: str


def read_validity(path: Path, reader: Reader) -> Validity:
    """Read a validity file.

    Raises
    ------
    UserError
        If an entry has a wrong form or takes away what is not there; the file and the line are named.
    """
    if path.suffix == ".jsonl":
        return build(_jsonl(path), last_wins=True)
    text = reader(path)
    if text.data == {}:
        return Validity({})
    if not isinstance(text.data, list):
        raise text.error(f"a list of validity entries is expected here, not {kind(text.data)}")
    items = [_item(text, position, "append") for position in range(len(text.data))]
    return build(sorted(items, key=lambda item: item.valid_from))


def build(items: Sequence[_Item], *, last_wins: bool = False) -> Validity:
    """The timelines that a sequence of entries spells out."""
    timelines: dict[str, list[Entry]] = {}
    for item in items:
        for category in item.categories:
            timeline = timelines.setdefault(category, [])
            if not last_wins and any(entry.valid_from == item.valid_from for entry in timeline):
                raise UserError(
                    f"{item.place}: a second entry of {item.valid_from} for category {category!r}",
                    hint="write one entry with mode: reset and all files that hold",
                )
            timeline.append(Entry(item.valid_from, _applied(item, timeline), item.place))
    return Validity({name: sorted(line, key=lambda entry: entry.valid_from) for name, line in timelines.items()})


def _applied(item: _Item, timeline: Sequence[Entry]) -> tuple[str, ...]:
    """The files that hold from this entry on."""
    if not timeline or item.mode == "reset":
        return item.apply
    files = list(timeline[-1].files)
    if item.mode == "append":
        return (*files, *item.apply)
    if item.mode == "replace" and len(item.apply) != 2:
        raise UserError(f"{item.place}: mode replace takes the old and the new file, not {len(item.apply)} names")
    gone, new = (item.apply[:1], item.apply[1:]) if item.mode == "replace" else (item.apply, ())
    for name in gone:
        if name not in files:
            raise UserError(f"{item.place}: cannot {item.mode} {name!r}, which is not valid then", hint=_held(files))
        files.remove(name)
    return (*files, *new)


def _held(files: Sequence[str]) -> str:
    return f"valid are: {listing(files)}"


def _item(text: TextFile, position: int, default_mode: str) -> _Item:
    raw = text.data[position]
    if not isinstance(raw, dict):
        raise text.error(f"a validity entry must be a mapping, not {kind(raw)}", position)
    place = f"{text.path}:{text.line(position)}"
    try:
        return _checked(raw, default_mode, place)
    except _Wrong as error:
        raise text.error(error.message, position, error.field, hint=error.hint) from None


def _jsonl(path: Path) -> list[_Item]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise UserError(f"{path} cannot be read: {exc.strerror}") from exc
    items = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            place = f"{path}:{number}"
            try:
                raw = json.loads(line)
                items.append(_checked(raw if isinstance(raw, dict) else {}, "reset", place))
            except JSONDecodeError as exc:
                raise UserError(f"{place}: {exc.msg}", hint="each line is one JSON object") from exc
            except _Wrong as error:
                raise UserError(f"{place}: {error.message}", hint=error.hint) from None
    return items


class NoSuchFile(UserError):
    """A validity list names a file that is not there."""


class _Wrong(Exception):
    def __init__(self, field: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.field, self.message, self.hint = field, message, hint


def _checked(raw: Mapping[str, Any], default_mode: str, place: str) -> _Item:
    for name in raw:
        if name not in FIELDS:
            hint = f"write {RENAMED[name]!r}" if name in RENAMED else nearest(str(name), FIELDS)
            raise _Wrong(name, f"unknown key {name!r} in a validity entry", hint)
    valid_from = to_text(raw.get("valid_from"))
    if valid_from is None:
        raise _Wrong("valid_from", f"valid_from must be a UTC time YYYYmmddTHHMMSSZ, not {raw.get('valid_from')!r}")
    mode = raw.get("mode", default_mode)
    if mode not in MODES:
        raise _Wrong("mode", f"mode {mode!r} is none of {', '.join(MODES)}", nearest(str(mode), MODES))
    categories = _names(raw.get("category", ALL), "category")
    return _Item(valid_from, categories, mode, _names(raw.get("apply"), "apply", empty=True), place)


def _names(value: object, field: str, *, empty: bool = False) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not (names or empty):
        raise _Wrong(field, f"{field} must be a name or a list of names, not {kind(value)}")
    return tuple(names)


class Folder:
    """A folder of metadata files with a validity list.

    Parameters
    ----------
    path
        The folder; it need not exist.
    reader
        Reads and keeps files.
    """

    def __init__(self, path: Path, reader: Reader) -> None:
        self.path = path
        self._reader = reader
        self._validity: Validity | None = None
        self._merged: dict[tuple[str, ...], dict[str, Any]] = {}

    @property
    def file(self) -> Path | None:
        """The validity file, None if the folder has none."""
        names = [f"validity{suffix}" for suffix in (*SUFFIXES, ".jsonl")]
        return next((self.path / name for name in names if (self.path / name).is_file()), None)

    @property
    def validity(self) -> Validity:
        """The validity list, an empty one if there is none."""
        if self._validity is None:
            file = self.file
            self._validity = read_validity(file, self._reader) if file else Validity({})
        return self._validity

    def files(self, timestamp: str, category: str = ALL) -> tuple[Path, ...]:
        """The files that hold at a time, in the order in which they are merged.

        Raises
        ------
        UserError
            If one is missing or lies outside the folder; the place in the validity file is named.
        """
        entry = self.validity.at(timestamp, category)
        return tuple(self._locate(name, entry.place) for name in entry.files) if entry else ()

    def read(self, name: str) -> object:
        """The content of a file of the folder.

        Raises
        ------
        UserError
            If it is not there or not valid.
        """
        return self._reader(self._locate(name, str(self.file or self.path))).data

    def on(self, timestamp: str, category: str = ALL) -> dict[str, Any]:
        """The merged content of the files that hold at a time. Shared between calls: do not change it."""
        entry = self.validity.at(timestamp, category)
        names = entry.files if entry else ()
        if names not in self._merged:
            self._merged[names] = merged_all(self._reader(path).mapping() for path in self.files(timestamp, category))
        return self._merged[names]

    def require(self, timestamp: str, category: str = ALL) -> dict[str, Any]:
        """Like :meth:`on`, but nothing being valid is an error."""
        if self.validity.at(timestamp, category) is None:
            where = self.file or self.path / "validity.yaml"
            first = self.validity.first(category)
            hint = f"the first entry is valid from {first}" if first else "write one, with a file to apply"
            raise UserError(f"{where}: nothing is valid at {timestamp} for category {category!r}", hint=hint)
        return self.on(timestamp, category)

    def error(self, message: str, timestamp: str, category: str, *names: str, hint: str = "") -> UserError:
        """The error to raise about merged content: it names the last file that says it, and the line."""
        texts = [self._reader(path) for path in reversed(self.files(timestamp, category))]
        for length in range(len(names), 0, -1):
            for text in texts:
                if _holds(text.data, names[:length]):
                    return text.error(message, *names, hint=hint)
        return UserError(f"{self.path}: {message}", hint=hint)

    def _locate(self, name: str, place: str) -> Path:
        path = self.path / name
        if not is_inside(path, self.path):
            raise UserError(f"{place}: {name!r} lies outside {self.path}", hint="files to apply are below the folder")
        if path.is_file():
            return path
        for suffix in SUFFIXES:
            if path.with_name(path.name + suffix).is_file():
                return path.with_name(path.name + suffix)
        raise NoSuchFile(f"{place}: there is no file {name!r} in {self.path}", hint=self._alike(name))

    def _alike(self, name: str) -> str:
        """What to do where a file is not there; one whose name differs in upper and lower case is meant."""
        folder = (self.path / name).parent
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        found = next((each for each in names if each.lower() == Path(name).name.lower()), "")
        meant = f"there is {found!r}: upper and lower case differ, name it so"
        return meant if found else "name a file of that folder"


def _holds(data: object, names: Sequence[str]) -> bool:
    for name in names:
        if not isinstance(data, Mapping) or name not in data:
            return False
        data = data[name]
    return True
