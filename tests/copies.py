"""Copies of our sources with their byte code; commands that start from a bare copy compile hundreds of modules.

A copy that a test left as it was serves the next one: making its files takes longer than most commands do.
"""

from __future__ import annotations

import compileall
import itertools
import os
import shutil
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest

from dataflow.provenance.code import PARAMETERS, Code
from dataflow.registry.steps import STEPS

Shape = dict[str, tuple[int, int, int]]
"""The mode, size and time of change of all that is in a folder, by path from there."""


@dataclass(frozen=True)
class Copy:
    """A copy of a folder, and how it looked when it was made."""

    source: tuple[Path, bool]
    place: Path
    shape: Shape


_given: list[Copy] = []
_free: list[Copy] = []
_numbers = itertools.count()
UNWANTED = (".mypy_cache", ".ruff_cache", ".pytest_cache", "*.pyc.*", "*.meaning.*")


def copy_sources(source: Path, target: Path, *, links: bool = False) -> None:
    """Copy a folder of sources, links as `links` or as what they lead to.

    Its byte code holds for the copy, because times are copied as well. What is in ``__pycache__`` is linked: those who
    write it put a new file into the place of the old one, and hundreds of tests would make a million files.
    """
    free = next((copy for copy in _free if copy.source == (source, links)), None)
    if free:
        _free.remove(free)
        target.parent.mkdir(parents=True, exist_ok=True)
        free.place.rename(target)
        _given.append(replace(free, place=target))
        return
    _compile(source)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*UNWANTED), symlinks=links, copy_function=_copy)
    _given.append(Copy((source, links), target, _shape(target)))


def take_back(folder: Path) -> None:
    """Take the copies in the folder of a test that has passed for later tests, as far as they are as they were made."""
    for copy in [each for each in _given if each.place.is_relative_to(folder)]:
        _given.remove(copy)
        if copy.place.is_dir() and _shape(copy.place) == copy.shape:
            kept = folder.parent / f"sources{next(_numbers)}"
            copy.place.rename(kept)
            _free.append(replace(copy, place=kept))


def _shape(folder: Path) -> Shape:
    found: Shape = {}
    ahead = [os.fspath(folder)]
    while ahead:
        with os.scandir(ahead.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                is_folder = stat.S_ISDIR(status.st_mode)
                found[entry.path[len(str(folder)) :]] = (
                    status.st_mode,
                    *((0, 0) if is_folder else (status.st_size, status.st_mtime_ns)),
                )
                if is_folder:
                    ahead.append(entry.path)
    return found


def _copy(source: str, target: str) -> None:
    """Copy or link a file; :func:`shutil.copy2` takes five times as long for a small one."""
    if Path(source).parent.name == "__pycache__":
        with suppress(OSError):  # another file system
            os.link(source, target)
            return
    with Path(source).open("rb") as old, Path(target).open("xb") as new:
        status = os.fstat(old.fileno())
        new.write(old.read())
        os.fchmod(new.fileno(), status.st_mode & 0o7777)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


@cache
def _compile(folder: Path) -> None:
    """Keep byte code and what was understood of modules, also where the environment has Python keep none."""
    source = folder / "src"
    compileall.compile_dir(source, quiet=2)
    if (source / "dataflow").is_dir():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "dont_write_bytecode", False)
            for step in STEPS:
                Code(source / "dataflow").digests(step.module, *PARAMETERS)
