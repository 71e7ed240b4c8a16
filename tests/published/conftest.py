"""Cycles with a flow of the published shape."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..control.conftest import GitRepository, bare, git, git_repository, prodenv  # noqa: F401 - fixtures
from ..verbs.conftest import Box, box  # noqa: F401 - fixtures
from .standin import flow_files


@dataclass(frozen=True)
class Theirs:
    """A cycle with the stand-in of a published flow, whose own Snakemake is that of the tests."""

    box: Box
    root: Path

    def raw(self, **contents: str) -> None:
        """Raw files; one that does not say ``good`` fails."""
        for name, text in contents.items():
            file = self.root / f"generated/tier/raw/{name}-tier_raw.lh5"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def software(self) -> None:
        """A stand-in of what an installation leaves: a Python, and a Snakemake that says that it is this one."""
        folder = self.root / "software/python/install/bin"
        folder.mkdir(parents=True)
        (folder / "python").write_text(f'#!/bin/sh\necho "$@" >> "{self.root}/own.txt"\nexec {sys.executable} "$@"\n')
        (folder / "snakemake").write_text("#!/bin/sh\nexit 1\n")
        for name in ("python", "snakemake"):
            (folder / name).chmod(0o755)


@pytest.fixture
def theirs(box: Box, git_repository: GitRepository) -> Theirs:  # noqa: F811
    """A cycle that was made from a repository with a tag."""
    source = git_repository("theirs", flow_files())
    box.ok("init-cycle", "cycles/theirs", "--dataflow", f"{source}@v1")
    made = Theirs(box, box.env.root / "cycles/theirs")
    made.raw(a="good", b="good")
    return made
