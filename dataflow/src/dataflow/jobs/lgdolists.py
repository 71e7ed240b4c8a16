"""Lists of lists filled by numpy instead of by compiled code.

lgdo fills :class:`lgdo.VectorOfVectors` by a function that numba compiles in 52 variants: 40 s at installation, and a
second in each process to take them from numba's cache, for a few copies of arrays. :func:`install` puts a function that
does the same into the place of lgdo's, before lgdo looks for it; everything else of that module is lgdo's own. Needless
as soon as lgdo compiles only what is used; ``tests/physics/test_lgdo_lists.py`` tells when.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAME = "lgdo.types.vovutils"
FUNCTION = "_nb_fill"


def fill(rows: NDArray[Any], lengths: NDArray[Any], beyond: NDArray[Any], flat: NDArray[Any]) -> None:
    """Put rows of a rectangular array one after the other, each with a length of its own.

    Parameters
    ----------
    rows
        Shape (lists, width).
    lengths
        Shape (lists,): how many values of each row; where there are more than `width`, `beyond` follows.
    beyond
        One value.
    flat
        Shape (values,); what lies behind the last list stays as it is.

    Raises
    ------
    ValueError
        If `flat` is too short.
    """
    counts = np.asarray(lengths, dtype=np.int64)
    total = int(counts.sum())
    if len(flat) < total:
        raise ValueError("flattened array not large enough to hold values")
    inside = np.arange(rows.shape[1]) < counts[:, np.newaxis]
    if np.all(counts <= rows.shape[1]):
        flat[:total] = rows[inside]
        return
    flat[:total] = beyond
    places = (np.cumsum(counts) - counts)[:, np.newaxis] + np.arange(rows.shape[1])
    flat[places[inside]] = rows[inside]


def install() -> None:
    """Put :func:`fill` into the place of lgdo's function; nothing is changed where lgdo has loaded its own."""
    if NAME not in sys.modules:
        sys.modules[NAME] = _stand_in()


def _stand_in() -> ModuleType:
    """A module with one function, which loads lgdo's own for any other."""
    module = ModuleType(NAME, __doc__)
    setattr(module, FUNCTION, fill)
    module.__dict__["__getattr__"] = _of_lgdo
    return module


def _of_lgdo(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {NAME!r} has no attribute {name!r}")
    return getattr(_own(), name)


def _own() -> ModuleType:
    """lgdo's module, which takes its place from now on."""
    if NAME in sys.modules and hasattr(sys.modules[NAME], "__file__"):
        return sys.modules[NAME]
    import lgdo.types

    source = Path(str(lgdo.types.__file__)).with_name("vovutils.py")
    spec = importlib.util.spec_from_file_location(NAME, source)
    if spec is None or spec.loader is None:
        raise ImportError(f"{source} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    return module
