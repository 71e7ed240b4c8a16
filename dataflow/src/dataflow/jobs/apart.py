"""Compiling on all cores: processes with a cache of their own each, whose files are put together afterwards.

Two processes that compile the same function into one folder leave files that do not fit together (numba issue 10128).
So each process has a folder for itself, and of a function that several have compiled all files of one are taken.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"
SOURCES = "sources.json"
"""File of a process: the sources of the folders in its cache."""
MOST = 8
"""Processes at most: each needs some 400 MB."""
_FUNCTION = re.compile(r"^(?:guf-)?(?P<function>.+\.py\d+[a-z]*)\.(?:\d+\.)?nb[ic]$")
"""``mod.func-1.py311.nbi``, ``mod.func-1.py311.2.nbc``, and the same with ``guf-`` before it."""


def cores() -> int:
    """How many processes compile side by side."""
    return min(len(os.sched_getaffinity(0)), MOST)


def compile_apart(module: str, count: int) -> int:
    """Start processes that take units from one list, and put what they have compiled where numba looks for it.

    Parameters
    ----------
    module
        Started with the path of the list as its argument; it calls :func:`work`.
    count
        Processes.

    Returns
    -------
    int
        Processes that failed. What these have compiled is thrown away.
    """
    with tempfile.TemporaryDirectory(prefix="prodenv-compiling-") as name:
        folders = [Path(name) / str(number) for number in range(count)]
        started = [_start(module, Path(name) / "taken", folder) for folder in folders]
        codes = [process.wait() for process in started]
        taken: set[tuple[Path, str]] = set()
        for folder, code in zip(folders, codes, strict=True):
            if code == 0:
                put_together(folder, taken)
    return sum(code != 0 for code in codes)


def _start(module: str, taken: Path, folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir()
    return subprocess.Popen([sys.executable, "-P", "-m", module, taken], env=os.environ | {VARIABLE: str(folder)})


def work(taken: Path, units: Mapping[str, Callable[[], object]]) -> None:
    """In one of the processes: do units until there are none left, and write down what the sources were."""
    for name in _mine(taken, list(units)):
        units[name]()
    folder = Path(os.environ[VARIABLE])
    (folder / SOURCES).write_text(json.dumps(_sources(folder), sort_keys=True))


def _mine(taken: Path, names: Sequence[str]) -> Iterator[str]:
    """The next unit that no other process has taken, again and again."""
    while True:
        with taken.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            number = len(file.read())
            file.write(".")
        if number >= len(names):
            return
        yield names[number]


def _sources(folder: Path) -> dict[str, str]:
    """A source of each folder in a cache."""
    from numba.core.caching import UserProvidedCacheLocator

    files = sorted(str(module.__file__) for module in list(sys.modules.values()) if getattr(module, "__file__", None))
    known = {UserProvidedCacheLocator.get_suitable_cache_subpath(file): file for file in files if file.endswith(".py")}
    return {each.name: known[each.name] for each in folder.iterdir() if each.name in known}


def put_together(folder: Path, taken: set[tuple[Path, str]]) -> None:
    """Move what a process has compiled to where numba looks for it, but for functions that are in `taken` already.

    Parameters
    ----------
    folder
        The cache of the process.
    taken
        Folders and functions of other processes; those of this one are added.
    """
    known = set(taken)
    for name, source in json.loads((folder / SOURCES).read_text()).items():
        target = kept_in(Path(source))
        for file in sorted((folder / name).iterdir()):
            found = _FUNCTION.match(file.name)
            if found and (target, found["function"]) not in known:
                shutil.move(file, target / file.name)
                taken.add((target, found["function"]))


def kept_in(source: Path) -> Path:
    """The folder in which numba keeps what it compiles of a source; it is made.

    Raises
    ------
    OSError
        If there is none that can be written.
    """
    from numba.core.caching import CompileResultCacheImpl

    for locator in CompileResultCacheImpl._locator_classes:
        if found := locator.from_function(kept_in, str(source)):
            return Path(found.get_cache_path())
    raise OSError(f"numba finds no folder for what it compiles of {source}")
