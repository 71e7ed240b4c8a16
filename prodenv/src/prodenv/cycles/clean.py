"""What ``dataprod clean`` takes: the files that the cycle's flow chooses, but those that another cycle uses."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from prodenv.base.errors import UserError
from prodenv.cycles.derived.links import files_used

from .find import ATTIC, CycleFolder
from .flow import ask


@dataclass(frozen=True)
class Selection:
    """What the user asks for; a file must fit all of it.

    Parameters
    ----------
    tiers
        Kinds of files; empty for all.
    runs
        Patterns of runs; empty for all.
    stale
        Only files whose recipe is not the wanted one any more.
    failed
        Only files in which detectors failed, and what killed or failed jobs left.
    """

    tiers: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    stale: bool = False
    failed: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.tiers or self.runs or self.stale or self.failed)


@dataclass(frozen=True)
class Going:
    """A file that goes, with its records (paths relative to the cycle), and whether a step made it."""

    path: str
    kind: str
    run: str
    size: int
    records: tuple[str, ...]
    output: bool


def chosen(cycle: CycleFolder, experiment: str | None, wanted: Selection) -> tuple[list[Going], list[str]]:
    """The files that go, and notes about those that stay.

    Raises
    ------
    UserError
        If a tier or run is unknown, or another cycle uses what would go.
    """
    values = {"tiers": wanted.tiers, "runs": wanted.runs, "stale": wanted.stale, "failed": wanted.failed}
    answer = ask(cycle, "clean", experiment, **values, attic=ATTIC)
    going = [Going(**each | {"records": tuple(each["records"])}) for each in answer["going"]]
    _refuse_used(cycle, (each.path for each in going if each.output))
    return going, answer["notes"]


def _refuse_used(cycle: CycleFolder, names: Iterable[str]) -> None:
    used = files_used(cycle)
    for name in names:
        user = used(os.path.realpath(cycle.root / name))
        if user:
            hint = f"clean other files, or let {user} go first"
            raise UserError(f"{name} is used by the cycle {user}", hint=hint)
