"""``python -m dataflow.jobs.warm``: compile everything that jobs would otherwise compile, once, at installation.

Where nothing is compiled yet, processes on all cores do most of it, each in a folder of its own (:mod:`.apart`). Then
one process does everything once more: it takes what is there, which shows that it can be taken, and compiles what is
missing. Processors that no shipped chain names are left out, and those that compiled chains do without: the first job
that needs one compiles it (:mod:`dataflow.physics.deferred`).
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from dataflow.jobs.apart import compile_apart, cores, kept_in, work
from dataflow.jobs.compiled import VARIABLE, note_processor
from dataflow.metadata.stepconfig import STEPS_FOLDER
from dataflow.physics.deferred import Deferred

MODULES = ("dspeed.processors", "pygama.evt", "pygama.hit", "daq2lh5", "lh5", "lgdo")
LIBRARY = "dspeed.processors"
IMPORTED = (
    *("numba.np.npyimpl", "numba.np.arraymath", "numba.typed.dictobject"),
    *("scipy.special", "scipy.sparse", "scipy.spatial", "scipy.optimize", "scipy.ndimage", "scipy.stats"),
)
"""What the first processor and the convolutions import: a second and half a second, in which no job is forked."""
HEAVY = ("get_multi_local_extrema", "where", "zac_filter", "histogram_around_mode", "histogram_peakstats")
"""Processors that take longest to compile; what takes longest begins, so that no process is left alone."""
CALLED = ("trap_norm",)
"""Processors that steps call themselves."""


def main() -> int:
    """Compile, and say how long it took; returns the exit code."""
    if len(sys.argv) > 1:
        work(Path(sys.argv[1]), units())
        return 0
    start = time.monotonic()
    if (count := cores()) > 1 and not is_begun():
        failed = compile_apart("dataflow.jobs.warm", count)
        print(f"side by side in {count} processes, of which {failed} failed: {time.monotonic() - start:.1f} s")
    for task in (processors, chains, daq_files, fits, lists, compression, everything_imported):
        begun = time.monotonic()
        task()
        print(f"{task.__doc__.split('.')[0] if task.__doc__ else task.__name__}: {time.monotonic() - begun:.1f} s")
    _note()
    print(f"all compiled in {time.monotonic() - start:.1f} s")
    return 0


def units() -> Mapping[str, Callable[[], object]]:
    """What processes do side by side, in the order in which it begins."""
    calls = {name: partial(take, name) for name in called_processors()}
    first = {name: calls.pop(name) for name in HEAVY if name in calls}
    tasks = {task.__name__: task for task in (daq_files, compression, fits)}
    return first | tasks | calls


def is_begun() -> bool:
    """Whether something is compiled already, from an earlier installation or call."""
    library = importlib.import_module(LIBRARY)
    return any(kept_in(Path(str(library.__file__))).glob("*.nbi"))


def _note() -> None:
    """Say beside the packages what was compiled for, where the code is compiled there."""
    if os.environ.get(VARIABLE):
        return
    for site in map(Path, sys.path):
        if site.name == "site-packages" and (site / "dspeed").is_dir() and os.access(site, os.W_OK):
            note_processor(site)


def processors() -> None:
    """Signal processors of dspeed."""
    for _ in each_processor():
        pass


def each_processor() -> Iterator[str]:
    """The same one by one, and before them what they import; their names."""
    for name in IMPORTED:
        importlib.import_module(name)
        yield name
    for name in called_processors():
        take(name)
        yield name


def take(name: str) -> None:
    """Load a processor, or compile it."""
    importlib.import_module("dataflow.physics.chains")  # without it, whole modules of processors would be compiled
    from dspeed import processors

    # to import its module by name would put the module in the place of a function of that name
    processor = getattr(processors, name)
    if isinstance(processor, Deferred):
        processor.load()


def called_processors() -> list[str]:
    """Those of dspeed's processors that shipped configuration names and that compiled chains call."""
    from dspeed import processors

    from dataflow.physics.compiled.table import FORMS

    files = sorted(STEPS_FOLDER.glob("*/defaults/*.yaml"))
    named = {name for file in files for name in _named(yaml.safe_load(file.read_text(encoding="utf-8")))}
    return sorted(named & processors._modules.keys() - FORMS.keys() | set(CALLED))


def _named(node: object) -> Iterator[str]:
    """All that stands after ``function`` in a configuration."""
    if isinstance(node, Mapping):
        yield from (str(value) for name, value in node.items() if name == "function")
    for each in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from _named(each)


def chains() -> None:
    """Compiled forms of signal processors."""
    for _ in each_chain():
        pass


def each_chain() -> Iterator[str]:
    """The same one by one; their names."""
    from dataflow.physics.compiled.ahead import compile_ahead

    yield from compile_ahead()


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
    for part in (1, 10):  # in bins, and by single events
        fit_line(np.concatenate([each[::part] for each in (peak, tail, flat)]), Line(TL208, 35, 35))


def lists() -> None:
    """Lists of lists read by rows."""
    import lh5
    from lgdo import Table, VectorOfVectors

    with tempfile.TemporaryDirectory(prefix="prodenv-compiling-") as folder:
        path = str(Path(folder) / "lists.lh5")
        lh5.write(Table({"a": VectorOfVectors([[1.0], [2.0, 3.0], [4.0]])}), "t", path, wo_mode="w")
        lh5.read("t", path, idx=[0, 2])


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
