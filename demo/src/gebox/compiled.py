"""Functions in machine code, cached beside their sources.

Two processes that compile into one cold cache can crash (numba issue 10128), so whoever forks calls
:func:`gebox.simulate.warm_up` before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile on first use, keep the result in ``__pycache__``."""
    return cast("Callable[P, R]", numba.njit(cache=True, nogil=True)(function))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """As :func:`compiled`, for small functions that are called from compiled ones only."""
    return cast("Callable[P, R]", numba.njit(cache=True, nogil=True, inline="never")(function))
