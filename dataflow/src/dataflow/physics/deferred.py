"""Processors of which the compiled code is not loaded, nor made, before they are called.

numba compiles what :func:`numba.guvectorize` decorates for all its types when it is imported, or loads all of it, and
dspeed's convolutions import ``scipy.signal``: 80 MB and two seconds. To build a chain takes types of arguments and the
code of some kernels, and most calls have a compiled form of the flow's own. After :func:`install`, processors tell
their types without a compiler, and are numba's own from their first call on; ``tests/physics/test_deferred.py``
compares both.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from types import ModuleType
from typing import Any

import numba
from numba.core import sigutils
from numba.core.types import Array
from numba.np import numpy_support
from numba.np.ufunc.sigparse import parse_signature

Decorator = Callable[[Callable[..., Any]], Any]
ORIGINAL: Callable[..., Decorator] = numba.guvectorize
CONVOLUTIONS, SIGNAL = "dspeed.processors.convolutions", "scipy.signal"
OWNERS = ("dspeed.", "dataflow.")
"""Whose processors are deferred; those of others are left to numba."""


class Deferred:
    """What :func:`numba.guvectorize` makes of a function, once it is called.

    Parameters
    ----------
    function
        What is decorated.
    kinds
        The types of its arguments, each a text as in ``void(float32[:], float64, float32[:])``.
    signature
        Its dimensions, ``(n),()->(n)``.
    options
        All other arguments of the decorator.
    """

    guard: Callable[[], AbstractContextManager[None]] = staticmethod(nullcontext)
    """What is entered while a function may be compiled."""

    def __init__(
        self, function: Callable[..., Any], kinds: Sequence[Any], signature: str, options: dict[str, Any]
    ) -> None:
        self.__name__, self.__doc__, self.__module__ = function.__name__, function.__doc__, function.__module__
        self._function, self._kinds, self._options = function, kinds, options
        self._dimensions = signature
        self.signature = (
            signature if any(map(str.isalpha, signature)) else None
        )  # none for scalars alone, as numpy has it
        inputs, outputs = parse_signature(signature)
        self.nin, self.nout = len(inputs), len(outputs)
        self.nargs = self.nin + self.nout
        self.types = [self._chars(kind) for kind in kinds]
        self.ntypes = len(self.types)

    def _chars(self, kind: Any) -> str:
        """Types as numpy writes them: ``fd->f``."""
        arguments, _ = sigutils.normalize_signature(kind)
        bare = (each.dtype if isinstance(each, Array) else each for each in arguments)
        chars = "".join(numpy_support.as_dtype(each).char for each in bare)
        return f"{chars[: self.nin]}->{chars[self.nin :]}"

    @cached_property
    def made(self) -> Any:
        """numba's function; where it is not kept from earlier, it is compiled now."""
        with self.guard():
            return ORIGINAL(self._kinds, self._dimensions, **self._options)(self._function)

    def load(self) -> None:
        """Load the compiled code, or compile."""
        assert self.made  # noqa: S101 - it is made by this

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.made(*arguments, **named)


def install(guard: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
    """Let numba's decorator make such functions in this process, in all modules that are imported from now on.

    Parameters
    ----------
    guard
        What is entered while a function may be compiled.
    """
    Deferred.guard = staticmethod(guard)
    numba.guvectorize = guvectorize
    if CONVOLUTIONS not in sys.modules and SIGNAL not in sys.modules:
        sys.modules[SIGNAL] = _Signal(SIGNAL)
        try:
            importlib.import_module(CONVOLUTIONS)
        finally:
            del sys.modules[SIGNAL]  # whoever else imports it gets the whole


def guvectorize(kinds: Any, signature: str = "", **options: Any) -> Decorator:
    """As :func:`numba.guvectorize`; a function without types, which numba compiles for each new kind, is left to it."""
    if not signature or not kinds:
        return ORIGINAL(kinds, *([signature] if signature else []), **options)
    known = [kinds] if isinstance(kinds, str) else list(kinds)

    def made(function: Callable[..., Any]) -> Any:
        if not function.__module__.startswith(OWNERS):
            return ORIGINAL(kinds, signature, **options)(function)
        return Deferred(function, known, signature, options)

    return made


class _Signal(ModuleType):
    """In the place of ``scipy.signal`` for a module that takes functions of it."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def function(*arguments: Any, **named: Any) -> Any:
            return getattr(importlib.import_module(SIGNAL), name)(*arguments, **named)

        return function
