"""A cycle that uses the files of another where their lineage is the same: links, no copies; the other is only read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dataflow.plan.config import Setup, read_config
from dataflow.plan.cycle import Cycle
from dataflow.plan.errors import UserError as PlanError
from dataflow.plan.identity import LIST
from dataflow.plan.records import FOLDER, RECIPE, notes_file, record_file
from prodenv.cleaning import key_of
from prodenv.cycle import GENERATED
from prodenv.cycles import DERIVED, CycleFolder
from prodenv.derived import link_to, manifest_of
from prodenv.files import write_text
from prodenv.outputs import Contents, Output
from prodenv.software import lock_of
from prodenv.sources import LEFT_BEHIND

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


def plan(work: Derivation) -> list[str]:
    """One line for each thing that would be made."""
    copied = [name for name in _SOURCES if _is_inside(work, work.setup.path(name)) and work.setup.path(name).is_dir()]
    lines = [work.parent.config.name, *(f"{_inner(work, name)}/  a copy" for name in copied)]
    outputs = [output for output in work.contents.outputs() if _has_record(work, output)]
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


def _final(work: Derivation, folder: Path, path: Path) -> Path:
    """Where a path of the new cycle will be when it is in its place."""
    return work.target / path.relative_to(folder)


def _copy_file(source: Path, target: Path) -> None:
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _copy_identities(work: Derivation, folder: Path) -> None:
    """What is known of DAQ files, so that they need not be read again."""
    source = work.setup.path("tmp") / LIST
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


def _has_record(work: Derivation, output: Output) -> bool:
    path = work.parent.root / output.path
    return path.is_file() and any(_records_of(path))


def _records_of(path: Path) -> Iterator[str]:
    """Names of the records of an output."""
    try:
        names = os.listdir(path.parent / FOLDER)  # noqa: PTH208 - names only, and many of them
    except OSError:
        return
    yield from (name for name in names if name.startswith(f"{path.name}."))


def _link_outputs(work: Derivation, folder: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """Link the outputs that the new cycle would make in the same way; returns them, and the number of the others."""
    old, new = Cycle(work.setup), Cycle(_moved(work, folder))
    linked: dict[str, dict[str, Any]] = {}
    done: set[Path] = set()
    other = 0
    for output in work.contents.outputs():
        lineage = _same_lineage(old, new, work.parent.root / output.path, output)
        if not lineage:
            other += 1
            continue
        _link(work, folder, output.path)
        source = work.parent.root / output.path
        _copy_records(source, folder / output.path, lineage, old.lineages.records.noted(source), done)
        found = (work.parent.root / output.path).stat()
        linked[output.path] = {"lineage": lineage, "size": found.st_size, "mtime_ns": found.st_mtime_ns}
    return linked, other


def _moved(work: Derivation, folder: Path) -> Setup:
    """The configuration of the new cycle as long as it is not in its place."""
    return read_config(folder / work.parent.config.name, work.setup.experiment)


def _same_lineage(old: Cycle, new: Cycle, path: Path, output: Output) -> str:
    """The lineage of an output if the new cycle wants the same; else an empty text."""
    recorded = old.lineages.records.lineage(path)
    key = key_of(new, output)
    if recorded is None or key is None or not path.is_file():
        return ""
    try:
        return recorded if new.lineage(output.step, key) == recorded else ""
    except PlanError:
        return ""


def _copy_records(source: Path, target: Path, lineage: str, noted: str, done: set[Path]) -> None:
    """Copy record and notes of an output, and the parts of recipes in its folder, which is not among those done."""
    _copy_file(record_file(source, lineage), record_file(target, lineage))
    if noted:
        _copy_file(notes_file(source, noted), notes_file(target, noted))
    if source.parent not in done:
        done.add(source.parent)
        for part in sorted((source.parent / FOLDER).glob(f"*{RECIPE}")):
            _copy_file(part, target.parent / FOLDER / part.name)


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
