"""What is looked at together: the jobs of a step for the files of a stretch, or for one run, partition or cycle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataflow.keys.key import Key
from dataflow.registry.step import Step

from .job import Unit
from .stretches import Stretch

if TYPE_CHECKING:
    from .cycle import Cycle


@dataclass(frozen=True)
class Jobs:
    """Jobs of a task that the data allow, and what they would make by now.

    Attributes
    ----------
    wanted
        The lineage that each would make its outputs by; empty where it cannot, for lack of parameters.
    places
        Which of the task's units they are for; None for all of a stretch that is taken as a whole, see :mod:`.alike`.
    """

    wanted: list[str]
    places: Sequence[int] | None


@dataclass(frozen=True)
class Task:
    """A step for the files of a stretch, or for one run, partition or cycle.

    Attributes
    ----------
    step
        The step.
    stretch, unit
        What it is for.
    jobs
        What was planned before, and holds still; None where it is to be planned.
    """

    step: Step
    stretch: Stretch | None = None
    unit: Unit | None = None
    jobs: Jobs | None = None

    @property
    def keys(self) -> tuple[Key, ...]:
        """The first file of each unit."""
        return self.stretch.keys if self.stretch else (self.unit.key,) if self.unit else ()

    def units(self, cycle: Cycle) -> list[Unit]:
        """The units."""
        return cycle.units.files(self.stretch.keys) if self.stretch else [self.unit] if self.unit else []
