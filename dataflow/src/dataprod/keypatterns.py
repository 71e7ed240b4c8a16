"""Patterns of keys: ``p03-r00*-cal``, ``l200-p03``, ``cal``, ``p03_p04-*-phy``, ``p03-r00[0-3]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from dataflow.base.errors import UserError

T = TypeVar("T")

_FORM = "a pattern looks like p03-r00*-cal: values of fields with dashes between them; * ? [0-3] stand for characters"
_WORD = re.compile(r"(?:[^\s/\[\]]|\[[^\s/\[\]]+\])+")
_OUTSIDE = r"(?![^\[]*\])"
"""Follows a character that stands in no brackets."""


def matching(pattern: str, named: Iterable[tuple[Sequence[str], T]]) -> list[T]:
    """What has the given values next to each other in its key.

    Parameters
    ----------
    pattern
        Values joined with dashes; ``*``, ``?`` and ``[0-3]`` stand for others, and several values are joined with
        underscores. It begins at the first field of the key at which anything matches: the experiment may be left out.
    named
        Values of the fields, and what they belong to.

    Raises
    ------
    UserError
        If the pattern is none: a value between dashes is empty, a bracket is open, or it has blanks or slashes.
    """
    words = _words(pattern)
    all_ = list(named)
    longest = max((len(values) for values, _ in all_), default=0)
    for start in range(max(longest - len(words) + 1, 0)):
        found = [item for values, item in all_ if _fits(words, values[start:])]
        if found:
            return found
    return []


def _words(pattern: object) -> list[str]:
    if not isinstance(pattern, str):
        raise UserError(f"a pattern of keys is a text, not {pattern!r}", hint=_FORM)
    words = re.split(f"-{_OUTSIDE}", pattern)
    for word in words:
        if not _WORD.fullmatch(word):
            wrong = f"{word!r} in it is not a value of a field" if word else "a value is empty"
            raise UserError(f"{pattern!r} is not a pattern of keys: {wrong}", hint=_FORM)
    return words


def _fits(words: Sequence[str], values: Sequence[str]) -> bool:
    return len(values) >= len(words) and all(map(_is_one_of, values, words))


def _is_one_of(value: str, word: str) -> bool:
    return any(fnmatchcase(value, part) for part in (word, *re.split(f"_{_OUTSIDE}", word)))
