"""Processors of a chain, imported before the chain is made: those of other packages may be compiled by that.

The first job that names one compiles it, and others wait meanwhile, for two processes that compile the same spoil what
numba keeps (numba issue 10128). Those of dspeed are compiled when they are called (:mod:`.deferred`).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from .compiled.alone import alone

LIBRARY = "dspeed.processors"


def take(chain: Mapping[str, Any]) -> None:
    """Import the processors of a chain; what cannot be imported is left to dspeed, which says what is wrong."""
    missing = [each for each in sorted(_named(chain)) if not _is_loaded(*each)]
    if not missing:
        return
    with alone():
        for module, function in missing:
            with suppress(ImportError, AttributeError):
                getattr(importlib.import_module(module), function)


def _named(chain: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Modules and functions of the processors."""
    nodes = [node for node in (chain.get("processors") or {}).values() if isinstance(node, Mapping)]
    pairs = [(node.get("module", LIBRARY), node.get("function")) for node in nodes]
    return {(module, name) for module, name in pairs if isinstance(module, str) and isinstance(name, str)}


def _is_loaded(module: str, function: str) -> bool:
    return module in sys.modules and (module != LIBRARY or function in vars(sys.modules[module]))
