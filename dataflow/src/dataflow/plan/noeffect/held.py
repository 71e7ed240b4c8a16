"""The metadata that hold for the data of a cycle: each file once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dataflow.base.errors import UserError
from dataflow.base.textfile import TextFile
from dataflow.keys.key import Key
from dataflow.metadata.validity import Folder

if TYPE_CHECKING:
    from ..cycle import Cycle
    from ..job import Unit


class Held:
    """What holds for at least one file of a cycle.

    Parameters
    ----------
    cycle
        The cycle.
    """

    def __init__(self, cycle: Cycle) -> None:
        self.cycle = cycle
        self.metadata = cycle.metadata
        self.with_map = not cycle.scheme.detector
        """Whether a channel map tells the detectors."""
        self._turns: dict[tuple[str, int], tuple[tuple[Key, ...], list[Key]]] = {}

    @cached_property
    def moments(self) -> tuple[Key, ...]:
        """A key for each time and category at which something else holds."""
        folders = [self.metadata.statuses, self.metadata.channelmaps, self.config, *self.overrides.values()]
        seen: dict[tuple[object, ...], Key] = {}
        for key in self.cycle.firsts:
            held = (folder.validity.at(key.timestamp, key.datatype) for folder in folders)
            seen.setdefault((key.datatype, *(entry and entry.place for entry in held)), key)
        return tuple(seen.values())

    @cached_property
    def config(self) -> Folder:
        """The folder with the configuration of steps."""
        return Folder(self.cycle.setup.path("config"), self.metadata.reader)

    @cached_property
    def overrides(self) -> dict[str, Folder]:
        """The folders with hand-made parameters by tier."""
        root = self.cycle.setup.path("par_overwrite")
        return {tier: Folder(root / tier, self.metadata.reader) for tier in self.cycle.registry.calibrated_tiers()}

    @cached_property
    def _firsts(self) -> frozenset[Key]:
        return frozenset(self.cycle.firsts)

    @property
    def read(self) -> list[TextFile]:
        """All files that were read so far, sorted by path: what reads them first need not be the same each time."""
        return sorted(self.metadata.reader.read, key=lambda text: text.path)

    def turns(self, unit: Unit) -> list[Key]:
        """The files of a unit from which on another configuration of steps holds than for its first."""
        place = unit.name, id(unit.keys)  # many steps have the same units
        if place not in self._turns:
            first = self.config.on(unit.key.timestamp, unit.key.datatype)
            some = filter(self._firsts.__contains__, unit.keys)
            found = [key for key in some if self.config.on(key.timestamp, key.datatype) is not first]
            self._turns[place] = unit.keys, found
        return self._turns[place][1]

    def texts(self, folder: Folder) -> Iterator[TextFile]:
        """The files of a folder that hold, each once."""
        paths = (path for key in self.moments for path in folder.files(key.timestamp, key.datatype))
        yield from map(self.metadata.reader, dict.fromkeys(paths))

    @cached_property
    def detectors(self) -> frozenset[str]:
        """The detectors of all channel maps, also of such that hold at other times."""
        scheme = self.cycle.scheme
        if scheme.detector:
            return frozenset(key[scheme.detector] for key in self.cycle.keys)
        names = {channel.name for key in self.moments for channel in self.metadata.channels(key)}
        folder = self.metadata.channelmaps
        entries = [entry for line in folder.validity.timelines.values() for entry in line]
        for name in dict.fromkeys(name for entry in entries for name in entry.files):
            names |= _names(folder, name)
        return frozenset(names)


def _names(folder: Folder, file: str) -> set[str]:
    """The channels that a file of a channel map names; none of one that is not there, which the plan may not need."""
    try:
        data: Any = folder.read(file)
    except UserError:
        return set()
    return {str(name) for name in data} if isinstance(data, dict) else set()
