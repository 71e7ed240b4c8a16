"""The code that implements a step, as a hash of what it says and not of how it is written.

Counted are the step's module and all modules of the dataflow that it imports, directly or not, by their syntax trees
without comments, docstrings and formatting. Not counted are ``plan`` (what it decides enters a recipe as values),
``views`` (they only look), and the bookkeeping of jobs.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from .errors import UserError

PACKAGE = "dataflow"
HERE = Path(__file__).resolve().parents[1]
NOT_COUNTED = ("plan", "views", "jobs.record", "jobs.notes", "jobs.stamp", "jobs.runner", "jobs.joblog", "jobs.warm")
_PLACES = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Code:
    """The source of a dataflow.

    Parameters
    ----------
    folder
        The folder of the package ``dataflow``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._modules: dict[str, tuple[str, frozenset[str]] | None] = {}
        self._reached: dict[str, tuple[str, ...]] = {}

    def digests(self, module: str) -> Mapping[str, str]:
        """The hash of each module that `module` (``tiers.dsp``) consists of, itself included."""
        return {name: found[0] for name in self._reach(module) if (found := self._module(name))}

    def imports(self, module: str) -> frozenset[str]:
        """The top-level names of all that those modules import from outside of the dataflow."""
        found = [self._module(name) for name in self._reach(module)]
        names = {name for each in found if each for name in each[1]}
        return frozenset(name.partition(".")[0] for name in names if not name.startswith(f"{PACKAGE}."))

    def _reach(self, module: str) -> tuple[str, ...]:
        if module not in self._reached:
            ahead, seen = [module], {module}
            while ahead:
                new = {name for name in self._inside(ahead.pop()) if name not in seen}
                seen |= new
                ahead += new
            self._reached[module] = tuple(sorted(seen))
        return self._reached[module]

    def _inside(self, module: str) -> Iterator[str]:
        """The counted modules of the dataflow that a module imports."""
        found = self._module(module)
        for name in found[1] if found else ():
            inner = name.removeprefix(f"{PACKAGE}.")
            if inner != name and not _left_out(inner) and self._file(inner).is_file():
                yield inner

    def _module(self, module: str) -> tuple[str, frozenset[str]] | None:
        """The hash of a module and the full names of what it imports, None if there is no such module."""
        if module not in self._modules:
            file = self._file(module)
            self._modules[module] = _found(file, f"{PACKAGE}.{module}")
        return self._modules[module]

    def _file(self, module: str) -> Path:
        return self._folder.joinpath(*module.split(".")).with_suffix(".py")


def code_of(dataflow: Path) -> Code:
    """The code of a cycle's dataflow folder; that of this package where the cycle has none."""
    folder = dataflow / "src" / PACKAGE
    return Code(folder if folder.is_dir() else HERE)


def _left_out(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in NOT_COUNTED)


def _found(file: Path, module: str) -> tuple[str, frozenset[str]] | None:
    try:
        seen = file.stat()
    except OSError:
        return None
    return _analysed(file, module, seen.st_mtime_ns, seen.st_size)


@cache
def _analysed(file: Path, module: str, _mtime_ns: int, _size: int) -> tuple[str, frozenset[str]]:
    """The hash of a file and what it imports; a long process reads it again only when it has changed."""
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except SyntaxError as slip:
        raise UserError(
            f"{file}:{slip.lineno}: {slip.msg}", hint="this file of the dataflow is no valid Python"
        ) from None
    parts: list[str] = []
    _write(tree, parts)
    digest = hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
    return digest[:32], frozenset(_imported(tree, module))


def _write(node: ast.AST, parts: list[str]) -> None:
    """The tree as text: what is there, in order, the same under every version of Python that parses it."""
    parts.append(type(node).__name__)
    docstring = _docstring(node)
    for name, value in ast.iter_fields(node):
        if name in _PLACES or value is None or value == []:
            continue
        parts.append(f".{name}")
        for item in value if isinstance(value, list) else [value]:
            if item is docstring:
                continue
            if isinstance(item, ast.AST):
                _write(item, parts)
            else:
                parts.append(repr(item))
    parts.append(")")


def _docstring(node: ast.AST) -> ast.AST | None:
    if not isinstance(node, _DOCUMENTED) or not node.body:
        return None
    first = node.body[0]
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return first if is_text else None


def _imported(tree: ast.AST, module: str) -> Iterator[str]:
    """Full names of everything imported, also inside of functions; for ``from a import b`` both ``a`` and ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(module.split(".")[: -node.level]) if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)
