"""The stand-ins for dspeed's uncached conversions: same results, and needed still."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dataflow.physics import dspeed_ufuncs

ORIGINAL = """
import sys
from dspeed.processors.unit_conversion import convert, convert_round, convert_floor, convert_ceil
from dspeed.processors.unit_conversion import convert_trunc, convert_int
from dspeed.processors.round_to_nearest import round_to_nearest, floor_to_nearest, ceil_to_nearest, trunc_to_nearest
import numpy as np
values = np.random.default_rng(5).uniform(-1e5, 1e5, 5000).astype(sys.argv[2])
results = [f(values, 3.5, 0.25, 6.0) for f in (convert, convert_round, convert_floor, convert_ceil, convert_trunc)]
multiples = (round_to_nearest, floor_to_nearest, ceil_to_nearest, trunc_to_nearest)
results += [f(values, values.dtype.type(96)) for f in multiples]
whole = np.arange(-50, 50, dtype="i4")
results.append(convert_int(whole, 2.0, 1.0, 6.0).astype(sys.argv[2]))
np.savez(sys.argv[1], *results)
"""


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_they_give_what_dspeed_gives(tmp_path: object, kind: str) -> None:
    target = f"{tmp_path}/original.npz"
    subprocess.run([sys.executable, "-c", ORIGINAL, target, kind], check=True)
    values = np.random.default_rng(5).uniform(-1e5, 1e5, 5000).astype(kind)
    made = dspeed_ufuncs._conversions() | dspeed_ufuncs._roundings()
    names = ("convert", "convert_round", "convert_floor", "convert_ceil", "convert_trunc")
    results = []
    for name in names:
        out = np.empty_like(values)
        made[name](values, 3.5, 0.25, 6.0, out)
        results.append(out)
    for name in ("round_to_nearest", "floor_to_nearest", "ceil_to_nearest", "trunc_to_nearest"):
        out = np.empty_like(values)
        made[name](values, values.dtype.type(96), out)
        results.append(out)
    whole = np.arange(-50, 50, dtype="i4")
    out = np.empty_like(whole)
    made["convert_int"](whole, 2.0, 1.0, 6.0, out)
    results.append(out.astype(kind))
    with np.load(target) as original:
        for name, result in zip(original.files, results, strict=True):
            np.testing.assert_array_equal(result, original[name])


def test_an_integer_that_would_not_stay_one_is_refused() -> None:
    from dspeed.errors import DSPFatal

    with pytest.raises(DSPFatal, match="Cannot convert to integer"):
        dspeed_ufuncs.converted_integers(np.arange(5), 0, 0, 0.3)


def test_they_are_needed_as_long_as_numba_does_not_cache_vectorize() -> None:
    """When this fails, dspeed's own conversions are cached: delete ``dataflow.physics.dspeed_ufuncs``."""
    code = (
        "import numba.core.caching as c; seen = []\n"
        "load = c.Cache.load_overload\n"
        "def watched(self, *a):\n"
        "    found = load(self, *a)\n"
        "    seen.append((self._name, found is not None)); return found\n"
        "c.Cache.load_overload = watched\n"
        "import time; t = time.time(); import dspeed.processors.unit_conversion; print(time.time() - t)\n"
        "from numba.np.ufunc import dufunc, ufuncbuilder\n"
        "calls = []\n"
        "build = ufuncbuilder._build_element_wise_ufunc_wrapper\n"
        "ufuncbuilder._build_element_wise_ufunc_wrapper = dufunc._build_element_wise_ufunc_wrapper = "
        "lambda *a: calls.append(a) or build(*a)\n"
        "import dspeed.processors.round_to_nearest\n"
        "print(len(calls))\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert int(printed[-1]) >= 40, "dspeed compiles no ufunc wrappers any more"
