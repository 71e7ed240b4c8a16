"""Copies of our sources with their byte code; commands that start from a bare copy compile hundreds of modules."""

from __future__ import annotations

import compileall
import os
import shutil
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

from dataflow.provenance.code import PARAMETERS, Code
from dataflow.registry.steps import STEPS

UNWANTED = (".mypy_cache", ".ruff_cache", ".pytest_cache", "*.pyc.*", "*.meaning.*")


def copy_sources(source: Path, target: Path, *, links: bool = False) -> None:
    """Copy a folder of sources, links as `links` or as what they lead to.

    Its byte code holds for the copy, because times are copied as well. What is in ``__pycache__`` is linked: those who
    write it put a new file into the place of the old one, and hundreds of tests would make a million files.
    """
    _compile(source)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*UNWANTED), symlinks=links, copy_function=_copy)


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
