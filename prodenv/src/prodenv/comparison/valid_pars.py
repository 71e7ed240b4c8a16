"""Which parameters two cycles use for the same data, as the flow of each tells: calibrations, overrides last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prodenv.cycles.outputs import Contents

Values = tuple[Mapping[str, Any], Mapping[str, Any]]
"""What the calibrations for a tier say by detector, and what is used."""


@dataclass(frozen=True)
class Held:
    """The parameter files that hold for a key.

    Parameters
    ----------
    made
        Those of calibrations.
    by_hand
        The overrides, which are merged over them.
    there
        Whether the calibrations have been done.
    """

    made: tuple[str, ...]
    by_hand: tuple[str, ...]
    there: bool


@dataclass(frozen=True)
class Moment:
    """From when on two cycles use a pair of parameters.

    Parameters
    ----------
    tier
        The tier that is made with them.
    run
        The first run for which they hold, with a time where they do not from its begin.
    a, b
        The files.
    """

    tier: str
    run: str
    a: Held
    b: Held


def moments(a: Contents, b: Contents) -> list[Moment]:
    """Every pair of parameters that holds for data of both cycles, where its first run begins; sorted by time."""
    return list(_moments(_Parameters(a), _Parameters(b)))


def _moments(first: _Parameters, second: _Parameters) -> Iterator[Moment]:
    runs = [run for run in first.runs if run in second.runs]
    for tier in (tier for tier in first.tiers if tier in second.tiers):
        seen: set[tuple[Held, Held]] = set()
        for run in runs:
            for number, ((ours, time), (theirs, _)) in enumerate(_pairs(first.runs[run], second.runs[run])):
                pair = first.held(tier, ours), second.held(tier, theirs)
                if pair not in seen:
                    seen.add(pair)
                    yield Moment(tier, f"{run} from {time}" if number else run, *pair)


Key = tuple[str, str]
"""A key and its time."""


def _pairs(ours: list[Key], theirs: list[Key]) -> list[tuple[Key, Key]]:
    """The keys that both have; of a run without such, the first ones."""
    named = {name: (name, time) for name, time in theirs}
    return [(key, named[key[0]]) for key in ours if key[0] in named] or [(ours[0], theirs[0])]


def read(contents: Contents, wanted: list[tuple[str, Held]]) -> list[Values]:
    """The values in sets of parameter files, each for a tier.

    Raises
    ------
    UserError
        If a file cannot be read, or an override is of a form that no job could merge.
    """
    sets = [{"tier": tier, "made": held.made, "by_hand": held.by_hand} for tier, held in wanted]
    return [(made, used) for made, used in contents.ask("values", sets=sets)]


class _Parameters:
    """The parameters of a cycle, as its flow tells."""

    def __init__(self, contents: Contents) -> None:
        found = contents.ask("parameters")
        self.runs: Mapping[str, list[Key]] = found["runs"]
        self.tiers: Mapping[str, Mapping[str, int]] = found["held"]
        self._sets = [Held(tuple(each["made"]), tuple(each["by_hand"]), each["there"]) for each in found["sets"]]

    def held(self, tier: str, key: str) -> Held:
        """The files that hold for a key."""
        return self._sets[self.tiers[tier][key]]
