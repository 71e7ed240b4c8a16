"""A production cycle as the plan sees it: its configuration, metadata, data, and the jobs that follow from them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dataflow.base.errors import Unavailable, UserError
from dataflow.base.messages import nearest
from dataflow.keys.channel import Channel
from dataflow.keys.daqforms import foreign_names
from dataflow.keys.inventory import Inventory, scan
from dataflow.keys.key import Key
from dataflow.keys.scheme import KeyScheme, scheme_of
from dataflow.metadata import calibrations as parcatalog
from dataflow.metadata.calibrations import ParCatalog
from dataflow.metadata.references import files_named
from dataflow.metadata.stepconfig import StepConfig
from dataflow.metadata.tree import Metadata
from dataflow.metadata.validity import Folder, NoSuchFile
from dataflow.provenance.lineage import Lineages
from dataflow.provenance.recipe import digest, normal_text
from dataflow.registry.step import DAQ, Input, Registry, Scope, Step
from dataflow.registry.steps import REGISTRY
from dataflow.setup.config import Setup, read_config

from .chains import Chains, Raw
from .check import Check
from .hitcolumns import HitColumns
from .job import RAWID_FIELD, Held, Job, Unit
from .paths import Paths
from .selection import Selection
from .stretches import Stretch, stretches
from .units import Place, Units

BY_CHANNEL = frozenset({"raw", "dsp", "hit"})
"""Tiers whose files have a table for each channel."""


class Cycle:
    """One production cycle. Nothing is read before it is needed, nothing twice, and nothing is written.

    Parameters
    ----------
    setup
        Its configuration.
    registry
        The steps that there are.

    Methods take a unit, or where a step runs for files or runs, the key that the unit is called by.
    """

    def __init__(self, setup: Setup, registry: Registry = REGISTRY) -> None:
        self.setup, self.registry = setup, registry
        self.scheme: KeyScheme = scheme_of(setup.keys, f"{setup.file}: keys")
        self.metadata = Metadata(setup, self.scheme)
        self.paths = Paths(setup, self.scheme)
        self.units = Units(self)
        self.selection = Selection(self)
        self._jobs: dict[Place, Job] = {}
        self._mains: dict[str, str] = {}
        self._made: dict[tuple[str, Key | Unit], bool] = {}
        self._possible: dict[Place, bool] = {}
        self._outputs: dict[tuple[str, Key | Unit, str], Path] = {}
        self._roles: dict[str, tuple[Input, ...]] = {}
        self._plain: dict[str, StepConfig] = {}
        self._catalogs: dict[tuple[str, ...], ParCatalog] = {}
        self._catalog_of: dict[str, ParCatalog] = {}
        self._par_folders: dict[str, Folder] = {}
        self._named: dict[Path, tuple[Path, ...]] = {}
        self.takes_files = False
        """Whether anything was planned by a file as it is there, and not as it would be made by now."""
        self.lineages = Lineages(self)
        self._check = Check(self)
        self.hit_columns = HitColumns(self)
        self.chains = Chains(setup, self.metadata.reader, self._made_of, self._raw)

    @cached_property
    def inventory(self) -> Inventory:
        """The DAQ and raw files that are there."""
        daq = self.setup.path("tier_daq") if self.paths.inside("tier_raw") else None
        per_run = self.scheme.run_files or {}
        later = [tier for tier in self.scheme.tiers if tier != "raw" and tier not in per_run]
        folders = {tier: self.setup.path(f"tier_{tier}") for tier in later}
        return scan(daq, self.setup.path("tier_raw"), self.scheme, foreign_names(self.setup.path("install")), folders)

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """The keys of all files, sorted by time, without those that the metadata says to ignore."""
        ignored = self.metadata.datasets.ignored
        found = {*self.inventory.daq, *self.inventory.raw, *self.inventory.later}
        return tuple(sorted((key for key in found if str(key) not in ignored), key=lambda key: key.order))

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """The files by what holds for them, in the order of :attr:`keys`; see :mod:`.stretches`."""
        return stretches(self)

    @cached_property
    def stretch_of(self) -> Mapping[Key, Stretch]:
        """The stretch of each file; empty where the metadata do not allow to say when they change."""
        try:
            return {key: stretch for stretch in self.stretches for key in stretch.keys}
        except UserError:  # it does not matter for what is asked, or will be told in its words
            return {}

    @cached_property
    def firsts(self) -> tuple[Key, ...]:
        """The keys among which is the first one of all for which the same holds; sorted by time."""
        try:
            return tuple(stretch.first for stretch in self.stretches)
        except UserError:  # it does not matter for what is asked, or will be told in its words
            return self.keys

    @property
    def series(self) -> Mapping[str, tuple[Key, ...]]:
        """The keys of each series (run and datatype), sorted by time."""
        return self.units.series

    @property
    def catalog(self) -> ParCatalog:
        """Which run of the scheme's calibration categories gives the parameters for which file."""
        return self._catalog(self.scheme.calibration)

    def catalog_of(self, tier: str) -> ParCatalog:
        """Which run gives the parameters of a tier for which file: that of the datatypes of the tier's steps."""
        if tier not in self._catalog_of:
            self._catalog_of[tier] = self._catalog(self.datatypes(tier))
        return self._catalog_of[tier]

    def datatypes(self, tier: str) -> tuple[str, ...]:
        """The datatypes whose runs give parameters of a tier."""
        return self.registry.datatypes_of(tier) or self.scheme.calibration

    def _catalog(self, datatypes: tuple[str, ...]) -> ParCatalog:
        if datatypes not in self._catalogs:
            overrides = self.metadata.datasets.run_overrides if self.scheme.choice == "time" else ()
            self._catalogs[datatypes] = parcatalog.build(self.keys, self.scheme, overrides, datatypes)
        return self._catalogs[datatypes]

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps that this cycle runs: those of the scheme's tiers whose output lies in the cycle."""
        return tuple(step for step in self.registry.steps if step.tier in self.scheme.all_tiers and self.makes(step))

    def is_shown(self, step: Step) -> bool:
        """Whether a step belongs to what is surveyed: not if its tier is made on request and nothing of it is there."""
        if step.tier in self.scheme.tiers:
            return True
        return any(self.setup.path(f"{area}_{step.tier}").is_dir() for area in ("tier", "par"))

    def makes(self, step: Step) -> bool:
        """Whether the cycle makes the outputs of a step; those of a redirected path are only read."""
        return self.paths.inside(f"{'tier' if step.kind == 'tier' else 'par'}_{step.tier}")

    def job(self, step: str, unit: str | Key | Unit) -> Job:
        """Everything that the job of a step must know.

        Parameters
        ----------
        step
            Name of the step.
        unit
            What it runs for, or its name: the key of the file; for parameters and run files that of the first file.

        Raises
        ------
        UserError
            If there is no such step or file, parameters are missing, or the metadata is wrong.
        """
        place = step, self.unit(step, unit)
        found = self._jobs.get(place)
        if found is None:
            found = self._jobs[place] = self._job(self.step(step), place[1])
        return found

    def unit(self, step: str, unit: str | Key | Unit) -> Unit:
        """The unit of a step that a key or a name means.

        Raises
        ------
        UserError
            If there is no such step, file or partition.
        """
        if isinstance(unit, Unit):
            return unit
        kind = self.step(step)
        return self.units.at(kind, unit) if isinstance(unit, Key) else self.units.called(kind, unit)

    def step(self, name: str) -> Step:
        """The step called `name`.

        Raises
        ------
        UserError
            If there is none.
        """
        if name not in self.registry.by_name:
            raise UserError(f"there is no step {name!r}", hint=nearest(name, self.registry.by_name))
        return self.registry.by_name[name]

    def recipe(self, step: str, unit: str | Key | Unit) -> str:
        """The hash of everything that decides what a job makes, but for its inputs."""
        return digest(self.lineages.recipe(self.job(step, unit)).own)

    def lineage(self, step: str, unit: Key | Unit) -> str:
        """The hash of everything that decides what a job makes: its recipe and the lineages of its inputs."""
        return self.lineages.wanted(step, unit)

    def needs(self, step: str, unit: Key | Unit) -> tuple[Place, ...]:
        """The jobs whose outputs are the inputs of a job, also those that another cycle has done."""
        own = self.unit(step, unit)
        found = self._check.needs.get((step, own))
        if found is None:
            kind = self.step(step)
            origins = (origin for each in self.inputs(kind) for origin in self.units.origins(kind, each, own))
            found = tuple(dict.fromkeys(origins))
        return found

    def sources(self, step: str, unit: Key | Unit) -> dict[Path, Place]:
        """The inputs of a job that are outputs of steps, and the jobs that make them."""
        kind, own = self.step(step), self.unit(step, unit)
        return {
            self.output(*origin, each.output): origin
            for each in self.inputs(kind)
            for origin in self.units.origins(kind, each, own)
        }

    def upstream(self, steps: Iterable[str]) -> frozenset[str]:
        """The names of steps and of all steps whose outputs they need, directly or not."""
        ahead, seen = list(steps), set(steps)
        while ahead:
            kind = self.step(ahead.pop())
            names = {each.source for each in self.inputs(kind) if each.source != DAQ}
            ahead += names - seen
            seen |= names
        return frozenset(seen)

    def check(self, wanted: Iterable[tuple[str, Key | Unit]]) -> None:
        """Plan jobs and all that they need, with their recipes, so that whatever is wrong comes out now.

        Raises
        ------
        UserError
            The first thing that is wrong.
        """
        self._check.plan((step, self.unit(step, unit)) for step, unit in wanted)

    def _made_of(self, step: str) -> Mapping[str, object]:
        return self.lineages.recipes.made_of(self.step(step))

    def _raw(self, job: Job) -> Raw:
        """What the configuration of raw tells of the raw tables of a job's key."""
        key = job.unit.key
        if key not in self.inventory.daq:
            return Raw()
        config = self.config(self.step("tier_raw"), key)
        words = frozenset(re.findall(r"\w+", normal_text({name: config.everything(name) for name in config.inputs})))
        return Raw("windowed" if "waveform_windowed" in words else "whole", self.inventory.formats[key], words)

    @property
    def planned(self) -> frozenset[Place]:
        """The jobs that were planned so far: step and unit."""
        return frozenset(self._jobs) | frozenset(self._check.needs)

    def is_planned(self, step: str, unit: Unit) -> bool:
        """Whether a job was planned by :meth:`check`, and is in order."""
        return (step, unit) in self._check.needs

    def figures(self) -> list[Place]:
        """The jobs that make the figures of the calibrations that were planned by :meth:`check`."""
        steps = (step for step in self.steps if step.figures_of)
        return [
            (step.name, unit)
            for step in steps
            for unit in self.units.of(step)
            if self.is_planned(step.figures_of, unit)
        ]

    def validity(self, tier: str) -> list[dict[str, Any]]:
        """The content of a parameter folder's ``validity.yaml``."""
        template, folder = self.paths.par(tier), self.setup.path(f"par_{tier}")
        return self.catalog_of(tier).validity(lambda key: os.path.relpath(self.paths.fill(template, key), folder))

    def _job(self, step: Step, unit: Unit) -> Job:
        return replace(
            self.bare(step, unit),
            inputs=self._inputs(step, unit),
            outputs={role: self.output(step.name, unit, role) for role in step.outputs},
            overrides_of=self._overrides(step, unit.key),
            log=self.paths.fill(self.paths.log(step), unit),
            runs=self._held(step, unit) if unit.scope is Scope.PARTITION else {},
        )

    def bare(self, step: Step, unit: Unit) -> Job:
        """A job without its files: what its recipe is made of.

        Raises
        ------
        UserError
            If the metadata is wrong.
        """
        config = self.config(step, unit.key)
        channels = self.selection.of_unit(step, unit, config)
        config.check(channels)
        self._check_tables(step, channels)
        return Job(
            step=step.name,
            unit=unit,
            inputs={},
            outputs={},
            channels=channels,
            config=config,
            overrides_of={},
            log=Path(),
            setup=self.setup,
            module=step.module,
            _read=self.metadata.reader,
            all_channels=() if step.kind == "validity" else self.metadata.channels(unit.key),
            maps=self._maps(step, unit),
            tables=step.tables,
            content=self.validity(step.tier) if step.kind == "validity" else None,
        )

    def _maps(self, step: Step, unit: Unit) -> dict[Path, tuple[Channel, ...]]:
        """The channels at the time of each file that a job reads, where they are not the same for all."""
        if len(self.selection.turns(step, unit)) == 1:
            return {}
        return {
            self.output(*origin, each.output): self.metadata.channels(origin[1].key)
            for each in self.inputs(step)
            if each.tier
            for origin in self.units.origins(step, each, unit)
        }

    def _check_tables(self, step: Step, channels: tuple[Channel, ...]) -> None:
        """Several channels with one table would be taken for one detector."""
        form = self.setup.table_format[step.tier] if step.kind == "tier" and step.tier in BY_CHANNEL else RAWID_FIELD
        if RAWID_FIELD not in form and len(channels) > 1:
            hint = f"write the number of the channel into it, for example ch{{ch:07d}}/{step.tier}"
            said = f"table_format.{step.tier} is {form!r}, one table for {len(channels)} channels of the map"
            raise UserError(f"{self.setup.file}: {said}", hint=hint)

    def inputs(self, step: Step) -> tuple[Input, ...]:
        """The inputs of a step, without the tiers that the key scheme does not have."""
        if step.name not in self._roles:
            there = {*self.scheme.all_tiers, DAQ}
            known = self.registry.by_name
            self._roles[step.name] = tuple(
                each
                for each in self.registry.inputs_of(step)
                if (each.of == DAQ or (each.source in known and known[each.source].tier in there))
            )
        return self._roles[step.name]

    def config(self, step: Step, key: Key) -> StepConfig:
        """The resolved configuration of a step for a key."""
        rule = step.rule
        if "{daq}" in rule:
            self._daq(key)
            rule = rule.format(daq=self.inventory.formats[key])
        return self.metadata.config(rule, key) if rule else self._plain.setdefault(step.name, StepConfig(step.name))

    def _inputs(self, step: Step, unit: Unit, *, is_part: bool = False) -> dict[str, tuple[Path, ...]]:
        """The files of a unit's inputs by role; a part of a unit need not have all of them."""
        found = {each.name: self.input_files(step, each, unit, is_part=is_part) for each in self.inputs(step)}
        return {role: paths for role, paths in found.items() if paths is not None}

    def input_files(self, step: Step, wanted: Input, unit: Unit, *, is_part: bool = False) -> tuple[Path, ...] | None:
        """The files of an input of a job, None if it may be missing and is; a part of a unit need not have it."""
        if wanted.source == DAQ:
            return (self._daq(unit.key),)
        origin = self.registry.by_name[wanted.source]
        if origin.is_merge:
            if not self.paths.inside(origin.name):
                return self._foreign_pars(origin.tier, unit.key)
            if self.catalog_of(origin.tier).at(unit.key) is None:
                return self._no_pars(origin.tier, unit.key, self.catalog_of(origin.tier).first(unit.key))
        origins = self.units.origins(step, wanted, unit)
        if not origins and wanted.output and wanted.optional:
            of_arrays = [each for each in self.inputs(step) if each.output and each.optional]
            return (self._arrays_named(origin.tier, unit) or None) if wanted == of_arrays[0] else None
        if not origins and origin.only_with:
            return None
        if origins or not (wanted.datatypes or wanted.optional):
            return tuple(self.output(name, each, wanted.output) for name, each in origins)
        if wanted.optional or is_part:
            return None
        kinds = " or ".join(wanted.datatypes)
        message = f"{step.name} needs {kinds} files of {' and '.join(unit.runs)}: there are none"
        raise Unavailable(message, hint=f"see {self.setup.path('tier_daq')}")

    def _held(self, step: Step, unit: Unit) -> dict[str, Held]:
        """What a partition's job reads, by run."""
        found = {}
        for run in unit.runs:
            keys = tuple(key for key in unit.keys if key.run == run)
            part = replace(unit, key=keys[0], keys=keys)
            found[run] = Held(self._inputs(step, part, is_part=True), self._overrides(step, keys[0]))
        return found

    def is_made(self, name: str, unit: Key | Unit) -> bool:
        """Whether the cycle makes an output.

        It takes as it is what lies elsewhere, what is foreign, and what is there without the files to make it from.
        """
        place = name, unit
        found = self._made.get(place)
        if found is None:
            found = self._made[place] = self._is_made(name, unit)
        return found

    def _is_made(self, name: str, unit: Key | Unit) -> bool:
        step, key = self.registry.by_name[name], unit if isinstance(unit, Key) else unit.key
        if not self.makes(step) or (name == "tier_raw" and key in self.inventory.raw) or self.is_foreign(name, unit):
            return False
        if self._is_whole(unit):
            return True
        own = self.unit(name, unit)
        return self._has_inputs(step, own) or not self.output(name, own).is_file()

    def is_foreign(self, name: str, unit: Key | Unit) -> bool:
        """Whether the main output of a step is there and no job of ours made it; figures of others are never taken."""
        return not self.registry.by_name[name].figures_of and self.lineages.records.is_foreign(self._main(name, unit))

    def _main(self, name: str, unit: Key | Unit) -> str:
        """The path of the main output of a step."""
        if name not in self._mains:
            step = self.registry.by_name[name]
            template = self.paths.outputs(step)[step.main]
            inside = os.fspath(self.setup.directory).replace("{", "{{").replace("}", "}}")
            self._mains[name] = template if template.startswith("/") else f"{inside}/{template}"
        return self._mains[name].format_map(unit.fields)

    def output_text(self, name: str, unit: Unit) -> str:
        """The main output of a step as text, which takes less time than :meth:`output`."""
        is_raw_alone = name == "tier_raw" and unit.key in self.inventory.raw
        return os.fspath(self.output(name, unit)) if is_raw_alone else self._main(name, unit)

    def is_possible(self, name: str, unit: Key | Unit) -> bool:
        """Whether an output is there, or can be made of what is there: a cycle may begin at any tier."""
        if self._is_whole(unit):
            return True
        place = name, self.unit(name, unit)
        if place not in self._possible:
            step = self.registry.by_name[name]
            made = self.makes(step) and self._has_inputs(step, place[1])
            self._possible[place] = made or self.output(*place).is_file()
        return self._possible[place]

    def _is_whole(self, unit: Key | Unit) -> bool:
        """Whether all files of a unit begin with a DAQ or a raw file."""
        later = self.inventory.later
        return not later or (unit not in later if isinstance(unit, Key) else later.isdisjoint(unit.keys))

    def _has_inputs(self, step: Step, unit: Unit) -> bool:
        """Whether the inputs of a job that are outputs of steps, or DAQ files, are there or can be made."""
        if step.kind == "validity":
            merge = self.registry.by_name[f"par_{step.tier}"]
            return any(self.is_possible(merge.name, each) for each in self.units.of(merge))
        if any(each.of == DAQ for each in self.inputs(step)):
            return unit.key in self.inventory.daq
        places = [place for each in self.inputs(step) for place in self.units.origins(step, each, unit)]
        return all(self.is_possible(*place) for place in places)

    def _lacking(self, step: Step, unit: Unit) -> list[str]:
        """The tiers that a job reads and that are not there and cannot be made."""
        places = [p for each in self.inputs(step) if each.of != DAQ for p in self.units.origins(step, each, unit)]
        bad = [place for place in places if not self.is_possible(*place)]
        tiers = [name for name, _ in bad if name.startswith("tier_")]
        return list(
            dict.fromkeys(tiers or (name for place in bad for name in self._lacking(self.step(place[0]), place[1])))
        )

    def require_possible(self, step: str, unit: Unit) -> None:
        """Refuse a job whose inputs are not there and cannot be made."""
        if not self.is_possible(step, unit):
            lacks = self._lacking(self.step(step), unit)
            where = " or ".join(str(self.setup.path(name)) for name in dict.fromkeys(("tier_daq", "tier_raw", *lacks)))
            what = f"{' and '.join(lacks)}, which is not there and cannot be made" if lacks else "a DAQ file"
            raise Unavailable(f"{step} of {unit} needs {what}", hint=f"see {where}")

    def refuse_foreign(self, job: Job) -> None:
        """Refuse a job that would write over files of somebody else."""
        for path in job.outputs.values():
            if self.lineages.records.is_foreign(path):
                message = f"{path} is there and no job of this cycle made it: it is not overwritten"
                raise UserError(message, hint="move it away, or ask for other files")

    def require(self, step: str, path: Path) -> None:
        """Refuse a file of another cycle that is not there."""
        if not path.is_file():
            hint = f"make it there, or change paths.{step} in {self.setup.file}"
            raise Unavailable(f"{path} is missing, and {self.setup.path(step)} belongs to another cycle", hint=hint)

    def output(self, name: str, unit: Key | Unit, role: str = "") -> Path:
        """An output of a step, the main one if no role is given; or the raw file that is there without its DAQ file."""
        step = self.registry.by_name[name]
        place = name, unit, role or step.main
        found = self._outputs.get(place)
        if found is None:
            key = unit if isinstance(unit, Key) else unit.key
            there = self.inventory.raw.get(key) if name == "tier_raw" else None
            found = self._outputs[place] = there or self.paths.fill(self.paths.outputs(step)[place[2]], unit)
        return found

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
        except NoSuchFile as error:
            raise Unavailable(error.message, hint=f"make it there, or change paths.par_{tier}") from None
        first, place = folder.validity.first(key.datatype), self.setup.path(f"par_{tier}")
        if not files and not first and not self.setup.options.get("allow_none_par"):
            message = f"there are no {tier} parameters for {key}: {place} has no validity.yaml that names some"
            hint = f"the list says from when on which of them hold; change paths.par_{tier} if it is elsewhere"
            raise Unavailable(message, hint=hint)
        return files or self._no_pars(tier, key, first)

    def _arrays_named(self, tier: str, unit: Unit) -> tuple[Path, ...]:
        """The LH5 files that parameter files name which are not made here."""
        if self.paths.inside(f"par_{tier}"):
            keys = self.catalog_of(tier).at(unit.key) or ()
            files = tuple(self.output(f"par_{tier}", key) for key in keys)
        else:
            files = self._foreign_pars(tier, unit.key)
        self.takes_files |= bool(files)
        for path in files:
            if path not in self._named:
                text = path.read_text(encoding="utf-8") if path.is_file() else ""
                self._named[path] = tuple(files_named(text, path.parent))
        return tuple(dict.fromkeys(named for path in files for named in self._named[path]))

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
        return {each.name: self.metadata.overrides(tier, key) for each, tier in self.overridden(step)}

    def overridden(self, step: Step) -> list[tuple[Input, str]]:
        """The inputs of a step that hand-made parameters change, with the tier that these are of."""
        merges = ((each, self.registry.by_name.get(each.source)) for each in self.inputs(step))
        return [(each, origin.tier) for each, origin in merges if origin and origin.is_merge]


def open_cycle(config: str | os.PathLike[str], experiment: str | None = None, registry: Registry = REGISTRY) -> Cycle:
    """Open the cycle of a configuration file.

    Parameters
    ----------
    config
        The configuration file.
    experiment
        Name of the setup in it, None for the only one or ``l200``.
    registry
        The steps that there are.

    Raises
    ------
    UserError
        If the configuration is wrong.
    """
    return Cycle(read_config(config, experiment), registry)
