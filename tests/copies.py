"""Copies of our sources with their byte code; commands that start from a bare copy compile hundreds of modules."""

from __future__ import annotations

import compileall
import shutil
import sys
from functools import cache
from pathlib import Path

import pytest

from dataflow.provenance.code import PARAMETERS, Code
from dataflow.registry.steps import STEPS

UNWANTED = (".mypy_cache", ".ruff_cache", ".pytest_cache", "*.pyc.*", "*.meaning.*")


def copy_sources(source: Path, target: Path, *, links: bool = False) -> None:
    """Copy a folder of sources, links as `links` or as what they lead to.

    Its byte code holds for the copy, because times are copied as well.
    """
    _compile(source)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*UNWANTED), symlinks=links)


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
