"""Fixtures that all tests share, and the order in which processes take tests."""

from __future__ import annotations

import gc
import os
import re
import uuid
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from .copies import take_back

REPOSITORY = Path(__file__).resolve().parents[1]
LARGE = 64 * 1024
"""Bytes from which on a file of a test that passed is not kept until the end."""
FAILED = pytest.StashKey[bool]()
LONG = ("production", "clusters", "workflow", "lineage", "physics", "steps")
"""Folders of tests that take long: they begin first, so that no process works alone at the end."""


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Whole files go to a process, because they share what they made, and all whole productions to one."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return "tests/production" if file.startswith("tests/production/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Distribute tests in the order in which they were collected, not the files with many short tests first."""
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the folders that take long begin."""
    items.sort(key=_place)


def pytest_collection_finish() -> None:
    """Let the garbage collector not look at thousands of tests, and the modules that they import, again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Let the folders of tests go, if none failed, while nobody waits for it: it can take a minute.

    Where it is interrupted, pytest removes a folder of this name at its next end.
    """
    config: Any = session.config  # without a public way to what pytest removes by itself
    factory = config._tmp_path_factory
    if exitstatus or factory._given_basetemp or not factory._basetemp:  # of a process of xdist, the folder is given
        return
    gone = factory._basetemp.rename(factory._basetemp.with_name(f"garbage-{uuid.uuid4()}"))
    quiet = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in range(3)]
    os.posix_spawnp("rm", ["rm", "-rf", gone], os.environ, file_actions=quiet, setsid=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether a test failed."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for one test; if it passes, large files go at once and all else at the end.

    pytest would remove all at once. But ext4 uses no inode again that became free a moment ago, and searches for
    another one: where each test removed hundreds of files, that was more than half of the time in the kernel.
    """
    path = tmp_path_factory.mktemp(re.sub(r"\W", "_", request.node.name)[:30])
    yield path
    if not request.node.stash.get(FAILED, False):
        take_back(path)
        _remove_large(path)


def _remove_large(folder: Path) -> None:
    """Remove large files, as far as the rights that a test left behind allow it; others may have more links to them."""
    for parent, _, names in os.walk(folder):
        for file in (Path(parent, name) for name in names):
            with suppress(OSError):
                if not file.is_symlink() and file.stat().st_size >= LARGE:
                    file.unlink()


def _place(item: pytest.Item) -> int:
    folder = item.path.parent.name
    return LONG.index(folder) if folder in LONG else len(LONG)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout under test."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real detector data beside the repository; the test is skipped where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real detector data is not here (looked for {folder.name}/ beside the repository)")
    return folder
