"""What one start of Snakemake makes of a long production: jobs that need nothing that is made later.

Snakemake's time and memory grow with the jobs that it plans, some 3 ms and 25 kB a job. ``dataprod run`` starts it for
a few thousand jobs at a time, each time for the next ones, and names those that failed, which are not tried again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import islice

from .survey import Item
from .units import Place

Needs = Callable[[Place], Iterable[Place]]


@dataclass(frozen=True)
class Portion:
    """Some of the jobs that are to be made.

    Attributes
    ----------
    now
        The jobs of this portion, each after those that it needs.
    later
        How many jobs come after it, by step.
    """

    now: Sequence[Item]
    later: Mapping[str, int]

    @property
    def is_part(self) -> bool:
        """Whether something comes after it."""
        return bool(self.later)


def first_of(items: Sequence[Item], most: int, without: Callable[[Item], bool], needs: Needs) -> Portion:
    """The first jobs of a production, in an order in which what a job needs comes before it.

    Parameters
    ----------
    items
        All that is to be made.
    most
        How many jobs the portion may have; 0 for all.
    without
        Tells whether a job failed before in this run: it, and what needs it, is left out.
    needs
        The jobs that a job needs.
    """
    by_place = {(item.step, item.unit): item for item in items}
    has_failed = any(map(without, items))
    if most and not has_failed and len(first := _ready(by_place, most, needs)) == most:
        later = Counter(item.step for item in items)
        now = [by_place[place] for place in first]
        later.subtract(item.step for item in now)
        return Portion(now, +later)
    order = _ordered(by_place, needs) if most or has_failed else list(by_place)
    left_out: set[Place] = set()
    for place in order:
        if without(by_place[place]) or not left_out.isdisjoint(needs(place) if left_out else ()):
            left_out.add(place)
    possible = [by_place[place] for place in order if place not in left_out]
    end = most or len(possible)
    return Portion(possible[:end], Counter(item.step for item in possible[end:]))


def _ready(wanted: Mapping[Place, Item], most: int, needs: Needs) -> list[Place]:
    """The first jobs that need none of the others: :func:`_ordered` begins with them, and takes longer."""
    return list(islice((place for place in wanted if not any(need in wanted for need in needs(place))), most))


def _ordered(places: Iterable[Place], needs: Needs) -> list[Place]:
    """The jobs, each after those of them that it needs."""
    wanted = dict.fromkeys(places)
    among = {place: [need for need in needs(place) if need in wanted] for place in wanted}
    return list(TopologicalSorter(among).static_order())
