"""Sentences for the user: lists of choices, and the nearest right name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches


def listing(names: Iterable[str], most: int = 12) -> str:
    """``a, b, c`` in sorted order, cut after `most` names; ``none`` if there are none."""
    ordered = sorted(set(names))
    shown = ", ".join(ordered[:most])
    rest = len(ordered) - most
    return (f"{shown} and {rest} more" if rest > 0 else shown) or "none"


def few(names: Iterable[str], most: int = 3) -> str:
    """``a, b, c and 97 more``: some names of many, in the given order; ``a and b`` if there are only these."""
    ordered = list(dict.fromkeys(names))
    shown, rest = ordered[:most], len(ordered) - most
    if rest > 0:
        return f"{', '.join(shown)} and {rest} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def grouped(reasons: Mapping[str, str]) -> str:
    """``a and b: why; c: why``: reasons by name, each once with all names that it is given for."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return "; ".join(f"{few(same, len(same))}: {reason}" for reason, same in names.items())


def nearest(name: object, choices: Iterable[str]) -> str:
    """A hint for a misspelt name, which may be any value: the nearest choice, else the list of choices."""
    ordered = sorted(set(choices))
    close = get_close_matches(str(name), ordered, n=5, cutoff=0.6)
    # two letters exchanged are one error to a typist, and two to difflib
    best = min(close, key=lambda each: _edits(str(name), each), default="")
    return f"did you mean {best!r}?" if best else f"there are: {listing(ordered)}"


MISSPELT = 2
"""Letters in which a misspelt name differs at most."""


def is_misspelt(name: object, choices: Iterable[str]) -> bool:
    """Whether a name that is none of the choices looks like one that somebody mistyped."""
    return any(_edits(str(name), each) <= MISSPELT for each in choices)


def _edits(first: str, second: str) -> int:
    """How many letters are inserted, left out, wrong, or exchanged with the next (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(second) + 1))
    for i, one in enumerate(first, start=1):
        row = [i]
        for j, other in enumerate(second, start=1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (one != other))
            if i > 1 and j > 1 and one == second[j - 2] and other == first[i - 2]:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
