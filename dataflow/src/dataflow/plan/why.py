"""Why a file would be made again: what made it, next to what would make it now, down to its inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dataflow.keys.key import Key
from dataflow.provenance.differences import Difference, differences
from dataflow.provenance.lineage import Lineage

from .cycle import Cycle
from .job import Unit
from .survey import FOREIGN, THERE, Survey
from .troubles import Trouble, run_of, troubles
from .units import Place

NO_RECORD = "there is no record of how it was made"
NOT_OURS = "it was not made by a job of this environment: it is read as it is, never made again and never overwritten"


@dataclass(frozen=True)
class Reason:
    """Why one file is what it is, and its inputs.

    Attributes
    ----------
    path
        The file, relative to the cycle where it lies in it.
    step, key
        The job that makes it; empty for a file that is only read.
    state
        See :class:`dataflow.plan.survey.Item`.
    old, new
        The lineage it was made by (None if it is not known), and the one wanted now.
    differences
        Between the two recipes.
    inputs
        Reasons of the inputs whose lineage is another (all inputs, for the whole tree).
    note
        What else is to be said.
    detectors
        What its job noted of detectors.
    """

    path: str
    step: str
    key: str
    state: str
    old: str | None
    new: str
    differences: tuple[Difference, ...] = ()
    inputs: tuple[Reason, ...] = ()
    note: str = ""
    detectors: tuple[Trouble, ...] = ()

    def plain(self, told: set[str] | None = None) -> dict[str, Any]:
        """As values for scripts; of what several files share, differences and inputs are told once.

        Parameters
        ----------
        told
            The files that were told before; what is told is added.
        """
        told = set() if told is None else told
        repeated = self.path in told and bool(self.inputs or self.differences)
        told.add(self.path)
        made = {"file": self.path, "step": self.step, "key": self.key, "state": self.state}
        found = [] if repeated else [difference.plain() for difference in self.differences]
        inputs = [] if repeated else [each.plain(told) for each in self.inputs]
        lineages = {"lineage": self.old, "wanted": self.new}
        detectors = [trouble.plain() for trouble in self.detectors]
        said = {"note": self.note, "detectors": detectors}
        return made | lineages | {"differences": found, "inputs": inputs, "repeated": repeated} | said


class Explainer:
    """Explains the outputs of a cycle; what was explained once is not explained again.

    Parameters
    ----------
    cycle
        The cycle.
    whole
        Whether inputs that are the same are explained too.
    """

    def __init__(self, cycle: Cycle, *, whole: bool = False) -> None:
        self._cycle, self._whole = cycle, whole
        self._survey = Survey(cycle)
        self._done: dict[Place, Reason] = {}

    def why(self, step: str, unit: Key | Unit) -> Reason:
        """Why the output of a job would be made again, or not."""
        place = step, self._cycle.unit(step, unit)
        if place not in self._done:
            own = place[1]
            noted = troubles(self._cycle.lineages.records, [(step, run_of(own), str(self._cycle.output(step, own)))])
            self._done[place] = replace(self._why(*place), detectors=tuple(noted))
        return self._done[place]

    def _why(self, step: str, unit: Unit) -> Reason:
        cycle = self._cycle
        path = cycle.output(step, unit)
        name = cycle.paths.relative(path)
        state = self._survey.item(step, unit).state
        if state == FOREIGN:
            return Reason(name, "", str(unit), state, None, "", note=NOT_OURS)
        if not cycle.is_made(step, unit):
            return Reason(name, "", str(unit), state, cycle.lineages.found(path), cycle.lineage(step, unit))
        new = cycle.lineages.explained(step, unit)
        record = cycle.lineages.records.read(path)
        inputs = self._inputs(step, unit, new, record)
        damaged = cycle.lineages.records.unreadable(path)
        if damaged:
            note = (
                f"its record {cycle.paths.relative(damaged)} cannot be read: remove it, and the next run makes it again"
            )
            old = cycle.lineages.records.lineage(path)
            return Reason(name, step, str(unit), state, old, new.hash, (), inputs, note)
        if record is None:
            failure = cycle.lineages.records.failure(path)
            note = str(failure["error"]) if failure else NO_RECORD if path.is_file() else ""
            return Reason(name, step, str(unit), state, None, new.hash, (), inputs, note)
        found = differences(record["recipe"], self._expanded(new))
        note, old = _of_inputs(record, new), cycle.lineages.records.lineage(path)
        return Reason(name, step, str(unit), state, old, new.hash, tuple(found), inputs, note)

    def _inputs(self, step: str, unit: Unit, new: Lineage, record: Mapping[str, Any] | None) -> tuple[Reason, ...]:
        old = {name: hash_ for found in (record or {}).get("inputs", {}).values() for name, hash_ in found.items()}
        wanted = {name: hash_ for found in new.inputs.values() for name, hash_ in found.items()}
        origins = {self._cycle.paths.relative(path): made for path, made in self._cycle.sources(step, unit).items()}
        chosen = [name for name in wanted if self._whole or record is None or old.get(name) != wanted[name]]
        reasons = [self.why(*origins[name]) for name in chosen if name in origins]
        return tuple(each for each in reasons if self._whole or each.state not in (THERE, FOREIGN) or each.differences)

    def _expanded(self, lineage: Lineage) -> dict[str, Any]:
        """A recipe with its parts in place, in the form in which records are read."""
        text = self._cycle.lineages.recipes.text
        parts = {digest: json.loads(text(part)) for digest, part in lineage.recipe.parts.items()}

        def put(value: object) -> object:
            if isinstance(value, Mapping):
                return {name: put(item) for name, item in value.items()}
            return parts.get(value, value) if isinstance(value, str) else value

        return {name: put(value) for name, value in lineage.recipe.own.items()}


def _of_inputs(record: Mapping[str, Any], new: Lineage) -> str:
    """What is to be said about inputs that came, went, or were made anew meanwhile."""
    old = {name: hash_ for found in record.get("inputs", {}).values() for name, hash_ in found.items()}
    wanted = {name: hash_ for found in new.inputs.values() for name, hash_ in found.items()}
    came, went = sorted(wanted.keys() - old.keys()), sorted(old.keys() - wanted.keys())
    other = sorted(name for name in old.keys() & wanted.keys() if old[name] != wanted[name])
    kinds = {"new inputs": came, "inputs no more used": went, "other inputs": other}
    return "; ".join(f"{kind}: {_few(names)}" for kind, names in kinds.items() if names)


def _few(names: list[str]) -> str:
    shown = ", ".join(Path(name).name for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
