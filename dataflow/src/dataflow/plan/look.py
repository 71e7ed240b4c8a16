"""Looking at all of a cycle: what is there, and what is to be said about it; by the plan that was kept, if any.

See :mod:`.keptplan`; the answer is the same as without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dataflow.base.errors import UserError
from dataflow.keys.key import Key
from dataflow.registry.step import Scope
from dataflow.registry.steps import BY_NAME

from . import keptplan
from .batches import Batch, Batches, Changed, everything
from .cycle import Cycle
from .keptplan import KeptPlan, Stamp
from .survey import Item, Survey
from .tasks import Task
from .workflow import Workflow


@dataclass(frozen=True)
class Look:
    """All that a cycle can make from the data that is there.

    Attributes
    ----------
    batches
        By step and by the first file of each batch.
    alone
        The jobs of runs that no grouping holds, also of tiers that nobody has asked for yet.
    ignored
        Sentences on what stands in configuration and metadata and does nothing.
    unclear
        Why the metadata do not tell what no grouping holds, empty if they do.
    salvaging
        The first files of batches of raw files whose DAQ files may be truncated.
    """

    batches: Sequence[Batch]
    alone: Sequence[Item]
    ignored: Sequence[str]
    unclear: str
    salvaging: frozenset[Key]


def look(flow: Workflow, survey: Survey) -> Look:
    """What is there.

    Raises
    ------
    UserError
        If configuration, metadata or code do not allow to say what an output would be made by now.
    """
    stamp = keptplan.stamp_of(survey.cycle)
    kept = keptplan.read(survey.cycle, stamp) if stamp else None
    if kept:
        try:
            return _again(survey, kept)
        except Changed:
            pass
    return _anew(flow, survey, stamp)


def _again(survey: Survey, kept: KeptPlan) -> Look:
    """What is there of what was planned before."""
    batches = Batches(survey)
    found = batches.of(kept.tasks)
    alone = [item for batch in batches.of(kept.alone) for item in batch.items()]
    return Look(found, alone, kept.ignored, "", kept.salvaging)


def _anew(flow: Workflow, survey: Survey, stamp: Stamp | None) -> Look:
    cycle = survey.cycle
    found, tasks = everything(survey, keep=stamp is not None)
    salvaging = frozenset(
        batch.keys[0] for batch in found if batch.step == "tier_raw" and _may_be_salvaged(cycle, batch.keys[0])
    )
    ignored, unclear = flow.ignored(), ""
    jobs, alone = Batches(survey, keep=stamp is not None), []
    try:
        alone = [item for batch in jobs.singles(list(_alone(cycle))) for item in batch.items()]
    except UserError as error:  # nobody has asked for these jobs, and files of others need no metadata at all
        unclear = str(error)
    if stamp and tasks is not None and jobs.planned is not None and not cycle.takes_files:
        keptplan.write(cycle, stamp, KeptPlan(tasks, jobs.planned, ignored, salvaging))
    return Look(found, alone, ignored, unclear, salvaging)


def _alone(cycle: Cycle) -> Iterator[Task]:
    steps = cycle.steps if any(cycle.metadata.datasets.cal_groupings.values()) else ()
    for step in steps:
        if step.scope is Scope.PARTITION:  # whether a job is to be made takes some milliseconds
            yield from (Task(step, unit=unit) for unit in cycle.units.of(step) if unit.note)


def _may_be_salvaged(cycle: Cycle, key: Key) -> bool:
    """Whether the settings allow it: where they do not, records need not be read."""
    if key not in cycle.inventory.daq:
        return False
    config = cycle.config(BY_NAME["tier_raw"], key)
    places = (config.shared("settings"), config.options.get("settings"), cycle.setup.settings.get("tier_raw"))
    return any((place or {}).get("salvage") for place in places)
