"""What is loaded before jobs are forked: modules and shipped settings of the planned steps, compiled code.

It comes in pieces, so that a job that is asked for in between waits for no more than it needs itself.
"""

from __future__ import annotations

import ast
import gc
import importlib
import importlib.util
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from types import ModuleType

from dataflow.base.textfile import read_once
from dataflow.jobs.record import libraries
from dataflow.metadata.stepconfig import shipped_folder

PACKAGE = "dataflow."
WARM = "dataflow.jobs.warm"
"""What loads all compiled code; imported when it is needed."""
FRESH = 1.0
"""Seconds after which it is looked again whether files were changed: to look at three thousand takes 8 ms."""
COMPILED: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "dataflow.physics.chains": (8, ("each_processor", "each_chain")),
    "dataflow.physics.linefit": (3, ("fits",)),
    "daq2lh5": (16, ("daq_files",)),
}
"""By modules that steps name: for how many jobs it pays to load all compiled code, and the functions that load it.

A job by itself loads less: 0.5 s of its chain instead of 2.4 s of all shipped ones, 1.4 s of fits instead of 1.9, of
the loops that read DAQ files 0.07 instead of 0.5.
"""


@dataclass(frozen=True)
class Planned:
    """A step of which jobs are about to run: its name, its module below ``dataflow``, and how many."""

    name: str
    module: str
    jobs: int

    @property
    def full_module(self) -> str:
        """The module by its full name."""
        return f"{PACKAGE}{self.module}"


class Loading:
    """Loads what planned steps need.

    Parameters
    ----------
    planned
        The steps, in the order of their first jobs.
    """

    def __init__(self, planned: Sequence[Planned]) -> None:
        self._steps = {step.name: self._pieces(step) for step in planned}
        self._compiled = {
            module: load for module, (least, load) in COMPILED.items() if _users(module, planned) >= least
        }
        self._searched: set[str] = set()
        self._begun: set[str] = set()
        self._noted: set[str] = set()
        self._settled = 0
        self._files: dict[str, tuple[int, int]] = {}
        self._is_current, self._looked = True, -FRESH

    def require(self, step: str) -> bool:
        """Load all that a step needs; one that was not planned needs nothing. True, unless it raises."""
        for _ in self._steps.pop(step, ()):
            self._note()
        self._settle()
        return True

    def more(self) -> bool:
        """Load one more piece of what will be needed; False if nothing is left."""
        if not self._steps:
            return False
        step, pieces = next(iter(self._steps.items()))
        if next(pieces, None) is None:
            del self._steps[step]
            self._settle()
        else:
            self._note()
        return True

    def is_current(self) -> bool:
        """Whether all files that were loaded are as they were, at most :data:`FRESH` seconds ago."""
        if time.monotonic() > self._looked + FRESH:
            self._is_current = self._is_current and all(_state(file) == state for file, state in self._files.items())
            self._looked = time.monotonic()
        return self._is_current

    def _note(self) -> None:
        """Note the files of new modules."""
        new = sys.modules.keys() - self._noted
        self._noted |= new
        found = (getattr(sys.modules[name], "__file__", None) for name in new)
        self._files |= {str(file): _state(str(file)) for file in found if file and str(file) not in self._files}

    def _settle(self) -> None:
        """Note the versions of new modules, too, and let jobs look for no garbage of this process."""
        self._note()
        if self._settled != len(self._noted):
            self._settled = len(self._noted)
            libraries()  # so that jobs need not look up versions
            gc.freeze()

    def _pieces(self, step: Planned) -> Iterator[str]:
        """Load what a step needs; gives a name for each piece."""
        yield from self._imported(step.full_module)
        while names := self._new_deferred():
            for name in names:
                yield from self._imported(name)
        for file in sorted(shipped_folder(step.name).glob("*.yaml")):
            read_once(file)
            yield file.name
        for module in [module for module in self._compiled if _mentions(step, module)]:
            for name in self._compiled.pop(module):
                yield from getattr(importlib.import_module(WARM), name)() or ()  # some come one by one
                yield name

    def _imported(self, name: str) -> Iterator[str]:
        """Import a module, before it what it imports if it is the flow's, for that takes longer; gives all names."""
        if name in sys.modules or name in self._begun:
            return
        self._begun.add(name)
        found = importlib.util.find_spec(name) if name.startswith(PACKAGE) else None
        if found and found.origin:
            for node in takewhile(_comes_first, ast.parse(Path(found.origin).read_bytes()).body):
                for other in _imported(node, found.parent or ""):
                    yield from self._imported(other)
        importlib.import_module(name)
        yield name

    def _new_deferred(self) -> list[str]:
        """What modules of the flow that were not looked at yet import in their functions, and is not imported."""
        new = [name for name in sys.modules if name.startswith(PACKAGE) and name not in {*self._searched, WARM}]
        self._searched |= set(new)
        found = dict.fromkeys(name for module in new for name in deferred(sys.modules[module]))
        return [name for name in found if name not in sys.modules]


def deferred(module: ModuleType) -> list[str]:
    """The modules that functions of a module import when they are called."""
    if not module.__file__:
        return []
    tree = ast.parse(Path(module.__file__).read_bytes())
    package = module.__package__ or ""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return list(
        dict.fromkeys(name for each in functions for node in ast.walk(each) for name in _imported(node, package))
    )


def _comes_first(node: ast.stmt) -> bool:
    """Whether a statement is an import or a text: imports that follow other statements may need these."""
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.Expr))


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """The modules that a statement of a module in a package imports, by their full names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        origin = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
        yield origin
        if origin.startswith(PACKAGE) and _is_package(origin):
            names = (f"{origin}.{alias.name}" for alias in node.names)
            yield from (name for name in names if importlib.util.find_spec(name))


def _is_package(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and bool(spec.submodule_search_locations)


def _users(module: str, planned: Sequence[Planned]) -> int:
    """How many planned jobs use a module."""
    return sum(step.jobs for step in planned if _mentions(step, module))


def _mentions(step: Planned, module: str) -> bool:
    """Whether a file in the folder of a step names a module."""
    folder = Path(__file__).parents[2].joinpath(*step.module.split(".")[:-1])
    return any(module in file.read_text(encoding="utf-8") for file in folder.glob("*.py"))


def _state(file: str) -> tuple[int, int]:
    """When a file was changed, and its size; nothing if it is gone."""
    try:
        seen = os.stat(file)  # noqa: PTH116 - three thousand of them
    except OSError:
        return 0, 0
    return seen.st_mtime_ns, seen.st_size
