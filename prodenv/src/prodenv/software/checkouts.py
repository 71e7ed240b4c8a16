"""Checkouts in the software sources of a cycle, which take the place of released packages."""

from __future__ import annotations

import hashlib
import sys
import tomllib
from collections.abc import Mapping
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
    extras
        Groups of further packages that are wanted with it.
    """

    name: str
    folder: Path
    extras: tuple[str, ...] = ()

    @property
    def requirement(self) -> str:
        """As a line of a requirements file: editable, with what its extras ask for."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"-e {self.folder.as_uri()}{extras}"

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


RUNNING = "runprod"
"""The group of packages by which a published flow brings its own Snakemake."""


def flow_package(folder: Path) -> Checkout:
    """A flow that is a package, with what it needs to run a production."""
    known = _project(folder).get("optional-dependencies", {})
    return Checkout(package_name(folder), folder, (RUNNING,) if RUNNING in known else ())


def package_name(folder: Path) -> str:
    """The name that the package gives itself, else that of the folder."""
    return normalise(str(_project(folder).get("name", folder.name)))


def _project(folder: Path) -> Mapping[str, Any]:
    file = folder / "pyproject.toml"
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not valid: {error}") from None
    found: Mapping[str, Any] = content.get("project", {})
    return found


def changes_digest(folder: Path) -> str:
    """A hash of everything that differs from the last commit: the difference, and new files with their content."""
    digest = hashlib.sha256(git("diff", "HEAD", "--binary", "--no-ext-diff", "--no-color", cwd=folder).encode())
    listing = git("ls-files", "-z", "--others", "--exclude-standard", "--", *SOURCES_ONLY, cwd=folder)
    for name in sorted(name for name in listing.split("\0") if name):
        digest.update(name.encode() + b"\0")
        if (folder / name).is_file():
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()
