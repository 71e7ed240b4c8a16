"""What is there of what a cycle can make: each job's outputs there, stale, missing or failed. Fast for many files."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from dataflow.base.errors import Unavailable
from dataflow.keys.key import Key
from dataflow.registry.step import Step

from .cycle import Cycle
from .demand import Seen, seconds_of, seen
from .job import Unit
from .units import Place

THERE, FOREIGN, STALE, MISSING, FAILED = "there", "foreign", "stale", "missing", "failed"
STATES = (THERE, FOREIGN, STALE, MISSING, FAILED)
SAMPLE = 12
"""Finished jobs of a step whose times are looked at."""
NUMBERS = ("seconds", "threads", "peak_memory_mb")


@dataclass(frozen=True)
class Item:
    """The outputs of one job.

    Attributes
    ----------
    step, unit
        The job.
    state
        ``there`` (as it would be made now), ``foreign`` (there, and no job of ours made it: it is read and stays),
        ``stale`` (there, but it would be made otherwise), ``missing``, or ``failed`` (the last attempt).
    """

    step: str
    unit: Unit
    state: str

    @property
    def key(self) -> Key:
        """The first file of the unit."""
        return self.unit.key

    @property
    def to_make(self) -> bool:
        """Whether a run would make it."""
        return self.state not in (THERE, FOREIGN)


class Ahead(Protocol):
    """Jobs of one step, of which some are to be made."""

    @property
    def step(self) -> str:
        """The step."""

    @property
    def to_make(self) -> int:
        """How many a run would make."""


@dataclass(frozen=True)
class Cost:
    """What a job of a step takes, learned from finished ones.

    Attributes
    ----------
    seconds
        Of wall time.
    threads
        That it had.
    memory_mb
        At its peak.
    """

    seconds: float
    threads: int
    memory_mb: int


@dataclass
class Survey:
    """Looks at the outputs of a cycle; each folder is listed once.

    Every method raises :class:`UserError` where configuration, metadata or code do not allow to say what an output
    would be made by now.
    """

    cycle: Cycle
    undrawn: list[Place] = field(default_factory=list)
    """Figures that are to be made and cannot be: what they show is not there, and its calibration is not made."""
    _forms: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def to_make(self, wanted: Iterable[tuple[str, Key | Unit]], figures: Iterable[Place] = ()) -> list[Item]:
        """The jobs that a run makes for some wanted ones: those that are not there, and what they need of others.

        Parameters
        ----------
        wanted
            The wanted jobs.
        figures
            Jobs that are wanted where what they need is made, or is there: nothing is made for them alone. Each comes
            after those that it needs.
        """
        self.undrawn.clear()
        ahead: list[Place] = [(step, self.cycle.unit(step, unit)) for step, unit in wanted]
        seen, found = set(ahead), []
        while ahead:
            item = self.item(*ahead.pop())
            if item.to_make:
                found.append(item)
                new = [need for need in self.cycle.needs(item.step, item.unit) if need not in seen]
                seen.update(new)
                ahead += new
        made = {(item.step, item.unit) for item in found}
        for place in figures:
            if place in made or not (item := self.item(*place)).to_make:
                continue
            if all(need in made or not self.item(*need).to_make for need in self.cycle.needs(*place)):
                found.append(item)
                made.add(place)
            else:
                self.undrawn.append(place)
        order = {step.name: number for number, step in enumerate(self.cycle.steps)}
        return sorted(found, key=lambda item: (order[item.step], item.unit.order))

    def undrawn_said(self) -> list[str]:
        """A sentence about each of :attr:`undrawn`, of the last call of :meth:`to_make`."""
        folder = self.cycle.setup.directory
        paths = {place: os.path.relpath(self.outputs(*place)[-1], folder) for place in self.undrawn}
        return [
            f"the figures of {unit} by {step} are missing, and what they show, too; calibrations are not made again for"
            f" them alone, unless asked for: dataprod run {folder} {path}"
            for (step, unit), path in paths.items()
        ]

    def item(self, step: str, unit: Key | Unit) -> Item:
        """The state of one job's outputs."""
        own = self.cycle.unit(step, unit)
        return Item(step, own, self._state(step, own))

    def outputs(self, step: str, unit: Key | Unit) -> list[str]:
        """The paths of a job's outputs."""
        if step not in self._forms:
            base = Path(os.fspath(self.cycle.setup.directory).replace("{", "{{").replace("}", "}}"))
            templates = self.cycle.paths.outputs(self.cycle.step(step)).values()
            self._forms[step] = tuple(os.fspath(base / template) for template in templates)
        return [form.format_map(unit.fields) for form in self._forms[step]]

    def _state(self, step: str, unit: Unit) -> str:
        if self.cycle.is_foreign(step, unit):
            return FOREIGN
        if not self.cycle.is_made(step, unit):
            return THERE if self.cycle.output(step, unit).is_file() else MISSING
        wanted, check = self.cycle.lineages.wanted, self.cycle.lineages.check
        return self.made(self.outputs(step, unit), partial(wanted, step, unit), partial(check, step, unit))

    def made(self, outputs: list[str], wanted: Callable[[], str], check: Callable[[], None]) -> str:
        """The state of what the cycle makes, where it is known how to find out what is wanted."""
        records, are_there = self.cycle.lineages.records, self._are_there(outputs)
        if _is_current({records.lineage(path) for path in outputs} if are_there else {None}, wanted, check):
            return THERE
        if any(map(records.has_failed, outputs)):
            return FAILED
        return STALE if are_there else MISSING

    def _are_there(self, outputs: list[str]) -> bool:
        return all(map(self.cycle.lineages.records.is_there, outputs))

    def costs(self, jobs: Iterable[Place]) -> dict[str, Cost]:
        """What jobs take, by step, from the records of some that are done."""
        return {step: _cost(records) for step, records in self._finished(jobs).items()}

    def costs_of(self, outputs: Mapping[str, list[str]]) -> dict[str, Cost]:
        """What jobs take, by step, from the records of some outputs of each."""
        return {step: _cost(records) for step, records in self._recorded(outputs).items()}

    def demands(self, jobs: Iterable[Place]) -> dict[str, Seen]:
        """What jobs took at most, by step, from the records of some that are done."""
        return {step: seen(records) for step, records in self._finished(jobs).items()}

    def _finished(self, jobs: Iterable[Place]) -> dict[str, list[Mapping[str, Any]]]:
        """Some records of each step, of those jobs that have one."""
        done: dict[str, list[str]] = {}
        for step, unit in jobs:
            output = self.outputs(step, unit)[0]
            if self.cycle.lineages.records.has_record(output):
                done.setdefault(step, []).append(output)
        return self._recorded(done)

    def _recorded(self, outputs: Mapping[str, list[str]]) -> dict[str, list[Mapping[str, Any]]]:
        """Some records of each step, of outputs that have one."""
        found = {step: list(self._records(_spread(some))) for step, some in outputs.items()}
        return {step: records for step, records in found.items() if records}

    def _records(self, outputs: Iterable[str]) -> Iterator[Mapping[str, Any]]:
        for output in outputs:
            record = self.cycle.lineages.records.raw(Path(output))
            if (
                record
                and all(isinstance(record.get(name, 1), (int, float)) for name in NUMBERS)
                and "seconds" in record
            ):
                yield record


def all_jobs(cycle: Cycle) -> Iterator[Place]:
    """Every job that the data of a cycle allow: step and unit; of tiers on request, once anything of them is there."""
    for step in filter(cycle.is_shown, cycle.steps):
        yield from jobs_of(cycle, step, cycle.units.of(step))


def jobs_of(cycle: Cycle, step: Step, units: Iterable[Unit]) -> Iterator[Place]:
    """The jobs of a step among some of its units that the data allow."""
    readers = [each.name for each in readers_of(cycle, step)]
    for unit in units:
        if cycle.is_possible(step.name, unit) and (step.merged or _is_made(cycle, readers, unit)):
            yield step.name, unit


def readers_of(cycle: Cycle, step: Step) -> list[Step]:
    """The steps of a cycle that read what a step makes."""
    return [each for each in cycle.steps if any(one.source == step.name for one in cycle.inputs(each))]


def _is_current(found: Collection[str | None], wanted: Callable[[], str], check: Callable[[], None]) -> bool:
    """Whether outputs are as wanted; those that cannot be made any more, for lack of parameters, are not.

    Of outputs that are not there it is checked whether configuration and metadata are right.
    """
    try:
        if len(found) == 1 and None not in found:
            return found == {wanted()}
        check()
    except Unavailable:
        return False
    return False


def _is_made(cycle: Cycle, readers: Sequence[str], unit: Unit) -> bool:
    """Whether the cycle makes a file of a unit by one of the steps that read what is made for the unit alone."""
    return any(cycle.is_made(reader, key) for reader in readers for key in unit.keys)


def foreign_tiers(cycle: Cycle) -> Iterator[Place]:
    """The files of tiers that lie elsewhere, if no cycle of ours made them."""
    for step in cycle.registry.steps:
        if step.kind == "tier" and step.tier in cycle.scheme.tiers and not cycle.makes(step):
            yield from ((step.name, unit) for unit in cycle.units.of(step) if cycle.is_foreign(step.name, unit))


START = 1.5
"""Seconds from the start of a job to its work: Python, libraries, the plan. The records have the work alone."""


def remaining(found: Iterable[Ahead], costs: Mapping[str, Cost], cores: int) -> tuple[float | None, list[str]]:
    """How long the jobs still to make take, in seconds of wall time, and the steps of which nothing is known yet.

    To the work of each comes :data:`START` on one core. The time is None if nothing is known of any of them.
    """
    ahead = [each.step for each in found for _ in range(each.to_make)]
    known = [costs[step] for step in ahead if step in costs]
    unknown = sorted({step for step in ahead if step not in costs})
    if ahead and not known:
        return None, unknown
    # seconds of a job with its threads times these threads: as if all work could be packed on the cores without gaps,
    # which is nearly so for many jobs, and too short by at most one job at the end
    work = sum(cost.seconds * min(cost.threads, cores) + START for cost in known)
    return round(work / max(cores, 1), 1), unknown


def _spread(outputs: list[str]) -> list[str]:
    return outputs[:: max(1, len(outputs) // SAMPLE)][:SAMPLE]


def _cost(records: list[Mapping[str, Any]]) -> Cost:
    def mean(of: Callable[[Mapping[str, Any]], float]) -> float:
        return sum(map(of, records)) / len(records)

    return Cost(
        seconds=mean(seconds_of),
        threads=round(mean(lambda record: int(record.get("threads", 1)))),
        memory_mb=max(int(record.get("peak_memory_mb", 0)) for record in records),
    )
