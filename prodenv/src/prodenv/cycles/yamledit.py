"""Changing values in a YAML text that a person wrote: comments and layout stay."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

import yaml

from prodenv.base.errors import WorkFailed

Place = tuple[str, ...]
"""Where a value stands: the keys on the way to it."""
Values = Mapping[Place, str]


def edited(text: str, values: Values, gone: Collection[Place] = ()) -> str:
    """A text with other values.

    Parameters
    ----------
    text
        YAML in block style.
    values
        New texts by place; a key that is not there becomes the first of its mapping.
    gone
        Keys at the top that become comments.

    Raises
    ------
    WorkFailed
        If the result would not say what was asked for.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise WorkFailed("the template of the configuration is no mapping", hint="report this")
    changes = [_set(text, root, place, value) for place, value in values.items()]
    changes += [_comment(text, root, place) for place in gone]
    wanted = _wanted(yaml.safe_load(text), values, gone)
    for begin, end, new in sorted(changes, reverse=True):
        text = text[:begin] + new + text[end:]
    if yaml.safe_load(text) != wanted:
        raise WorkFailed("the template of the configuration could not be changed", hint="report this")
    return text


def in_it(content: Mapping[str, Any], place: Place) -> bool:
    """Whether there is a value at a place."""
    inner: Any = content
    for key in place:
        if not isinstance(inner, Mapping) or key not in inner:
            return False
        inner = inner[key]
    return True


def _wanted(content: dict[str, Any], values: Values, gone: Collection[Place]) -> dict[str, Any]:
    wanted = copy.deepcopy(content)
    for place, value in values.items():
        inner = wanted
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
    for place in gone:
        del wanted[place[0]]
    return wanted


Change = tuple[int, int, str]
"""Begin and end of what is replaced, and by what."""


def _set(text: str, root: yaml.MappingNode, place: Place, value: str) -> Change:
    parent = root
    for key in place[:-1]:
        parent = _entry(parent, key)[1]
    if not any(key.value == place[-1] for key, _ in parent.value):
        first = parent.value[0][0].start_mark
        return first.index, first.index, f"{place[-1]}: {_quoted(value)}\n{' ' * first.column}"
    node = _entry(parent, place[-1])[1]
    return node.start_mark.index, node.end_mark.index, _quoted(value)


def _comment(text: str, root: yaml.MappingNode, place: Place) -> Change:
    begin = _entry(root, place[0])[0].start_mark.index
    return begin, begin, "# "


def _entry(mapping: yaml.MappingNode, name: str) -> tuple[Any, Any]:
    return next((key, value) for key, value in mapping.value if key.value == name)


def _quoted(value: str) -> str:
    """A text as it can stand in YAML."""
    line = yaml.safe_dump(value, default_flow_style=True, width=1 << 16, allow_unicode=True)
    return line.removesuffix("\n").removesuffix("\n...")
