"""Cycles that the real Snakemake runs, with a stand-in for the software: each job writes its name into its outputs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

from ..copies import copy_sources
from ..plan.conftest import KEYS, TESTSTAND_KEYS, Tree
from .snakemake_calls import call_snakemake
from .stand_in import write_stand_in


class Production:
    """A cycle with the workflow of this repository and a stand-in for its software.

    Parameters
    ----------
    tree
        The cycle.
    repository
        The checkout under test.
    """

    def __init__(self, tree: Tree, repository: Path) -> None:
        self.tree, self.root, self.repository = tree, tree.root, repository
        copy_sources(repository / "dataflow", self.root / "dataflow")
        write_stand_in(self.root / "software/python/install/bin/python")
        tree.save()

    def run(self, *words: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
        """Call Snakemake as users do, from inside the cycle if nothing else is said."""
        whole = ["--snakefile", str(self.root / "dataflow/Snakefile"), "-j2"]
        whole += [f"--configfile={self.root / 'config.json'}", *words]
        return call_snakemake(whole, cwd or self.root, dict(os.environ) | environ)

    def dataprod(self, verb: str, *words: str, limit: float = 120, **environ: str) -> subprocess.CompletedProcess[str]:
        """Call a verb of ``dataprod`` on the cycle."""
        return subprocess.run(
            [sys.executable, "-m", "prodenv", verb, str(self.root), *words],
            env=dict(os.environ) | environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit,
        )

    def made(self, *words: str, cwd: Path | None = None, **environ: str) -> list[str]:
        """The jobs that a successful call ran: step and key, sorted."""
        self.forget()
        result = self.run(*words, cwd=cwd, **environ)
        assert result.returncode == 0, result.stderr
        return self.jobs()

    def begin_with(self, target: str) -> None:
        """Have a target made before anything is changed: a copy of what was made once for all tests that begin so."""
        made = _made(self.repository, target, self.root.parents[1])
        for name in ("generated", ".snakemake"):
            shutil.copytree(made / name, self.root / name, symlinks=True, dirs_exist_ok=True)

    def jobs(self) -> list[str]:
        """The jobs since the last call of :meth:`forget`: step and key, sorted."""
        record = self.root / "jobs.txt"
        lines = record.read_text().splitlines() if record.exists() else []
        return sorted(" ".join(line.split()[:2]) for line in lines)

    def forget(self) -> None:
        """Begin a new record of jobs."""
        (self.root / "jobs.txt").unlink(missing_ok=True)


@cache
def _made(repository: Path, target: str, place: Path) -> Path:
    """A cycle of two periods, in a folder for temporary files, in which a target is made."""
    production = two_periods(Tree(Path(tempfile.mkdtemp(prefix="made-", dir=place)) / "the cycle"), repository)
    assert production.made(target)
    return production.root


def two_periods(tree: Tree, repository: Path) -> Production:
    """An L200 cycle with two periods."""
    tree.metadata()
    tree.daq(*KEYS)
    return Production(tree, repository)


@pytest.fixture
def empty(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "the cycle")


@pytest.fixture
def production(empty: Tree, repository: Path) -> Production:
    """An L200 cycle with two periods."""
    pytest.importorskip("snakemake")
    return two_periods(empty, repository)


@pytest.fixture
def stand_production(empty: Tree, repository: Path) -> Production:
    """A test stand's cycle with two detectors."""
    pytest.importorskip("snakemake")
    empty.config = {"experiment": "hades", "keys": "teststand", "paths": {}}
    for key in TESTSTAND_KEYS:
        _, detector, measurement, _, _ = key.split("-")
        empty.write(f"generated/tier/daq/{detector}/{measurement}/{key}.fcio")
    return Production(empty, repository)
