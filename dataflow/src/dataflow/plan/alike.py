"""What is wanted of many files at once: the same as for each of them alone, ten times as fast.

A step *takes a stretch as a whole* where nothing but names and DAQ files tells its jobs apart: each file has its DAQ
file, whose identity is known, and no output is there that somebody else made. Whatever is otherwise is planned one by
one, so that there is one place only that knows what is special.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from dataflow.base.errors import Unavailable
from dataflow.provenance.many import Each, digests, texts
from dataflow.provenance.recipe import normal_text
from dataflow.provenance.records import Listing
from dataflow.registry.step import DAQ, Input, Scope, Step

from .job import Unit
from .stretches import Stretch
from .units import Place

if TYPE_CHECKING:
    from .cycle import Cycle


ABSENT = ""
"""What an output was made by that is not there."""


@dataclass(frozen=True)
class Outputs:
    """One output of each file of a stretch: all lie in one folder."""

    folder: str
    names: Sequence[str]
    there: Listing

    def paths(self) -> list[str]:
        """Their paths."""
        return [f"{self.folder}{os.sep}{name}" for name in self.names]

    @property
    def is_simple(self) -> bool:
        """Whether names of records tell all: no output is a link, and no job failed."""
        return self.there.links.isdisjoint(self.names) and self.there.failed.isdisjoint(self.names)

    def lineages(self) -> list[str | None]:
        """What each was made by: None if that is not clear, :data:`ABSENT` if it is not there."""
        names, lineages = self.there.names, self.there.lineages
        return [lineages.get(name) if name in names else ABSENT for name in self.names]


class Alike:
    """Plans stretches of files.

    Parameters
    ----------
    cycle
        The cycle.
    """

    def __init__(self, cycle: Cycle) -> None:
        self._cycle = cycle
        self._wanted: dict[tuple[str, Stretch], list[str] | None] = {}
        self._outputs: dict[tuple[str, Stretch], tuple[Outputs, ...]] = {}
        self._identities: dict[Stretch, Each | None] = {}
        self._names: dict[Stretch, Each] = {}

    def takes(self, step: Step, stretch: Stretch) -> bool:
        """Whether a step takes a stretch as a whole."""
        return self.lineages(step, stretch) is not None

    def lineages(self, step: Step, stretch: Stretch) -> list[str] | None:
        """What the outputs of a step would be made by now, None if it does not take the stretch as a whole.

        Raises
        ------
        UserError
            If the configuration, the metadata, or the code of the step is wrong.
        """
        place = step.name, stretch
        if place not in self._wanted:
            try:
                self._wanted[place] = self._of(step, stretch) if self._is_plain(step, stretch) else None
            except (Unavailable, _Apart):  # of some of them there may be files all the same
                self._wanted[place] = None
        return self._wanted[place]

    def outputs(self, step: Step, stretch: Stretch) -> tuple[Outputs, ...]:
        """The outputs of a step that takes a stretch as a whole, the main one first."""
        place = step.name, stretch
        if place not in self._outputs:
            templates = self._cycle.paths.outputs(step).values()
            self._outputs[place] = tuple(self._filled(template, stretch) for template in templates)
        return self._outputs[place]

    def of_many(self, step: str, unit: Unit) -> Mapping[Place, str]:
        """The wanted lineages of a step for the whole stretch of a file; none if it is not taken as a whole."""
        stretch = self._cycle.stretch_of.get(unit.key) if unit.scope is Scope.FILE else None
        found = self.lineages(self._cycle.step(step), stretch) if stretch else None
        if stretch is None or found is None:
            return {}
        return {
            (step, unit): lineage for unit, lineage in zip(self._cycle.units.files(stretch.keys), found, strict=True)
        }

    def _is_plain(self, step: Step, stretch: Stretch) -> bool:
        is_of_files = self._cycle.units.scope(step) is Scope.FILE and self._cycle.makes(step)
        if not (is_of_files and stretch.has_daq and self._has_one_folder(step)) or self._identity(stretch) is None:
            return False
        return not self.has_foreign(step, stretch)

    def has_foreign(self, step: Step, stretch: Stretch) -> bool:
        """Whether any main output of a step is there that no job of ours made."""
        main = self.outputs(step, stretch)[0]
        return not main.there.ours.issuperset(main.there.names.intersection(main.names))

    def _has_one_folder(self, step: Step) -> bool:
        """Whether the outputs of all files of a series lie in the same folders."""
        time = f"{{{self._cycle.scheme.names[-1]}}}"
        return not any(time in each.rpartition(os.sep)[0] for each in self._cycle.paths.outputs(step).values())

    def _filled(self, template: str, stretch: Stretch) -> Outputs:
        name = template.rpartition(os.sep)[2]
        folder = os.fspath(self._cycle.paths.fill(template, stretch.first).parent)
        rest = name.removeprefix(self._cycle.scheme.key_template)
        if rest != name and "{" not in rest and "}" not in rest:
            names = [key + rest for key in stretch.names]
        else:
            names = [name.format_map(key.fields) for key in stretch.keys]
        return Outputs(folder, names, self._cycle.lineages.records.listing(folder))

    def _of(self, step: Step, stretch: Stretch) -> list[str]:
        """The lineages of a step; see :meth:`dataflow.provenance.lineage.Lineages.wanted`, whose hashes these are."""
        unit = self._cycle.unit(step.name, stretch.first)
        own = {**self._cycle.lineages.own(step, unit), "key": self._name(stretch)}
        if any(each.of == DAQ for each in self._cycle.inputs(step)):
            own[DAQ] = self._identity(stretch)
        found = {
            each.name: self._input(step, each, unit, stretch) for each in self._cycle.inputs(step) if each.of != DAQ
        }
        inputs = {role: sorted(of, key=str) for role, of in found.items() if of is not None}
        places = [part for part in (*own.values(), *chain.from_iterable(inputs.values())) if isinstance(part, Each)]
        return digests({"recipe": own, "inputs": inputs}, places)

    def _input(self, step: Step, wanted: Input, unit: Unit, stretch: Stretch) -> Sequence[str | Each] | None:
        """The lineages of an input, those of the files' own outputs for each; None if it may be missing and is."""
        origin, units = self._cycle.registry.by_name[wanted.source], self._cycle.units
        if self._is_of_file(origin, wanted) and units.origins(step, wanted, unit):
            return [texts(self._of_origin(origin, stretch))]
        is_calibration = origin.kind == "par" and self._cycle.paths.inside(f"par_{origin.tier}")
        if not (wanted.datatypes or is_calibration):
            raise _Apart
        return self._cycle.lineages.of_input(step, unit, wanted)

    def _is_of_file(self, origin: Step, wanted: Input) -> bool:
        """Whether an input is what is made for the same file."""
        units = self._cycle.units
        if wanted.datatypes or wanted.output or units.scope(origin) is not Scope.FILE:
            return False
        return not origin.merged if origin.kind == "par" else not units.datatypes(origin)

    def _of_origin(self, origin: Step, stretch: Stretch) -> list[str]:
        found, units = self.lineages(origin, stretch), self._cycle.units
        if found is not None:
            return found
        return [self._cycle.lineages.wanted(origin.name, units.at(origin, key)) for key in stretch.keys]

    def _name(self, stretch: Stretch) -> Each:
        if stretch not in self._names:
            self._names[stretch] = texts(stretch.names)
        return self._names[stretch]

    def _identity(self, stretch: Stretch) -> Each | None:
        """The identities of DAQ files, None if one of them has to be read for it."""
        if stretch not in self._identities:
            found = [self._cycle.lineages.known_identity(key) for key in stretch.keys]
            known = [each for each in found if each is not None]
            self._identities[stretch] = Each(list(map(normal_text, known))) if len(known) == len(found) else None
        return self._identities[stretch]


class _Apart(Exception):
    """An input of a step is another one for each file of a stretch, and nothing that is made for the file."""
