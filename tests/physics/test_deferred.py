"""Processors whose compiled code is loaded when they are called: they say of themselves what numba's say."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dataflow.physics import deferred
from dataflow.physics.compiled.alone import _lock_file, alone
from dataflow.physics.deferred import ORIGINAL, guvectorize
from dataflow.physics.processors import LIBRARY
from dataflow.steps import tier_dsp

GEDS = Path(tier_dsp.__file__).parent / "defaults/processing_chain-geds.yaml"
SAID = ["bl_subtract", "linear_slope_fit", "log_check", "min_max", "peak_snr_threshold", "presum", "t0_filter", "where"]
"""Processors whose numbers and types are compared."""
SAY = """
import importlib, json, sys
from dataflow.physics import deferred
if sys.argv[1] == "deferred":
    deferred.install()
said = {}
for name in json.loads(sys.argv[2]):
    function = getattr(importlib.import_module("dspeed.processors"), name)
    kind = type(function).__name__
    if kind in ("GUFunc", "Deferred"):
        numbers = function.nin, function.nout, function.nargs, function.ntypes
        said[name] = [function.types, function.signature, function.__name__, *numbers]
print(json.dumps([said, kind]))
"""
TRY = """
import json, sys, yaml
from dataflow.physics import deferred, trychains
deferred.install()
loaded = []
original = deferred.Deferred.made.func
deferred.Deferred.made.func = lambda self: (loaded.append(self.__name__), original(self))[1]
found = trychains.wrong(yaml.safe_load(open(sys.argv[1])))
print(json.dumps([found, loaded, "scipy.signal" in sys.modules]))
"""
CALL = """
import json
from dataflow.physics import deferred
deferred.install()
import numpy as np
from dspeed.processors import bl_subtract, convolve_wf, fft_convolve_wf
from scipy.signal import windows
wave, kernel, out = np.arange(9, dtype="f4"), np.array([1, 2, 1], dtype="f4"), np.empty(9, dtype="f4")
bl_subtract(wave, 2.5, out)
made = [out.tolist()]
for function in (convolve_wf, fft_convolve_wf):
    function(wave, kernel, np.int8(ord("s")), out)
    made.append(out.tolist())
print(json.dumps([made, type(bl_subtract).__name__, windows.hann(3).tolist()]))
"""


def run(program: str, *words: str) -> Any:
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def named_in_chain() -> list[str]:
    """What the shipped chain names, which is compiled at installation."""
    nodes = [node for node in yaml.safe_load(GEDS.read_text())["processors"].values() if isinstance(node, dict)]
    return sorted({node["function"] for node in nodes if node.get("module", LIBRARY) == LIBRARY})


def test_they_say_of_themselves_what_those_of_numba_say() -> None:
    """Of each form: with scalars alone, kernels, several results; those that take longest to compile are left out."""
    assert set(SAID) - {"peak_snr_threshold"} <= set(named_in_chain())
    names = json.dumps(SAID)
    (mine, kind), (theirs, _) = run(SAY, "deferred", names), run(SAY, "loaded", names)
    assert kind == "Deferred" and len(theirs) == len(SAID)
    assert mine == theirs


def test_to_try_a_chain_only_kernels_are_loaded() -> None:
    found, loaded, has_signal = run(TRY, str(GEDS))
    assert found is None
    assert set(loaded) == {"t0_filter", "cusp_filter", "zac_filter"} and not has_signal


def test_they_do_what_they_are_for() -> None:
    (subtracted, *convolved), kind, window = run(CALL)
    wave = np.arange(9.0)
    assert kind == "Deferred"
    np.testing.assert_allclose(subtracted, wave - 2.5)
    for one in convolved:
        np.testing.assert_allclose(one, np.convolve(wave, [1, 2, 1], mode="same"), rtol=1e-5)
    assert window == [0, 1, 0], "who else imports scipy.signal gets the whole"


def test_a_function_without_types_is_left_to_numba() -> None:
    def add(a: Any, b: Any, out: Any) -> None:
        out[0] = a + b

    assert type(guvectorize("(),()->()")(add)) is type(ORIGINAL("(),()->()")(add))


def test_what_may_compile_waits_for_others_once(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[str] = []

    @contextmanager
    def guard() -> Iterator[None]:
        entered.append("waited")
        yield

    monkeypatch.setattr(deferred.Deferred, "guard", staticmethod(guard))

    def add(a: Any, b: Any, out: Any) -> None:
        out[0] = a + b

    add.__module__ = "dspeed.processors.none"
    made = guvectorize(["void(float64, float64, float64[:])"], "(),()->()")(add)
    assert isinstance(made, deferred.Deferred) and not entered
    assert [made(1.0, 2.0), made(2.0, 2.0)] == [3, 4] and entered == ["waited"]


def test_processors_of_others_are_left_to_numba() -> None:
    def add(a: Any, b: Any, out: Any) -> None:
        out[0] = a + b

    kinds = ["void(float64, float64, float64[:])"]
    assert type(guvectorize(kinds, "(),()->()")(add)) is type(ORIGINAL(kinds, "(),()->()")(add))


def test_who_waits_alone_waits_for_nobody_within() -> None:
    with alone(), alone():
        assert not is_free()
    assert is_free()


def is_free() -> bool:
    """Whether another process could begin to compile."""
    with _lock_file().open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
