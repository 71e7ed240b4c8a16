"""Which traces have samples that are no numbers: looked up once a trace, where dspeed's processors each look again."""

from __future__ import annotations

from typing import Any

from .jit import compiled

Array = Any


@compiled
def mark(flat: Array, stride: int, length: int, bad: Array) -> None:
    """Mark traces with a NaN.

    Parameters
    ----------
    flat
        Samples of all traces, one trace every `stride` samples.
    stride, length
        In samples.
    bad
        What is marked, bool, shape (traces,).
    """
    for row in range(len(bad)):
        samples = flat[row * stride : row * stride + length]
        found = 0
        for i in range(length):
            found |= samples[i] != samples[i]
        bad[row] = found != 0
