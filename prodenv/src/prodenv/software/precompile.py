"""Compile what numba would otherwise compile in the first job: run by the interpreter of a cycle, of any flow.

Only the standard library and what is installed there are used. One process does it: two at once crash, and leave a
cache that kills every later process (numba issue 10128).
"""

from __future__ import annotations

import importlib
import importlib.util

MODULES = (
    "dspeed.processors",
    "lgdo.types.vovutils",
    "lgdo.compression",
    "lh5.compression",
    "pygama.evt",
    "pygama.hit",
)
"""Modules that compile when they are imported, in releases of several years."""


def main() -> None:
    """Compile; modules that a release does not have are left out, what fails in one ends in a traceback."""
    for name in MODULES:
        if _is_there(name):
            module = importlib.import_module(name)
            for each in getattr(module, "__all__", ()):
                getattr(module, each, None)  # some load what they export when it is asked for
    _precompile()


def _is_there(name: str) -> bool:
    package = name.partition(".")[0]
    try:
        return importlib.util.find_spec(package) is not None and importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _precompile() -> None:
    """What newer releases of dspeed have for it."""
    utils = importlib.import_module("dspeed.utils") if _is_there("dspeed.utils") else None
    compile_all = getattr(utils, "precompile_numba", None)
    if compile_all is not None:
        compile_all()


if __name__ == "__main__":
    main()
