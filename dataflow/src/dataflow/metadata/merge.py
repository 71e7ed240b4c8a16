"""Merging of nested mappings, as the collaboration's tools do it (dbetto 1.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def merged(first: Mapping[Any, Any], second: Mapping[Any, Any]) -> dict[Any, Any]:
    """A new mapping with the entries of both, the second winning.

    Mappings merge key by key; lists and scalars are replaced; an explicit null replaces too.
    The arguments stay as they are; values that need no merging are shared, not copied.
    """
    result = dict(first)
    for name, new in second.items():
        old = result.get(name)
        both = isinstance(old, Mapping) and isinstance(new, Mapping)
        result[name] = merged(old, new) if both else new  # type: ignore[arg-type]
    return result


def merged_all(parts: Iterable[Mapping[Any, Any]]) -> dict[Any, Any]:
    """All mappings merged from the first to the last."""
    result: dict[Any, Any] = {}
    for part in parts:
        result = merged(result, part)
    return result
