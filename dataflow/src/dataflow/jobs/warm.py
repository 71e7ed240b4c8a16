"""``python -m dataflow.jobs.warm``: compile everything that jobs would otherwise compile, once, at installation.

numba keeps what it compiled beside the sources. One process fills this cache: two at once crash, and leave a cache that
kills every later process (numba issue 10128).
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dataflow.jobs.compiled import VARIABLE, note_processor

MODULES = ("dspeed.processors", "pygama.evt", "pygama.hit", "daq2lh5", "lh5", "lgdo")


def main() -> int:
    """Compile, and say how long it took; returns the exit code."""
    start = time.monotonic()
    for task in (processors, chains, daq_files, fits, ragged_arrays, compression, everything_imported):
        begun = time.monotonic()
        task()
        print(f"{task.__doc__.split('.')[0] if task.__doc__ else task.__name__}: {time.monotonic() - begun:.1f} s")
    _note()
    print(f"all compiled in {time.monotonic() - start:.1f} s")
    return 0


def _note() -> None:
    """Say beside the packages what was compiled for, where the code is compiled there."""
    if os.environ.get(VARIABLE):
        return
    for site in map(Path, sys.path):
        if site.name == "site-packages" and (site / "dspeed").is_dir() and os.access(site, os.W_OK):
            note_processor(site)


def processors() -> None:
    """Signal processors of dspeed."""
    from dspeed.utils import precompile_numba

    precompile_numba()


def chains() -> None:
    """Compiled forms of signal processors."""
    from dataflow.physics.compiled.ahead import compile_ahead

    compile_ahead()


def daq_files() -> None:
    """Readers of DAQ files."""
    from dataflow.steps.tier_raw.formats.flashcam_ahead import compile_ahead

    compile_ahead()


def fits() -> None:
    """Peak shapes of pygama."""
    from dataflow.physics.linefit import fit_line
    from dataflow.physics.lines import TL208, Line

    random = np.random.default_rng(1)
    peak = random.normal(TL208, 1.1, 4000)
    tail = TL208 - random.exponential(3.0, 400)
    flat = random.uniform(TL208 - 35, TL208 + 35, 600)
    fit_line(np.concatenate([peak, tail, flat]), Line(TL208, 35, 35))


def ragged_arrays() -> None:
    """Arrays of arrays of lgdo."""
    # half a minute by itself: it compiles on import, and its package imports it only where it is used
    from lgdo.types import vovutils

    lengths = np.array([3, 4, 6])
    for size in ("u4", "u8", "i8"):
        vovutils.explode_cl(lengths.astype(size))
        vovutils.build_cl(np.array([0, 0, 1], dtype=size))
    for kind in ("f4", "f8", "i4", "i8"):
        vovutils.explode(lengths, np.arange(3, dtype=kind))


def compression() -> None:
    """Waveform compression of lh5."""
    from lgdo import ArrayOfEqualSizedArrays
    from lh5 import compression as codecs

    waves = ArrayOfEqualSizedArrays(nda=np.arange(64, dtype="uint16").reshape(2, 32))
    chosen: tuple[Callable[[], object], ...] = (codecs.RadwareSigcompress, codecs.ULEB128ZigZagDiff)
    for codec in chosen:
        codecs.decode(codecs.encode(waves, codec=codec()))


def everything_imported() -> None:
    """Everything else that is imported."""
    for name in MODULES:
        importlib.import_module(name)


if __name__ == "__main__":
    sys.exit(main())
