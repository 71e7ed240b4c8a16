"""A production cycle as the plan sees it: its configuration, metadata, data, and the jobs that follow from them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from . import parcatalog
from .chains import Chains
from .config import Setup, read_config
from .errors import Unavailable, UserError
from .inventory import Inventory, daq_format, scan
from .lineage import Lineages
from .metadata import Metadata
from .model import Channel, Job, Key
from .parcatalog import ParCatalog
from .paths import Paths
from .recipe import digest
from .scheme import KeyScheme, scheme_of
from .stepconfig import StepConfig
from .steps import BY_NAME, DAQ, STEPS, Step, inputs_of
from .times import is_time
from .validity import Folder, NoSuchFile
from .words import listing, nearest

SPAN = ".."
_PARTS = frozenset(step.name for step in STEPS if step.part_of)


class Cycle:
    """One production cycle. Nothing is read before it is needed, nothing twice, and nothing is written.

    Parameters
    ----------
    setup
        Its configuration.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.scheme: KeyScheme = scheme_of(setup.keys, f"{setup.file}: keys")
        self.metadata = Metadata(setup, self.scheme)
        self.paths = Paths(setup, self.scheme)
        self._jobs: dict[tuple[str, Key], Job] = {}
        self._par_folders: dict[str, Folder] = {}
        self.lineages = Lineages(self)
        self.chains = Chains(setup, self.metadata.reader)
        self._chosen: dict[tuple[str, int, int], tuple[tuple[Channel, ...], object, object]] = {}
        self._joined: dict[tuple[int, ...], tuple[tuple[Channel, ...], object]] = {}

    @cached_property
    def inventory(self) -> Inventory:
        """The DAQ and raw files that are there."""
        daq = self.setup.path("tier_daq") if self.paths.inside("tier_raw") else None
        return scan(daq, self.setup.path("tier_raw"), self.scheme)

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """The keys of all files, sorted by time, without those that the metadata says to ignore."""
        ignored = self.metadata.datasets.ignored
        found = {*self.inventory.daq, *self.inventory.raw}
        return tuple(sorted((key for key in found if str(key) not in ignored), key=lambda key: key.order))

    @cached_property
    def runs(self) -> dict[str, tuple[Key, ...]]:
        """The keys of each run, sorted by time."""
        runs: dict[str, list[Key]] = {}
        for key in self.keys:
            runs.setdefault(key.run, []).append(key)
        return {run: tuple(keys) for run, keys in runs.items()}

    @cached_property
    def catalog(self) -> ParCatalog:
        """Which calibration run gives the parameters for which file."""
        overrides = self.metadata.datasets.run_overrides if self.scheme.choice == "time" else ()
        return parcatalog.build(self.keys, self.scheme, overrides)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps that this cycle runs: those of the scheme's tiers whose output lies in the cycle."""
        return tuple(step for step in STEPS if step.tier in self.scheme.tiers and self.makes(step))

    def makes(self, step: Step) -> bool:
        """Whether the cycle makes the outputs of a step; those of a redirected path are only read."""
        return self.paths.inside(f"{'tier' if step.kind == 'tier' else 'par'}_{step.tier}")

    def job(self, step: str, key: str | Key) -> Job:
        """Everything that the job of a step must know.

        Parameters
        ----------
        step
            Name of the step.
        key
            The key of the file; for parameters and run files that of the first file of the run. ``KEY..TIME`` leaves
            out files of the run that begin after that time: a running job must not see what came in since it was
            planned.

        Raises
        ------
        UserError
            If there is no such step or file, parameters are missing, or the metadata is wrong.
        """
        name = key if isinstance(key, Key) else self._named(key)
        if (step, name) not in self._jobs:
            self._jobs[step, name] = self._job(self._step(step), name)
        return self._jobs[step, name]

    def recipe(self, step: str, key: str | Key) -> str:
        """The hash of everything that decides what a job makes, but for its inputs."""
        return digest(self.lineages.recipe(self.job(step, key)).own)

    def lineage(self, step: str, key: Key) -> str:
        """The hash of everything that decides what a job makes: its recipe and the lineages of its inputs."""
        return self.lineages.wanted(step, key)

    def needs(self, step: str, key: Key) -> tuple[tuple[str, Key], ...]:
        """The jobs whose outputs are the inputs of a job, also those that another cycle has done."""
        kind = BY_NAME[step]
        return tuple(origin for role in self.roles(kind) for origin in self.origins(kind, role, key))

    def upstream(self, steps: Iterable[str]) -> frozenset[str]:
        """The names of steps and of all steps whose outputs they need, directly or not."""
        ahead, seen = list(steps), set(steps)
        while ahead:
            kind = BY_NAME[ahead.pop()]
            names = {role if role in BY_NAME else f"tier_{role}" for role in self.roles(kind) if role != DAQ}
            ahead += names - seen
            seen |= names
        return frozenset(seen)

    def check(self, wanted: Iterable[tuple[str, Key]]) -> None:
        """Plan jobs and all that they need, with their recipes, so that whatever is wrong comes out now.

        Raises
        ------
        UserError
            The first thing that is wrong.
        """
        ahead, seen = list(wanted), set(wanted)
        while ahead:
            step, key = ahead.pop()
            if not self.is_made(step, key):
                self._require(step, self.output(step, key))
                continue
            self.chains.check(self.job(step, key))
            self.lineages.check(step, key)
            new = [need for need in self.needs(step, key) if need not in seen]
            seen.update(new)
            ahead += new

    @property
    def planned(self) -> frozenset[tuple[str, Key]]:
        """The jobs that were planned so far: step and key."""
        return frozenset(self._jobs)

    def validity(self, tier: str) -> list[dict[str, Any]]:
        """The content of a parameter folder's ``validity.yaml``."""
        template, folder = self.paths.par(tier), self.setup.path(f"par_{tier}")
        return self.catalog.validity(lambda key: os.path.relpath(self.paths.fill(template, key), folder))

    def first_key(self, run: str) -> Key:
        """The first key of a run.

        Raises
        ------
        UserError
            If there is no data of the run.
        """
        if run not in self.runs:
            raise UserError(f"there is no data of the run {run}", hint=f"there are: {listing(self.runs)}")
        return self.runs[run][0]

    def any_key(self, step: Step) -> Key:
        """The key that a step of the whole cycle is called with: that of the first file.

        Raises
        ------
        UserError
            If there are no files.
        """
        if not self.keys:
            raise UserError(f"{step.name} needs data; there is none", hint=f"see {self.setup.path('tier_daq')}")
        return self.keys[0]

    def span(self, step: str, key: Key) -> str:
        """What a job is called with: its key, and for all files of a run ``KEY..TIME`` with the time of the last."""
        return f"{key}{SPAN}{self.runs[key.run][-1].timestamp}" if BY_NAME[step].per_run else str(key)

    def _named(self, text: str) -> Key:
        name, dots, last = text.partition(SPAN)
        key = self.scheme.key(name)
        if dots:
            if not is_time(last):
                raise UserError(f"{text!r}: {last!r} is no time YYYYmmddTHHMMSSZ")
            self.runs[key.run] = tuple(each for each in self.runs.get(key.run, ()) if each.timestamp <= last)
        return key

    def _step(self, name: str) -> Step:
        if name not in BY_NAME:
            raise UserError(f"there is no step {name!r}", hint=nearest(name, BY_NAME))
        return BY_NAME[name]

    def _job(self, step: Step, key: Key) -> Job:
        self._check_key(step, key)
        inputs = {role: self._inputs(step, role, key) for role in self.roles(step)}
        outputs = {role: self.paths.fill(form, key) for role, form in self.paths.outputs(step).items()}
        config = self.config(step, key)
        return Job(
            step=step.name,
            key=key,
            inputs=inputs,
            outputs=outputs,
            channels=self._channels(step, key, config),
            config=config,
            overrides_of=self._overrides(step, key),
            log=self.paths.fill(self.paths.log(step), key),
            setup=self.setup,
            _read=self.metadata.reader,
            all_channels=() if step.kind == "validity" else self.metadata.channels(key),
            maps={str(each): self.metadata.channels(each) for each in self._files_of(step, key)},
        )

    def _files_of(self, step: Step, key: Key) -> tuple[Key, ...]:
        """The files that a job is about: those of the run, or its one; none for what follows from names alone."""
        if step.kind == "validity":
            return ()
        return self.runs[key.run] if step.per_run else (key,)

    def map_changes(self, step: Step, key: Key) -> tuple[tuple[str, int], ...]:
        """The files of a job at which the channel map or the statuses become others, empty if they stay the same.

        The maps are told apart by the numbers of the objects, which are kept as long as the cycle is.
        """
        if not step.per_run or step.kind == "validity":
            return ()
        held = [(str(each), id(self.metadata.channels(each))) for each in self._files_of(step, key)]
        changes = [held[0], *(after for before, after in pairwise(held) if before[1] != after[1])]
        return tuple(changes) if len(changes) > 1 else ()

    def roles(self, step: Step) -> tuple[str, ...]:
        """The input roles of a step, without the tiers that the key scheme does not have."""
        names = (*self.scheme.tiers, DAQ)
        return tuple(role for role in inputs_of(step) if role.removeprefix("par_") in names or role in BY_NAME)

    def config(self, step: Step, key: Key) -> StepConfig:
        """The resolved configuration of a step for a key."""
        rule = step.rule
        if "{daq}" in rule:
            rule = rule.format(daq=daq_format(self._daq(key)))
        return self.metadata.config(rule, key) if rule else StepConfig(step.name)

    def _check_key(self, step: Step, key: Key) -> None:
        if step.kind == "validity":
            return
        if key.run not in self.runs or key not in self.runs[key.run]:
            if str(key) in self.metadata.datasets.ignored:
                raise UserError(f"{key} is in the list of ignored files", hint="see datasets/ignored_daq_cycles.yaml")
            raise UserError(f"there is no data file for {key}", hint=f"DAQ files are in {self.setup.path('tier_daq')}")
        if step.kind == "par" and key not in self.catalog:
            first = self.runs[key.run][0]
            raise UserError(f"{step.name} is not made for {key}", hint=f"its run begins with {first}")

    def _inputs(self, step: Step, role: str, key: Key) -> tuple[Path, ...]:
        if role == DAQ:
            return (self._daq(key),)
        tier = role.removeprefix("par_")
        if role != tier and role not in _PARTS:
            if not self.paths.inside(role):
                return self._foreign_pars(tier, key)
            if self.catalog.at(key) is None:
                return self._no_pars(tier, key, self.catalog.first(key))
        return tuple(self.output(name, each) for name, each in self.origins(step, role, key))

    def origins(self, step: Step, role: str, key: Key) -> list[tuple[str, Key]]:
        """The steps and keys whose outputs an input role consists of; none for what is no output of a step."""
        if role == DAQ:
            return []
        if role in _PARTS:
            return [(role, key)]
        if role.startswith("par_"):
            return [(role, each) for each in self.catalog.at(key) or () if self.paths.inside(role)]
        keys = self.runs[key.run] if step.per_run else (key,)
        return [(f"tier_{role}", each) for each in keys]

    def is_made(self, name: str, key: Key) -> bool:
        """Whether the cycle makes an output; what lies elsewhere, and raw files without DAQ file, it takes as it is."""
        return self.makes(BY_NAME[name]) and not (name == "tier_raw" and key in self.inventory.raw)

    def _require(self, step: str, path: Path) -> None:
        """Refuse a file of another cycle that is not there."""
        if not path.is_file():
            hint = f"make it there, or change paths.{step} in {self.setup.file}"
            raise Unavailable(f"{path} is missing, and {self.setup.path(step)} belongs to another cycle", hint=hint)

    def output(self, name: str, key: Key) -> Path:
        """The main output of a step, or the raw file that is there without its DAQ file."""
        if name == "tier_raw" and key in self.inventory.raw:
            return self.inventory.raw[key]
        outputs = self.paths.outputs(BY_NAME[name])
        return self.paths.fill(outputs.get("tier") or outputs["par"], key)

    def _daq(self, key: Key) -> Path:
        path = self.inventory.daq.get(key)
        if path is None:
            raise UserError(f"there is no DAQ file for {key}", hint=f"looked in {self.setup.path('tier_daq')}")
        return path

    def _foreign_pars(self, tier: str, key: Key) -> tuple[Path, ...]:
        """Parameter files of another cycle, by the validity list that lies beside them."""
        if tier not in self._par_folders:
            self._par_folders[tier] = Folder(self.setup.path(f"par_{tier}"), self.metadata.reader)
        folder = self._par_folders[tier]
        try:
            files = folder.files(key.timestamp, key.datatype)
        except NoSuchFile as slip:
            raise Unavailable(slip.message, hint=f"make it there, or change paths.par_{tier}") from None
        return files or self._no_pars(tier, key, folder.validity.first(key.datatype))

    def _no_pars(self, tier: str, key: Key, first: str | None) -> tuple[Path, ...]:
        if self.setup.options.get("allow_none_par"):
            return ()
        known = f"the first ones are valid from {first}" if first else self._no_calibration(key)
        hint = "add a calibration run before it, or set allow_none_par: true to go on without parameters"
        raise Unavailable(f"there are no {tier} parameters for {key}: {known}", hint=hint)

    def _no_calibration(self, key: Key) -> str:
        shared = ", ".join(f"{name} {key[name]}" for name in self.scheme.shared)
        return f"no calibration data ({' or '.join(self.scheme.calibration)}) of {shared} is there"

    def _overrides(self, step: Step, key: Key) -> dict[str, tuple[Path, ...]]:
        roles = [role for role in self.roles(step) if role.startswith("par_") and role not in _PARTS]
        return {role: self.metadata.overrides(role.removeprefix("par_"), key) for role in roles}

    def _channels(self, step: Step, key: Key, config: StepConfig) -> tuple[Channel, ...]:
        """The channels that a job works on: those of all its files, each by its name as in the first that has it."""
        parts = [self._channels_at(step, each, config) for each in self._files_of(step, key)]
        place = tuple(map(id, parts))
        if len(set(place)) < 2:
            return parts[0] if parts else ()
        if place not in self._joined:
            by_name = {channel.name: channel for part in reversed(parts) for channel in part}
            self._joined[place] = tuple(by_name[name] for name in sorted(by_name)), parts
        return self._joined[place][0]

    def _channels_at(self, step: Step, key: Key, config: StepConfig) -> tuple[Channel, ...]:
        channels = self.metadata.channels(key)
        if not step.systems:
            return channels
        place = (step.name, id(channels), id(config))
        if place not in self._chosen:
            wanted = tuple(channel for channel in channels if self._wanted(step, channel, config))
            self.metadata.require_statuses(wanted, key)
            self._chosen[place] = tuple(channel for channel in wanted if channel.processable), channels, config
        return self._chosen[place][0]

    def _wanted(self, step: Step, channel: Channel, config: StepConfig) -> bool:
        named = channel.system in step.optional_systems and config.names(channel)
        return channel.system in step.systems or named


def open_cycle(config: str | os.PathLike[str], experiment: str | None = None) -> Cycle:
    """Open the cycle of a configuration file.

    Parameters
    ----------
    config
        The configuration file.
    experiment
        Name of the setup in it, None for the only one or ``l200``.

    Raises
    ------
    UserError
        If the configuration is wrong.
    """
    return Cycle(read_config(config, experiment))
