"""Functions in machine code, cached beside their sources.

Two processes that compile into one cold cache can crash (numba issue 10128), so whoever forks calls
:func:`gebox.simulate.warm_up` before. And numba compares a cached function with its own source file only, not with
those of the functions that it calls: so all that is cached is forgotten when any source of the package has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile on first use, keep the result in ``__pycache__``."""
    return cast("Callable[P, R]", numba.njit(cache=True, nogil=True)(function))


def forget_stale(package: Path) -> bool:
    """Delete the cached machine code of a package whose sources are not those that it was compiled from.

    Returns
    -------
    bool
        Whether anything was forgotten. A folder that cannot be written is left alone: numba then caches elsewhere.
    """
    stamp = package / "__pycache__" / "sources.sha256"
    known = stamp.read_text() if stamp.is_file() else ""
    now = fingerprint(package)
    if known == now:
        return False
    with suppress(OSError):
        for path in sorted(package.rglob("__pycache__/*.nb[ic]")):
            path.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(now)
    return True


def fingerprint(package: Path) -> str:
    """A hash of the contents of all sources."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


forget_stale(Path(__file__).parent)
