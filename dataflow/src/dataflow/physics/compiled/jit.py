"""How the loops of this room are compiled.

A file of loops uses no loop of another file but of ``vectors``: numba looks only at a function's own file when it
decides whether what it has kept is current, and here at that one as well.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Loop = TypeVar("Loop", bound=Callable[..., Any])
COMMON = Path(__file__).with_name("vectors.py")


def compiled(loop: Loop) -> Loop:
    """Compile a loop when it is first called, and keep the machine code; no order of operations is changed."""
    from numba import njit

    made: Loop = _kept(njit(cache=True, nogil=True, error_model="numpy")(loop))
    return made


def reordered(loop: Loop) -> Loop:
    """As :func:`compiled`, for sums and extrema whose terms may be taken in another order."""
    from numba import njit

    made: Loop = _kept(njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz", "nnan"})(loop))
    return made


def _kept(made: Any) -> Any:
    """Let what is kept of a loop be current only as long as the file that all use is the same, too.

    numba has no way to say so (version 0.68); ``tests/physics/test_compiled_processors.py`` tells if it is lost.
    """
    file, common = made._cache._cache_file, COMMON.stat()
    file._source_stamp = file._source_stamp, (common.st_mtime, common.st_size)
    return made
