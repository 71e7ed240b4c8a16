"""Partitions of detectors: which runs are calibrated together, by detector, from ``datasets/cal_groupings.yaml``.

The section ``default`` groups the runs of all detectors; a section that is called like a detector replaces the
default's partitions of the same name for it, and its runs are taken out of the others. A run in no partition of a
detector is a partition of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataflow.base.errors import UserError
from dataflow.keys.key import Key
from dataflow.keys.scheme import KeyScheme
from dataflow.metadata.datasets import Runs

DEFAULT = "default"


@dataclass(frozen=True)
class Partition:
    """Some runs of some detectors.

    Attributes
    ----------
    name
        ``calgroup001a``, ``calgroup001a.V02160A`` for a detector with a grouping of its own, ``p03_r002`` for a run
        that no grouping holds.
    runs
        Names of the runs, in order of time.
    detectors
        Who is calibrated with them.
    is_gap
        Whether no grouping holds the run.
    """

    name: str
    runs: tuple[str, ...]
    detectors: frozenset[str]
    is_gap: bool = False


_Place = tuple[str, bool]
"""The name of a partition, and whether it is a gap."""


class Groupings:
    """The groupings of a cycle's metadata.

    Parameters
    ----------
    sections
        Runs by section, partition and period.
    scheme
        What keys look like; the last two of its `runlist` fields are period and run.
    file
        Where the sections stand, for messages.
    """

    def __init__(self, sections: Mapping[str, Runs], scheme: KeyScheme, file: Path) -> None:
        self._sections, self._file = sections, file
        self._levels = scheme.runlist[-2:]

    def partitions(self, firsts: Mapping[str, Key], detectors: Iterable[str]) -> list[Partition]:
        """The partitions of some runs: each pair of run and detector is in exactly one.

        Parameters
        ----------
        firsts
            The first key of each run by the run's name, in order of time.
        detectors
            Names of the detectors.

        Raises
        ------
        UserError
            If a section puts a run into two partitions.
        """
        usual = self._grouped("", firsts)
        found: dict[tuple[_Place, tuple[str, ...]], set[str]] = {}
        for detector in sorted(detectors):
            groups = self._grouped(detector, firsts) if detector in self._sections else usual
            for place, runs in groups.items():
                found.setdefault((place, runs), set()).add(detector)
        return [each for (place, runs), who in found.items() for each in _named(place, runs, who, usual)]

    def _grouped(self, detector: str, firsts: Mapping[str, Key]) -> dict[_Place, tuple[str, ...]]:
        """The runs of a detector by partition."""
        groups: dict[_Place, tuple[str, ...]] = {}
        for run, key in firsts.items():
            place = self._place(detector, key)
            groups[place] = (*groups.get(place, ()), run)
        return groups

    def _place(self, detector: str, key: Key) -> _Place:
        own, usual = self._sections.get(detector, {}), self._sections.get(DEFAULT, {})
        # a detector's partition replaces the default's of that name, also for runs that only the default's has: whoever
        # writes it says all of its runs, and a run that is left out on purpose must not come back
        rest = {name: runs for name, runs in usual.items() if name not in own}
        name = self._found(detector, own, key) or self._found(DEFAULT, rest, key)
        return (name, False) if name else ("_".join(key[level] for level in self._levels), True)

    def _found(self, section: str, groups: Runs, key: Key) -> str:
        period, run = (key[level] for level in self._levels)
        names = [name for name, periods in groups.items() if period in periods and _holds(periods[period], run)]
        if len(names) > 1:
            message = f"{self._file}: {section}: {period} {run} is in the partitions {' and '.join(names)}"
            raise UserError(message, hint="leave it in one of them")
        return names[0] if names else ""


def _holds(runs: Sequence[str] | None, run: str) -> bool:
    return runs is None or run in runs


def _named(
    place: _Place, runs: tuple[str, ...], detectors: set[str], usual: Mapping[_Place, tuple[str, ...]]
) -> list[Partition]:
    """The partition of detectors that share runs; those with a grouping of their own are calibrated one by one."""
    name, is_gap = place
    if is_gap or usual.get(place) == runs:
        return [Partition(name, runs, frozenset(detectors), is_gap)]
    return [Partition(f"{name}.{detector}", runs, frozenset({detector})) for detector in sorted(detectors)]
