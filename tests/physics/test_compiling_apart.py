"""Compiling on all cores: what several processes compiled is whole, and the next process takes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataflow.jobs import apart, warm
from dataflow.jobs.compiled import CHAINS

MODULE = """
import sys
from pathlib import Path
import numpy as np
from dataflow.jobs.apart import compile_apart, work

def one():
    from loops import first
    assert first(np.arange(3.0)) == 4.0

def two():
    from loops import second
    assert second(np.arange(4)).tolist() == [1, 2, 3, 4]

def three():
    from loops import first
    assert first(np.arange(3)) == 4

if __name__ == "__main__":
    UNITS = {"one": one, "two": two, "three": three}
    if len(sys.argv) > 1:
        work(Path(sys.argv[1]), UNITS)
    else:
        print(compile_apart("units", 2), "failed")
"""
LOOPS = """
from numba import guvectorize, njit

@njit(cache=True)
def shared(x):
    return x + 1

@njit(cache=True)
def first(a):
    return shared(a.sum())

@guvectorize(["i8[:],i8[:]", "f8[:],f8[:]"], "(n)->(n)", cache=True, nopython=True)
def second(a, out):
    for i in range(len(a)):
        out[i] = shared(a[i])
"""


@pytest.fixture
def loops(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "units.py").write_text(MODULE)
    (folder / "loops.py").write_text(LOOPS)
    return folder


def _run(folder: Path, *words: str, **variables: str) -> str:
    paths = os.pathsep.join([str(folder), *(path for path in sys.path if path)])
    kept = {name: value for name, value in os.environ.items() if name != apart.VARIABLE}
    command = [sys.executable, *words]
    environ = {**kept, "PYTHONPATH": paths, "NUMBA_DEBUG_CACHE": "1", **variables}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("is_own", [False, True])
def test_what_two_processes_compiled_is_taken_whole(loops: Path, tmp_path: Path, is_own: bool) -> None:
    """Beside the sources, and in a folder of the user."""
    own = tmp_path / "own"
    own.mkdir()
    variables = {apart.VARIABLE: str(own)} if is_own else {}
    assert "0 failed" in _run(loops, "units.py", **variables)
    kept = next(own.iterdir()) if is_own else loops / "__pycache__"
    functions = {path.name.partition("-")[0] for path in kept.glob("loops.*.nbi")}
    assert functions == {"loops.first", "loops.second", "loops.shared"}
    everything = "import units; units.one(); units.two(); units.three()"
    said = _run(loops, "-c", everything, **variables)
    assert "loops.second" in said and "data loaded" in said
    assert "loops.second" not in said.partition("data saved")[2]  # only another type of `first` may be missing
    said = _run(loops, "-c", everything, **variables)
    assert said.count("data loaded") >= 3 and "data saved" not in said


def test_of_a_function_the_files_of_one_process_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "target"
    target.mkdir()
    monkeypatch.setattr(apart, "kept_in", lambda source: target)
    taken: set[tuple[Path, str]] = set()
    for number in ("1", "2"):
        folder = tmp_path / number / "cache"
        folder.mkdir(parents=True)
        names = ["m.f-1.py311.nbi", "guf-m.f-1.py311.nbi", "m.f-1.py311.1.nbc", f"m.g{number}-7.py311.nbi"]
        for name in [*names, *(["m.f-1.py311.2.nbc"] if number == "2" else [])]:
            (folder / name).write_text(number)
        (folder.parent / apart.SOURCES).write_text('{"cache": "m.py"}')
        apart.put_together(folder.parent, taken)
    found = {path.name: path.read_text() for path in target.iterdir()}
    ones = ("m.f-1.py311.nbi", "guf-m.f-1.py311.nbi", "m.f-1.py311.1.nbc", "m.g1-7.py311.nbi")
    assert found == {**dict.fromkeys(ones, "1"), "m.g2-7.py311.nbi": "2"}


def test_each_unit_is_done_once(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    one, other = apart._mine(tmp_path / "taken", names), apart._mine(tmp_path / "taken", names)
    assert [next(one), next(other), next(one)] == names
    assert list(one) == list(other) == []


def test_what_shipped_chains_call_is_compiled_at_installation() -> None:
    program = (
        "import yaml; from dataflow.jobs import warm; from dataflow.physics import chains, deferred, trychains\n"
        "from dataflow.metadata.stepconfig import shipped_folder\n"
        "trychains.keep_compiled_code(); warm.processors(); original = deferred.Deferred.made.func\n"
        "later, run = [], 0\n"
        "deferred.Deferred.made.func = lambda self: (later.append(self.__name__), original(self))[1]\n"
        "for path in sorted(shipped_folder('tier_dsp').glob('processing_chain-*.yaml')):\n"
        "    chain = yaml.safe_load(path.read_text())\n"
        "    for table in map(trychains.table_of, trychains.FORMS.values()):\n"
        "        if trychains._fits(chain, table):\n"
        "            chains.run_compiled(table, chains.fitted(chain, list(table)), {}); run += 1\n"
        "print('LATER', run, *later)\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != CHAINS}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
    count, *later = done.stdout.rpartition("LATER")[2].split()
    assert int(count) > 2 and later == []
    called = warm.called_processors()
    assert {"get_multi_local_extrema", "zac_filter"} <= set(called)
    assert {"nnls", "ml", "optimize", "fft_convolve_wf", "double_pole_zero"}.isdisjoint(called)
