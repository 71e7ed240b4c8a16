"""``dataprod clean CYCLE``: put files aside, chosen by tier, run, staleness or failure.

Nothing is deleted: files go to ``generated/attic/<time>/`` with the same path, and only ``--attic`` empties that.
"""

from __future__ import annotations

import argparse
import os
import shutil
import stat
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prodenv.base.errors import UserError, WorkFailed
from prodenv.base.tables import ask, print_json, print_table, size_text
from prodenv.cycles.clean import Going, Selection, chosen
from prodenv.cycles.find import ATTIC, CycleFolder, command, find_cycle
from prodenv.cycles.sizes import size_of


def run(options: argparse.Namespace) -> int:
    """Show what would go, ask, and put it aside."""
    cycle = find_cycle(options.cycle)
    cycle.refuse_frozen("cleaning")
    wanted = Selection(tuple(options.tier), tuple(options.run), options.stale, options.failed)
    if options.attic:
        if wanted.any:
            raise UserError("--attic goes alone", hint="move files to the attic first, then empty it")
        return _empty(cycle, options)
    if not wanted.any:
        hint = f"for example: {command('clean', cycle)} --tier dsp --run r001"
        raise UserError("what is to be cleaned? Give --tier, --run, --stale or --failed", hint=hint)
    going, notes = chosen(cycle, options.setup, wanted)
    return _clean(cycle, going, notes, options)


def _clean(cycle: CycleFolder, going: list[Going], notes: list[str], options: argparse.Namespace) -> int:
    if options.json:
        files = [{"file": each.path, "kind": each.kind, "run": each.run, "size": each.size} for each in going]
        document: dict[str, Any] = {"cycle": cycle.name, "files": files, "notes": notes, "attic": ""}
    else:
        document = {}
        _print(going, notes)
    agreed = bool(going) and not options.dry_run and (options.yes or ask(_question(going, "to the attic")))
    if agreed:
        with cycle.held():
            attic = put_aside(cycle, going)
        document["attic"] = str(attic)
        if not options.json:
            print(f"moved to {attic}; for good: {command('clean', cycle)} --attic")
    if options.json:
        print_json(document)
    return 0 if agreed or options.dry_run or not going else 1


def _question(going: Sequence[Going], where: str) -> str:
    return f"move {len(going)} files ({size_text(sum(each.size for each in going))}) {where}?"


def _print(going: list[Going], notes: list[str]) -> None:
    groups: dict[tuple[str, str], list[Going]] = defaultdict(list)
    for each in going:
        groups[each.kind, each.run].append(each)
    rows = [
        (kind, run or "-", len(group), size_text(sum(each.size for each in group)))
        for (kind, run), group in sorted(groups.items())
    ]
    if rows:
        print_table(("kind", "run", "files", "size"), rows, right="files size")
    else:
        print("nothing to clean")
    for note in notes:
        print(f"note: {note}")


def put_aside(cycle: CycleFolder, going: Sequence[Going]) -> Path:
    """Move files to a new folder of the attic; returns it.

    Each file is moved at once, with its records before it: what is interrupted can be done again.

    Raises
    ------
    WorkFailed
        If one lies on another disk than the cycle, or may not be moved.
    """
    attic = _new_attic(cycle)
    for each in going:
        for name in (*each.records, each.path):
            target = attic / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                (cycle.root / name).rename(target)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise WorkFailed(f"{cycle.root / name} cannot be moved to {attic}: {error.strerror}") from None
    return attic


def _new_attic(cycle: CycleFolder) -> Path:
    top = _attic_of(cycle)
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for name in (time, *(f"{time}-{number}" for number in range(2, 1000))):
        try:
            (top / name).mkdir(parents=True)
        except FileExistsError:
            continue
        return top / name
    raise WorkFailed(f"no new folder can be made in {top}")


def _attic_of(cycle: CycleFolder) -> Path:
    """The attic, which must be a real folder of the cycle.

    Raises
    ------
    UserError
        If a link leads it elsewhere.
    """
    top = cycle.root / ATTIC
    if not Path(os.path.realpath(top)).is_relative_to(os.path.realpath(cycle.root)) or top.is_symlink():
        raise UserError(f"{top} is a link", hint="the attic must be a folder of the cycle: remove the link")
    return top


def _empty(cycle: CycleFolder, options: argparse.Namespace) -> int:
    """Delete what is in the attic."""
    top = _attic_of(cycle)
    entries = sorted(top.iterdir()) if top.is_dir() else []
    sizes = {entry: size_of(entry) for entry in entries}
    total = sum(size.size for size in sizes.values())
    if options.json:
        print_json(
            {
                "cycle": cycle.name,
                "attic": [{"name": e.name, "size": s.size, "files": s.files} for e, s in sizes.items()],
            }
        )
    elif entries:
        rows = [(entry.name, size.files, size_text(size.size)) for entry, size in sizes.items()]
        print_table(("put aside", "files", "size"), rows, right="files size")
    else:
        print("the attic is empty")
    if not entries or options.dry_run:
        return 0
    if not options.yes and not ask(f"delete {size_text(total)} permanently?"):
        return 1
    with cycle.held():
        for entry in entries:
            _delete(entry)
    return 0


def _delete(path: Path) -> None:
    """Delete a file, a link (not what it leads to), or a folder with all that is in it."""
    if stat.S_ISDIR(path.lstat().st_mode):
        shutil.rmtree(path)
    else:
        path.unlink()
