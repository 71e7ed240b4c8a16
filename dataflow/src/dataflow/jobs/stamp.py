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
def stamping(of: str, forget: Callable[[Path], None] | None = None) -> Iterator[None]:
    """Within the block, outputs that are completed carry the lineage `of`; `forget` is told of what they replace."""
    tokens = _LINEAGE.set(of), _FORGET.set(forget)
    try:
        yield
    finally:
        _LINEAGE.reset(tokens[0])
        _FORGET.reset(tokens[1])


def lineage() -> str:
    """The lineage that outputs are completed with now, empty if none is set."""
    return _LINEAGE.get()


def replacing(path: Path) -> None:
    """Say that a complete output is about to take this place."""
    forget = _FORGET.get()
    if forget:
        forget(path)


def stamp(path: Path) -> None:
    """Write the lineage into a file that is complete but for that: an attribute of LH5, a comment of YAML."""
    said = lineage()
    if not said or not path.is_file():
        return
    if path.suffix == ".lh5":
        import h5py

        with h5py.File(path, "a") as file:
            file.attrs[ATTRIBUTE] = said
    elif path.suffix == ".yaml":
        with path.open("a", encoding="utf-8") as stream:
            stream.write(f"# {ATTRIBUTE}: {said}\n")
