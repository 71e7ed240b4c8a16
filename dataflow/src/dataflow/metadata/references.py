"""Arrays that a parameter file names instead of holding them: ``loadlh5('$_/KEY-par_dsp_dplms.lh5', 'V01/dplms/x')``.

That is how dspeed and the published flow write it. ``$_`` is the folder of the parameter file, so that both can be
moved, linked and copied together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CALL = re.compile(r"""\s*loadlh5\(\s*(['"])(?P<path>[^'"]+)\1\s*,\s*(['"])(?P<name>[^'"]+)\3\s*\)\s*""")
HERE = "$_"


@dataclass(frozen=True)
class Reference:
    """An array in an LH5 file.

    Attributes
    ----------
    path
        The file.
    name
        The array in it.
    """

    path: Path
    name: str


def reference_of(value: object) -> Reference | None:
    """What a value names; None if it is no reference.

    ``..`` is taken out of the path before any link is followed: folders of a cycle may be links to other disks.
    """
    found = _CALL.fullmatch(value) if isinstance(value, str) and "loadlh5" in value else None
    return Reference(Path(os.path.normpath(found["path"])), found["name"]) if found else None


def written(path: Path, name: str, folder: Path) -> str:
    """How a parameter file in a folder names an array."""
    return f"loadlh5('{HERE}/{os.path.relpath(path, folder)}', '{name}')"


def moved(value: Any, folder: Path) -> Any:  # noqa: ANN401 - any tree of values
    """The content of a parameter file as a file in another folder has it, if the arrays are below that folder."""

    def renamed(found: Reference, text: str) -> str:
        return written(found.path, found.name, folder) if found.path.is_relative_to(folder) else text

    return replaced(value, renamed)


def replaced(value: Any, change: Callable[[Reference, str], Any]) -> Any:  # noqa: ANN401
    """The same content with something else in the place of each reference."""
    if isinstance(value, Mapping):
        return {name: replaced(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, change) for item in value]
    found = reference_of(value)
    return value if found is None else change(found, value)


def files_named(text: str, folder: Path) -> Iterator[Path]:
    """The LH5 files that the text of a parameter file in a folder names, each once, in order."""
    found = (match["path"].replace(HERE, os.fspath(folder)) for match in _CALL.finditer(text))
    yield from dict.fromkeys(Path(os.path.normpath(folder / path)) for path in found)
