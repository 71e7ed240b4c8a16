"""dspeed's unit conversions and roundings as plain numpy functions.

dspeed declares them with :func:`numba.vectorize`, which numba does not keep in its cache: each process compiles 92
variants, 4 s of work, before its first waveform. These do the same arithmetic in double precision without a compiler.
:func:`install` puts them in the places of dspeed's two modules, before dspeed looks for them. Needless as soon as
dspeed's own are cached; ``tests/physics/test_dspeed_ufuncs.py`` tells when.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]

INTEGERS = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8")
FLOATS = ("f4", "f8")
NEAR = 1e-5
"""How far from an integer a converted integer may lie (dspeed's value)."""


def converted(values: Numbers, offset_in: Any, offset_out: Any, ratio: Any) -> Numbers:
    """Values of one coordinate grid on another: (value + offset in) · ratio of periods - offset out, in float64."""
    result: Numbers = (np.asarray(values, dtype="f8") + offset_in) * ratio - offset_out
    return result


def converted_integers(values: Numbers, offset_in: Any, offset_out: Any, ratio: Any) -> Numbers:
    """As :func:`converted`, for integers that must stay integers.

    Raises
    ------
    DSPFatal
        If one does not.
    """
    from dspeed.errors import DSPFatal

    exact = converted(values, offset_in, offset_out, ratio)
    whole: Numbers = np.rint(exact)
    if np.any(np.abs(exact - whole) >= NEAR):
        raise DSPFatal("Cannot convert to integer. Use round or astype")
    return whole


def rounding(function: Callable[..., Any]) -> Callable[..., Numbers]:
    """A conversion followed by a rounding."""

    def convert_and_round(values: Numbers, offset_in: Any, offset_out: Any, ratio: Any) -> Numbers:
        result: Numbers = function(converted(values, offset_in, offset_out, ratio))
        return result

    return convert_and_round


def nearest(function: Callable[..., Any]) -> Callable[..., Any]:
    """Rounding of a value to multiples of another; numbers are rounded at once, arrays through the ufunc protocol."""

    def to_nearest(value: Any, multiple: Any) -> Any:
        return multiple * function(np.asarray(value, dtype="f8") / multiple)

    return to_nearest


class NumpyUfunc:
    """A function with the manners of a ufunc that dspeed relies on: ``types``, ``signature``, outputs as arguments.

    Parameters
    ----------
    name
        What it is called in logs.
    function
        Works on arrays.
    inputs
        Number of inputs; there is one output.
    types
        Type signatures, ``ddd->d`` style.
    """

    signature: str | None = None
    nout = 1

    def __init__(self, name: str, function: Callable[..., Any], inputs: int, types: list[str]) -> None:
        self.__name__ = name
        self.nin, self.nargs = inputs, inputs + 1
        self.types, self.ntypes = types, len(types)
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        if len(arguments) == self.nin:
            result = self._function(*arguments)
            return result.item() if np.ndim(result) == 0 else result
        arguments[self.nin][...] = self._function(*arguments[: self.nin])
        return arguments[self.nin]


def install() -> None:
    """Put the functions in the places of ``dspeed.processors.unit_conversion`` and ``round_to_nearest``."""
    _put("unit_conversion", _conversions())
    _put("round_to_nearest", _roundings())


def _put(name: str, functions: dict[str, NumpyUfunc]) -> None:
    full = f"dspeed.processors.{name}"
    if full in sys.modules:
        return
    module = ModuleType(full, __doc__)
    for function_name, function in functions.items():
        setattr(module, function_name, function)
    sys.modules[full] = module


def _conversions() -> dict[str, NumpyUfunc]:
    floats = [f"{kind}ddd->{kind}" for kind in _chars(FLOATS)]
    integers = [f"{kind}ddd->{kind}" for kind in _chars(INTEGERS)]
    made = {
        "convert": NumpyUfunc("convert", converted, 4, floats),
        "convert_int": NumpyUfunc("convert_int", converted_integers, 4, integers),
    }
    for mode, function in (("round", np.rint), ("floor", np.floor), ("ceil", np.ceil), ("trunc", np.trunc)):
        made[f"convert_{mode}"] = NumpyUfunc(f"convert_{mode}", rounding(function), 4, integers + floats)
    return made


def _roundings() -> dict[str, NumpyUfunc]:
    types = [f"{kind}{kind}->{kind}" for kind in _chars((*INTEGERS, *FLOATS))]
    modes = (("round", np.rint), ("floor", np.floor), ("ceil", np.ceil), ("trunc", np.trunc))
    return {
        f"{mode}_to_nearest": NumpyUfunc(f"{mode}_to_nearest", nearest(function), 2, types) for mode, function in modes
    }


def _chars(names: tuple[str, ...]) -> list[str]:
    return [np.dtype(name).char for name in names]
