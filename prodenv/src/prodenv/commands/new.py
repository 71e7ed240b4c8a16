"""``dataprod new PATH --from CYCLE``: a cycle that begins with the files of another; ``--relink`` after a move."""

from __future__ import annotations

import argparse
import os
import shlex

from prodenv.base.errors import UserError
from prodenv.base.files import aside
from prodenv.base.notes import step
from prodenv.base.places import ROOT
from prodenv.cycles.create import target_of
from prodenv.cycles.derived.create import Derivation, fill, plan
from prodenv.cycles.derived.links import record_of
from prodenv.cycles.derived.relink import broken_links, relink
from prodenv.cycles.find import command, find_cycle
from prodenv.cycles.lock import refuse_living
from prodenv.cycles.outputs import contents_of


def run(options: argparse.Namespace) -> int:
    """Make the derived cycle, all of it or nothing."""
    if options.relink:
        return _relink(options)
    if not options.parent:
        raise UserError("--from is missing", hint="name the cycle whose files the new one uses")
    parent = find_cycle(options.parent)
    work = Derivation(parent, contents_of(parent, options.setup), target_of(options.rpath, ROOT))
    if not parent.root.resolve().is_relative_to(ROOT):
        hint = f"archive it there and restore it here; the cycles of this environment lie below {ROOT}"
        raise UserError(f"{parent.name} belongs to another production environment", hint=hint)
    if not parent.frozen and not options.unfrozen:
        hint = f"{command('freeze', parent)}, or --unfrozen if nobody will change it"
        raise UserError(f"{parent.name} is not frozen: what changes in it would change in the new cycle too", hint=hint)
    if options.dry_run:
        print("\n".join(["would make:", *plan(work)]))
        return 0
    refuse_living(parent.root)
    with aside(work.target) as folder:
        with step(f"{work.target} from {parent.name}"):
            made = fill(work, folder)
        if os.path.lexists(work.target):
            raise UserError(f"{work.target} was created by someone else in the meantime")
        folder.rename(work.target)
    print(f"made {work.target}: {made['linked']} files linked, {made['not linked']} not (of another lineage)")
    print(f"next: dataprod-install-sw {shlex.quote(str(work.target / parent.config.name))} --locked")
    return 0


def _relink(options: argparse.Namespace) -> int:
    """Let the links of a derived cycle lead to its parent again."""
    cycle, parent = find_cycle(options.rpath), find_cycle(options.parent) if options.parent else None
    if not record_of(cycle):
        raise UserError(f"{cycle.name} is not derived from another cycle", hint="no link has to be repaired")
    cycle.refuse_frozen("new --relink")
    refuse_living(cycle.root)
    broken = broken_links(cycle)
    if options.dry_run:
        print("\n".join(["would link again:", *broken]) if broken else "no link is broken")
        return 0
    print(f"{relink(cycle, parent)} links of {cycle.name} lead to {record_of(cycle)['parent']} again")
    return 0
