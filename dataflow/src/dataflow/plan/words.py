"""Sentences for the user: lists of choices, and the nearest right name."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def listing(names: Iterable[str], most: int = 12) -> str:
    """``a, b, c`` in sorted order, cut after `most` names; ``none`` if there are none."""
    ordered = sorted(set(names))
    shown = ", ".join(ordered[:most])
    rest = len(ordered) - most
    return (f"{shown} and {rest} more" if rest > 0 else shown) or "none"


def nearest(name: object, choices: Iterable[str]) -> str:
    """A hint for a misspelt name, which may be any value: the nearest choice, else the list of choices."""
    ordered = sorted(set(choices))
    close = get_close_matches(str(name), ordered, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"there are: {listing(ordered)}"
