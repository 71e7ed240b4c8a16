"""How the loops of this room are compiled.

A file of loops uses no loop of another file: numba looks only at a function's own file when it decides whether what it
has kept is current.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compile a loop when it is first called, and keep the machine code; no order of operations is changed."""
    from numba import njit

    made: Loop = njit(cache=True, nogil=True, error_model="numpy")(loop)
    return made


def reordered(loop: Loop) -> Loop:
    """As :func:`compiled`, for sums and extrema whose terms may be taken in another order."""
    from numba import njit

    made: Loop = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz", "nnan"})(loop)
    return made
