"""Patterns of keys: ``p03-r00*-cal``, ``l200-p03``, ``cal``, ``p03_p04-*-phy``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

T = TypeVar("T")


def matching(pattern: str, named: Iterable[tuple[Sequence[str], T]]) -> list[T]:
    """What has the given values next to each other in its key.

    Parameters
    ----------
    pattern
        Values joined with dashes; ``*`` and ``?`` stand for others, and several values are joined with underscores.
        It begins at the first field of the key at which anything matches: the experiment may be left out.
    named
        Values of the fields, and what they belong to.
    """
    words = pattern.split("-")
    all_ = list(named)
    longest = max((len(values) for values, _ in all_), default=0)
    for start in range(max(longest - len(words) + 1, 0)):
        found = [item for values, item in all_ if _fits(words, values[start:])]
        if found:
            return found
    return []


def _fits(words: Sequence[str], values: Sequence[str]) -> bool:
    return len(values) >= len(words) and all(map(_is_one_of, values, words))


def _is_one_of(value: str, word: str) -> bool:
    return any(fnmatchcase(value, part) for part in (word, *word.split("_")))
