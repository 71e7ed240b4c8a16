"""Where a placed folder comes from, and what its history knows."""

from __future__ import annotations

import json
from pathlib import Path

from .files import write_text
from .sources import Source, ask, git, state

ORIGIN = ".origin.json"
"""File in a placed folder that says where it comes from."""


def record_origin(source: Source, folder: Path) -> None:
    """Write down where `folder` comes from, unless its own history says so; git does not take it for a change.

    Parameters
    ----------
    source
        Where it was placed from.
    folder
        What :func:`prodenv.base.sources.place` made of it.
    """
    if (folder / ORIGIN).exists():
        return
    found = state(folder)
    origin = {"source": source.address, "kind": source.kind, "asked_for": source.revision}
    origin |= {"revision": found.get("revision", ""), "version": described(folder) if found else ""}
    write_text(folder / ORIGIN, json.dumps(origin, indent=2, sort_keys=True) + "\n")
    if found:
        leave_out(folder, ORIGIN)


def described(folder: Path) -> str:
    """The nearest tag of a repository, and how many commits lie after it."""
    return ask(folder, "describe", "--tags", "--always")


def leave_out(folder: Path, name: str) -> None:
    """Let git overlook a file at the top of a repository that is not part of its history."""
    exclude = folder / ask(folder, "rev-parse", "--git-path", "info/exclude")
    exclude.parent.mkdir(parents=True, exist_ok=True)
    with exclude.open("a", encoding="utf-8") as stream:
        stream.write(f"/{name}\n")


def has_revision(folder: Path, revision: str) -> bool:
    """Whether a repository can check a revision out."""
    return bool(ask(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"))


def has_version(folder: Path, pattern: str) -> bool:
    """Whether a tag that fits a glob lies in the history of what is checked out."""
    return bool(ask(folder, "describe", "--tags", "--abbrev=0", f"--match={pattern}"))


def tag(folder: Path, name: str) -> None:
    """Give the commit that is checked out a name."""
    git("tag", name, cwd=folder)
