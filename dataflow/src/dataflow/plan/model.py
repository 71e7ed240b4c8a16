"""The words of a plan: keys, channels, jobs. Plain values, made by :class:`dataflow.plan.cycle.Cycle`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .merge import merged_all

if TYPE_CHECKING:
    from .config import Setup
    from .scheme import KeyScheme
    from .stepconfig import StepConfig
    from .textfile import TextFile

RAWID_FIELD = "{ch"
SYSTEMS = ("geds", "spms", "puls", "bsln", "auxs", "pmts", "muon")


@dataclass(frozen=True)
class Key:
    """The name of one DAQ file: the values of the scheme's fields."""

    values: tuple[str, ...]
    scheme: KeyScheme = field(compare=False, repr=False)

    def __str__(self) -> str:
        return "-".join(self.values)

    def __getitem__(self, name: str) -> str:
        return self.values[self.scheme.names.index(name)]

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """The values by field name."""
        return dict(zip(self.scheme.names, self.values, strict=True))

    @property
    def timestamp(self) -> str:
        """The begin of the file, ``YYYYmmddTHHMMSSZ``."""
        return self.values[-1]

    @property
    def datatype(self) -> str:
        """The category of metadata validity: the datatype, or the measurement of a test stand."""
        return self[self.scheme.category]

    @property
    def run(self) -> str:
        """The name of the run that the file belongs to: the key without its time."""
        return "-".join(self.values[:-1])

    @property
    def order(self) -> tuple[str, tuple[str, ...]]:
        """What keys are sorted by: the time, then the name."""
        return self.values[-1], self.values


@dataclass(frozen=True)
class Channel:
    """One readout channel at one time.

    Attributes
    ----------
    name
        The detector, for example ``V02160A``.
    system
        ``geds``, ``spms``, ``puls``, ``bsln``, ``auxs``, ``pmts`` or ``muon``.
    rawid
        Number of its tables in LH5 files, None where tables have no channel prefix.
    fcid
        Number in the DAQ system's event records, None if the map does not tell.
    processable
        Whether it is processed beyond raw.
    usability
        ``on``, ``ac`` (anti-coincidence only), ``off`` or ``no_psd``.
    psd
        Which pulse-shape classifiers are valid.
    daq
        The entry ``daq`` of the channel map.
    """

    name: str
    system: str
    rawid: int | None = None
    fcid: int | None = None
    processable: bool = True
    usability: str = "on"
    psd: Mapping[str, Any] = field(default_factory=dict, compare=False)
    daq: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Job:
    """Everything that one job must know; the same while planning and while running.

    Attributes
    ----------
    step
        Name of the step in the registry.
    key
        The file, or for parameters and run files the first file of the run.
    inputs
        Absolute paths by role.
    outputs
        Absolute paths by role: ``tier``, ``par``, ``plt``.
    channels
        The channels to work on, sorted by name.
    config
        The resolved step configuration.
    overrides_of
        Hand-made parameter files by the input role that they change, merged last.
    log
        The log file.
    all_channels
        All channels of the map at that time, processable or not.
    maps
        The same for each file that the job is about, by key, in their order: a map may change inside a run.
    """

    step: str
    key: Key
    inputs: Mapping[str, tuple[Path, ...]]
    outputs: Mapping[str, Path]
    channels: tuple[Channel, ...]
    config: StepConfig
    overrides_of: Mapping[str, tuple[Path, ...]]
    log: Path
    setup: Setup
    _read: Callable[[Path], TextFile] = field(repr=False, compare=False)
    all_channels: tuple[Channel, ...] = field(default=(), repr=False, compare=False)
    maps: Mapping[str, tuple[Channel, ...]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def pulsers(self) -> tuple[Channel, ...]:
        """The pulser channels of the map."""
        return tuple(channel for channel in self.all_channels if channel.system == "puls")

    @property
    def overrides(self) -> tuple[Path, ...]:
        """All hand-made parameter files that concern the job."""
        return tuple(path for files in self.overrides_of.values() for path in files)

    def table(self, tier: str, channel: Channel | None = None, **fields: str) -> str:
        """The LH5 table of a tier (and channel): ``ch1104000/raw``, or ``raw`` where a channel has no number."""
        form = self.setup.table_format[tier]
        if RAWID_FIELD not in form:
            return form.format(**fields) if fields else form
        if channel is None or channel.rawid is None:
            return form.rpartition("/")[2]
        return form.format(ch=channel.rawid, **fields)

    def tables(self, tier: str, channel: Channel) -> tuple[str | None, ...]:
        """The LH5 table of a detector in each file of the run, by the channel map and the status of that file.

        Detectors are known by their names: where a map gives one another number inside a run, its rows lie in another
        table from there on. None for a file whose map does not have the detector, or has it as not processable.
        """
        found: list[str | None] = []
        for channels in self.maps.values():
            mine = next((each for each in channels if each.name == channel.name), None)
            found.append(self.table(tier, mine) if mine is not None and mine.processable else None)
        return tuple(found)

    def pars(self, role: str) -> dict[str, dict[str, Any]]:
        """The parameters of an input role by detector: its files merged in order, then the overrides.

        Raises
        ------
        UserError
            If a file is missing or not valid YAML.
        """
        files = (*self.inputs.get(role, ()), *self.overrides_of.get(role, ()))
        return deepcopy(merged_all(self._read(path).mapping() for path in files))
