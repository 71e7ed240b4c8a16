"""A cycle that uses the files of another where their lineage is the same: links, no copies; the other is only read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from prodenv.base.files import open_to_group, write_text
from prodenv.base.sources import LEFT_BEHIND
from prodenv.cycles.create import GENERATED
from prodenv.cycles.find import DERIVED, CycleFolder
from prodenv.cycles.flow import ask
from prodenv.cycles.outputs import Contents
from prodenv.cycles.setups import Setup
from prodenv.software.install import lock_of

from .links import link_to, manifest_of

FORM = 1
_SOURCES = ("dataflow", "inputs", "src")
"""Paths whose folders the new cycle gets a copy of, to be changed."""


@dataclass(frozen=True)
class Derivation:
    """A new cycle and the one it comes from.

    Parameters
    ----------
    parent
        The cycle whose files are used.
    contents
        What is in it.
    target
        Where the new one will be.
    """

    parent: CycleFolder
    contents: Contents
    target: Path

    @property
    def setup(self) -> Setup:
        return self.contents.setup

    @cached_property
    def recorded(self) -> Mapping[str, Any]:
        """How the files of the parent were made, as its own flow tells."""
        found: Mapping[str, Any] = self.contents.ask("recorded")
        return found


def plan(work: Derivation) -> list[str]:
    """One line for each thing that would be made."""
    copied = [name for name in _SOURCES if _is_inside(work, work.setup.path(name)) and work.setup.path(name).is_dir()]
    lines = [work.parent.config.name, *(f"{_inner(work, name)}/  a copy" for name in copied)]
    outputs = [name for name in work.recorded["outputs"] if (work.parent.root / name).is_file()]
    daq = [f"{_inner(work, 'tier_daq')}  a link"] if _links_daq(work) else []
    return [f"{work.target}/", *(f"  {line}" for line in [*lines, *daq, f"links to up to {len(outputs)} files"])]


def fill(work: Derivation, folder: Path) -> dict[str, int]:
    """Make the new cycle in `folder`, to be moved to its place; returns numbers of files by what became of them.

    Raises
    ------
    UserError
        If the configuration does not work in the new place.
    """
    _copy_config(work, folder)
    for name in GENERATED:
        (folder / "generated" / name).mkdir(parents=True)
    for name in _SOURCES:
        _copy_source(work, folder, name)
    _copy_file(lock_of(work.setup), folder / lock_of(work.setup).relative_to(work.parent.root))
    _copy_identities(work, folder)
    if _links_daq(work):
        _link(work, folder, _inner(work, "tier_daq"))
    linked, other = _link_outputs(work, folder)
    _record(work, folder, linked)
    return {"linked": len(linked), "not linked": other}


def _copy_config(work: Derivation, folder: Path) -> None:
    """The configuration, in which absolute paths into the parent become paths into the new cycle."""
    text = work.parent.config.read_text(encoding="utf-8")
    for root in {str(work.parent.root), os.path.realpath(work.parent.root)}:
        text = text.replace(f"{root}/", "$_/")
    write_text(folder / work.parent.config.name, text)


def _is_inside(work: Derivation, path: Path) -> bool:
    return path.is_relative_to(work.parent.root) and path != work.parent.root


def _inner(work: Derivation, name: str) -> str:
    """A path of the configuration relative to the cycle."""
    return str(work.setup.path(name).relative_to(work.parent.root))


def _copy_source(work: Derivation, folder: Path, name: str) -> None:
    """Copy a folder that the user may change; a link stays a link to the same place."""
    source = work.setup.path(name)
    if not _is_inside(work, source) or not os.path.lexists(source):
        return
    target = folder / _inner(work, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(os.path.relpath(source.resolve(), _final(work, folder, target.parent)))
        return
    shutil.copytree(source, target, symlinks=True, ignore=LEFT_BEHIND)
    for path in (target, *target.rglob("*")):  # the parent may be frozen, the copy is to be changed
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o200)
    open_to_group(target)


def _final(work: Derivation, folder: Path, path: Path) -> Path:
    """Where a path of the new cycle will be when it is in its place."""
    return work.target / path.relative_to(folder)


def _copy_file(source: Path, target: Path) -> None:
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _copy_identities(work: Derivation, folder: Path) -> None:
    """What is known of DAQ files, so that they need not be read again."""
    source = work.parent.root / work.recorded["identities"]
    if _is_inside(work, source):
        _copy_file(source, folder / source.relative_to(work.parent.root))


def _links_daq(work: Derivation) -> bool:
    """Whether the DAQ files lie in the parent; those elsewhere are found by the configuration."""
    daq = work.setup.path("tier_daq")
    return _is_inside(work, daq) and daq.is_dir()


def _link(work: Derivation, folder: Path, name: str) -> None:
    """Link a file or folder of the parent, relative so that both can move together, with its time."""
    target, source = folder / name, work.parent.root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    link_to(source, target, _final(work, folder, target.parent))


def _link_outputs(work: Derivation, folder: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """Link the outputs that the new cycle would make in the same way; returns them, and the number of the others."""
    outputs, recorded = work.contents.outputs(), work.recorded["outputs"]
    wanted = _wanted(work, folder)
    linked: dict[str, dict[str, Any]] = {}
    for output in outputs:
        source, lineage = work.parent.root / output.path, recorded.get(output.path, {}).get("lineage")
        if not lineage or wanted[output.path] != lineage or not source.is_file():
            continue
        _link(work, folder, output.path)
        for record in (recorded[output.path]["record"], recorded[output.path].get("notes", "")):
            if record:
                _copy_file(*(root / record for root in (work.parent.root, folder)))
        found = source.stat()
        linked[output.path] = {"lineage": lineage, "size": found.st_size, "mtime_ns": found.st_mtime_ns}
    _copy_parts(work, folder, {os.path.dirname(name) for name in linked})  # noqa: PTH120 - names only
    return linked, len(outputs) - len(linked)


def _wanted(work: Derivation, folder: Path) -> dict[str, str]:
    """The lineages that the new cycle's own flow would make the outputs by, in the place where it is being made."""
    outputs = work.contents.outputs()
    new = CycleFolder(folder, folder / work.parent.config.name)
    asked = [{"step": output.step, "fields": dict(output.fields)} for output in outputs]
    found = ask(new, "wanted", work.setup.experiment, outputs=asked)
    return dict(zip((output.path for output in outputs), found, strict=True))


def _copy_parts(work: Derivation, folder: Path, names: set[str]) -> None:
    """Copy the parts of recipes that the records in some folders share."""
    hidden = work.recorded["folder"]
    for name in sorted(names):
        for part in work.recorded["parts"].get(name, ()):
            _copy_file(*(root / name / hidden / part for root in (work.parent.root, folder)))


def _record(work: Derivation, folder: Path, linked: dict[str, dict[str, Any]]) -> None:
    content = {
        "form": FORM,
        "parent": os.path.relpath(work.parent.root, work.target),
        "manifest": manifest_of(work.parent) if work.parent.frozen else "",
        "folders": [_inner(work, "tier_daq")] if _links_daq(work) else [],
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "linked": linked,
    }
    write_text(folder / DERIVED, json.dumps(content, indent=1, sort_keys=True) + "\n")
