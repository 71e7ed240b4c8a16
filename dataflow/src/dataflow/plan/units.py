"""What a step runs once for: the only place that knows what a run or a partition is.

:meth:`Units.of` gives the units of a step, :meth:`Units.named` the one that a file name means, :meth:`Units.origins`
the jobs whose outputs an input of a unit consists of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from dataflow.base.errors import UserError
from dataflow.base.messages import listing, nearest
from dataflow.keys.key import PARTITION, Key
from dataflow.registry.step import DAQ, Input, Scope, Step

from .job import Unit
from .partitions import Groupings

if TYPE_CHECKING:
    from .cycle import Cycle

Place = tuple[str, Unit]
"""A job: the name of its step, and its unit."""


class Units:
    """The files, runs and partitions of a cycle.

    Parameters
    ----------
    cycle
        The cycle.
    """

    def __init__(self, cycle: Cycle) -> None:
        self._cycle, self._scheme = cycle, cycle.scheme
        self._files: dict[Key, Unit] = {}
        self._runs: dict[Key, Unit] = {}
        self._partitions: dict[str, Mapping[str, Unit]] = {}
        self._of_experiments: dict[tuple[str, ...], dict[str, dict[str, tuple[Key, ...]]]] = {}
        self._of_detectors: dict[tuple[tuple[str, ...], str, frozenset[str]], list[Unit]] = {}
        self._datatypes: dict[str, tuple[str, ...]] = {}
        self._holding: dict[tuple[str, tuple[Key, ...]], list[Place]] = {}
        self._found: dict[Place, dict[str, list[Place]]] = {}

    @cached_property
    def series(self) -> Mapping[str, tuple[Key, ...]]:
        """The keys of each series (run and datatype), sorted by time."""
        return _grouped((key.series, key) for key in self._cycle.keys)

    @cached_property
    def runs(self) -> Mapping[str, tuple[Key, ...]]:
        """The keys of each run with all its datatypes, sorted by time."""
        return _grouped((key.run, key) for key in self._cycle.keys)

    def scope(self, step: Step) -> Scope:
        """What a step runs once for; of a tier, the key scheme says whether it is one file for each run."""
        if step.kind == "tier":
            return Scope.RUN if step.tier in (self._scheme.run_files or {}) else Scope.FILE
        return step.scope

    def datatypes(self, step: Step) -> tuple[str, ...]:
        """The datatypes of the files that a step runs for; empty for all."""
        if step.name not in self._datatypes:
            of_tier = (self._scheme.run_files or {}).get(step.tier, ()) if step.kind == "tier" else ()
            of_pars = self._cycle.datatypes(step.tier) if step.is_of_calibration else ()
            self._datatypes[step.name] = step.datatypes or of_tier or of_pars
        return self._datatypes[step.name]

    def of(self, step: Step) -> list[Unit]:
        """All units of a step that the data allow, sorted by time."""
        scope, wanted = self.scope(step), self.datatypes(step)
        if scope is Scope.CYCLE:
            return [self.cycle(step)] if self._cycle.keys else []
        if scope is Scope.PARTITION:
            return list(self.partitions(step).values())
        if not step.merged:
            return self._own(step, self._cycle.firsts if scope is Scope.RUN else self._cycle.keys)
        if scope is Scope.FILE:
            return [self._file(key) for key in self._cycle.keys if not wanted or key.datatype in wanted]
        if step.kind == "tier":
            return [self._run(keys[0]) for keys in self.series.values() if keys[0].datatype in wanted]
        keys = (key for key in self._cycle.catalog_of(step.tier).keys if key.series in self.series)
        mine = (key for key in keys if key.datatype in wanted and self._cycle.selection.is_asked_for(step, key))
        return [self._run(key) for key in sorted(mine, key=lambda key: key.order)]

    def has(self, step: Step, key: Key) -> bool:
        """Whether a step that runs for files does so for one of this cycle."""
        if not step.merged:
            return bool(self._own(step, (key,)))
        wanted = self.datatypes(step)
        return not wanted or key.datatype in wanted

    def files(self, keys: Iterable[Key]) -> list[Unit]:
        """The units of single files."""
        return list(map(self._file, keys))

    def at(self, step: Step, key: Key) -> Unit:
        """The unit of a step that is called like a key.

        Raises
        ------
        UserError
            If there is no such file, or the step does not run for it.
        """
        scope = self.scope(step)
        if scope is Scope.CYCLE:
            return self.cycle(step)
        if scope is Scope.PARTITION:
            known = listing(unit.name for unit in self.of(step))
            raise UserError(f"{step.name} runs for partitions, {key} is a file", hint=f"there are: {known}")
        there = (self._files if scope is Scope.FILE else self._runs).get(key)
        if there is not None and not step.is_of_calibration:
            return there
        self._check(step, key)
        return self._file(key) if scope is Scope.FILE else self._run(key)

    def called(self, step: Step, name: str) -> Unit:
        """The unit of a step that has a name, as on the command line of a job.

        Raises
        ------
        UserError
            If there is none.
        """
        if self.scope(step) is not Scope.PARTITION:
            return self.at(step, self._scheme.key(name))
        found = self.partitions(step)
        if name not in found:
            raise UserError(f"{step.name} has no partition {name!r}", hint=nearest(name, found))
        return found[name]

    def named(self, step: Step, fields: Mapping[str, str]) -> Unit:
        """The unit whose files have these fields in their names: those of a key, of a series, of a partition, or none.

        Raises
        ------
        UserError
            If there is none.
        """
        if PARTITION in fields:
            return self.called(step, self._scheme.partition_template.format_map(fields))
        values = "-".join(fields[name] for name in self._scheme.names if name in fields)
        if step.kind == "validity":
            return self.cycle(step)
        if len([name for name in fields if name in self._scheme.names]) == len(self._scheme.names):
            return self.at(step, self._scheme.key(values))
        return self.at(step, self.first(values))

    def first(self, series: str) -> Key:
        """The first key of a series.

        Raises
        ------
        UserError
            If there is no data of it.
        """
        if series not in self.series:
            raise UserError(f"there is no data of the run {series}", hint=f"there are: {listing(self.series)}")
        return self.series[series][0]

    def cycle(self, step: Step) -> Unit:
        """The unit of a step of the whole cycle.

        Raises
        ------
        UserError
            If there are no files.
        """
        keys = self._cycle.keys
        if not keys:
            raise UserError(f"{step.name} needs data; there is none", hint=f"see {self._cycle.setup.path('tier_daq')}")
        return Unit(Scope.CYCLE, str(keys[0]), keys[0], keys)

    def partitions(self, step: Step) -> Mapping[str, Unit]:
        """The partitions of a step by name, sorted by time."""
        if step.name not in self._partitions:
            self._partitions[step.name] = {unit.name: unit for unit in self._partitioned(step)}
        return self._partitions[step.name]

    def origins(self, step: Step, wanted: Input, unit: Unit) -> list[Place]:
        """The jobs whose outputs an input consists of; none for what is not an output of a step of this cycle."""
        if unit.scope is Scope.PARTITION:  # parts of it have its name and other files
            return self._origins(step, wanted, unit)
        place = step.name, unit
        of_unit = self._found.get(place)  # a plan asks for paths, for needs and for lineages
        if of_unit is None:
            of_unit = self._found[place] = {}
        found = of_unit.get(wanted.name)
        if found is None:
            found = of_unit[wanted.name] = self._origins(step, wanted, unit)
        return found

    def _origins(self, step: Step, wanted: Input, unit: Unit) -> list[Place]:
        if wanted.source == DAQ:
            return []
        origin = self._cycle.registry.by_name[wanted.source]
        if step.figures_of == origin.name:
            return [(origin.name, unit)] if self._cycle.makes(origin) else []
        if not origin.is_of_calibration:
            keys = self._keys(wanted, unit)
            known = self._files if self.scope(origin) is Scope.FILE else {}
            found = [(origin.name, known.get(key) or self.at(origin, key)) for key in keys]
            if len(found) > 1:
                found = list(dict.fromkeys(found))
            is_there = not wanted.optional or all(self._cycle.is_possible(*place) for place in found)
            return found if is_there else []
        if not self._cycle.paths.inside(f"par_{origin.tier}"):
            return []
        if not origin.merged:
            return [(origin.name, each) for each in self._own(origin, unit.keys)]
        keys = self._calibrations(step, origin, unit)
        if origin.scope is Scope.PARTITION:
            return [(origin.name, each) for each in self._overlapping(origin, keys, unit)]
        place = origin.name, keys
        if place not in self._holding:  # many files share their calibrations
            datatypes, asked = self.datatypes(origin), self._cycle.selection.is_asked_for
            mine = (key for key in keys if key.datatype in datatypes and asked(origin, key))
            self._holding[place] = [(origin.name, self.at(origin, key)) for key in mine]
        if wanted.optional and not all(self._cycle.is_possible(*each) for each in self._holding[place]):
            return []
        return self._holding[place]

    def _own(self, step: Step, keys: Iterable[Key]) -> list[Unit]:
        """The files or runs that have parameters from their own data: by their datatypes, where there are channels."""
        mine = [key for key in keys if key.datatype in step.datatypes and self._cycle.selection.of_file(step, key)]
        if step.scope is Scope.FILE:
            return [self._file(key) for key in mine]
        return [self._run(key) for key in dict.fromkeys(self.series[key.series][0] for key in mine)]

    def _keys(self, wanted: Input, unit: Unit) -> Sequence[Key]:
        """The files that an input of a unit is made from: its own, or those of its runs with certain datatypes."""
        if not wanted.datatypes:
            return unit.keys
        found = (key for run in unit.runs for key in self.runs[run] if key.datatype in wanted.datatypes)
        return sorted(found, key=lambda key: key.order)

    def _overlapping(self, origin: Step, keys: Iterable[Key], unit: Unit) -> list[Unit]:
        """The partitions of a step that hold runs and detectors of a unit."""
        runs = {key.run for key in keys}
        found = [each for each in self.of(origin) if not runs.isdisjoint(each.runs)]
        if unit.detectors is None:
            return found
        return [each for each in found if each.detectors is None or not unit.detectors.isdisjoint(each.detectors)]

    def _calibrations(self, step: Step, origin: Step, unit: Unit) -> tuple[Key, ...]:
        """The keys of the calibrations that an input of parameters comes from: the unit's own ones, or those that hold.

        A step of a calibration reads parts of the same run, or of each run of its partition; everything else, and
        whoever reads a merged parameter file, reads what is valid for its files.
        """
        is_own = bool(origin.part_of) and step.is_of_calibration
        if unit.scope is not Scope.PARTITION:
            return (unit.key,) if is_own else self._cycle.catalog_of(origin.tier).at(unit.key) or ()
        firsts = tuple(self.series[name][0] for name in unit.series)
        if is_own:
            return firsts
        catalog = self._cycle.catalog_of(origin.tier)
        return tuple(dict.fromkeys(key for first in firsts for key in catalog.at(first) or ()))

    def _partitioned(self, step: Step) -> Iterator[Unit]:
        """The partitions of a step; steps for the same datatypes and detectors have the same ones."""
        wanted = self.datatypes(step)
        if wanted not in self._of_experiments:
            keys = [key for key in self._cycle.keys if key.datatype in wanted]
            shared = _grouped(("-".join(key[name] for name in self._scheme.shared), key) for key in keys)
            self._of_experiments[wanted] = {
                name: _grouped((key.run, key) for key in of_group) for name, of_group in shared.items()
            }
        for name, runs in self._of_experiments[wanted].items():
            firsts = (of_run[0] for of_run in runs.values())
            detectors = {each.name for key in firsts for each in self._cycle.selection.of_file(step, key)}
            place = wanted, name, frozenset(detectors)
            if place not in self._of_detectors:
                self._of_detectors[place] = list(self._of_group(runs, detectors))
            yield from self._of_detectors[place]

    def _of_group(self, runs: Mapping[str, tuple[Key, ...]], detectors: set[str]) -> Iterator[Unit]:
        """The partitions of runs that share an experiment."""
        firsts = {run: of_run[0] for run, of_run in runs.items()}
        datasets = self._cycle.metadata.datasets
        groupings = Groupings(datasets.cal_groupings, self._scheme, datasets.file("cal_groupings"))
        made = groupings.partitions(firsts, detectors)
        for each in sorted(made, key=lambda each: (firsts[each.runs[0]].order, each.name)):
            own = tuple(key for run in each.runs for key in runs[run])
            fields = {**own[0].fields, PARTITION: each.name}
            name = self._scheme.partition_template.format_map(fields)
            note = f"no grouping holds {each.runs[0]}: it is a partition of its own" if each.is_gap else ""
            yield Unit(Scope.PARTITION, name, own[0], own, each.detectors, each.name, note)

    def _file(self, key: Key) -> Unit:
        found = self._files.get(key)
        if found is None:
            found = self._files[key] = Unit(Scope.FILE, str(key), key, (key,))
        return found

    def _run(self, key: Key) -> Unit:
        found = self._runs.get(key)
        if found is None:
            found = self._runs[key] = Unit(Scope.RUN, str(key), key, self.series[key.series])
        return found

    def _check(self, step: Step, key: Key) -> None:
        cycle = self._cycle
        if key.series not in self.series or key not in self._known:
            if str(key) in cycle.metadata.datasets.ignored:
                raise UserError(f"{key} is in the list of ignored files", hint="see datasets/ignored_daq_cycles.yaml")
            where = f"DAQ files are in {cycle.setup.path('tier_daq')}"
            raise UserError(f"there is no data file for {key}", hint=where)
        wanted = self.datatypes(step)
        if self.scope(step) is Scope.FILE and wanted and key.datatype not in wanted:
            raise UserError(f"{step.name} is made of {' and '.join(wanted)} files, not for {key}")
        if not step.merged and not any(unit.key == key for unit in self._own(step, (key,))):
            raise UserError(f"{step.name} is not made for {key}", hint="its datatype, or no channel of its kind")
        if step.is_of_calibration and step.merged and key not in cycle.catalog_of(step.tier):
            first = self.series[key.series][0]
            raise UserError(f"{step.name} is not made for {key}", hint=f"its run begins with {first}")
        if step.only_with and not cycle.selection.is_asked_for(step, key):
            name, entry = step.only_with
            raise UserError(
                f"{step.name} is not made for {key}: the metadata have no {name}.{entry} for it",
                hint=f"configure it in {name} of {step.rule} in dataprod/config",
            )

    @cached_property
    def _known(self) -> frozenset[Key]:
        return frozenset(self._cycle.keys)


def _grouped(pairs: Iterable[tuple[str, Key]]) -> dict[str, tuple[Key, ...]]:
    groups: dict[str, list[Key]] = {}
    for name, key in pairs:
        groups.setdefault(name, []).append(key)
    return {name: tuple(keys) for name, keys in groups.items()}
