"""Outputs of dspeed's processors that are declared with another type than the processor computes in.

Most of dspeed's processors write their outputs into arrays that they are given as inputs (a signature without ``->``).
Where the declared type of such an array is not that of the chosen type signature (``presum`` computes in floats; into
``dtype='I'``, or into float32 from integers of 32 bits, which it takes in float64), numpy hands the processor a copy,
and what is written into the copy is lost: the output stays what its memory happened to hold, mostly 0. Here such arrays
are replaced by arrays of the right type and copied back. ``tests/physics/test_dspeed_inplace.py`` tells when dspeed
does so itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

MARK = "_writes_in_place"


def written_back(function: Callable[..., Any], types: Sequence[DTypeLike]) -> Callable[..., None]:
    """A processor whose arrays of another type than its own come back with what it wrote into them.

    Parameters
    ----------
    function
        Writes into some of its arguments.
    types
        The type of each argument as the function computes.
    """

    @wraps(function, assigned=("__name__", "__doc__"))
    def call(*arguments: Any) -> None:
        given = [_of_type(each, kind) for each, kind in zip(arguments, types, strict=True)]
        function(*given)
        for before, after in zip(arguments, given, strict=True):
            if after is not before:
                _copy(after, before)

    return call


def _of_type(argument: Any, kind: DTypeLike) -> Any:
    return argument.astype(kind) if isinstance(argument, np.ndarray) and argument.dtype != kind else argument


def _copy(source: Any, target: Any) -> None:
    """Into an integer, what is not a number becomes 0, as there is no better one."""
    if target.dtype.kind in "iu" and source.dtype.kind == "f":
        source = np.where(np.isfinite(source), source, 0)
    np.copyto(target, source, casting="unsafe")


def install() -> None:
    """Let the processors of all chains that are built from now on write into what they are given."""
    from dspeed.processing_chain import ProcessorManager

    original = ProcessorManager.__init__
    if hasattr(original, MARK):
        return

    @wraps(original)
    def begin(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        arrays = [(each, kind) for each, kind in zip(self.args, self.types, strict=False)]
        if "->" in self.signature or self.kwargs:
            return
        if any(isinstance(each, np.ndarray) and each.dtype != kind for each, kind in arrays):
            self.processor = written_back(self.processor, self.types)

    setattr(begin, MARK, True)
    ProcessorManager.__init__ = begin
