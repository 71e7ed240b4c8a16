"""``dataprod archive CYCLE FILE``: a cycle as one file that another environment takes in."""

from __future__ import annotations

import argparse
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from prodenv.base.errors import UserError
from prodenv.base.notes import step
from prodenv.base.places import ROOT
from prodenv.base.sources import state
from prodenv.base.tables import size_text
from prodenv.cycles.archive import write as archives
from prodenv.cycles.archive.write import Content, content_of
from prodenv.cycles.create import version
from prodenv.cycles.find import CycleFolder, find_cycle
from prodenv.cycles.lock import refuse_living
from prodenv.cycles.setups import setup_of

from .freeze import software_of


def run(options: argparse.Namespace) -> int:
    """Write the archive."""
    cycle = find_cycle(options.cycle)
    target = _target(cycle, options.file)
    refuse_living(cycle.root)
    setup = setup_of(cycle, options.setup)
    content = content_of(cycle, software_of(setup), follow=options.follow)
    size = content.size
    what = f"{len(content.files)} files ({size_text(size)}) of {cycle.name}"
    if options.dry_run:
        print(f"would write {what} to {target}")
        return 0
    if shutil.disk_usage(target.parent).free < size:
        raise UserError(
            f"there is not enough space for {size_text(size)} in {target.parent}", hint="give a file on another disk"
        )
    about = {
        "name": cycle.name,
        "experiment": setup.experiment,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": version(ROOT),
        "remotes": _remotes(cycle, content),
    }
    with step(f"{what} to {target}"):
        archives.write(target, content, about)
    if content.followed:
        print(f"note: {len(content.followed)} links lead out of the cycle; the archive contains their targets")
    print(f"archived: {target}; to restore it: dataprod restore {target.name} {cycle.root.name}")
    return 0


def _target(cycle: CycleFolder, text: str) -> Path:
    """The archive to write, which must not exist."""
    target = Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - links stay as the user gave them
    if os.path.lexists(target):
        raise UserError(f"{target} exists already", hint="give another name; an existing file is never touched")
    if not target.parent.is_dir():
        raise UserError(f"there is no folder {target.parent}")
    if target.resolve().is_relative_to(cycle.root.resolve()):
        raise UserError(f"{target} lies in the cycle itself", hint="give a file elsewhere")
    return target


def _remotes(cycle: CycleFolder, content: Content) -> dict[str, str]:
    """Where the checkouts come from, by their folder."""
    folders = [each.name.removesuffix(".git").rstrip("/") for each in content.members if each.name.endswith(".git")]
    return {folder: str(state(cycle.root / folder).get("remote", "")) for folder in folders}
