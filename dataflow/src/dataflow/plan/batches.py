"""What is there of all that a cycle can make, many files at once; where there are very many, by two processes.

The answer is that of :meth:`~.survey.Survey.item` for each of :func:`~.survey.all_jobs`. What is not alike for a whole
stretch of files (see :mod:`.alike`) is looked at one by one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise
from operator import itemgetter
from pathlib import Path

from dataflow.base.errors import Unavailable, UserError
from dataflow.base.filestate import FileState
from dataflow.keys.key import Key
from dataflow.provenance.lineage import nothing
from dataflow.provenance.records import Listing
from dataflow.registry.step import Scope, Step

from .alike import ABSENT, Alike
from .halves import in_halves
from .job import Unit
from .stretches import Stretch
from .survey import FOREIGN, MISSING, STALE, THERE, Item, Survey, all_jobs, foreign_tiers, jobs_of, readers_of
from .tasks import Jobs, Task

MANY = 20_000
"""More outputs than these take long enough to be looked at by two processes, and to keep what is planned."""
Row = tuple[list[int], list[str], str, list[str], list[str], dict[str, str], list[str] | None, bool]
"""What was found by a task, in values that go through a pipe: which of its units the data allow, and for these states,
folder, names of main outputs, the names of which there is a record, the digests of notes by name; and what would be
made by now, None where that depends on what is there or is not asked for, and whether they are taken as a whole."""


@dataclass(frozen=True)
class Batch:
    """The main outputs of some jobs of one step, which lie in one folder.

    Attributes
    ----------
    step
        The step.
    keys
        The first file of each unit.
    states
        As those of an :class:`~.survey.Item`, for each.
    folder, names
        Where the outputs are or would be.
    recorded
        The names of which it is recorded that a job of ours made them, or began to.
    noted
        The digest of the notes of those that have some, by name.
    units
        What gives the units.
    """

    step: str
    keys: Sequence[Key]
    states: Sequence[str]
    folder: str
    names: Sequence[str]
    recorded: Sequence[str]
    noted: Mapping[str, str]
    units: Callable[[], Sequence[Unit]]

    @property
    def to_make(self) -> int:
        """How many a run would make."""
        return len(self.states) - sum(map(self.states.count, (THERE, FOREIGN)))

    def items(self, *states: str) -> list[Item]:
        """The jobs one by one; only those in some states, if any are given."""
        if states and not any(state in self.states for state in states):
            return []
        found = zip(self.units(), self.states, strict=True)
        return [Item(self.step, unit, state) for unit, state in found if not states or state in states]


def are_many(outputs: int) -> bool:
    """Whether it takes long to plan and to look at so many outputs."""
    return outputs > MANY


class Changed(UserError):
    """What was planned before does not hold any more: something is there that it did not know."""


def everything(survey: Survey, *, keep: bool = False) -> tuple[list[Batch], list[Task] | None]:
    """All that a cycle can make from the data that is there, by step and by the first file of each batch.

    Parameters
    ----------
    survey
        What knows the state of a single job.
    keep
        Whether what is planned is asked for, to be kept.

    Returns
    -------
    batches
        What is there.
    tasks
        With what was planned, where it was asked for and depends on nothing that is there but DAQ files; else None.

    Raises
    ------
    UserError
        If configuration, metadata or code do not allow to say what an output would be made by now.
    """
    cycle, batches = survey.cycle, Batches(survey, keep=keep)
    foreign = [Task(cycle.step(step), unit=unit) for step, unit in foreign_tiers(cycle)]
    try:
        cycle.lineages.of_many = batches.alike.of_many
        tasks = list(batches.tasks())
        found = batches.of(tasks)
    except UserError:  # it is to be said in the words that fit one job
        cycle.lineages.of_many = nothing
        tasks = [Task(cycle.step(step), unit=unit) for step, unit in all_jobs(cycle)]
        found = batches.singles(tasks)
        batches.planned = None
    planned = batches.planned
    return [*found, *batches.singles(foreign)], None if foreign else planned


def recorded(found: Iterable[Batch]) -> dict[str, list[str]]:
    """The paths of outputs that have a record, by step and in order of time."""
    by_step: dict[str, list[Batch]] = {}
    for batch in found:
        if batch.recorded:
            by_step.setdefault(batch.step, []).append(batch)
    return {step: _paths(batches) for step, batches in by_step.items()}


def _paths(batches: list[Batch]) -> list[str]:
    """The paths of recorded outputs of one step, sorted by the time of their first files."""
    spans = sorted((batch.keys[0].order, batch.keys[-1].order) for batch in batches)
    if all(end < begin for (_, end), (begin, _) in pairwise(spans)):
        batches = sorted(batches, key=lambda batch: batch.keys[0].order)
        return [f"{batch.folder}{os.sep}{name}" for batch in batches for name in batch.recorded]
    # several series were taken at the same time, so that their files come in turns
    found = [pair for batch in batches for pair in _timed(batch)]
    return [path for _, path in sorted(found, key=itemgetter(0))]


def _timed(batch: Batch) -> Iterator[tuple[object, str]]:
    ours = frozenset(batch.recorded)
    for key, name in zip(batch.keys, batch.names, strict=True):
        if name in ours:
            yield key.order, f"{batch.folder}{os.sep}{name}"


class Batches:
    """Does tasks.

    Parameters
    ----------
    survey
        What knows the state of a single job.
    keep
        Whether what is planned is asked for, see :attr:`planned`.
    """

    def __init__(self, survey: Survey, *, keep: bool = False) -> None:
        self._survey, self._cycle, self._keep = survey, survey.cycle, keep
        self.alike = Alike(survey.cycle)
        self.planned: list[Task] | None = None
        """The tasks with what was planned, if it depends on nothing that is there but DAQ files."""

    def tasks(self) -> Iterator[Task]:
        """All tasks of the cycle."""
        units = self._cycle.units
        for step in filter(self._cycle.is_shown, self._cycle.steps):
            if units.scope(step) is Scope.FILE:
                mine = (stretch for stretch in self._cycle.stretches if units.has(step, stretch.first))
                yield from (Task(step, stretch=stretch) for stretch in mine)
            else:
                yield from (Task(step, unit=unit) for unit in units.of(step))

    def of(self, tasks: Sequence[Task]) -> list[Batch]:
        """What is found by tasks.

        Raises
        ------
        Changed
            If tasks were planned before, and something is there that the plan did not know.
        """
        return self._batches(tasks, self._in_order(tasks))

    def singles(self, tasks: Sequence[Task]) -> list[Batch]:
        """What is found by tasks for one unit each, whether the data allow it or not."""
        return self._batches(tasks, [[self._row_of(task.step, task.units(self._cycle)[0], 0)] for task in tasks])

    def _batches(self, tasks: Sequence[Task], rows: Sequence[Sequence[Row]]) -> list[Batch]:
        self.planned = _planned(tasks, rows) if self._keep and not self._cycle.takes_files else None
        return [self._batch(task, row) for task, some in zip(tasks, rows, strict=True) for row in some]

    def _in_order(self, tasks: Sequence[Task]) -> list[list[Row]]:
        """What is found by each task; of very many outputs, by two processes."""
        if not are_many(sum(len(task.keys) for task in tasks)):
            return [list(self._rows(task)) for task in tasks]
        middle = _middle(tasks)
        is_late = [task.keys[0].order >= middle for task in tasks]
        early = [task for task, late in zip(tasks, is_late, strict=True) if not late]
        rest = [task for task, late in zip(tasks, is_late, strict=True) if late]
        begin = min(task.keys[0].order for task in tasks)
        self._all_rows([task for task in tasks if task.jobs is None and task.keys[0].order == begin])  # loads much
        mine, other = in_halves(self._all_rows, early, rest)
        first, (second, files, named, takes_files) = mine[0], other
        for file in files:  # what has no effect is looked for in all files that were read
            self._cycle.metadata.reader(Path(file))
        known = self._cycle.lineages.recipes.named
        is_same = all(known.setdefault(name, state) == state for name, state in named.items())
        self._cycle.takes_files |= takes_files or not is_same
        parts = (iter(first), iter(second))
        return [next(parts[late]) for late in is_late]

    def _batch(self, task: Task, row: Row) -> Batch:
        places, states, folder, names, ours, noted, *_ = row
        keys = task.keys

        def units() -> list[Unit]:
            every = task.units(self._cycle)
            return [every[place] for place in places]

        first = keys if len(places) == len(keys) else [keys[place] for place in places]
        return Batch(task.step.name, first, states, folder, names, ours, noted, units)

    def _all_rows(self, tasks: Sequence[Task]) -> tuple[list[list[Row]], list[str], dict[str, FileState], bool]:
        """What is found by tasks, and what planning them has looked at: files of the metadata, files that these name.

        The last one is :attr:`~.cycle.Cycle.takes_files`.
        """
        rows = [list(self._rows(task)) for task in tasks]
        read = [os.fspath(text.path) for text in self._cycle.metadata.reader.read]
        return rows, read, self._cycle.lineages.recipes.named, self._cycle.takes_files

    def _rows(self, task: Task) -> Iterator[Row]:
        if task.jobs is not None:
            yield from self._rows_again(task, task.jobs)
            return
        if task.stretch and (wanted := self._wanted(task.step, task.stretch)) is not None:
            yield self._row(task.step, task.stretch, wanted)
            return
        units = task.units(self._cycle)
        places = {unit: place for place, unit in enumerate(units)}
        for _, unit in jobs_of(self._cycle, task.step, units):
            yield self._row_of(task.step, unit, places[unit])

    def _rows_again(self, task: Task, jobs: Jobs) -> Iterator[Row]:
        """What is found of jobs that were planned before."""
        if task.stretch and jobs.places is None:
            if self.alike.has_foreign(task.step, task.stretch):
                raise Changed(f"files of {task.step.name} are there that no job of this cycle made")
            yield self._row(task.step, task.stretch, jobs.wanted)
            return
        units = task.units(self._cycle)
        for place, wanted in zip(jobs.places or (), jobs.wanted, strict=True):
            yield self._row_again(task.step, units[place], place, wanted)

    def _row_again(self, step: Step, unit: Unit, place: int, wanted: str) -> Row:
        if self._cycle.is_foreign(step.name, unit):
            raise Changed(f"a file of {step.name} is there that no job of this cycle made")
        outputs = self._survey.outputs(step.name, unit)
        state = self._survey.made(outputs, partial(str, wanted), _is_right)
        return self._single_row(outputs[0], place, state, [wanted])

    def _wanted(self, step: Step, stretch: Stretch) -> list[str] | None:
        """The lineages for all files of a stretch; None where it is to be looked at file by file."""
        wanted = self.alike.lineages(step, stretch)
        if wanted is None or step.merged:
            return wanted
        readers = readers_of(self._cycle, step)  # what is made for the file alone is made where one of them is
        return wanted if any(self.alike.takes(reader, stretch) for reader in readers) else None

    def _row(self, step: Step, stretch: Stretch, wanted: list[str]) -> Row:
        outputs = self.alike.outputs(step, stretch)
        if not all(each.is_simple for each in outputs):
            paths = zip(*(each.paths() for each in outputs), strict=True)
            jobs = zip(paths, wanted, strict=True)
            states = [self._survey.made(list(some), partial(str, lineage), _is_right) for some, lineage in jobs]
        elif all(each.lineages() == wanted for each in outputs):
            states = [THERE] * len(wanted)
        else:
            found = zip(*(each.lineages() for each in outputs), strict=True)
            states = [_state(of, lineage) for of, lineage in zip(found, wanted, strict=True)]
        seen = _seen(outputs[0].folder, outputs[0].names, outputs[0].there)
        return list(range(len(wanted))), states, *seen, wanted if self._keep else None, True

    def _row_of(self, step: Step, unit: Unit, place: int) -> Row:
        state = self._survey.item(step.name, unit).state
        wanted = self._wanted_of(step, unit) if self._keep else None
        return self._single_row(self._survey.outputs(step.name, unit)[0], place, state, wanted)

    def _single_row(self, output: str, place: int, state: str, wanted: list[str] | None) -> Row:
        folder, _, name = output.rpartition(os.sep)
        seen = _seen(folder, [name], self._cycle.lineages.records.listing(folder))
        return [place], [state], *seen, wanted, False

    def _wanted_of(self, step: Step, unit: Unit) -> list[str] | None:
        """What the outputs of a job would be made by now; None where that depends on what is there."""
        if not self._cycle.is_made(step.name, unit):
            return None
        try:
            return [self._cycle.lineages.wanted(step.name, unit)]
        except Unavailable:
            return [""]
        except UserError:  # nobody asks for it yet, so it is no error; a plan that lacks it is not kept
            return None


def _planned(tasks: Sequence[Task], rows: Sequence[Sequence[Row]]) -> list[Task] | None:
    """Tasks with what was planned; None if something of it depends on what is there."""
    found = [replace(task, jobs=_jobs(some)) for task, some in zip(tasks, rows, strict=True)]
    return None if any(task.jobs is None for task in found) else found


def _jobs(rows: Sequence[Row]) -> Jobs | None:
    """The jobs of a task."""
    wanted: list[str] = []
    places: list[int] = []
    for mine, *_, lineages, is_whole in rows:
        if lineages is None:
            return None
        if is_whole:  # there is no other row
            return Jobs(lineages, None)
        wanted += lineages
        places += mine
    return Jobs(wanted, places)


def _middle(tasks: Iterable[Task]) -> tuple[str, tuple[str, ...]]:
    """The first file from which on half of the jobs are."""
    found = sorted((task.keys[0].order, len(task.keys)) for task in tasks)
    half = sum(number for _, number in found) / 2
    so_far = accumulate(number for _, number in found)
    return next(order for (order, _), number in zip(found, so_far, strict=True) if number > half)


def _state(found: tuple[str | None, ...], wanted: str) -> str:
    """The state of a job's outputs from what each was made by."""
    if found.count(wanted) == len(found):
        return THERE
    return MISSING if ABSENT in found else STALE


def _is_right() -> None:
    """Of a step that takes a stretch as a whole, configuration and metadata are right."""


def _seen(folder: str, names: Sequence[str], there: Listing) -> tuple[str, list[str], list[str], dict[str, str]]:
    noted = {name: there.notes[name] for name in names if name in there.notes} if there.notes else {}
    ours = names if there.ours.issuperset(names) else [name for name in names if name in there.ours]
    return folder, list(names), list(ours), noted
