"""Which cycles use files of which: recorded in the cycle that uses them, so that the other is never written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prodenv.base.errors import UserError
from prodenv.cycles.find import DERIVED, FROZEN, CycleFolder, all_cycles, cycle_at
from prodenv.cycles.manifest import NAME as MANIFEST
from prodenv.cycles.outputs import Contents
from prodenv.cycles.setups import Setup, setup_of

SHARED = ("tier", "par", "inputs", "config", "chan_map", "detector_status", "par_overwrite", "dataflow", "install")
"""Paths of the configuration (and those that begin so) by which a cycle can use another one."""


def record_of(cycle: CycleFolder) -> dict[str, Any]:
    """What `dataprod new --from` wrote down when it made the cycle; empty for others."""
    try:
        found = json.loads((cycle.root / DERIVED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def parent_of(cycle: CycleFolder) -> CycleFolder | None:
    """The cycle that this one was derived from: where it was, else the one in the environment with its manifest."""
    record = record_of(cycle)
    text, manifest = record.get("parent"), record.get("manifest")
    if not isinstance(text, str):
        return None
    found = cycle_at(Path(os.path.normpath(cycle.root / text)))
    if found and found.root != cycle.root and (not manifest or manifest_of(found) == manifest):
        return found
    if not manifest:
        return None
    return next((other for other in all_cycles() if other.frozen and manifest_of(other) == manifest), None)


def manifest_of(cycle: CycleFolder) -> str:
    """The sha256 of the manifest of a frozen cycle, by which it is known wherever it is; else an empty text."""
    try:
        return hashlib.sha256((cycle.root / FROZEN / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return ""


def parents_of(cycle: CycleFolder, setup: Setup) -> list[str]:
    """Names of the cycles whose files this one uses: what it was derived from, and where its paths point."""
    names = set()
    derived = parent_of(cycle)
    if derived:
        names.add(derived.name)
    for name, path in setup.paths.items():
        if name.startswith(SHARED) and not path.is_relative_to(cycle.root):
            owner = owner_of(path)
            if owner and owner.root != cycle.root:
                names.add(owner.name)
    return sorted(names)


def owner_of(path: Path) -> CycleFolder | None:
    """The cycle that a path lies in."""
    return next((found for folder in (path, *path.parents) if (found := cycle_at(folder))), None)


def users_of(cycle: CycleFolder) -> list[CycleFolder]:
    """The cycles of the environment that use files of this one."""
    return [setup.cycle for setup in _users_of(cycle)]


def _users_of(cycle: CycleFolder) -> list[Setup]:
    others = [other for other in all_cycles() if other.root != cycle.root]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:  # each cycle's own flow is asked
        setups = [setup for setup in pool.map(_readable, others) if setup]
    return [setup for setup in setups if cycle.name in parents_of(setup.cycle, setup)]


def _readable(cycle: CycleFolder) -> Setup | None:
    try:
        return setup_of(cycle)
    except UserError:
        return None


def files_used(cycle: CycleFolder) -> Callable[[str], str]:
    """A function that tells which cycle uses a file of this one (a real path): its name, or an empty text."""
    links: dict[str, str] = {}
    folders: list[tuple[str, str]] = []
    for setup in _users_of(cycle):
        user = setup.cycle
        for output in Contents(user, setup).outputs():
            if output.link:
                links[os.path.realpath(user.root / output.path)] = user.name
        for name, path in setup.paths.items():
            if name.startswith(SHARED) and not path.is_relative_to(user.root):
                folders.append((os.path.realpath(path) + os.sep, user.name))

    def user_of(path: str) -> str:
        return links.get(path) or next((name for folder, name in folders if path.startswith(folder)), "")

    return user_of


def link_to(source: Path, link: Path, folder: Path) -> None:
    """Make a link to a file or folder of the parent, relative to the folder where it will be, with its time."""
    link.symlink_to(os.path.relpath(source, folder))
    found = source.stat()
    os.utime(link, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


def changed_links(cycle: CycleFolder) -> list[str]:
    """The files of its parent that a derived cycle links and that are not what they were, or gone; sorted."""
    changed = []
    for name, seen in record_of(cycle).get("linked", {}).items():
        path = cycle.root / name
        if path.is_symlink():  # else it has a file of its own by now
            found = path.stat() if path.exists() else None
            if found is None or (found.st_size, found.st_mtime_ns) != (seen["size"], seen["mtime_ns"]):
                changed.append(name)
    return sorted(changed)
