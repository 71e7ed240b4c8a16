"""The lineage in an output itself, so that a file that was copied alone still tells what it is.

The hash only, which is the same for the same recipe: two productions of one recipe still give equal files. All else is
in the record beside the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

ATTRIBUTE = "lineage"
_LINEAGE: ContextVar[str] = ContextVar("lineage", default="")


@contextmanager
def stamping(lineage: str) -> Iterator[None]:
    """Within the block, every output that is completed carries this lineage."""
    token = _LINEAGE.set(lineage)
    try:
        yield
    finally:
        _LINEAGE.reset(token)


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
