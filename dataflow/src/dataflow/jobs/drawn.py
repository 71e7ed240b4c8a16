"""Figures as they were drawn, kept by the job that calibrates until a job of their own saves them as pages.

To save a page takes as long as to fit some lines, and nothing waits for pages. One archive holds the figures of a step:
for each detector a pickle of the figure and of what it has names for (see :mod:`.plotdata`). Only jobs of the same
cycle read it.
"""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from .errors import WorkFailed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDING = ".pickle.gz"
LEVEL = 1
"""Of compression: higher ones take longer than what they save is worth."""


@dataclass(frozen=True)
class Drawn:
    """A figure that was drawn.

    Attributes
    ----------
    figure
        The figure, not saved yet.
    named
        What of it has a name of its own in the data of the figures: nested mappings of arrays, numbers and texts.
    """

    figure: Figure
    named: Mapping[str, Any]


def keep(path: Path, figure: Figure, named: Mapping[str, Any]) -> None:
    """Write one figure into a file.

    Raises
    ------
    WorkFailed
        If something in it cannot be kept: a function that is not at the top of a module.
    """
    try:
        content = pickle.dumps(Drawn(figure, named), protocol=5)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise WorkFailed(
            f"its figure cannot be kept, functions in it must stand at the top of a module: {error}"
        ) from error
    path.write_bytes(gzip.compress(content, LEVEL, mtime=0))


def join(kept: Mapping[str, Path], target: Path) -> None:
    """Put files of :func:`keep` into one archive, by the names of their detectors; the same files, the same bytes."""
    with ZipFile(target, "w") as archive:
        for name, path in kept.items():
            archive.writestr(ZipInfo(f"{name}{ENDING}"), path.read_bytes())


def names(path: Path) -> list[str]:
    """The detectors of which an archive has figures, in order.

    Raises
    ------
    WorkFailed
        If it cannot be read.
    """
    try:
        with ZipFile(path) as archive:
            return [name.removesuffix(ENDING) for name in archive.namelist()]
    except (OSError, BadZipFile) as error:
        raise _unreadable(path, error) from error


def drawn(path: Path, name: str) -> Drawn:
    """The figure of a detector.

    Raises
    ------
    WorkFailed
        If it cannot be read, for example because another version of matplotlib has drawn it.
    """
    try:
        with ZipFile(path) as archive:
            found = pickle.loads(gzip.decompress(archive.read(f"{name}{ENDING}")))  # noqa: S301 - this cycle's
    except Exception as error:  # whatever a class of another version raises
        raise _unreadable(path, error) from error
    if not isinstance(found, Drawn):
        raise _unreadable(path, TypeError(f"{type(found).__name__} is no figure"))
    return found


def _unreadable(path: Path, error: Exception) -> WorkFailed:
    return WorkFailed(
        f"the figures in {path.name} cannot be read: {type(error).__name__}: {error}",
        hint="remove the file and what its step has made beside it, and run again",
    )
