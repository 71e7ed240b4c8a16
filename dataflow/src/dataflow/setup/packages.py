"""Which versions of which packages a step uses: its imports, looked up in the lock of the cycle's software.

A checkout counts by a hash of its sources as they are now: it is installed editable, so what is changed in it acts at
once.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from dataflow.base.errors import UserError

from .config import Setup

LOCK = "software-lock.json"
DISTRIBUTIONS: Mapping[str, str] = {
    "daq2lh5": "legend-daq2lh5",
    "lgdo": "legend-pydataobj",
    "lh5": "legend-lh5io",
    "legendmeta": "pylegendmeta",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Packages whose name differs from what is imported."""
UNDERNEATH: Mapping[str, tuple[str, ...]] = {
    "dspeed": ("numba",),
    "pygama": ("numba",),
    "legend-daq2lh5": ("fcio", "legend-pydataobj"),
}
"""Packages that do a part of another's work, and change its results without a change of its own."""
_NAME = re.compile(r"[-_.]+")


class Software:
    """The installed software of a cycle, as its lock tells.

    Parameters
    ----------
    setup
        The configuration of the cycle.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._checkout_states: dict[str, str] = {}

    def versions(self, imports: Iterable[str]) -> dict[str, str]:
        """The version of each package that some imports come from; the standard library is left out."""
        names = {DISTRIBUTIONS.get(name, _normal(name)) for name in imports}
        names |= {inner for name in names for inner in UNDERNEATH.get(name, ())}
        return {name: self._version(name) for name in sorted(names) if name in self._checkouts or name in self._locked}

    @property
    def is_known(self) -> bool:
        """Whether there is a lock that lists packages."""
        return bool(self._lock.get("packages"))

    def is_checkout(self, name: str) -> bool:
        """Whether a package is a checkout."""
        return _normal(name) in self._checkouts

    def entry(self, name: str) -> tuple[str, str] | None:
        """Version and address of a package in the lock, either may be empty; None if it is not installed."""
        entries = (e for e in self._lock.get("packages", ()) if _normal(str(e.get("name"))) == _normal(name))
        return next(((str(e.get("version") or ""), str(e.get("address") or "")) for e in entries), None)

    def state(self) -> list[object] | None:
        """All that versions are looked up in: what the lock says, and the content of each checkout.

        None where the lock does not tell the folder of one.

        Raises
        ------
        UserError
            If the lock is none.
        OSError
            If a file of a checkout cannot be read.
        """
        if not all(entry.get("path") for entry in self._checkouts.values()):
            return None
        return [self._lock, {name: self._state(name) for name in sorted(self._checkouts)}]

    def _version(self, name: str) -> str:
        return self._state(name) if name in self._checkouts else self._locked[name]

    @cached_property
    def _lock(self) -> Mapping[str, Any]:
        places = (self._setup.path("install"), self._setup.directory / "software" / "python")
        for file in (place / LOCK for place in places):
            try:
                return dict(json.loads(file.read_text(encoding="utf-8")))
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                raise UserError(
                    f"{file} is not a lock of an installation: {error}", hint="install the software again"
                ) from None
        return {}

    @cached_property
    def _locked(self) -> Mapping[str, str]:
        entries = self._lock.get("packages", ())
        return {_normal(str(e.get("name"))): str(e.get("version") or e.get("address", "")) for e in entries}

    @cached_property
    def _checkouts(self) -> Mapping[str, Mapping[str, Any]]:
        return {_normal(str(entry.get("name"))): entry for entry in self._lock.get("checkouts", ())}

    def _state(self, name: str) -> str:
        if name not in self._checkout_states:
            entry = self._checkouts[name]
            folder = self._setup.directory / str(entry.get("path", ""))
            found = checkout_state(folder) or f"{entry.get('revision', '')}+{entry.get('changes', '')}"
            self._checkout_states[name] = found
        return self._checkout_states[name]


LEFT_OUT = frozenset({"__pycache__", "build", "dist", "doc", "docs", "test", "tests"})
"""Folders of a checkout that are not part of what is imported."""


def checkout_state(folder: Path) -> str:
    """A hash of what is in a checkout, empty where there is none.

    The content decides, and not what git says of it: git may be absent, or refuse to look at a folder of somebody else,
    and the same sources must be the same for everybody.
    """
    if not folder.is_dir():
        return ""
    digest = hashlib.sha256()
    for name in sorted(_sources(str(folder), "")):
        content = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        digest.update(f"{content}  {name}\n".encode("utf-8", "surrogateescape"))
    return f"content+{digest.hexdigest()[:32]}"


def _sources(folder: str, inside: str) -> Iterator[str]:
    """The files of a checkout that can decide about results, relative to it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith((".pyc", ".egg-info", ".nbi", ".nbc")):
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in LEFT_OUT:
                    yield from _sources(entry.path, f"{inside}{entry.name}/")
            elif entry.is_file():
                yield inside + entry.name


def _normal(name: str) -> str:
    return _NAME.sub("-", name).lower()
