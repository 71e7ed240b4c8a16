"""One thing that a step runs once for, and the job that does it. Plain values, made by the cycle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataflow.keys.channel import Channel
from dataflow.keys.key import PARTITION, Key
from dataflow.metadata.parameters import parameters_that_hold

if TYPE_CHECKING:
    from dataflow.base.textfile import TextFile
    from dataflow.metadata.stepconfig import StepConfig
    from dataflow.registry.step import Scope
    from dataflow.setup.config import Setup

RAWID_FIELD = "{ch"


@dataclass(frozen=True)
class Unit:
    """One thing that a step runs once for: a file, a run, a partition, or the cycle.

    Attributes
    ----------
    scope
        Which of these it is.
    name
        On the job's command line, and in messages: the key of its first file, or ``l200-calgroup001a``.
    key
        Its first file; what the metadata say at that time holds for it.
    keys
        All its files, sorted by time.
    detectors
        The detectors that a partition is for, None for all.
    group
        The name of a partition without the fields that its files share: ``calgroup001a``; empty for all else.
    note
        What is to be said about it, for example that no grouping holds its run.
    """

    scope: Scope
    name: str
    key: Key = field(compare=False)
    keys: tuple[Key, ...] = field(compare=False, repr=False)
    detectors: frozenset[str] | None = field(default=None, compare=False)
    group: str = field(default="", compare=False)
    note: str = field(default="", compare=False)

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name

    @property
    def fields(self) -> Mapping[str, str]:
        """What stands in the names of its files."""
        return {**self.key.fields, PARTITION: self.group} if self.group else self.key.fields

    @property
    def order(self) -> tuple[str, str]:
        """What units are sorted by: the time, then the name."""
        return self.key.timestamp, self.name

    @cached_property
    def series(self) -> tuple[str, ...]:
        """The series of its files, in order."""
        return tuple(dict.fromkeys(key.series for key in self.keys))

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """The runs of its files, in order."""
        return tuple(dict.fromkeys(key.run for key in self.keys))


@dataclass(frozen=True)
class Held:
    """What a job of several runs reads for one of them: paths by role, and hand-made parameter files by role."""

    inputs: Mapping[str, tuple[Path, ...]]
    overrides_of: Mapping[str, tuple[Path, ...]]


@dataclass(frozen=True)
class Job:
    """Everything that one job must know; the same while planning and while running.

    Attributes
    ----------
    step
        Name of the step in the registry.
    unit
        What it runs for.
    inputs
        Absolute paths by role; an optional input that is not there has no entry.
    outputs
        Absolute paths by role: ``tier``, ``par``, ``plt``, and what else the step makes.
    channels
        The channels to work on, sorted by name.
    config
        The resolved step configuration.
    overrides_of
        Hand-made parameter files by the input role that they change, merged last.
    log
        The log file.
    setup
        The configuration of the cycle.
    module
        The module of the dataflow that does the work, ``steps.tier_dsp.build``; twin tiers share one.
    all_channels
        All channels of the map at that time, processable or not.
    maps
        The same at the time of each file that is read, by path, where a channel map or a status changes among them.
    runs
        For a partition: by run, in order, what of the inputs is of that run.
    tables
        The tier whose tables a role means, where they differ.
    content
        For an output that the plan itself decides (``validity.yaml``): what it holds.
    """

    step: str
    unit: Unit
    inputs: Mapping[str, tuple[Path, ...]]
    outputs: Mapping[str, Path]
    channels: tuple[Channel, ...]
    config: StepConfig
    overrides_of: Mapping[str, tuple[Path, ...]]
    log: Path
    setup: Setup
    module: str
    _read: Callable[[Path], TextFile] = field(repr=False, compare=False)
    all_channels: tuple[Channel, ...] = field(default=(), repr=False, compare=False)
    maps: Mapping[Path, tuple[Channel, ...]] = field(default_factory=dict, repr=False, compare=False)
    runs: Mapping[str, Held] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    content: Any = field(default=None, repr=False)

    @property
    def key(self) -> Key:
        """The file, or the first file of the unit."""
        return self.unit.key

    @property
    def settings(self) -> Mapping[str, Any]:
        """What ``config.json`` says of the step under ``settings``."""
        return self.setup.settings.get(self.step) or {}

    def map_of(self, path: Path) -> tuple[Channel, ...]:
        """All channels at the time of a file that is read."""
        return self.maps.get(path, self.all_channels)

    @property
    def pulsers(self) -> tuple[Channel, ...]:
        """The pulser channels of the map."""
        return tuple(channel for channel in self.all_channels if channel.system == "puls")

    @property
    def overrides(self) -> tuple[Path, ...]:
        """All hand-made parameter files that concern the job."""
        own = [path for files in self.overrides_of.values() for path in files]
        of_runs = [path for held in self.runs.values() for files in held.overrides_of.values() for path in files]
        return tuple(dict.fromkeys([*own, *of_runs]))

    def table(self, role: str, channel: Channel | None = None, **fields: str) -> str:
        """The LH5 table of a role (and channel): ``ch1104000/raw``, or ``raw`` where a channel has no number."""
        form = self.setup.table_format[self.tables.get(role, role)]
        if RAWID_FIELD not in form:
            return form.format(**fields) if fields else form
        if channel is None or channel.rawid is None:
            return form.rpartition("/")[2]
        return form.format(ch=channel.rawid, **fields)

    def tables_in(self, role: str, channel: Channel, run: str = "") -> tuple[str | None, ...]:
        """The LH5 table of a detector in each file of a role, by the channel map and the status of that file.

        Detectors are known by their names: where a map gives one another number inside a run, its rows lie in another
        table from there on. None for a file whose map does not have the detector, or has it as not processable.
        For a partition, the files may be those of one of its runs.
        """
        paths = (self.runs[run] if run else self).inputs.get(role, ())
        if not self.maps:
            return (self.table(role, channel),) * len(paths)
        found: list[str | None] = []
        for path in paths:
            mine = next((each for each in self.map_of(path) if each.name == channel.name), None)
            found.append(self.table(role, mine) if mine is not None and mine.processable else None)
        return tuple(found)

    def pars(self, role: str, run: str = "") -> dict[str, dict[str, Any]]:
        """The parameters of an input role by detector: its files merged in order, then the overrides.

        Parameters
        ----------
        role
            The input.
        run
            For a partition: those of one of its :attr:`runs`. Without it, its files are merged over all runs, and the
            overrides are those of the first.

        Raises
        ------
        UserError
            If a file is missing or not valid YAML.
        """
        held = self.runs[run] if run else self
        files, by_hand = held.inputs.get(role, ()), held.overrides_of.get(role, ())
        contents = [[self._read(path).mapping() for path in paths] for paths in (files, by_hand)]
        return parameters_that_hold(*contents)
