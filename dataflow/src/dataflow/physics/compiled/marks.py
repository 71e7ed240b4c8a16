"""Which traces have samples that are no numbers: looked up once a trace, where dspeed's processors each look again."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import compiled

Array = Any
INFINITE = 0x7F800000
"""The bits of an infinite float32 without its sign; those of NaN are a larger integer."""


@compiled
def _largest(bits: Any) -> Any:
    found = np.int32(0)
    for i in range(len(bits)):
        found = max(found, np.int32(bits[i] & np.int32(0x7FFFFFFF)))
    return found


@compiled
def mark(flat: Array, stride: int, length: int, bad: Array) -> None:
    """Mark traces with a NaN.

    Parameters
    ----------
    flat
        Samples of all traces, float32, one trace every `stride` samples.
    stride, length
        In samples.
    bad
        What is marked, bool, shape (traces,).
    """
    for row in range(len(bad)):
        samples = flat[row * stride : row * stride + length]
        bad[row] = _largest(samples.view(np.int32)) > INFINITE  # comparing integers is vectorised
