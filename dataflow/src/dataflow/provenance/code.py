"""The code that implements a step, as a hash of what it means and not of how it is written.

Every module of the dataflow that a step reaches is on exactly one of three lists:

counted
    What decides about results: the step itself, the physics, what merges parameters and what writes results. Their
    syntax trees enter the recipe, without comments, docstrings, formatting and messages (see
    :mod:`dataflow.provenance.meaning`).
machinery
    How jobs are run: workers, whole files, logs, records. It has one number, :data:`MACHINERY`, that is raised by hand
    when what it writes changes.
not counted
    What only speaks or looks: errors, messages, figures, and the plan, whose decisions enter a recipe as values.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from dataflow.base.errors import UserError

from .understood import Understood, understood

PACKAGE = "dataflow"
HERE = Path(__file__).resolve().parents[1]

MACHINERY = 2
"""The number of the machinery: raise it when a change there changes what files contain; everything is made again."""

LISTS: Mapping[str, tuple[str, ...]] = {
    "counted": (
        "steps",
        "physics",
        "metadata.expressions",
        "metadata.merge",
        "metadata.parameters",
        "jobs.bydetector",
        "jobs.evaluate",
        "jobs.lgdos",
        "jobs.aliases",
        "jobs.lh5files",
        "jobs.parfiles",
        "jobs.policy",
        "jobs.shards",
    ),
    "machinery": ("jobs",),
    "not counted": (
        "base",
        "keys",
        "registry",
        "metadata",
        "setup",
        "provenance",
        "plan",
        "checks",
        "door",
        "jobs.errors",
        "jobs.figures",
        "steps.*.figure",
        "steps.*.plotdata",
        "steps.*.step",
    ),
}
"""Modules and folders by list; of several entries that fit a module, the longest decides."""

PARAMETERS = ("metadata.merge", "metadata.parameters")
"""What decides which parameters hold; counted for each step that takes some."""


class Code:
    """The source of a dataflow.

    Parameters
    ----------
    folder
        The folder of the package ``dataflow``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._modules: dict[str, Understood | None] = {}
        self._reached: dict[str, tuple[str, ...]] = {}
        self._inner: dict[str, tuple[str, ...]] = {}

    def digests(self, module: str, *others: str) -> Mapping[str, str]:
        """The hash of each counted module that modules (``steps.tier_dsp.build``) consist of, themselves included."""
        reached = sorted({name for each in (module, *others) for name in self._reach(each)})
        return {name: found.digest for name in reached if list_of(name) == "counted" and (found := self._module(name))}

    def reached(self, module: str) -> Mapping[str, str]:
        """The list of each module of the dataflow that a step's module reaches; behind uncounted ones nothing is."""
        inside = {name for each in self._reach(module) for name in (each, *self._inside(each))}
        return {name: list_of(name) for name in sorted(inside)}

    def imports(self, module: str) -> frozenset[str]:
        """The top-level names of all that its counted modules and its machinery import from outside of the dataflow."""
        found = [self._module(name) for name in self._reach(module)]
        names = {name for each in found if each for name in each.imports}
        return frozenset(name.partition(".")[0] for name in names if not name.startswith(f"{PACKAGE}."))

    def _reach(self, module: str) -> tuple[str, ...]:
        if module not in self._reached:
            ahead, seen = [module], {module}
            while ahead:
                inside = self._inside(ahead.pop())
                new = {name for name in inside if name not in seen and list_of(name) != "not counted"}
                seen |= new
                ahead += new
            self._reached[module] = tuple(sorted(seen))
        return self._reached[module]

    def _inside(self, module: str) -> tuple[str, ...]:
        """The modules of the dataflow that a module imports."""
        if module not in self._inner:  # most steps reach the same modules
            found = self._module(module)
            names = [name.partition(".") for name in (found.imports if found else ())]
            inner = (name for package, _, name in names if package == PACKAGE and name)
            self._inner[module] = tuple(name for name in inner if self._file(name).is_file())
        return self._inner[module]

    def _module(self, module: str) -> Understood | None:
        """What a module means and imports, None if there is no such module."""
        if module not in self._modules:
            file = self._file(module)
            self._modules[module] = _found(file, module)
        return self._modules[module]

    def _file(self, module: str) -> Path:
        return self.folder.joinpath(*module.split(".")).with_suffix(".py")


def code_of(dataflow: Path) -> Code:
    """The code of a cycle's dataflow folder; that of this package where the cycle has none."""
    folder = dataflow / "src" / PACKAGE
    return Code(folder if folder.is_dir() else HERE)


@cache
def list_of(module: str) -> str:
    """The list that a module of the dataflow is on.

    Raises
    ------
    UserError
        If it is on none.
    """
    fitting = [(len(entry), name) for name, entries in LISTS.items() for entry in entries if is_in(module, entry)]
    if not fitting:
        raise UserError(
            f"the module {PACKAGE}.{module} is on none of the lists of dataflow/provenance/code.py",
            hint="put it on one: counted, machinery, or not counted",
        )
    return max(fitting)[1]


def is_in(module: str, entry: str) -> bool:
    """Whether a module is in a folder or is it; ``*`` stands for one name."""
    wanted, parts = entry.split("."), module.split(".")
    return len(parts) >= len(wanted) and all(one in ("*", other) for one, other in zip(wanted, parts, strict=False))


def _found(file: Path, module: str) -> Understood | None:
    try:
        seen = file.stat()
    except OSError:
        return None
    return _read(file, module, seen.st_mtime_ns, seen.st_size)


@cache
def _read(file: Path, module: str, _mtime_ns: int, _size: int) -> Understood:
    """What a file means and imports; a long process reads it again only when it has changed."""
    try:
        return understood(file, f"{PACKAGE}.{module}", list_of(module) == "counted")
    except SyntaxError as error:
        raise UserError(
            f"{file}:{error.lineno}: {error.msg}", hint="this file of the dataflow is not valid Python"
        ) from None
