"""The lineage of an output: its recipe and the lineages of its inputs as one hash.

:meth:`Lineages.wanted` is what an output would be made by now, from recipes alone; :meth:`Lineages.of_job` is what a
running job makes its output by: its recipe and the recorded lineages of the files that it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .code import code_of
from .errors import Unavailable
from .identity import LIST, Identities
from .inventory import daq_format
from .model import Job, Key
from .packages import Software
from .recipe import Recipe, Recipes, digest
from .records import Records
from .steps import BY_NAME, DAQ, Step, calibrated_tiers

if TYPE_CHECKING:
    from .cycle import Cycle

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
        self.records = Records()
        self.identities = Identities(setup.directory, setup.path("tmp") / LIST)
        self.recipes = Recipes(str(setup.directory), code_of(setup.path("dataflow")), Software(setup))
        self.read_unknown = True
        """Whether DAQ files that no output was made from yet are read for their identity."""
        self._moments: dict[tuple[int, ...], tuple[int, tuple[object, ...]]] = {}
        self._moment_of: dict[Key, int] = {}
        self._owns: dict[tuple[object, ...], Mapping[str, Any]] = {}
        self._roles: dict[str, tuple[str, ...]] = {}
        self._wanted: dict[tuple[str, Key], str] = {}
        self._found: dict[Path, str] = {}
        self._current: dict[tuple[str, Key], bool | None] = {}

    def wanted(self, step: str, key: Key) -> str:
        """The lineage that the output of a step would be made by now; of what is not made here, that which it has."""
        place = (step, key)
        if place not in self._wanted:
            self._wanted[place] = self._of(step, key)
        return self._wanted[place]

    def unread(self, jobs: Iterable[tuple[str, Key]]) -> list[Path]:
        """The DAQ files of jobs that would have to be read for their identity."""
        raw = [(step, key) for step, key in jobs if step == "tier_raw" and self._cycle.is_made(step, key)]
        paths = {self._cycle.inventory.daq[key] for _, key in raw if not self._is_known(key)}
        return sorted(paths)

    def explained(self, step: str, key: Key) -> Lineage:
        """The wanted lineage with all that it is made of."""
        job = self._cycle.job(step, key)
        return _joined(self.recipe(job), {role: self._names(job, role) for role in job.inputs if role != DAQ})

    def of_job(self, job: Job) -> Lineage:
        """The lineage that a running job makes its outputs by: that of the files as they are there."""
        inputs = {
            role: {self._cycle.paths.relative(path): self.found(path) for path in paths}
            for role, paths in job.inputs.items()
            if role != DAQ
        }
        return _joined(self.recipe(job), inputs)

    def check(self, step: str, key: Key) -> None:
        """Compute the recipe of a job that this cycle makes, so that whatever is wrong comes out; no data is read.

        Raises
        ------
        UserError
            If the configuration, the metadata, or the code of the step is wrong.
        """
        self._own(BY_NAME[step], key)

    def recipe(self, job: Job) -> Recipe:
        """The recipe of a job, with the identity of its DAQ file."""
        recipe = self._plain(job)
        if DAQ not in job.inputs:
            return recipe
        return Recipe(dict(recipe.own) | {DAQ: self._identity(job.key)}, recipe.parts)

    def _plain(self, job: Job) -> Recipe:
        """The recipe of a job but for its DAQ file."""
        if BY_NAME[job.step].kind == "validity":
            return self.recipes.of(job, {}, self._cycle.validity(BY_NAME[job.step].tier))
        metadata = self._cycle.metadata
        overrides = {role: metadata.override_content(role.removeprefix("par_"), job.key) for role in job.overrides_of}
        return self.recipes.of(job, overrides)

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

    def is_current(self, step: str, key: Key) -> bool | None:
        """Whether the outputs of a job are as they would be made now, None if one is missing."""
        place = (step, key)
        if place not in self._current:
            outputs = self._cycle.job(step, key).outputs.values()
            there = all(output.is_file() for output in outputs)
            wanted = self.wanted(step, key) if there else ""
            self._current[place] = all(self.records.lineage(each) == wanted for each in outputs) if there else None
        return self._current[place]

    def _of(self, step: str, key: Key) -> str:
        if not self._cycle.is_made(step, key):
            return self.found(self._cycle.output(step, key))
        kind = BY_NAME[step]
        if step not in self._roles:
            self._roles[step] = self._cycle.roles(kind)
        roles = self._roles[step]
        own = self._own(kind, key) | ({DAQ: self._identity(key)} if DAQ in roles else {})
        inputs = {role: sorted(self._lineages(kind, key, role)) for role in roles if role != DAQ}
        return digest({"recipe": own, "inputs": inputs})

    def _own(self, step: Step, key: Key) -> dict[str, Any]:
        """The recipe of a step but for the DAQ file; the same as :meth:`recipe` gives, without planning every job."""
        if step.kind == "validity":
            return dict(self._plain(self._cycle.job(step.name, key)).own)
        changes = self._cycle.map_changes(step, key)
        place = (step.name, self._moment(key), self._format(step, key), changes)
        if place not in self._owns:
            self._owns[place] = self._plain(self._cycle.job(step.name, key)).own
        return {**self._owns[place], "key": str(key)}

    def _moment(self, key: Key) -> int:
        """A number for the metadata that hold for a key; keys with the same number have the same recipes."""
        if key not in self._moment_of:
            held = self._cycle.metadata.moment(key, calibrated_tiers())
            number, _ = self._moments.setdefault(tuple(map(id, held)), (len(self._moments), held))
            self._moment_of[key] = number
        return self._moment_of[key]

    def _format(self, step: Step, key: Key) -> str:
        return daq_format(self._cycle.inventory.daq[key]) if "{daq}" in step.rule else ""

    def _lineages(self, step: Step, key: Key, role: str) -> list[str]:
        origins = self._cycle.origins(step, role, key)
        if origins:
            return [self.wanted(name, each) for name, each in origins]
        return [self.found(path) for path in self._cycle.job(step.name, key).inputs[role]]

    def _names(self, job: Job, role: str) -> dict[str, str]:
        names = [self._cycle.paths.relative(path) for path in job.inputs[role]]
        return dict(zip(names, self._lineages(BY_NAME[job.step], job.key, role), strict=True))

    def _identity(self, key: Key) -> dict[str, Any]:
        path = self._cycle.inventory.daq[key]
        if not (self._is_known(key) or self.read_unknown or self._has_record(key)):
            return {"sha256": UNREAD}
        return dict(self.identities.of(path))

    def _is_known(self, key: Key) -> bool:
        """Whether the identity of a DAQ file is remembered, in the list or in the record of the raw file."""
        path = self._cycle.inventory.daq[key]
        if self.identities.is_known(path):
            return True
        record = self.records.raw(self._cycle.output("tier_raw", key)) or {}
        return self.identities.recall(path, record.get("recipe", {}).get(DAQ), record.get("daq_mtime_ns"))

    def _has_record(self, key: Key) -> bool:
        return self.records.lineage(self._cycle.output("tier_raw", key)) is not None


def _joined(recipe: Recipe, inputs: Mapping[str, Mapping[str, str]]) -> Lineage:
    lineages = {role: sorted(found.values()) for role, found in inputs.items()}
    return Lineage(digest({"recipe": recipe.own, "inputs": lineages}), recipe, inputs)
