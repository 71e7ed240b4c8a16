"""A configuration in layers: what is shipped, and the files of the metadata over it, with the place of every value.

Mappings are merged key by key, from left to right; lists and single values are replaced. In a list ``$default`` stands
for the elements that the files before it gave, and a mapping with ``$replace: true`` takes the place of what they gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dataflow.base.errors import UserError
from dataflow.base.textfile import DEFAULT, REPLACE, TextFile

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Value:
    """One value with where it was written.

    Attributes
    ----------
    value
        A text, a number, a boolean, None, or an empty list or mapping.
    text
        The file.
    place
        Keys and positions that lead to it there.
    """

    value: Any
    text: TextFile
    place: Location

    @property
    def line(self) -> int:
        """The line of the file, from 1."""
        return self.text.line(*self.place)


@dataclass(frozen=True)
class Layers:
    """Configuration files, merged.

    Attributes
    ----------
    shipped
        What comes with the dataflow.
    own
        The files of the metadata, in the order in which they are merged.
    sections
        Entries of which a file that has them all is complete: it does not need what is shipped, as in the published
        flow, where nothing is shipped.
    """

    shipped: tuple[TextFile, ...]
    own: tuple[TextFile, ...]
    sections: frozenset[str] = frozenset()

    @cached_property
    def data(self) -> dict[str, Any]:
        """The merged configuration."""
        return merged_layers([text.mapping() for text in self.shipped], [text.mapping() for text in self.own], self)

    @cached_property
    def _places(self) -> Any:
        shipped = [_placed(text.mapping(), text, ()) for text in self.shipped]
        return merged_layers(shipped, [_placed(text.mapping(), text, ()) for text in self.own], self)

    @cached_property
    def files(self) -> tuple[TextFile, ...]:
        """The files that are merged, in order; without what is shipped if the metadata's are complete."""
        given = _all([text.mapping() for text in self.own])
        return self.own if _is_complete(given, self.sections) else (*self.shipped, *self.own)

    def values(self) -> Iterator[tuple[Location, Value]]:
        """Every single value with where it was written, in the order of the files."""
        yield from _values(self._places, ())

    def origin(self, *names: str | int) -> Value | None:
        """The value under the given keys, or the first one of a list or mapping; None if there is none."""
        node: Any = self._places
        for name in names:
            found = _child(node, name)
            if found is None:
                return None
            node = found[0]
        return next((value for _, value in _values(node, ())), None)

    def error(self, message: str, *names: str | int, hint: str = "") -> UserError:
        """The error to raise about the entry under the given keys: ``file:line: message``."""
        for length in range(len(names), 0, -1):
            found = self.origin(*names[:length])
            if found is not None:
                return found.text.error(message, *_as_written(found, length, names), hint=hint)
        return self.wrong(message, names, hint)

    def wrong(self, message: str, names: Sequence[str | int], hint: str) -> UserError:
        """The error about an entry that is in no merged configuration: the last file that has it."""
        for text in reversed(self.own):
            if _at(text.data, names):
                return text.error(message, *names, hint=hint)
        return self.files[-1].error(message, hint=hint) if self.files else UserError(message, hint=hint)


def _as_written(found: Value, length: int, names: Sequence[str | int]) -> Location:
    """The place of an entry in its file: positions in a list are others there if other files gave elements before."""
    if found.place[:length] == tuple(names[:length]):
        return tuple(names)
    return found.place


def merged_layers(
    shipped: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]], layers: Layers
) -> dict[str, Any]:
    """What is shipped and the metadata's own files as one mapping.

    Raises
    ------
    UserError
        If ``$default`` stands where no file before gives a list, or ``$replace`` is neither true nor false.
    """
    # a file of the collaboration is complete and must give here what it gives there, without our defaults below it
    given = _all(own)
    found = given if _is_complete(given, layers.sections) else _over(_all(shipped), given)
    steers = any(text.steers for text in (*layers.shipped, *layers.own))
    finished: Any = _finished(found, (), layers) if steers else found
    return dict(finished)


def _is_complete(given: Mapping[str, Any], sections: frozenset[str]) -> bool:
    return bool(sections) and sections <= set(given) and _plain(given.get(REPLACE)) is not False and not _waits(given)


def _all(parts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {}
    for part in parts:
        found = _over(found, part)
    return found


def _over(below: Any, above: Any) -> Any:
    """One value laid over another."""
    if isinstance(above, Mapping) or _plain(above) == {}:
        return _mapping_over(below, above) if isinstance(below, Mapping) else above
    elements = [] if _plain(below) == [] else below
    if isinstance(above, list) and isinstance(elements, list):
        return [each for item in above for each in (elements if _is_default(item) else [item])]
    return above


def _mapping_over(below: Mapping[str, Any], above: Any) -> Mapping[str, Any]:
    """Mappings merged; ``$replace`` stays in, for the files that come below."""
    if not isinstance(above, Mapping):
        return below
    if _plain(above.get(REPLACE)) is True:
        return above
    found = dict(below)
    for name, value in above.items():
        found[name] = _over(found[name], value) if name in found else value
    return found


def _finished(value: Any, place: Location, layers: Layers) -> Any:
    """A merged tree without what steers the merging."""
    if isinstance(value, str):  # most are
        return value
    if isinstance(value, Mapping):
        if not isinstance(_plain(value.get(REPLACE, True)), bool):
            raise layers.wrong(f"{REPLACE} must be true or false", (*place, REPLACE), "true replaces, false merges")
        return {name: _finished(item, (*place, name), layers) for name, item in value.items() if name != REPLACE}
    if isinstance(value, list):
        for position, item in enumerate(value):
            if _is_default(item):
                message = f"{'.'.join(map(str, place))} says {DEFAULT}, and no file before gives such a list"
                raise layers.wrong(message, (*place, position), f"leave {DEFAULT} out")
        return [_finished(item, (*place, position), layers) for position, item in enumerate(value)]
    return value


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Value) else value


def _is_default(item: object) -> bool:
    return isinstance(_plain(item), str) and _plain(item) == DEFAULT


def _waits(value: Any) -> bool:
    """Whether a ``$default`` still waits for what the files below give."""
    if isinstance(value, Mapping):
        return any(_waits(item) for item in value.values())
    return any(_is_default(item) or _waits(item) for item in value) if isinstance(value, list) else False


def _placed(value: Any, text: TextFile, place: Location) -> Any:
    """A tree of values with each in a :class:`Value`."""
    if isinstance(value, Mapping) and (value or not place):
        return {name: _placed(item, text, (*place, name)) for name, item in value.items()}
    if isinstance(value, list) and value:
        return [_placed(item, text, (*place, position)) for position, item in enumerate(value)]
    return Value(value, text, place)


def _values(node: Any, place: Location) -> Iterator[tuple[Location, Value]]:
    if isinstance(node, Mapping):
        for name, item in node.items():
            yield from _values(item, (*place, name))
    elif isinstance(node, list):
        for position, item in enumerate(node):
            yield from _values(item, (*place, position))
    else:
        yield place, node


def _at(node: Any, names: Sequence[str | int]) -> bool:
    for name in names:
        found = _child(node, name)
        if found is None:
            return False
        node = found[0]
    return True


def _child(node: Any, name: str | int) -> tuple[Any] | None:
    if isinstance(node, Mapping) and name in node:
        return (node[name],)
    if isinstance(node, list) and isinstance(name, int) and name < len(node):
        return (node[name],)
    return None
