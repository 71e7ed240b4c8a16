"""The lineage in an output itself, so that a file that was copied alone still tells what it is.

The hash only, which is the same for the same recipe: two productions of one recipe still give equal files. All else is
in the record beside the output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

ATTRIBUTE = "lineage"
_LINEAGE: ContextVar[str] = ContextVar("lineage", default="")
_FORGET: ContextVar[Callable[[Path], None] | None] = ContextVar("forget", default=None)


@contextmanager
def stamping(lineage: str, forget: Callable[[Path], None] | None = None) -> Iterator[None]:
    """Within the block, every output that is completed carries this lineage; `forget` is told of what it replaces."""
    tokens = _LINEAGE.set(lineage), _FORGET.set(forget)
    try:
        yield
    finally:
        _LINEAGE.reset(tokens[0])
        _FORGET.reset(tokens[1])


def replacing(path: Path) -> None:
    """Say that a complete output is about to take this place."""
    forget = _FORGET.get()
    if forget:
        forget(path)


def stamp(path: Path) -> None:
    """Write the lineage into a file that is complete but for that: an attribute of LH5, a comment of YAML."""
    lineage = _LINEAGE.get()
    if not lineage or not path.is_file():
        return
    if path.suffix == ".lh5":
        import h5py

        with h5py.File(path, "a") as file:
            file.attrs[ATTRIBUTE] = lineage
    elif path.suffix == ".yaml":
        with path.open("a", encoding="utf-8") as stream:
            stream.write(f"# {ATTRIBUTE}: {lineage}\n")
