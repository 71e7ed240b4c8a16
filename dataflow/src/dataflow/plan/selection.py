"""Which channels a step works on: in a file, and in all files of a unit."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from dataflow.keys.channel import Channel
from dataflow.keys.key import Key
from dataflow.metadata.stepconfig import StepConfig
from dataflow.registry.step import Scope, Step

from .job import Unit

if TYPE_CHECKING:
    from .cycle import Cycle


class Selection:
    """The channels of a cycle's steps; nothing is chosen twice.

    Parameters
    ----------
    cycle
        The cycle.
    """

    def __init__(self, cycle: Cycle) -> None:
        self._cycle = cycle
        self._chosen: dict[tuple[str, int, int], tuple[tuple[Channel, ...], object, object]] = {}
        self._turns: dict[tuple[Unit, bool], tuple[Key, ...]] = {}
        self._joined: dict[tuple[int, ...], tuple[tuple[Channel, ...], object]] = {}

    def of_file(self, step: Step, key: Key) -> tuple[Channel, ...]:
        """The channels that a step works on in a file."""
        return self._of_key(step, key, self._cycle.config(step, key))

    def of_unit(self, step: Step, unit: Unit, config: StepConfig) -> tuple[Channel, ...]:
        """The channels of a unit, each as it is in the first of its files in which it is processed."""
        turns = self.turns(step, unit)
        if unit.detectors is None:
            return self._of_all([self._of_key(step, key, config) for key in turns])
        found: dict[str, Channel] = {}
        firsts = (self._cycle.series[series][0] for series in unit.series)
        for key in sorted({*firsts, *turns}, key=lambda key: key.order):
            for channel in self.of_file(step, key):
                if channel.name in unit.detectors:
                    found.setdefault(channel.name, channel)
        return tuple(found[name] for name in sorted(found))

    def _of_all(self, parts: list[tuple[Channel, ...]]) -> tuple[Channel, ...]:
        """All channels of several lists by name; the same object for the same lists."""
        place = tuple(map(id, parts))
        if len(set(place)) == 1:
            return parts[0]
        if place not in self._joined:
            by_name = {channel.name: channel for part in reversed(parts) for channel in part}
            self._joined[place] = tuple(by_name[name] for name in sorted(by_name)), parts
        return self._joined[place][0]

    def _of_key(self, step: Step, key: Key, config: StepConfig) -> tuple[Channel, ...]:
        if step.kind == "validity":
            return ()
        channels = self._cycle.metadata.channels(key)
        if not step.channels.systems:
            return channels
        place = (step.name, id(channels), id(config))
        if place not in self._chosen:
            wanted = tuple(channel for channel in channels if self.is_wanted(step, channel, config))
            self._cycle.metadata.require_statuses(wanted, key)
            self._chosen[place] = tuple(channel for channel in wanted if channel.processable), channels, config
        return self._chosen[place][0]

    def is_asked_for(self, step: Step, key: Key) -> bool:
        """Whether the metadata say what a step cannot do without, for one of its channels at least."""
        if step.figures_of:
            return self.is_asked_for(self._cycle.step(step.figures_of), key)
        if step.only_with is None:
            return True
        config, (name, entry) = self._cycle.config(step, key), step.only_with
        if name not in config.inputs:
            return False
        return any((config.shared(name, channel) or {}).get(entry) for channel in self._of_key(step, key, config))

    def is_wanted(self, step: Step, channel: Channel, config: StepConfig) -> bool:
        """Whether a step works on a channel if it is processable."""
        if channel.system in step.channels.systems:
            return True
        return channel.system in step.channels.if_configured and config.names(channel)

    def turns(self, step: Step, unit: Unit) -> tuple[Key, ...]:
        """The files of a unit, and of what it reads, at which the channel map or the statuses become others.

        The first file is always among them, and mostly the only one.
        """
        if unit.scope is Scope.FILE or unit.scope is Scope.CYCLE:
            return (unit.key,)
        reads_others = any(each.datatypes for each in self._cycle.inputs(step))
        if unit.scope is Scope.PARTITION:  # parts of it have its name and other files
            return self._turns_of(unit, reads_others)
        place = unit, reads_others
        if place not in self._turns:
            self._turns[place] = self._turns_of(unit, reads_others)
        return self._turns[place]

    def _turns_of(self, unit: Unit, reads_others: bool) -> tuple[Key, ...]:
        """The turns of a unit, of all files of its runs if those of other datatypes are read, too."""
        keys = unit.keys
        if reads_others:
            keys = tuple(key for run in unit.runs for key in self._cycle.units.runs[run])
        ordered = (unit.key, *(key for key in keys if key != unit.key))
        held = [(key, self._cycle.metadata.channels(key)) for key in ordered]
        return (unit.key, *(after for (_, old), (after, new) in pairwise(held) if new is not old))
