"""Metadata files: safe YAML and JSON, read once, with the line of every entry at hand for error messages."""

from __future__ import annotations

import errno
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import yaml

from .errors import UserError

SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML may be without its C part: slower, same result."""

SUFFIXES = (".yaml", ".yml", ".json")
DEFAULT = "$default"
"""In a list: the elements that the files before give."""
REPLACE = "$replace"
"""In a mapping: whether it takes the place of what the files before give."""
HERE = re.compile(r"\$(?:\{_\}|_(?![A-Za-z0-9_]))")
MOST_NODES = 5_000_000
"""More values than any metadata file holds: aliases that multiply are refused instead of filling the memory."""
MERGE = "tag:yaml.org,2002:merge"
DEEPEST = 100
WIDEST = 1000
"""Longest line, in characters, for which the depth of its indentation needs no look."""
BRACKETS = re.compile(r"[\[\]{}]")


@dataclass(frozen=True)
class TextFile:
    """One YAML or JSON file in memory.

    Attributes
    ----------
    path
        Where it was read.
    data
        Its content with ``$_`` expanded to the folder of the file; an empty file gives an empty mapping.
    has_twice
        Whether a name stands twice in one of its mappings.
    steers
        Whether something in it may steer how files are merged: :data:`DEFAULT` or :data:`REPLACE`.
    """

    path: Path
    data: Any
    has_twice: bool = False
    steers: bool = True

    @cached_property
    def twice(self) -> tuple[tuple[tuple[str | int, ...], int], ...]:
        """The names that stand twice in one mapping: keys and positions that lead there, and the line of the last."""
        return tuple(_twice(self._root, ())) if self.has_twice else ()

    def says(self, *place: str | int) -> bool:
        """Whether the file has an entry under the given keys."""
        node = self._root
        for name in place:
            found = _child(node, name)
            if found is None:
                return False
            node = found[1]
        return True

    def names(self, *place: str) -> tuple[str, ...]:
        """The names in the mapping under the given keys."""
        node = self._root
        for name in place:
            found = _child(node, name)
            node = found[1] if found else None
        return tuple(str(key.value) for key, _ in node.value) if isinstance(node, yaml.MappingNode) else ()

    @cached_property
    def _root(self) -> yaml.Node | None:
        try:
            return yaml.compose(self.path.read_text(encoding="utf-8"), Loader=SafeLoader)
        except (OSError, yaml.YAMLError):  # JSON that YAML does not take, a file that has gone: the line stays 1
            return None

    def line(self, *names: str | int) -> int:
        """The line (from 1) of the entry under the given keys and positions, or of the last one that exists."""
        node, line = self._root, 1
        for name in names:
            found = _child(node, name)
            if found is None:
                break
            line, node = found
        return line

    def error(self, message: str, *names: str | int, hint: str = "") -> UserError:
        """The error to raise about the entry under the given keys: ``file:line: message``."""
        return UserError(f"{self.path}:{self.line(*names)}: {message}", hint=hint)

    def mapping(self) -> dict[str, Any]:
        """The content, which must be a mapping with text keys."""
        if not isinstance(self.data, dict):
            raise self.error(f"a mapping is expected here, not {kind(self.data)}")
        return self.data


def read(path: Path, content: bytes | None = None) -> TextFile:
    """Read one file.

    Parameters
    ----------
    path
        The file.
    content
        Its bytes, where they were read before.

    Raises
    ------
    UserError
        If it cannot be read, is not UTF-8, is not valid YAML (file and line are named), or asks for objects by tags.
    """
    notes: list[str] = []
    try:
        text = text_of(path) if content is None else content.decode("utf-8")
        data = _parse(path, text, notes)
    except OSError as exc:
        raise UserError(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise UserError(f"{path} is not a UTF-8 text (byte {exc.start})", hint="save it as UTF-8") from exc
    except yaml.YAMLError as exc:
        raise UserError(_sentence(path, exc), hint="see the YAML at that place; plain values only, no tags") from exc
    except JSONDecodeError as exc:
        raise UserError(f"{path}:{exc.lineno}: {exc.msg}") from exc
    except (ValueError, RecursionError) as exc:
        raise UserError(f"{path}: {exc}") from exc
    expander = _Expander(path)
    return TextFile(path, expander({} if data is None else data), bool(notes), expander.steers)


def _parse(path: Path, text: str, twice: list[str]) -> object:
    """The content of a file; names that stand twice in a mapping are added to a list."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(found)
        if len(made) < len(found):
            twice.append("here")
        return made

    if path.suffix == ".json":
        return json.loads(text, object_pairs_hook=pairs) if text.strip() else None
    return yaml_data(text, lambda text: _Noticing(text, twice))


class _Noticing(SafeLoader):  # type: ignore[misc]
    """Safe YAML that notes that a name stands twice in a mapping, where YAML silently takes the last."""

    def __init__(self, text: str, twice: list[str]) -> None:
        super().__init__(text)
        self._names_twice = twice

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != MERGE]
        if len(set(names)) < len(names):
            self._names_twice.append("here")
        return super().construct_mapping(node, deep=deep)  # type: ignore[no-any-return]


def _twice(node: yaml.Node | None, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], int]]:
    if isinstance(node, yaml.MappingNode):
        counts = Counter((key.tag, str(key.value)) for key, _ in node.value if key.tag != MERGE)
        last = {(key.tag, str(key.value)): key.start_mark.line + 1 for key, _ in node.value}
        for (tag, name), line in last.items():
            if counts[tag, name] > 1:
                yield (*place, name), line
        for key, value in node.value:
            yield from _twice(value, (*place, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            yield from _twice(item, (*place, position))


def yaml_data(text: str, kind: Any = SafeLoader) -> object:
    """The one document of a YAML text, by the safe loader or a kind of it.

    Raises
    ------
    yaml.YAMLError
        If the text is not YAML.
    ValueError
        If it is nested too deeply.
    """
    refuse_depth(text)
    loader = kind(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def text_of(path: Path) -> str:
    """The text of a file; pipes and devices, which may have no end, are not waited for.

    Raises
    ------
    OSError
        If it is not a file, or cannot be read.
    """
    if path.exists() and not path.is_file():
        number = errno.EISDIR if path.is_dir() else errno.EINVAL
        raise OSError(number, "it is a folder" if path.is_dir() else "it is not a regular file")
    return path.read_text(encoding="utf-8")


def refuse_depth(text: str) -> None:
    """Refuse YAML that is nested so deeply that the parser, which recurses in C, would crash.

    Raises
    ------
    ValueError
        If it is nested more than :data:`DEEPEST` levels deep.
    """
    depth = deepest = 0
    for bracket in BRACKETS.findall(text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if deepest <= DEEPEST and max(map(len, text.splitlines()), default=0) <= WIDEST:
        return  # each level of block style takes a column, or a bracket
    depth = 0
    for event in yaml.parse(text, Loader=SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} levels deep")


def kind(value: object) -> str:
    """What a value is, in the words of a YAML file."""
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a boolean", type(None): "nothing"}
    return names.get(type(value), f"a {type(value).__name__}")


def _sentence(path: Path, exc: yaml.YAMLError) -> str:
    mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
    problem = getattr(exc, "problem", None) or str(exc).splitlines()[0]
    return f"{path}:{mark.line + 1}: {problem}" if mark else f"{path}: {problem}"


def _child(node: yaml.Node | None, name: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(name):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(name, int) and name < len(node.value):
        return node.value[name].start_mark.line + 1, node.value[name]
    return None


class _Expander:
    def __init__(self, path: Path) -> None:
        self.path, self.seen = path, 0
        self.folder = str(path.parent)
        self.steers = False

    def __call__(self, value: object, depth: int = 0) -> object:
        self.seen += 1
        if depth > DEEPEST or self.seen > MOST_NODES:
            raise UserError(
                f"{self.path}: nested too deeply or too large", hint="look for YAML aliases that refer to themselves"
            )
        if isinstance(value, str):
            if "$" not in value:
                return value
            self.steers |= value == DEFAULT
            return HERE.sub(lambda _: self.folder, value)
        if isinstance(value, Mapping):
            self.steers |= REPLACE in value
            return {name: self(item, depth + 1) for name, item in value.items()}
        if isinstance(value, list):
            return [self(item, depth + 1) for item in value]
        return value


def read_once(path: Path) -> TextFile:
    """Read a file, unless it was read by this process and is as it was then; nobody may change what it says.

    Raises
    ------
    UserError
        As :func:`read`.
    """
    try:
        status = path.stat()
    except OSError:
        return read(path)
    return _read_once(path, status.st_mtime_ns, status.st_size)


@cache
def _read_once(path: Path, _mtime_ns: int, _size: int) -> TextFile:
    return read(path)


class Reader:
    """Reads each file once, however often it is asked for."""

    def __init__(self) -> None:
        self._files: dict[Path, TextFile] = {}
        self._inside: dict[tuple[Path, Path], bool] = {}

    def __call__(self, path: Path) -> TextFile:
        """The file at `path`, from memory if it was read before."""
        if path not in self._files:
            self._files[path] = self._read(path)
        return self._files[path]

    def _read(self, path: Path) -> TextFile:
        return read(path)

    def shipped(self, path: Path) -> TextFile:
        """A file that comes with this package, from memory if anyone in this process has read it as it is."""
        if path not in self._files:
            self._files[path] = read_once(path)
        return self._files[path]

    @property
    def read(self) -> tuple[TextFile, ...]:
        """All files that were read so far."""
        return tuple(self._files.values())

    def is_in(self, path: Path, root: Path) -> bool:
        """Whether a file lies in a folder after resolving links; looked up once."""
        if (path, root) not in self._inside:
            self._inside[path, root] = is_inside(path, root)
        return self._inside[path, root]


def is_inside(path: Path, root: Path) -> bool:
    """Whether a file lies in a folder after resolving links, also such that lead in a circle; no name has a NUL."""
    if "\0" in str(path):
        return False
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))
