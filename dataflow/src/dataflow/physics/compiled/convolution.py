"""How a convolution with a fixed kernel is computed: which coefficients directly, which from running sums."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from .call import Call, Step, Unsuitable
from .convolve import GROUP, LANES, SIDE, convolve, convolve_many

FLAT_FROM = 48
"""Equal coefficients from which on running sums are faster."""
MANY = 12
"""Groups of coefficients from which on traces are laid side by side."""
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
    margin = len(kernel) + GROUP
    begin, end = longest_flat(kernel)
    direct = kernel.copy()
    direct[begin:end] = 0
    groups, places = grouped(direct)
    _is_worth(size * GROUP * len(places), wave.length + len(kernel))
    begins = shift + margin - (places + GROUP - 1)
    first, last = shift + margin - end + 1, shift + margin - begin + 1
    prepared = groups, begins, first, last, float(kernel[begin]) if end > begin else 0.0
    room = SIDE * (wave.length + 2 * margin)
    call.block.space.reserve(single=room, double=room)
    bad, where, space = call.marks(wave), (out.flat, out.stride, out.length), call.block.space
    call.same_marks(out, bad)
    if len(places) >= MANY and end == begin and call.block.width % LANES == 0:
        space.reserve(single=LANES * (wave.length + 2 * margin + size))
        return lambda: convolve_many(*wave.read, bad, (groups, begins), where, margin, space.single)
    return lambda: convolve(*wave.read, bad, prepared, where, margin, (space.single, space.double))


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


def grouped(kernel: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Coefficients in groups, reversed, and the places of their first ones; groups of zeros are left out."""
    count = -(-len(kernel) // GROUP)
    padded = np.zeros(count * GROUP, np.float32)
    padded[: len(kernel)] = kernel
    groups = padded.reshape(count, GROUP)
    used = np.flatnonzero(groups.any(axis=1))
    return np.ascontiguousarray(groups[used, ::-1]), used * GROUP


def _is_worth(products: int, size: int) -> None:
    if products > WORTH * size * np.log2(size):
        raise Unsuitable("a Fourier transform is faster for so many coefficients")
