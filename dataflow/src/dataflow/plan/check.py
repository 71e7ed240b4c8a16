"""Whatever is wrong with jobs that are wanted and with all that they need, found before anything runs.

A long production has tens of thousands of jobs for single files, and most are the same but for the names of their
files: those of one step and one stretch (see :mod:`.stretches`). Of these, one is planned; of the others only what may
differ is looked at, and what they need follows from what the one needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dataflow.registry.step import DAQ, Scope, Step

if TYPE_CHECKING:
    from .cycle import Cycle
    from .job import Job, Unit
    from .units import Place

Like = tuple[object, ...]
"""What jobs have in common that are the same but for the names of their files."""
Pattern = tuple[tuple[str, "Unit | None"], ...]
"""What jobs that are alike need: steps and units, None for their own file."""


class Check:
    """Plans jobs with all that they need; nothing is looked at twice.

    Parameters
    ----------
    cycle
        The cycle.
    """

    def __init__(self, cycle: Cycle) -> None:
        self._cycle = cycle
        self.needs: dict[Place, tuple[Place, ...]] = {}
        """What each job needs that was planned and is made here."""
        self._patterns: dict[Like, Pattern] = {}
        self._alike: dict[str, bool] = {}

    def plan(self, wanted: Iterable[Place]) -> None:
        """Plan jobs and all that they need, with their recipes, so that whatever is wrong comes out now.

        Raises
        ------
        UserError
            The first thing that is wrong.
        """
        cycle = self._cycle
        ahead = list(wanted)
        seen = set(ahead)
        jobs: list[Job] = []
        while ahead:
            place = ahead.pop()
            step, unit = place
            if not cycle.is_made(step, unit):
                cycle.require(step, cycle.output(step, unit))
                continue
            like = self._like(cycle.step(step), unit)
            pattern = self._patterns.get(like) if like else None
            if pattern is None:
                jobs.append(self._whole(step, unit))
                needs = cycle.needs(step, unit)
                if like:
                    self._patterns[like] = tuple((name, None if own == unit else own) for name, own in needs)
            else:
                needs = tuple([(name, own or unit) for name, own in pattern])
            self.needs[place] = needs
            for need in needs:
                if need not in seen:
                    seen.add(need)
                    ahead.append(need)
        for job in jobs:  # after all chains: what is wrong with a chain is told as that
            cycle.hit_columns.check(job)

    def _whole(self, step: str, unit: Unit) -> Job:
        """Plan one job and look at all of it."""
        cycle = self._cycle
        cycle.require_possible(step, unit)
        job = cycle.job(step, unit)
        cycle.refuse_foreign(job)
        cycle.chains.check(job)
        cycle.lineages.check(step, unit)
        return job

    def _like(self, step: Step, unit: Unit) -> Like | None:
        """What a job has in common with others, None for one that is to be planned by itself."""
        if step.name not in self._alike:
            self._alike[step.name] = self._can_be_alike(step)
        if not self._alike[step.name] or unit.scope is not Scope.FILE:
            return None
        stretch = self._cycle.stretch_of.get(unit.key)
        if stretch is None:
            return None
        tiers = [each.source for each in self._cycle.inputs(step) if each.source != DAQ and each.tier]
        return step.name, stretch, *(self._cycle.is_made(source, unit) for source in tiers)

    def _can_be_alike(self, step: Step) -> bool:
        """Whether the jobs of a step, if they are for files, differ by nothing that :meth:`_like` does not tell."""
        cycle = self._cycle
        if step.kind != "tier" or len(step.outputs) > 1 or cycle.inventory.later:
            return False
        for each in cycle.inputs(step):
            if each.source == DAQ:
                continue
            origin = cycle.step(each.source)
            if each.datatypes or (each.tier and cycle.units.scope(origin) is not Scope.FILE):
                return False
            if not each.tier and not cycle.makes(origin):
                return False
        return True
