"""``dataprod freeze CYCLE``: nothing may change any more, and everybody can tell whether something did."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prodenv.base.accounts import name_of
from prodenv.base.errors import UserError, WorkFailed
from prodenv.base.files import sha256_of, write_text
from prodenv.base.notes import step
from prodenv.base.places import ROOT
from prodenv.base.sources import provenance, provenance_text
from prodenv.base.tables import size_text
from prodenv.cycles import manifest
from prodenv.cycles.create import version
from prodenv.cycles.derived.links import users_of
from prodenv.cycles.find import FROZEN, CycleFolder, command, find_cycle
from prodenv.cycles.manifest import Entry, entries_of
from prodenv.cycles.outputs import Contents, contents_of
from prodenv.cycles.setups import Setup
from prodenv.software.install import lock_of

STATE = "frozen.json"
CITATION = "CITATION.txt"
_UNTOLD = "Data: unknown, since the workflow is not that of this production environment."
MOST = 20
"""As many damaged files are named."""
_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def run(options: argparse.Namespace) -> int:
    """Close the cycle, or open it again with ``--thaw``."""
    cycle = find_cycle(options.cycle)
    if options.thaw:
        return _thaw(cycle, options.dry_run)
    contents = contents_of(cycle, options.setup, in_full=True)
    _refuse(cycle)
    entries = list(entries_of(cycle.root, software_of(contents.setup)))
    _refuse_others(cycle, entries)
    if options.dry_run:
        _announce(cycle, entries)
        return 0
    with cycle.held():
        freeze(cycle, contents, entries, options.jobs)
    print((cycle.root / FROZEN / CITATION).read_text(encoding="utf-8"), end="")
    print(f"frozen: {cycle.name}; to check it: {command('verify', cycle)}")
    return 0


def software_of(setup: Setup) -> tuple[Path, Path]:
    """What can be installed again from the lock."""
    return setup.path("install"), setup.path("cache")


def _refuse(cycle: CycleFolder) -> None:
    if cycle.frozen and (cycle.root / FROZEN / manifest.NAME).is_file():
        raise UserError(f"{cycle.name} is frozen already", hint=f"to check it: {command('verify', cycle)}")
    if cycle.interrupted:
        raise UserError(f"{cycle.name} was interrupted while it was running", hint="let a run complete it first")


def _refuse_others(cycle: CycleFolder, entries: list[Entry]) -> None:
    """Refuse where permissions belong to others: half of them would be taken away.

    Raises
    ------
    UserError
        It names the first file and its owner.
    """
    me = os.geteuid()
    if me == 0:
        return
    for path in (cycle.root, *(Path(entry.path) for entry in entries if not entry.link)):
        owner = path.lstat().st_uid
        if owner != me:
            raise UserError(
                f"{path} belongs to {name_of(owner)}, and only the owner can make it read-only",
                hint=f"let the owner of all files freeze {cycle.name}",
            )


def _announce(cycle: CycleFolder, entries: list[Entry]) -> None:
    files = [entry for entry in entries if entry.hashed]
    size = sum(Path(entry.path).stat().st_size for entry in files)
    print(f"would make {len(files)} files ({size_text(size)}) of {cycle.name} read-only, and write:")
    for name in (manifest.NAME, STATE, CITATION):
        print(f"  {cycle.root / FROZEN / name}")


def freeze(cycle: CycleFolder, contents: Contents, entries: list[Entry], threads: int = 0) -> None:
    """Take away the right to write, then write down what there is.

    The permissions are noted first, so that whatever happens after that can be undone; a failure undoes it at once.

    Raises
    ------
    UserError
        If a file is not what its job wrote: a manifest would say for ever that it is right.
    """
    folder = cycle.root / FROZEN
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    modes = _known_modes(cycle) or {entry.name: _mode(entry) for entry in entries if not entry.link}
    modes.setdefault(".", f"{stat.S_IMODE(cycle.root.stat().st_mode):o}")
    state_of = {"time": time, "links": {entry.name: entry.link for entry in entries if entry.link}, "modes": modes}
    write_text(folder / STATE, json.dumps(state_of, indent=1, sort_keys=True) + "\n", mode=0o444)
    try:
        with step("permissions"):
            _close(entries)
        with step(f"sha256 of {sum(entry.hashed for entry in entries)} files"):
            hashes = manifest.hash_all({entry.name: entry.path for entry in entries if entry.hashed}, threads)
        _refuse_damaged(cycle, contents, hashes)
        text = manifest.text_of(hashes)
        write_text(folder / CITATION, citation(cycle, contents, time, text, len(hashes)), mode=0o444)
        write_text(folder / manifest.NAME, text, mode=0o444)
        _chmod(folder, 0o555)
        _chmod(cycle.root, stat.S_IMODE(cycle.root.stat().st_mode) & ~_WRITE)
    except BaseException:
        thaw(cycle)
        raise


def _refuse_damaged(cycle: CycleFolder, contents: Contents, hashes: Mapping[str, str]) -> None:
    """Compare the hashes of files with those in their records."""
    found = contents.ask("recorded", hashes=True)["outputs"] if contents.setup.ours else {}
    wanted = {name: record["sha256"] for name, record in found.items()}
    damaged = [name for name, sha256 in wanted.items() if sha256 and hashes.get(name, sha256) != sha256]
    if damaged:
        shown = [f"  {name}" for name in damaged[:MOST]]
        shown += [f"  and {len(damaged) - MOST} more"] if len(damaged) > MOST else []
        what = "file is not what its job" if len(damaged) == 1 else "files are not what their jobs"
        raise UserError(
            "\n".join([f"{cycle.name} is not frozen: {len(damaged)} {what} wrote", *shown]),
            hint=f"{command('verify', cycle)} says all that is wrong, and what fixes it",
        )


def _known_modes(cycle: CycleFolder) -> dict[str, str]:
    """The permissions noted by an attempt that was killed."""
    return dict(_state(cycle).get("modes", {})) if cycle.frozen else {}


def _mode(entry: Entry) -> str:
    return f"{stat.S_IMODE(Path(entry.path).lstat().st_mode):o}"


def _close(entries: list[Entry]) -> None:
    for entry in entries:
        if not entry.link:
            path = Path(entry.path)
            _chmod(path, stat.S_IMODE(path.lstat().st_mode) & ~_WRITE)


def _chmod(path: Path, mode: int) -> None:
    try:
        path.chmod(mode)
    except PermissionError:
        owner = path.lstat().st_uid
        raise WorkFailed(
            f"the permissions of {path} cannot be changed", hint=f"it belongs to {name_of(owner)}, who can"
        ) from None


def _state(cycle: CycleFolder) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((cycle.root / FROZEN / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WorkFailed(f"{cycle.root / FROZEN / STATE} cannot be used: {error}") from None
    return found


def links_of(cycle: CycleFolder) -> Mapping[str, str]:
    """Where the links of a frozen cycle led when it was frozen."""
    found = _state(cycle).get("links", {})
    return found if isinstance(found, dict) else {}


def _thaw(cycle: CycleFolder, dry_run: bool) -> int:
    if not cycle.frozen:
        raise UserError(f"{cycle.name} is not frozen")
    users = [user.name for user in users_of(cycle)]
    if users:
        raise UserError(f"{cycle.name} is used by {', '.join(users)}", hint="it must stay frozen while they exist")
    if dry_run:
        print(f"would make {len(_state(cycle)['modes'])} files and folders of {cycle.name} as they were, and remove:")
        print(f"  {cycle.root / FROZEN}")
        return 0
    thaw(cycle)
    print(f"open again: {cycle.name}; the manifest is gone")
    return 0


def thaw(cycle: CycleFolder) -> None:
    """Give back the permissions that were noted, then forget about it; can be repeated where it was interrupted."""
    modes = _state(cycle)["modes"]
    root_mode = int(modes.get(".", "755"), 8)
    _set_mode(cycle.root, root_mode | stat.S_IWUSR)
    for name, mode in modes.items():
        path = cycle.root / name
        if name != "." and _is_inside(path, cycle.root):
            with contextlib.suppress(FileNotFoundError):
                _set_mode(path, int(mode, 8) & 0o7777)
    folder = cycle.root / FROZEN
    folder.chmod(0o755)
    shutil.rmtree(folder)
    _set_mode(cycle.root, root_mode)


def _set_mode(path: Path, mode: int) -> None:
    """Set permissions where they differ: only the owner of a file may set them, even to what they are."""
    if stat.S_IMODE(path.lstat().st_mode) != mode:
        path.chmod(mode)


def _is_inside(path: Path, root: Path) -> bool:
    """Whether a path is in the cycle without the help of links, which would lead a change of permissions elsewhere."""
    return path.parent.resolve().is_relative_to(root.resolve()) and not path.is_symlink()


def citation(cycle: CycleFolder, contents: Contents, time: str, text: str, files: int) -> str:
    """What to write where results from this cycle are shown."""
    setup, runs = contents.setup, sorted(contents.runs)
    lock = lock_of(setup)
    software = sha256_of(lock) if lock.is_file() else "no lock"
    lines = [
        f"Production cycle {cycle.name} of {setup.experiment}, frozen {time}.",
        f"Data: {sum(contents.runs.values())} files of {len(runs)} runs, {_span(runs)}." if setup.ours else _UNTOLD,
        f"Workflow: {_revision(setup.path('dataflow'))}",
        f"Metadata: {_revision(setup.path('inputs'))}",
        f"Software: sha256 of the lock {software}",
        f"Production environment: {version(ROOT)}",
        *(
            f"Only a part of {key} is in it: its DAQ file is {reason}"
            for key, reason in sorted(contents.salvaged.items())
        ),
        f"Manifest: {files} files, sha256 {hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()}",
    ]
    return "\n".join(lines) + "\n"


def _span(runs: list[str]) -> str:
    return f"{runs[0]} to {runs[-1]}" if runs else "none"


def _revision(folder: Path) -> str:
    return provenance_text(provenance(folder)) if folder.is_dir() else "not there"
