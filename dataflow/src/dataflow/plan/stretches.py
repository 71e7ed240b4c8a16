"""Stretches: files of one series between two changes of metadata or calibrations.

A cycle has tens of thousands of files and some hundred stretches. What is planned for one file of a stretch is planned
for all of them, but for their names and their DAQ files.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dataflow.keys.key import Key

if TYPE_CHECKING:
    from .cycle import Cycle


@dataclass(frozen=True, eq=False)
class Stretch:
    """Some files that are planned alike.

    Attributes
    ----------
    keys
        Their keys, sorted by time.
    has_daq
        Whether the DAQ files of all of them are there, which then have one form; else of none.
    """

    keys: tuple[Key, ...]
    has_daq: bool

    @property
    def first(self) -> Key:
        """The key that stands for all."""
        return self.keys[0]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The keys as texts."""
        return tuple(map(str, self.keys))


def stretches(cycle: Cycle) -> tuple[Stretch, ...]:
    """The files of a cycle in stretches, sorted by their first files.

    Raises
    ------
    UserError
        If the metadata do not allow to say when they change.
    """
    times, formats = _changes(cycle), cycle.inventory.formats
    found: dict[tuple[object, ...], list[Key]] = {}
    for key in cycle.keys:
        # all that is looked up by time has its intervals between these times; by what else, the series tells
        place = key.values[:-1], bisect_right(times, key.timestamp), formats.get(key)
        found.setdefault(place, []).append(key)
    return tuple(Stretch(tuple(keys), form is not None) for (_, _, form), keys in found.items())


def _changes(cycle: Cycle) -> list[str]:
    """All times from which on something else may hold: metadata, or calibrations of any tier."""
    registry = cycle.registry
    found = cycle.metadata.changes(registry.calibrated_tiers())
    for tier in {step.tier for step in registry.steps if step.kind == "par"}:
        found |= {each.valid_from for intervals in cycle.catalog_of(tier).groups.values() for each in intervals}
    return sorted(found)
