"""Lists of lists filled by numpy: same values as lgdo's compiled function, which is needed no more."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest
from lgdo import VectorOfVectors
from lgdo.types import vectorofvectors

from dataflow.jobs import lgdolists

KINDS = ("bool", "u1", "u2", "i4", "i8", "f4", "f8", "c16")


def _by_lists(rows: np.ndarray, lengths: np.ndarray, beyond: object) -> list[object]:
    """Computed value by value."""
    width = rows.shape[1]
    pairs = zip(rows, lengths, strict=True)
    return [row[place] if place < width else beyond for row, length in pairs for place in range(int(length))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", ["u4", "i8"])
@pytest.mark.parametrize("longest", [4, 7])
def test_lists_have_the_values_of_their_rows(kind: str, size: str, longest: int) -> None:
    random = np.random.default_rng(3)
    rows = random.integers(0, 2, (50, 4)).astype(kind) if kind == "bool" else random.normal(9, 3, (50, 4)).astype(kind)
    lengths = random.integers(0, longest + 1, 50).astype(size)
    beyond = np.array([1], dtype=kind)
    flat = np.zeros(int(lengths.sum()) + 3, dtype=kind)
    lgdolists.fill(rows, lengths, beyond, flat)
    assert flat.tolist() == [*_by_lists(rows, lengths, beyond[0]), *flat.dtype.type(0).repeat(3).tolist()]


def test_a_flat_array_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="not large enough"):
        lgdolists.fill(np.ones((2, 3)), np.array([3, 3]), np.array([np.nan]), np.zeros(5))


PROGRAM = """
import sys
import numba
import numpy as np
compiled = numba.guvectorize
def guvectorize(types, layout, **options):
    '''Of the 52 variants, which take a minute to compile, those that are called here.'''
    called = [each for each in types if each[:2] in ("u2", "i4", "f4", "f8") and "],u4[" in each]
    print(len(types), len(called), file=sys.stderr)
    return compiled(called, layout, **(options | {"cache": False}))
numba.guvectorize = guvectorize
if sys.argv[1] == "ours":
    from dataflow.jobs import lgdolists
    lgdolists.install()
from lgdo import VectorOfVectors
random = np.random.default_rng(7)
for kind in ("u2", "i4", "f4", "f8"):
    lists = VectorOfVectors(shape_guess=(3, 4), dtype=kind)
    lists.resize(0)
    for number in range(5):
        lists._set_vector_unsafe(number, random.normal(50, 9, number).astype(kind))
    lists._set_vector_unsafe(5, random.normal(50, 9, (4, 3)).astype(kind), np.array([0, 3, 5, 2], dtype="u4"))
    lists.append(np.arange(3).astype(kind))
    print(kind, lists.flattened_data.nda.tolist(), lists.cumulative_length.nda.tolist())
from lgdo.types.vovutils import explode_cl
print(explode_cl(np.array([1, 3, 3])).tolist())
"""


def test_lgdo_fills_the_same_with_either() -> None:
    """Also what else the module has is lgdo's."""
    said = {}
    for side in ("ours", "lgdo"):
        done = subprocess.run([sys.executable, "-c", PROGRAM, side], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr == "52 4\n"
        said[side] = done.stdout.splitlines()
    assert said["ours"] == said["lgdo"]
    assert said["ours"][-1] == "[0, 1, 1]" and len(said["ours"]) == 5


def test_lgdo_still_takes_its_function_when_it_needs_it() -> None:
    """As soon as this fails, look whether :mod:`dataflow.jobs.lgdolists` is needed."""
    source = inspect.getsource(vectorofvectors)
    assert f"from .vovutils import {lgdolists.FUNCTION}" in inspect.getsource(VectorOfVectors._set_vector_unsafe)
    assert source.count("vovutils") == 1
