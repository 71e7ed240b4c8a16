"""What a module says to the machine: its syntax tree without what only speaks to people.

Left out are comments, formatting, docstrings, log lines and the words of errors: what is handed to error classes, and
texts that are used for nothing else.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator

ERROR = re.compile(r"\w*(Error|Failed|BadInput|NoSpace|Unavailable|Exception)")
"""Names of error classes; what is handed to them are words."""
SPEAKS = frozenset({"log", "logger", "logging", "warnings"})
"""Names whose methods write log lines."""
EXPLAINS = frozenset({"NOT_USED_HERE"})
"""Names of classes that hold words for documentation."""
HINTS = frozenset({"hint", "message"})
"""Names of local variables that hold the words of an error."""

_PLACES = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def meaning(tree: ast.Module) -> str:
    """The tree as text: what is there, in order, the same under every version of Python that parses it."""
    words = _words(tree)
    parts: list[str] = []
    _write(tree, parts, words)
    return "\n".join(parts)


def _write(node: ast.AST, parts: list[str], words: frozenset[str]) -> None:
    parts.append(type(node).__name__)
    docstring = _docstring(node)
    for name, value in _fields(node, words):
        parts.append(f".{name}")
        for item in value if isinstance(value, list) else [value]:
            if item is docstring or _speaks(item) or _explains(item):
                continue
            if isinstance(item, ast.AST):
                _write(item, parts, words)
            else:
                parts.append(repr(item))
    parts.append(")")


def _fields(node: ast.AST, words: frozenset[str]) -> Iterator[tuple[str, object]]:
    """What there is of a node; of an error only its class, of words only their name."""
    left_out = _PLACES | ({"args", "keywords"} if _is_error(node) else frozenset())
    left_out |= {"value"} if _names(node) & words else frozenset()
    for name, value in ast.iter_fields(node):
        if name not in left_out and value is not None and value != []:
            yield name, value


def _words(tree: ast.AST) -> frozenset[str]:
    """The names that are only used for the words of errors and log lines."""
    spoken = Counter(name for node in ast.walk(tree) if _is_error(node) or _speaks(node) for name in _loads(node))
    return HINTS | {name for name, count in Counter(_loads(tree)).items() if count == spoken[name]}


def _loads(node: ast.AST) -> Iterator[str]:
    called = node.func if isinstance(node, ast.Call) else None
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and each is not called:
            yield each.id


def _names(node: ast.AST) -> frozenset[str]:
    """The names that a statement assigns a text to."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Constant | ast.JoinedStr):
        return frozenset()
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return frozenset(target.id for target in targets if isinstance(target, ast.Name))


def _is_error(node: object) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    return ERROR.fullmatch(name) is not None


def _speaks(node: object) -> bool:
    """Whether a statement is a log line."""
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return False
    return isinstance(call.func.value, ast.Name) and call.func.value.id in SPEAKS


def _explains(node: object) -> bool:
    """Whether a statement only holds words for documentation."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return all(isinstance(target, ast.Name) and target.id in EXPLAINS for target in targets)


def _docstring(node: ast.AST) -> ast.AST | None:
    if not isinstance(node, _DOCUMENTED) or not node.body:
        return None
    first = node.body[0]
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return first if is_text else None
