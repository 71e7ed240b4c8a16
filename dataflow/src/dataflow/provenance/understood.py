"""What a module means, as a hash, and what it imports; remembered beside its byte code.

To parse and write down all modules of the flow takes longer than all else that the plan of a small cycle does. So what
was found is kept where Python keeps byte code, under the same conditions, and with the hash of the source: it is used
for that source only.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path

from .meaning import meaning


@dataclass(frozen=True)
class Understood:
    """What is known of a module.

    Attributes
    ----------
    digest
        The hash of its meaning, 128 bits in hexadecimal digits; empty where it was not asked for.
    imports
        Full names of all that it imports; for ``from a import b`` both ``a`` and ``a.b``.
    """

    digest: str
    imports: frozenset[str]


def understood(file: Path, module: str, counted: bool) -> Understood:
    """What a file is that holds the module of this name; the hash of its meaning if it is `counted`.

    Raises
    ------
    SyntaxError
        If it is not valid Python.
    OSError
        If it cannot be read.
    """
    return _of(file.read_bytes(), module, counted, Path(cache_from_source(str(file))).with_suffix(".meaning"))


@cache
def _of(source: bytes, module: str, counted: bool, kept: Path) -> Understood:
    key = hashlib.sha256(b"\0".join((_method(), module.encode(), b"%d" % counted, source))).hexdigest()
    found = _recalled(kept, key)
    if found is None:
        found = _analysed(source, module, counted)
        _keep(kept, key, found)
    return found


@cache
def _method() -> bytes:
    """What decides how a source is understood: the code that does it."""
    here = Path(__file__)
    return b"\0".join(file.read_bytes() for file in (here, here.with_name("meaning.py")))


def _recalled(kept: Path, key: str) -> Understood | None:
    try:
        entry = json.loads(kept.read_bytes())
        return Understood(entry["digest"], frozenset(entry["imports"])) if entry["key"] == key else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _keep(kept: Path, key: str, found: Understood) -> None:
    """Write down what was found, unless Python writes no byte code either."""
    if sys.dont_write_bytecode:
        return
    text = json.dumps({"key": key, "digest": found.digest, "imports": sorted(found.imports)})
    part = kept.with_name(f"{kept.name}.{os.getpid()}")
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(kept)


def _analysed(source: bytes, module: str, counted: bool) -> Understood:
    tree = ast.parse(source)
    digest = hashlib.sha256(meaning(tree).encode("utf-8", "surrogateescape")).hexdigest()[:32] if counted else ""
    return Understood(digest, frozenset(_imported(tree, module)))


def _imported(tree: ast.Module, module: str) -> Iterator[str]:
    """Full names of everything imported, also inside of functions; for ``from a import b`` both ``a`` and ``a.b``."""
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(module.split(".")[: -node.level]) if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements, however deep; expressions are most of a tree and import nothing."""
    ahead = [tree]
    while ahead:
        node = ahead.pop()
        yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            ahead += getattr(node, part, ())
