"""One process at a time compiles: a cache that two write at once kills every later process (numba issue 10128)."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_held: list[bool] = []


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other process of this machine, for these sources, may be compiling; within itself, do not wait."""
    if _held:
        yield
        return
    with _lock_file().open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _held.append(True)
        try:
            yield
        finally:
            _held.pop()


def _lock_file() -> Path:
    """Beside what numba keeps, or where it is the user's own where that cannot be written."""
    for folder in (os.environ.get("NUMBA_CACHE_DIR"), Path(__file__).parent / "__pycache__"):
        if folder and os.access(folder, os.W_OK):
            return Path(folder) / ".compiling"
    return Path(tempfile.gettempdir()) / f"prodenv-compiling-{os.getuid()}"
