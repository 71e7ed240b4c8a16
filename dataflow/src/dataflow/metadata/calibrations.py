"""Which calibration run gives the parameters for a file.

The rule of ``choice: time``: sorted by time, the first file of each consecutive run of a calibration category begins
an interval [begin, next begin); ``datasets/run_override.yaml`` replaces intervals. The rule of ``choice: preferred``:
the first run of the first calibration category that exists holds for all times.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from dataflow.base.times import ALWAYS
from dataflow.keys.key import Key
from dataflow.keys.scheme import KeyScheme

from .validity import Entry

Group = tuple[str, ...]


@dataclass(frozen=True)
class Valid:
    """From `valid_from` on, the parameters of the runs that begin with these keys hold, merged in order."""

    valid_from: str
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class ParCatalog:
    """The intervals of a cycle's parameters, for each group of files that share calibrations.

    Attributes
    ----------
    groups
        Intervals sorted by time, by the values of the scheme's `shared` fields.
    scheme
        What keys look like.
    """

    groups: Mapping[Group, Sequence[Valid]]
    scheme: KeyScheme

    @cached_property
    def _starts(self) -> Mapping[Group, Sequence[str]]:
        return {group: [valid.valid_from for valid in intervals] for group, intervals in self.groups.items()}

    def group(self, key: Key) -> Group:
        """The group that a key belongs to."""
        return tuple(key[name] for name in self.scheme.shared)

    @cached_property
    def _known(self) -> dict[Key, tuple[Key, ...] | None]:
        return {}

    def at(self, key: Key) -> tuple[Key, ...] | None:
        """The keys whose parameter files hold for a file, None if none does yet; the same object if the same."""
        if key not in self._known:
            self._known[key] = self._at(key)
        return self._known[key]

    def _at(self, key: Key) -> tuple[Key, ...] | None:
        group = self.group(key)
        # right, not left: intervals are half-open, so that a file that begins when a calibration does belongs to it
        position = bisect_right(self._starts.get(group, ()), key.timestamp)
        return self.groups[group][position - 1].keys if position else None

    def first(self, key: Key) -> str | None:
        """From when on there are parameters for files like this one."""
        intervals = self.groups.get(self.group(key), ())
        return intervals[0].valid_from if intervals else None

    @cached_property
    def keys(self) -> frozenset[Key]:
        """All keys that parameter files are named after."""
        return frozenset(key for intervals in self.groups.values() for valid in intervals for key in valid.keys)

    def __contains__(self, key: Key) -> bool:
        return key in self.keys

    def validity(self, name: Callable[[Key], str]) -> list[dict[str, Any]]:
        """The content of ``validity.yaml``: complete lists of files, one entry for each time something changes.

        Parameters
        ----------
        name
            The file of a key's parameters relative to the folder of ``validity.yaml``.
        """
        times = sorted({valid.valid_from for intervals in self.groups.values() for valid in intervals})
        held = [(time, [name(key) for key in self._held(time)]) for time in times]
        return [
            {"valid_from": time, "category": "all", "mode": "reset", "apply": files}
            for number, (time, files) in enumerate(held)
            if number == 0 or files != held[number - 1][1]
        ]

    def _held(self, time: str) -> list[Key]:
        keys: list[Key] = []
        for group, intervals in sorted(self.groups.items()):
            position = bisect_right(self._starts[group], time)
            keys += intervals[position - 1].keys if position else ()
        return keys


def build(
    keys: Iterable[Key], scheme: KeyScheme, overrides: Sequence[Entry] = (), datatypes: tuple[str, ...] = ()
) -> ParCatalog:
    """The catalog of the calibration runs among `keys`.

    Parameters
    ----------
    keys
        All files.
    scheme
        What keys look like.
    overrides
        The entries of ``datasets/run_override.yaml``.
    datatypes
        The datatypes whose runs give parameters, in order of preference; those of the scheme if not given.
    """
    wanted = datatypes or scheme.calibration
    shared: dict[Group, list[Key]] = {}
    for key in sorted(keys, key=lambda key: key.order):
        if key.datatype in wanted:
            shared.setdefault(tuple(key[name] for name in scheme.shared), []).append(key)
    if scheme.choice == "preferred":
        return ParCatalog({group: _preferred(found, wanted) for group, found in shared.items()}, scheme)
    replaced = _parsed(overrides, scheme, wanted)
    return ParCatalog(
        {group: _overridden(_by_time(found, wanted), replaced) for group, found in shared.items()}, scheme
    )


def _preferred(keys: Sequence[Key], datatypes: tuple[str, ...]) -> list[Valid]:
    first = min(keys, key=lambda key: (datatypes.index(key.datatype), key.order))
    return [Valid(ALWAYS, (first,))]


def _by_time(keys: Sequence[Key], datatypes: tuple[str, ...]) -> list[Valid]:
    held: dict[str, Key] = {}
    found: dict[str, Valid] = {}
    for _, series in groupby(keys, key=lambda key: key.series):
        # parameters hold from the first file of a run, not from its end: the run itself is processed with them, and the
        # answer must not depend on how many of its files are there already
        key = next(series)
        held[key.datatype] = key
        current = tuple(held[category] for category in datatypes if category in held)
        found[key.timestamp] = Valid(key.timestamp, current)
    return list(found.values())


def _parsed(overrides: Sequence[Entry], scheme: KeyScheme, datatypes: tuple[str, ...]) -> list[Valid]:
    """The overrides; of those for other datatypes, this catalog knows nothing."""
    found = [(entry, tuple(scheme.key(name) for name in entry.files)) for entry in overrides]
    kept = [(entry, tuple(key for key in keys if key.datatype in datatypes), bool(keys)) for entry, keys in found]
    return [Valid(entry.valid_from, keys) for entry, keys, had_keys in kept if keys or not had_keys]


def _overridden(intervals: list[Valid], overrides: Sequence[Valid]) -> list[Valid]:
    """The intervals with the overridden ones replaced; an override without keys only ends the one before it."""
    own, inserted = intervals, []
    for number, override in enumerate(overrides):
        if not override.keys:
            continue
        end = overrides[number + 1].valid_from if number + 1 < len(overrides) else None
        own = [valid for valid in own if not _covers(override.valid_from, end, valid.valid_from)]
        inserted.append(override)
    ordered = sorted([*own, *inserted], key=lambda valid: valid.valid_from)
    return [valid for n, valid in enumerate(ordered) if n == 0 or valid.keys != ordered[n - 1].keys]


def _covers(begin: str, end: str | None, time: str) -> bool:
    return time >= begin and (end is None or time < end)
