"""How a convolution with a fixed kernel is computed: which coefficients directly, which from running sums."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from .call import Call, Step, Unsuitable
from .convolve import convolve
from .vectors import SIDE

FLAT_FROM = 48
"""Equal coefficients from which on running sums are faster."""
PART = 32
"""Coefficients whose products are added one after the other; sums of such sums have fewer roundings."""
WORTH = 30
"""A Fourier transform of n samples takes as long as this times n · log2(n) products, about."""


def convolution(call: Call) -> Step:
    """The step for dspeed's ``fft_convolve_wf``."""
    wave, out, mode = call.wave(0), call.target(3), chr(call.number(2))
    kernel = _fixed(call)
    if len(kernel) > wave.length:
        raise Unsuitable("the kernel is longer than the traces")
    if np.isnan(kernel).any():
        return partial(out.flat.fill, np.nan)
    size = {"f": wave.length + len(kernel) - 1, "s": wave.length, "v": wave.length - len(kernel) + 1}.get(mode)
    if out.length != size:
        raise Unsuitable(f"its result has {out.length} samples")
    shift = {"f": 0, "s": (len(kernel) - 1) // 2, "v": len(kernel) - 1}[mode]
    margin = len(kernel) + SIDE
    begin, end = longest_flat(kernel)
    parts = parts_of(kernel, begin, end)
    _is_worth(size * sum(last - first for first, last in parts), wave.length + len(kernel))
    # The coefficient k takes the sample shift + margin - k for the first result.
    places = np.array([(len(kernel) - b, len(kernel) - a, shift + margin - b + 1) for a, b in parts], np.int64)
    first, last = shift + margin - end + 1, shift + margin - begin + 1
    value = float(kernel[begin]) if end > begin else 0.0
    prepared = kernel[::-1].copy(), places.reshape(-1, 3), first, last, value
    call.block.space.reserve(single=SIDE * (wave.length + 2 * margin + SIDE))
    bad, where, space = call.marks(wave), (out.flat, out.stride, out.length), call.block.space
    call.same_marks(out, bad)
    return lambda: convolve(*wave.read, bad, prepared, where, margin, space.single)


def _fixed(call: Call) -> NDArray[np.float32]:
    kernel = call.args[1]
    if not isinstance(kernel, np.ndarray) or kernel.ndim > 2 or (kernel.ndim == 2 and kernel.shape[0] != 1):
        raise Unsuitable("its kernel differs between traces")
    if kernel.dtype != np.float32:
        raise Unsuitable(f"its kernel has coefficients of type {kernel.dtype}")
    return kernel.reshape(-1).copy()


def longest_flat(kernel: NDArray[np.float32]) -> tuple[int, int]:
    """Begin and end of the longest run of equal coefficients; (0, 0) if it is not worth a running sum."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(kernel)) + 1, [len(kernel)]])
    longest = int(np.argmax(np.diff(edges)))
    begin, end = int(edges[longest]), int(edges[longest + 1])
    return (begin, end) if end - begin >= FLAT_FROM else (0, 0)


def parts_of(kernel: NDArray[np.float32], begin: int, end: int) -> list[tuple[int, int]]:
    """Begins and ends of what is to be applied directly: what lies before and behind the flat run, without zeros."""
    sides = [(0, begin), (end, len(kernel))]
    used = [(first, np.flatnonzero(kernel[first:last])) for first, last in sides]
    whole = [(first + int(each[0]), first + int(each[-1]) + 1) for first, each in used if len(each)]
    return [(first, min(first + PART, end)) for begin, end in whole for first in range(begin, end, PART)]


def _is_worth(products: int, size: int) -> None:
    if products > WORTH * size * np.log2(size):
        raise Unsuitable("a Fourier transform is faster for so many coefficients")
