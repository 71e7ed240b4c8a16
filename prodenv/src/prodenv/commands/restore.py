"""``dataprod restore FILE PATH``: a cycle from an archive, all of it or nothing."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from prodenv.base.errors import UserError
from prodenv.base.files import aside
from prodenv.base.notes import step
from prodenv.base.places import ROOT
from prodenv.base.tables import size_text
from prodenv.cycles.archive.read import extract, read_header
from prodenv.cycles.create import target_of
from prodenv.cycles.find import cycle_at


def run(options: argparse.Namespace) -> int:
    """Take the archive in."""
    file = Path(options.file).expanduser()
    target = target_of(options.rpath, ROOT)
    header = read_header(file)
    what = f"{header.get('name')} ({header.get('files')} files, {size_text(header['bytes'])})"
    if options.dry_run:
        print(f"would restore {what} to {target}")
        return 0
    with aside(target) as folder:
        with step(f"{what} from {file}"):
            extract(file, folder)
        found = cycle_at(folder)
        if found is None:
            raise UserError(f"{file} holds no cycle: there is no config.json with dataflow/ or generated/ in it")
        if os.path.lexists(target):
            raise UserError(f"{target} was created by someone else in the meantime")
        folder.chmod(0o755)
        folder.rename(target)
    print(f"restored: {target}; all {header['files']} files are as they were archived")
    print(f"next: dataprod-install-sw {shlex.quote(str(target / found.config.name))} --locked")
    return 0
