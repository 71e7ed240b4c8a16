"""The lineage of an output: its recipe and the lineages of its inputs as one hash.

:meth:`Lineages.wanted` is what an output would be made by now, from recipes alone; :meth:`Lineages.of_job` is what a
running job makes its output by: its recipe and the recorded lineages of the files that it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataflow.base.errors import Unavailable
from dataflow.keys.key import Key
from dataflow.registry.step import DAQ, Input, Scope, Step
from dataflow.setup.packages import Software

from .code import code_of
from .identity import LIST, Identities
from .recipe import Recipe, Recipes, digest
from .records import Records

if TYPE_CHECKING:
    from dataflow.plan.cycle import Cycle
    from dataflow.plan.job import Job, Unit
    from dataflow.plan.units import Place
    from dataflow.setup.config import Setup

UNREAD = "not read yet"


@dataclass(frozen=True)
class Lineage:
    """Where an output comes from.

    Attributes
    ----------
    hash
        The lineage itself.
    recipe
        How it is made from its inputs.
    inputs
        The lineage of each input, by role and path (relative to the cycle where it lies in it).
    """

    hash: str
    recipe: Recipe
    inputs: Mapping[str, Mapping[str, str]]


class Files:
    """What is known of files that are there, each looked at once.

    Parameters
    ----------
    setup
        The configuration of the cycle.
    """

    def __init__(self, setup: Setup) -> None:
        self.records = Records()
        self.identities = Identities(setup.directory, setup.path("tmp") / LIST)
        self._found: dict[Path, str] = {}

    def found(self, path: Path) -> str:
        """The lineage of a file as it is there; of one without record, its identity.

        Raises
        ------
        Unavailable
            If it is not there.
        """
        if path not in self._found:
            self._found[path] = self.records.lineage(path) or self._content(path)
        return self._found[path]

    def _content(self, path: Path) -> str:
        if not path.exists():
            raise Unavailable(f"{path} is missing, and it is not made here", hint="make it where it belongs")
        return digest({"file": dict(self.identities.of(path))})


class Lineages:
    """The lineages of a cycle's files; nothing is computed twice, and nothing is written.

    Parameters
    ----------
    cycle
        The cycle.
    """

    def __init__(self, cycle: Cycle) -> None:
        setup = cycle.setup
        self._cycle = cycle
        self.files = Files(setup)
        self.records, self.identities = self.files.records, self.files.identities
        self.recipes = Recipes(str(setup.directory), code_of(setup.path("dataflow")), Software(setup))
        self.read_unknown = True
        """Whether DAQ files that no output was made from yet are read for their identity."""
        self.of_many: Callable[[str, Unit], Mapping[Place, str]] = nothing
        """What gives wanted lineages of many jobs at once, that of one among them; nothing of what it cannot."""
        self._moments: dict[tuple[int, ...], tuple[int, tuple[object, ...]]] = {}
        self._moment_of: dict[Key, int] = {}
        self._owns: dict[tuple[object, ...], Mapping[str, Any]] = {}
        self._same: dict[tuple[object, ...], tuple[Mapping[str, Any], object]] = {}
        self._tiers = cycle.registry.calibrated_tiers()
        self._wanted: dict[Place, str] = {}
        self._current: dict[Place, bool | None] = {}

    def wanted(self, step: str, unit: Key | Unit) -> str:
        """The lineage that the output of a step would be made by now; of what is not made here, that which it has."""
        place = step, self._cycle.unit(step, unit)
        found = self._wanted.get(place)
        if found is None:
            self._wanted.update(self.of_many(*place))
            found = self._wanted.get(place)
        if found is None:
            found = self._wanted[place] = self._of(*place)
        return found

    def unread(self, jobs: Iterable[tuple[str, Key | Unit]]) -> list[Path]:
        """The DAQ files of jobs that would have to be read for their identity."""
        raw = [unit for step, unit in jobs if step == "tier_raw" and self._cycle.is_made(step, unit)]
        keys = [unit if isinstance(unit, Key) else unit.key for unit in raw]
        return sorted({self._cycle.inventory.daq[key] for key in keys if not self._is_known(key)})

    def explained(self, step: str, unit: Key | Unit) -> Lineage:
        """The wanted lineage with all that it is made of."""
        job = self._cycle.job(step, unit)
        inputs = {each.name: each for each in self._cycle.inputs(self._cycle.step(step))}
        named = {role: self._names(job, inputs[role]) for role in job.inputs if role != DAQ}
        return joined(self.recipe(job), named)

    def check(self, step: str, unit: Key | Unit) -> None:
        """Compute the recipe of a job that this cycle makes, so that whatever is wrong comes out; no data is read.

        Raises
        ------
        UserError
            If the configuration, the metadata, or the code of the step is wrong.
        """
        own = self._cycle.unit(step, unit)
        if not self._cycle.is_planned(step, own):
            self._shared(self._cycle.step(step), own)

    def recipe(self, job: Job) -> Recipe:
        """The recipe of a job, with the identity of its DAQ file."""
        recipe = self._plain(job)
        if DAQ not in job.inputs:
            return recipe
        return Recipe(dict(recipe.own) | {DAQ: dict(self._identity(job.key))}, recipe.parts)

    def _plain(self, job: Job) -> Recipe:
        """The recipe of a job but for its DAQ file."""
        step = self._cycle.step(job.step)
        overrides = {
            f"{each.name} {run}".strip(): self._cycle.metadata.override_content(tier, key)
            for each, tier in self._cycle.overridden(step)
            for run, key in self._moments_of(job)
        }
        return self.recipes.of(step, job, overrides)

    def _moments_of(self, job: Job) -> list[tuple[str, Key]]:
        """The keys at whose times hand-made parameters are looked up: for a partition, one for each run."""
        if job.unit.scope is not Scope.PARTITION:
            return [("", job.key)]
        return [(run, next(key for key in job.unit.keys if key.run == run)) for run in job.unit.runs]

    def found(self, path: Path) -> str:
        """The lineage of a file as it is there; see :meth:`Files.found`."""
        self._cycle.takes_files = True
        return self.files.found(path)

    def is_current(self, step: str, unit: Key | Unit) -> bool | None:
        """Whether the outputs of a job are as they would be made now, None if one is missing."""
        place = step, self._cycle.unit(step, unit)
        if place not in self._current:
            outputs = self._cycle.job(*place).outputs.values()
            there = all(output.is_file() for output in outputs)
            wanted = self.wanted(*place) if there else ""
            self._current[place] = all(self.records.lineage(each) == wanted for each in outputs) if there else None
        return self._current[place]

    def _of(self, step: str, unit: Unit) -> str:
        if not self._cycle.is_made(step, unit):
            return self.found(self._cycle.output(step, unit))
        kind = self._cycle.step(step)
        inputs = self._cycle.inputs(kind)
        is_raw = any(each.of == DAQ for each in inputs)
        own = dict(self.own(kind, unit)) | ({DAQ: dict(self._identity(unit.key))} if is_raw else {})
        found = {each.name: self.of_input(kind, unit, each) for each in inputs if each.of != DAQ}
        return digest({"recipe": own, "inputs": {role: sorted(of) for role, of in found.items() if of is not None}})

    def own(self, step: Step, unit: Unit) -> Mapping[str, Any]:
        """The recipe of a step but for the DAQ file; the same as :meth:`recipe` gives, without planning every job."""
        shared = self._shared(step, unit)
        return shared if step.scope in (Scope.CYCLE, Scope.PARTITION) else {**shared, "key": unit.name}

    def _shared(self, step: Step, unit: Unit) -> Mapping[str, Any]:
        """The recipe of a step but for the DAQ file; the key in it may be that of another file.

        Files between two changes of the metadata have one recipe, and there are thousands of them: it is computed once
        for each moment, else planning grows with files times detectors.
        """
        if step.scope in (Scope.CYCLE, Scope.PARTITION):
            return self._plain(self._cycle.job(step.name, unit)).own
        turns = self._cycle.selection.turns(step, unit)[1:]
        changes = tuple((str(key), id(self._cycle.metadata.channels(key))) for key in turns) if turns else ()
        # a number for each file: to look up what a step takes of the metadata, 50,000 jobs take a second longer
        place = (step.name, *self.moment(step, unit.key), changes)
        found = self._owns.get(place)
        if found is None:
            found = self._owns[place] = self._own_at(step, unit, changes)
        return found

    def _own_at(self, step: Step, unit: Unit, changes: tuple[object, ...]) -> Mapping[str, Any]:
        """The recipe of a file or a run; most changes of the metadata concern few steps, and leave that of others."""
        cycle, key = self._cycle, unit.key
        held: list[object] = [cycle.metadata.channels(key), cycle.config(step, key)]
        held += [cycle.metadata.override_content(tier, key) for _, tier in cycle.overridden(step)]
        place = (step.name, *map(id, held), changes)
        if place not in self._same:
            # the objects are kept with the recipe, or their ids could come to mean others
            self._same[place] = self._plain(cycle.bare(step, unit)).own, held
        return self._same[place][0]

    def moment(self, step: Step, key: Key) -> tuple[int, str]:
        """What the recipes of a step depend on for a key: keys with the same have the same, if no map changes inside.

        It is a number for the metadata that hold for a key, and the form of the DAQ file if the step is told of it.
        """
        found = self._moment_of.get(key)
        if found is None:
            held = self._cycle.metadata.moment(key, self._tiers)
            found, _ = self._moments.setdefault(tuple(map(id, held)), (len(self._moments), held))
            self._moment_of[key] = found
        return found, self._cycle.inventory.formats[key] if "{daq}" in step.rule else ""

    def of_input(self, step: Step, unit: Unit, wanted: Input) -> list[str] | None:
        """The lineages of an input, None if it may be missing and is."""
        origins = self._cycle.units.origins(step, wanted, unit)
        if origins:
            return [self._wanted_output(name, each, wanted.output) for name, each in origins]
        paths = self._cycle.input_files(step, wanted, unit)
        return None if paths is None else [self.found(path) for path in paths]

    def _wanted_output(self, step: str, unit: Unit, output: str) -> str:
        """The lineage that an output would be made by now: that of its job; of what is not made here, its own."""
        if output and not self._cycle.is_made(step, unit):
            return self.found(self._cycle.output(step, unit, output))
        return self.wanted(step, unit)

    def _names(self, job: Job, wanted: Input) -> dict[str, str]:
        names = [self._cycle.paths.relative(path) for path in job.inputs[wanted.name]]
        found = self.of_input(self._cycle.step(job.step), job.unit, wanted) or []
        return dict(zip(names, found, strict=True))

    def _identity(self, key: Key) -> Mapping[str, object]:
        return self.known_identity(key) or self.identities.of(self._cycle.inventory.daq[key])

    def known_identity(self, key: Key) -> Mapping[str, object] | None:
        """The identity of a key's DAQ file in its lineage, None if the file has to be read for it."""
        path = self._cycle.inventory.daq[key]
        found = self.identities.known(path) or (self.identities.of(path) if self._is_known(key) else None)
        if found:
            return found
        return None if self.read_unknown or self._has_record(key) else {"sha256": UNREAD}

    def _is_known(self, key: Key) -> bool:
        """Whether the identity of a DAQ file is remembered, in the list or in the record of the raw file."""
        path = self._cycle.inventory.daq[key]
        if self.identities.is_known(path):
            return True
        record = self.records.raw(self._cycle.output("tier_raw", key)) or {}
        return self.identities.recall(path, record.get("recipe", {}).get(DAQ), record.get("daq_mtime_ns"))

    def _has_record(self, key: Key) -> bool:
        return self.records.lineage(self._cycle.output("tier_raw", key)) is not None


def nothing(_step: str, _unit: Unit) -> Mapping[Place, str]:
    """What :attr:`Lineages.of_many` is where each job is planned by itself."""
    return {}


def joined(recipe: Recipe, inputs: Mapping[str, Mapping[str, str]]) -> Lineage:
    """The lineage of a recipe and the lineages of its inputs by role and path."""
    lineages = {role: sorted(found.values()) for role, found in inputs.items()}
    return Lineage(digest({"recipe": recipe.own, "inputs": lineages}), recipe, inputs)
