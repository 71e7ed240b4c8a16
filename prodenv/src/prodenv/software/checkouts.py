"""Checkouts in the software sources of a cycle, which take the place of released packages."""

from __future__ import annotations

import hashlib
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prodenv.base.errors import UserError
from prodenv.base.sources import SOURCES_ONLY, git, state

from .requirements import normalise


@dataclass(frozen=True)
class Checkout:
    """One folder of sources.

    Parameters
    ----------
    name
        Name of the package in it, normalised.
    folder
        Where it is.
    """

    name: str
    folder: Path

    def record(self, base: Path) -> dict[str, Any]:
        """What identifies the state of the sources: revision, remote, and a hash of what is not committed."""
        where = self.folder.relative_to(base) if self.folder.is_relative_to(base) else self.folder
        found = state(self.folder)
        changes = changes_digest(self.folder) if found.get("dirty") else ""
        unknown = {"revision": "", "remote": "", "dirty": True}
        return {"name": self.name, "path": str(where), "changes": changes} | (found or unknown)


def find_checkouts(folder: Path) -> list[Checkout]:
    """The packages in the software sources, by name.

    Folders that hold no package are named and left alone.
    """
    if not folder.is_dir():
        return []
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        if (entry / "pyproject.toml").is_file() or (entry / "setup.py").is_file():
            found.append(Checkout(package_name(entry), entry))
        else:
            sys.stderr.write(f"  note: {entry} holds no package (no pyproject.toml or setup.py) and is left alone\n")
    _refuse_twins(found)
    return found


def _refuse_twins(found: list[Checkout]) -> None:
    for first in found:
        twin = next((other for other in found if other.name == first.name and other is not first), None)
        if twin:
            hint = "remove one of them"
            raise UserError(f"{first.folder.name} and {twin.folder.name} are both {first.name}", hint=hint)


def package_name(folder: Path) -> str:
    """The name that the package gives itself, else that of the folder."""
    file = folder / "pyproject.toml"
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not valid: {error}") from None
    return normalise(str(content.get("project", {}).get("name", folder.name)))


def changes_digest(folder: Path) -> str:
    """A hash of everything that differs from the last commit: the difference, and new files with their content."""
    digest = hashlib.sha256(git("diff", "HEAD", "--binary", "--no-ext-diff", "--no-color", cwd=folder).encode())
    listing = git("ls-files", "-z", "--others", "--exclude-standard", "--", *SOURCES_ONLY, cwd=folder)
    for name in sorted(name for name in listing.split("\0") if name):
        digest.update(name.encode() + b"\0")
        if (folder / name).is_file():
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()
