"""The manifest of a cycle: the sha256 of every file, in the form that ``sha256sum --check`` reads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from prodenv.base.errors import WorkFailed
from prodenv.base.files import sha256_of

from .find import ATTIC, FROZEN

NAME = "manifest.sha256"
_CACHES = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
_NOT_KEPT = _CACHES | {".snakemake", ".git"}
"""Folders that running and looking change."""
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}


@dataclass(frozen=True)
class Entry:
    """A file, a link, or a folder of a cycle.

    Parameters
    ----------
    name
        Path relative to the cycle.
    path
        The same as it is.
    link
        Where it leads, for a link; else empty.
    folder
        Whether it is a folder (and no link).
    """

    name: str
    path: str
    link: str = ""
    folder: bool = False

    @property
    def hashed(self) -> bool:
        """Whether it has content: files, and links to files."""
        return not self.folder and (not self.link or Path(self.path).is_file())


def entries_of(root: Path, left_out: Iterable[Path] = (), *, whole: bool = False) -> Iterator[Entry]:
    """Everything in a cycle but what can be made again or is not a part of it, sorted.

    Left out are the installed software (its lock is there), Snakemake's book-keeping, the history of checkouts (their
    revision is in the citation), compiled code, the attic, and the manifest itself. Links are not followed.

    Parameters
    ----------
    root
        The cycle.
    left_out
        More folders that are not part of it.
    whole
        With Snakemake's book-keeping, the history of checkouts, and the manifest.
    """
    without = {str(root / ATTIC), *map(str, left_out)} | (set() if whole else {str(root / FROZEN)})
    yield from _below(str(root), len(str(root)) + 1, without, _CACHES if whole else _NOT_KEPT)


def _below(folder: str, start: int, without: set[str], names: frozenset[str]) -> Iterator[Entry]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.path in without or (entry.name in names and not entry.is_symlink()):
            continue
        name = entry.path[start:]
        if entry.is_symlink():
            yield Entry(name, entry.path, link=str(Path(entry.path).readlink()))
        elif entry.is_dir(follow_symlinks=False):
            yield Entry(name, entry.path, folder=True)
            yield from _below(entry.path, start, without, names)
        elif entry.is_file(follow_symlinks=False):
            yield Entry(name, entry.path)


def hash_all(paths: Mapping[str, str], threads: int = 0) -> dict[str, str]:
    """The sha256 of many files by name, largest first so that no thread is left alone with one in the end.

    Parameters
    ----------
    paths
        Files by name.
    threads
        How many read at the same time; 0 for as many as there are cores.
    """
    ordered = sorted(paths, key=lambda name: -_size(paths[name]))
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        done = dict(zip(ordered, pool.map(sha256_of, (Path(paths[name]) for name in ordered)), strict=True))
    return {name: done[name] for name in sorted(done)}


def _size(path: str) -> int:
    with contextlib.suppress(OSError):
        return Path(path).stat().st_size
    return 0


def text_of(hashes: Mapping[str, str]) -> str:
    """The manifest as text; names with line breaks are written as ``sha256sum`` writes them."""
    return "".join(_line(name, digest) for name, digest in sorted(hashes.items()))


def _line(name: str, digest: str) -> str:
    escaped = "".join(_ESCAPES.get(char, char) for char in name)
    mark = "\\" if escaped != name else ""
    return f"{mark}{digest}  {escaped}\n"


def parsed(text: str) -> dict[str, str]:
    """The hashes by name that a manifest holds.

    Raises
    ------
    ValueError
        If a line is not a line of a manifest.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if line:
            digest, gap, name = line.removeprefix("\\").partition("  ")
            if not gap or len(digest) != 64 or not name:
                raise ValueError(f"line {number} is not a line of a manifest")
            found[_unescaped(name) if line.startswith("\\") else name] = digest
    return found


def _unescaped(name: str) -> str:
    parts = name.split("\\\\")
    return "\\".join(part.replace("\\n", "\n").replace("\\r", "\r") for part in parts)


def read(file: Path) -> dict[str, str]:
    """The manifest in a file.

    Raises
    ------
    WorkFailed
        If it is missing or damaged.
    """
    try:
        return parsed(file.read_text(encoding="utf-8", errors="surrogateescape"))
    except (OSError, ValueError) as error:
        raise WorkFailed(f"{file} cannot be used: {error}") from None
