"""What a module says to the machine: its syntax tree without what only speaks to people.

Left out are comments, formatting, docstrings, log lines and the words of errors: what is handed to error classes and to
what is raised, and texts that are used for nothing else.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

ERROR = re.compile(r"(_?[A-Z]\w*)?(Error|Failed|BadInput|NoSpace|Unavailable|Exception)")
"""Names of error classes; what is handed to them are words."""
LOGS = frozenset({"log", "logger", "logging"})
"""Names whose methods write log lines."""
WARNS = frozenset({"warn", "warn_explicit"})
"""Functions of :mod:`warnings` that only speak; its filters decide what becomes an error."""
EXPLAINS = frozenset({"NOT_USED_HERE"})
"""Names of classes that hold words for documentation."""

_PLACES = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_LOOKED_AT = frozenset({ast.Expr, ast.Assign, ast.AnnAssign, ast.Call})
"""What may hold words; a plan writes half a million nodes down, so that all others are asked nothing."""
_FIELDS = {
    name: tuple((field, f".{field}") for field in kind._fields if field not in _PLACES)
    for name, kind in vars(ast).items()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}
"""The fields of each kind of node that mean something, with how they are written."""
_NONE: frozenset[str] = frozenset()


def meaning(tree: ast.Module) -> str:
    """The tree as text: what is there, in order, the same under every version of Python that parses it."""
    parts: list[str] = []
    _Writer(_words(tree), parts).write(tree, _NONE)
    return "\n".join(parts)


class _Writer:
    """Writes a tree down.

    Parameters
    ----------
    words
        Names that are used for words only.
    parts
        Takes what is written.
    """

    def __init__(self, words: frozenset[str], parts: list[str]) -> None:
        self._words, self._parts = words, parts

    def write(self, node: ast.AST, left_out: frozenset[str], scope: frozenset[str] = _NONE) -> None:
        """Write a node without some of its fields; `scope` has the names whose texts are left out around it."""
        kind, docstring = type(node), None
        self._parts.append(kind.__name__)
        if kind in _DOCUMENTED:
            docstring, scope = _docstring(node), self._scope(node, scope)
        for name, label in _FIELDS[kind.__name__]:
            value = getattr(node, name, None)
            if value is None or value == [] or name in left_out:
                continue
            self._parts.append(label)
            for item in value if isinstance(value, list) else (value,):
                if not isinstance(item, ast.AST):
                    self._parts.append(repr(item))
                elif type(item) not in _LOOKED_AT:
                    self.write(item, _NONE, scope)
                elif item is not docstring and not _speaks(item) and not _explains(item):
                    self.write(item, _left_out(node, item, scope), scope)
        self._parts.append(")")

    def _scope(self, node: ast.AST, around: frozenset[str]) -> frozenset[str]:
        """The names whose texts are left out inside of a node: of modules the private ones, of classes none.

        Others may read what a module or a class has under a public name.
        """
        if isinstance(node, ast.Module):
            return frozenset(name for name in self._words if name.startswith("_"))
        if isinstance(node, ast.ClassDef):
            return _NONE
        return self._words if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else around


def _left_out(parent: ast.AST, node: ast.AST, scope: frozenset[str]) -> frozenset[str]:
    """The fields of a node that hold words: of an error all but its class, of words all but their name."""
    if isinstance(node, ast.Call):
        return frozenset({"args", "keywords"}) if _is_error(parent, node) else _NONE
    if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Constant | ast.JoinedStr):
        return _NONE
    return (
        frozenset({"value"})
        if all(isinstance(each, ast.Name) and each.id in scope for each in _targets(node))
        else _NONE
    )


def _words(tree: ast.AST) -> frozenset[str]:
    """The names that are only used for the words of errors and log lines."""
    spoken: set[str] = set()
    used: set[str] = set()
    ahead: list[tuple[ast.AST, bool]] = [(tree, False)]
    while ahead:
        node, is_words = ahead.pop()
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                (spoken if is_words else used).add(node.id)
            continue
        if isinstance(node, ast.Global | ast.Nonlocal):
            used.update(node.names)
        for name, _ in _FIELDS[type(node).__name__]:
            value = getattr(node, name, None)
            for child in value if isinstance(value, list) else (value,):
                if not isinstance(child, ast.AST):
                    continue
                if type(child) in _LOOKED_AT:
                    ahead += _with_words(node, child, is_words)
                else:
                    ahead.append((child, is_words))
    return frozenset(spoken - used)


def _with_words(parent: ast.AST, node: ast.AST, is_words: bool) -> Iterator[tuple[ast.AST, bool]]:
    """A node, or the parts of an error, each with whether it is words."""
    if isinstance(node, ast.Call) and _is_error(parent, node):
        yield node.func, is_words
        yield from ((each, True) for each in (*node.args, *node.keywords))
    else:
        yield node, is_words or _speaks(node)


def _is_error(parent: ast.AST, call: ast.Call) -> bool:
    """Whether a call makes an error: it is raised, or an error class is called."""
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    return isinstance(parent, ast.Raise) or ERROR.fullmatch(name) is not None


def _speaks(node: ast.AST) -> bool:
    """Whether a statement is a log line or a warning."""
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return False
    owner = call.func.value.id if isinstance(call.func.value, ast.Name) else ""
    return owner in LOGS or (owner == "warnings" and call.func.attr in WARNS)


def _explains(node: ast.AST) -> bool:
    """Whether a statement only holds words for documentation."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return False
    return all(isinstance(target, ast.Name) and target.id in EXPLAINS for target in _targets(node))


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _docstring(node: ast.AST) -> ast.AST | None:
    if not isinstance(node, _DOCUMENTED) or not node.body:
        return None
    first = node.body[0]
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return first if is_text else None
