"""Compiling once, at installation, whatever the jobs would otherwise compile: ``python -m dataflow.jobs.warm``.

Numba keeps compiled code beside the sources. Two processes that fill that cache at the same time can crash and leave a
cache that crashes every later process, so it is filled here by one process, and only read afterwards. With a cache that
is full already this takes seconds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np


def processors() -> None:
    """All processors that a signal-processing chain can name."""
    from dspeed.utils import precompile_numba

    precompile_numba()


def ragged_arrays() -> None:
    """Arrays of arrays: filled row by row, taken apart, written, and read in parts."""
    import lh5
    from lgdo import VectorOfVectors
    from lgdo.types import vovutils

    lengths = np.array([3, 4, 6])
    for kind in (np.uint32, np.uint64, np.int64):
        vovutils.explode_cl(lengths.astype(kind))
        vovutils.build_cl(np.array([0, 0, 1], dtype=kind))
    for name in ("f4", "f8", "i4", "i8"):
        vovutils.explode(lengths, np.arange(3, dtype=name))
    ragged = VectorOfVectors([[1, 2, 3], [4], [5, 6]], dtype=np.float64)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "ragged.lh5"))
        lh5.write(ragged, "ragged", file)
        lh5.read("ragged", file, idx=[0, 2])


def compression() -> None:
    """The two waveform codecs, for the integer types of digitizers."""
    from lgdo import ArrayOfEqualSizedArrays
    from lh5.compression import RadwareSigcompress, ULEB128ZigZagDiff, decode, encode

    for codec in (RadwareSigcompress(codec_shift=-32768), ULEB128ZigZagDiff()):
        for kind in (np.uint16, np.int16):
            wave = np.arange(256, dtype=kind).reshape(4, 64)
            decode(encode(ArrayOfEqualSizedArrays(nda=wave), codec=codec))


PARTS: Sequence[tuple[str, Callable[[], None]]] = (
    ("signal processors", processors),
    ("ragged arrays", ragged_arrays),
    ("waveform codecs", compression),
)


def main() -> int:
    """Compile everything and say how long each part took."""
    for name, compile_part in PARTS:
        begin = time.monotonic()
        compile_part()
        sys.stdout.write(f"{name}: {time.monotonic() - begin:.1f} s\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
