"""A SLURM for all tests of a process, and cycles whose jobs it runs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ..plan.conftest import KEYS, Tree
from ..workflow.conftest import Production
from . import slurm as real

QUICK = {"seconds-between-status-checks": 2, "slurm-init-seconds-before-status-checks": 2, "latency-wait": 20}
"""What a profile has for tests: seconds in which jobs are looked at."""


@pytest.fixture(scope="session")
def slurm() -> Iterator[real.Slurm]:
    """A running SLURM."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    if reason := real.reason_without():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix=real.FOLDER, dir="/tmp"))  # its sockets have short names
    try:
        with real.running(folder) as found:
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def profile(repository: Path, tmp_path: Path) -> str:
    """The shipped profile for SLURM as a site would copy it."""
    folder = tmp_path / "site"
    folder.mkdir()
    shipped = yaml.safe_load((repository / "dataflow/profiles/slurm/config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(shipped | QUICK))
    return str(folder)


def cycle_in(folder: Path, repository: Path) -> Production:
    """An L200 cycle with two periods."""
    tree = Tree(folder)
    tree.metadata()
    tree.daq(*KEYS)
    return Production(tree, repository)
