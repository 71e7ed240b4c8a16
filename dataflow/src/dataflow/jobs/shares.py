"""One job as several of a cluster's: each does a share of the detectors, the job itself puts the results together.

``generated/tmp/shares/STEP/NAME/LINEAGE/2-of-4`` holds the files of a share, and ``2-of-4.json`` beside it, written
last, what came of each detector. LINEAGE is the planned one; that which a share was really made with is in the file. A
job takes what was made with its own and does all else itself: its outputs are the same with and without shares.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dataflow.base.errors import UserError
from dataflow.plan.job import Job
from dataflow.plan.paths import SHARES
from dataflow.plan.ticket import packed, unpacked

from .atomic import remove, write_text
from .deadline import timeout_of
from .spread import Outcome, spread
from .stamp import lineage

log = logging.getLogger(__name__)

T = TypeVar("T")
_FORM = re.compile(r"([1-9]\d*)-of-([1-9]\d*)")


@dataclass(frozen=True)
class Share:
    """Which detectors of a job.

    Attributes
    ----------
    number, of
        The `number`-th, from 1, of so many.
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"

    def among(self, items: Sequence[str]) -> list[str]:
        """The items of this share: not neighbours, which may be alike."""
        return list(items[self.number - 1 :: self.of])


class ShareKept(Exception):  # noqa: N818 - it ends a job that has done what it was to do
    """A share is done and kept; the outputs of the job are made by another."""


_SHARE: ContextVar[Share | None] = ContextVar("share", default=None)
_PLANNED: ContextVar[str] = ContextVar("planned", default="")
_TAKEN: ContextVar[Callable[[], Mapping[str, Any]]] = ContextVar("taken")
_USED: ContextVar[list[Mapping[str, Any]]] = ContextVar("used")


def share_of(text: str) -> Share:
    """A share as a command line names it.

    Raises
    ------
    UserError
        If it is none.
    """
    found = _FORM.fullmatch(text)
    if not found or int(found[1]) > int(found[2]):
        raise UserError(f"{text!r} is no share of a job", hint="write 2-of-4 for the second of four")
    return Share(int(found[1]), int(found[2]))


@contextmanager
def only(share: Share, planned: str, taken: Callable[[], Mapping[str, Any]]) -> Iterator[None]:
    """Within the block, a job does its share and keeps it.

    Parameters
    ----------
    share
        The share.
    planned
        The lineage that the job is wanted with.
    taken
        Tells what time and memory the share took, when it is done.

    Raises
    ------
    UserError
        If the step does not work detector by detector.
    """
    tokens = _SHARE.set(share), _PLANNED.set(planned), _TAKEN.set(taken)
    try:
        yield
        raise UserError("this step is not done detector by detector, so there are no shares of it")
    except ShareKept:
        log.info("share %s is kept", share)
    finally:
        _SHARE.reset(tokens[0])
        _PLANNED.reset(tokens[1])
        _TAKEN.reset(tokens[2])


@contextmanager
def using(planned: str) -> Iterator[list[Mapping[str, Any]]]:
    """Within the block, a job takes the shares that are kept; yields what each of them took."""
    used: list[Mapping[str, Any]] = []
    tokens = _USED.set(used), _PLANNED.set(planned)
    try:
        yield used
    finally:
        _USED.reset(tokens[0])
        _PLANNED.reset(tokens[1])


def folder_of(job: Job, planned: str) -> Path:
    """Where the shares of a job are kept that is wanted with a lineage."""
    return Path(job.setup.path("tmp")) / SHARES / job.step / job.unit.name / planned


def done_with(job: Job) -> None:
    """Take the shares of a job away, which is done."""
    remove(folder_of(job, ""))  # not the step's: a share of another job may be about to make its own in it


def outcomes(
    job: Job, function: Callable[[str], T], items: Sequence[str], threads: int, folder: Path
) -> Iterator[Outcome[T]]:
    """What becomes of the items of a job: done here, or by jobs that did a share of them.

    Parameters
    ----------
    job, function, items, threads
        As for :func:`.spread.spread`; what the function returns is made of plain values.
    folder
        Where the function writes the files of an item, whose names begin with the item's.

    Raises
    ------
    ShareKept
        If this process is to do a share.
    """
    if share := _SHARE.get():
        _keep(job, share, list(spread(function, share.among(items), threads, timeout_of(job))), folder)
        raise ShareKept
    found: dict[str, Outcome[T]] = {}
    for file in sorted(folder_of(job, _PLANNED.get()).glob("*-of-*.json")):
        found |= _taken(file, folder)
    here = spread(function, [item for item in items if item not in found], threads, timeout_of(job))
    for item in items:
        yield found[item] if item in found else next(here)


def _keep(job: Job, share: Share, made: Sequence[Outcome[Any]], folder: Path) -> None:
    place = folder_of(job, _PLANNED.get()) / str(share)
    remove(place)
    place.mkdir(parents=True)
    for path in sorted(folder.iterdir()):
        shutil.move(path, place / path.name)
    items = {each.item: [each.value, each.reason, each.trace, each.seconds] for each in made}
    content = {"lineage": lineage(), "took": dict(_TAKEN.get()()), "items": items}
    write_text(place.with_suffix(".json"), packed(content, in_order=True))


def _taken(file: Path, folder: Path) -> dict[str, Outcome[Any]]:
    """The outcomes of a share, whose files are put into a folder; nothing if it was made with another lineage."""
    kept = unpacked(file.read_text(encoding="utf-8"))
    if kept["lineage"] != lineage():
        log.info("%s was made with another lineage and is not used", file)
        return {}
    for path in sorted(file.with_suffix("").iterdir()):
        _linked(path, folder / path.name)
    _USED.get([]).append(kept["took"])
    return {item: Outcome(item, *values) for item, values in kept["items"].items()}


def _linked(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
