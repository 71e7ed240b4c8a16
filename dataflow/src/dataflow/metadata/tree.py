"""The metadata of a cycle: channels, statuses, step configuration, overrides. Read when asked for, each file once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from dataflow.base.errors import UserError
from dataflow.base.exact import exact
from dataflow.base.messages import few, nearest
from dataflow.base.textfile import Reader, TextFile, kind
from dataflow.keys.channel import SYSTEMS, Channel
from dataflow.keys.daqforms import foreign_names
from dataflow.keys.key import Key
from dataflow.keys.scheme import KeyScheme
from dataflow.setup.config import Setup

from . import overrides
from .datasets import Datasets
from .stepconfig import StepConfig, StepConfigs
from .validity import Folder

MUST_HAVE_STATUS = ("geds",)
SWITCHES = {True: "on", False: "off"}
"""YAML takes an unquoted ``on`` for true; the collaboration's files quote it, people's files do not always."""


class Metadata:
    """The metadata that a setup points to.

    Parameters
    ----------
    setup
        The configuration; its paths ``inputs``, ``config``, ``chan_map``, ``detector_status`` and ``par_overwrite``.
    scheme
        What keys look like.
    """

    def __init__(self, setup: Setup, scheme: KeyScheme) -> None:
        self.reader = Reader()
        self.scheme = scheme
        self.channelmaps = Folder(setup.path("chan_map") / "channelmaps", self.reader)
        self.statuses = Folder(setup.path("detector_status") / "statuses", self.reader)
        self.datasets = Datasets(setup.path("detector_status"), scheme, self.reader)
        self._overrides_path = setup.path("par_overwrite")
        self._overrides: dict[str, Folder] = {}
        self._checked: dict[int, object] = {}
        folder = Folder(setup.path("config"), self.reader)
        foreign = foreign_names(setup.path("install"))
        self._configs = StepConfigs(folder, _root(setup.path("inputs"), folder.path), self.reader, foreign)
        self._single: dict[str, tuple[Channel, ...]] = {}
        self._channels: dict[tuple[int, int], tuple[Channel, ...]] = {}
        self._alike: dict[tuple[str, bytes], Channel] = {}
        self._lists: dict[tuple[int, ...], tuple[Channel, ...]] = {}
        self._between: dict[tuple[str, int], tuple[Channel, ...]] = {}
        self._of_key: dict[Key, tuple[Channel, ...]] = {}

    def config(self, rule: str, key: Key) -> StepConfig:
        """The configuration of a step for a key."""
        return self._configs.at(rule, key.timestamp, key.datatype)

    def config_files(self, key: Key) -> tuple[TextFile, ...]:
        """The files of ``dataprod/config`` that hold for a key, in the order in which they are merged."""
        return self._configs.texts(key.timestamp, key.datatype)

    def overrides(self, tier: str, key: Key) -> tuple[Path, ...]:
        """The hand-made parameter files of a tier that hold for a key, in the order in which they are merged."""
        return self.override_folder(tier).files(key.timestamp, key.datatype)

    def override_content(self, tier: str, key: Key) -> dict[str, Any]:
        """The merged content of :meth:`overrides`. Shared between calls: do not change it.

        Raises
        ------
        UserError
            If a file is missing or has a wrong form; file, line and detector are named.
        """
        return self._overrides_at(tier, key.timestamp, key.datatype)

    def moment(self, key: Key, tiers: Iterable[str]) -> tuple[object, ...]:
        """What holds for a key: channels, step configuration, overrides of tiers; the same objects if the same."""
        time, category = key.timestamp, key.datatype
        held = (self._overrides_at(tier, time, category) for tier in tiers)
        return self.channels(key), self._configs.content(time, category), *held

    def changes(self, tiers: Iterable[str]) -> set[str]:
        """The times from which on :meth:`moment` may tell something else, for keys of any kind."""
        found = _changes([self._configs.folder, *map(self.override_folder, tiers)])
        return found if self.scheme.detector else found.union(self._times)

    def _overrides_at(self, tier: str, timestamp: str, category: str) -> dict[str, Any]:
        folder = self.override_folder(tier)
        content = folder.on(timestamp, category)
        if id(content) not in self._checked:
            for path in folder.files(timestamp, category):
                overrides.check(self.reader(path), tier)
            self._checked[id(content)] = content
        return content

    def override_folder(self, tier: str) -> Folder:
        """The folder of the hand-made parameter files of a tier."""
        if tier not in self._overrides:
            self._overrides[tier] = Folder(self._overrides_path / tier, self.reader)
        return self._overrides[tier]

    def channels(self, key: Key) -> tuple[Channel, ...]:
        """All channels that are there for a key, sorted by name.

        Raises
        ------
        UserError
            If no channel map is valid then, or an entry has a wrong form; file and line are named.
        """
        found = self._of_key.get(key)
        if found is None:
            found = self._of_key[key] = self._channels_at(key)
        return found

    def _channels_at(self, key: Key) -> tuple[Channel, ...]:
        if self.scheme.detector:
            name = key[self.scheme.detector]
            return self._single.setdefault(name, (Channel(name, "geds"),))
        place = key.datatype, bisect_right(self._times, key.timestamp)
        if place not in self._between:  # tens of thousands of files, and few times at which something changes
            self._between[place] = self._mapped(key)
        return self._between[place]

    @cached_property
    def _times(self) -> list[str]:
        """The times at which channel maps or statuses change."""
        return sorted(_changes((self.channelmaps, self.statuses)))

    def _mapped(self, key: Key) -> tuple[Channel, ...]:
        """The channels by map and status."""
        entries = self.channelmaps.require(key.timestamp, key.datatype)
        statuses = self.statuses.on(key.timestamp, key.datatype)
        known = self._channels.get((id(entries), id(statuses)))
        if known is None:
            made = tuple(self._known_channel(name, entries, statuses, key) for name in sorted(entries))
            same = tuple(map(id, made))
            if same not in self._lists:
                self._check_numbers(made, key)
                self._lists[same] = made
            known = self._channels[id(entries), id(statuses)] = self._lists[same]
        return known

    def _known_channel(self, name: str, entries: Mapping[str, Any], statuses: Mapping[str, Any], key: Key) -> Channel:
        """A channel; the same object where map and status say the same of it, as most do of most at a change."""
        text = exact([entries[name], [statuses[name]] if name in statuses else None])
        if text is None:
            return self._channel(name, entries, statuses, key)
        found = self._alike.get((name, text))
        if found is None:
            found = self._alike[name, text] = self._channel(name, entries, statuses, key)
        return found

    def require_statuses(self, channels: tuple[Channel, ...], key: Key) -> None:
        """Refuse channels of detectors whose status nobody has written down.

        Raises
        ------
        UserError
            It names the detector and the file to fix.
        """
        if self.scheme.detector:
            return
        statuses = self.statuses.require(key.timestamp, key.datatype)
        names = [c.name for c in channels if c.name not in statuses and c.system in MUST_HAVE_STATUS]
        if names:
            files = self.statuses.files(key.timestamp, key.datatype)
            file = files[-1] if files else f"{self.statuses.file}: no file holds"
            have = "has" if len(names) == 1 else "have"
            entry = self.statuses.validity.at(key.timestamp, key.datatype)
            begin = entry.valid_from if entry else key.timestamp  # one sentence for all files that it concerns
            raise UserError(
                f"{file}: {few(names)} ({', '.join(MUST_HAVE_STATUS)}) {have} no status from {begin} on",
                hint=f"add {names[0]}: {{processable: true, usability: 'on'}} to it, or processable: false",
            )

    def _channel(self, name: str, entries: Mapping[str, Any], statuses: Mapping[str, Any], key: Key) -> Channel:
        entry, status = entries[name], statuses.get(name) or {}
        if not isinstance(entry, Mapping):
            raise self._map_error(f"{name} must be a mapping", key, name)
        system, daq = entry.get("system"), entry.get("daq") or {}
        if not isinstance(daq, Mapping):
            raise self._map_error(f"{name}: daq must be a mapping, not {kind(daq)}", key, name, "daq")
        if system not in SYSTEMS:
            hint = nearest(str(system), SYSTEMS)
            raise self._map_error(f"{name} has the unknown system {system!r}", key, name, "system", hint=hint)
        rawid, fcid = daq.get("rawid"), daq.get("fcid")
        if not isinstance(rawid, int) or isinstance(rawid, bool):
            raise self._map_error(f"{name}: daq.rawid must be a whole number, not {rawid!r}", key, name, "daq", "rawid")
        bits = daq.get("adc_bits", 16)
        if not isinstance(bits, int) or isinstance(bits, bool) or not 1 <= bits <= 32:
            raise self._map_error(
                f"{name}: daq.adc_bits must be a whole number of 1 to 32, not {bits!r}", key, name, "daq", "adc_bits"
            )
        if not isinstance(status, Mapping) or not isinstance(status.get("processable", True), bool):
            raise self._status_error(f"{name}: processable must be true or false", key, name, "processable")
        if not isinstance(status.get("psd") or {}, Mapping):
            raise self._status_error(f"{name}: psd must be a mapping, not {kind(status['psd'])}", key, name, "psd")
        usability = status.get("usability", "on")
        return Channel(
            name=str(entry.get("name", name)),
            system=system,
            rawid=rawid,
            fcid=fcid if isinstance(fcid, int) else None,
            processable=status.get("processable", True),
            usability=SWITCHES[usability] if isinstance(usability, bool) else str(usability),
            psd=status.get("psd") or {},
            daq=daq,
        )

    def _check_numbers(self, channels: Iterable[Channel], key: Key) -> None:
        seen: dict[int | None, str] = {}
        for channel in channels:
            other = seen.setdefault(channel.rawid, channel.name)
            if other != channel.name:
                message = f"{other} and {channel.name} have the same daq.rawid {channel.rawid}"
                raise self._map_error(message, key, channel.name, "daq", "rawid")

    def _map_error(self, message: str, key: Key, *place: str, hint: str = "") -> UserError:
        return self.channelmaps.error(message, key.timestamp, key.datatype, *place, hint=hint)

    def _status_error(self, message: str, key: Key, *place: str) -> UserError:
        return self.statuses.error(message, key.timestamp, key.datatype, *place)


def _changes(folders: Iterable[Folder]) -> set[str]:
    """All times at which something in some folders begins to hold, for whichever category."""
    lines = (line for folder in folders for line in folder.validity.timelines.values())
    return {entry.valid_from for line in lines for entry in line}


def _root(inputs: Path, folder: Path) -> Path:
    """The metadata tree that configuration files must lie in: the usual one, or the folder if it is elsewhere."""
    return inputs if folder.is_relative_to(inputs) else folder
