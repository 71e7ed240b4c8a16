"""``dataprod run CYCLE TARGET…``: make targets of a cycle."""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prodenv.base.errors import UserError
from prodenv.base.notes import step
from prodenv.base.tables import print_json
from prodenv.cycles.derived.relink import is_astray, relink
from prodenv.cycles.find import CycleFolder, command, find_cycle
from prodenv.cycles.flow import ask, flow_folder, source_of
from prodenv.cycles.lock import refuse_living
from prodenv.cycles.setups import setup_of, snakefile_in
from prodenv.running.cluster import profile_of, require_engine
from prodenv.running.planning import cores, targets_of
from prodenv.running.production import Way, produce, tell
from prodenv.running.production import command as command_line
from prodenv.running.progress import Progress
from prodenv.running.snakemake import environment, require_notes

from .plan import planned, show


def run(options: argparse.Namespace) -> int:
    """Make the targets, or say what would be made."""
    cycle = find_cycle(options.cycle)
    if not options.dry_run:
        _follow_parent(cycle)
    if options.dry_run and not options.json and source_of(cycle) is None and flow_folder(cycle) is not None:
        return look(cycle, options)  # another flow tells by its own Snakemake what it would make
    if options.dry_run:
        found = planned(cycle, options)
        print_json(found) if options.json else show(found)
        return 0
    if options.json:
        raise UserError("--json needs --dry-run", hint=f"after the run: {command('status', cycle)} --json")
    cycle.refuse_frozen("run")
    require_notes(cycle.root)
    return make(cycle, options)


def _follow_parent(cycle: CycleFolder) -> None:
    """Fix the links of a derived cycle after it or its parent was moved, so that nothing is made for that."""
    if is_astray(cycle) and not cycle.frozen:
        refuse_living(cycle.root)
        with step(f"{cycle.name} or its parent was moved: linking again"):
            relink(cycle)


def make(cycle: CycleFolder, options: argparse.Namespace) -> int:
    """Run Snakemake for the targets; what is wrong with them comes out before it starts."""
    refuse_living(cycle.root)
    targets = targets_of(cycle, options.targets)
    way = _way(cycle, options)
    begin, ours = time.monotonic(), source_of(cycle) is not None
    code, progress = produce(cycle, targets, way)
    if progress.refused and not progress.total:
        raise progress.refused
    told = _told(cycle, targets, options, progress) if ours and code in (0, 1) else _NOTHING
    closing = progress.closing(time.monotonic() - begin, told["counted"])
    words = [*progress.last_words(cycle.root, code)]
    tell([*told["lines"], *words, closing] if code else [*words, *told["lines"], closing])  # an error is read last
    if not ours and code == 1:
        tell(_without_software(cycle))
    return 1 if code == 0 and options.strict and told["lost"] else code


_NOTHING: Mapping[str, Any] = {"lines": [], "counted": "", "lost": False}
"""That nothing is to be said of detectors."""


def _told(cycle: CycleFolder, targets: list[str], options: argparse.Namespace, progress: Progress) -> Mapping[str, Any]:
    """What became of detectors: as the run itself said at its end; the flow is asked where it did not come so far."""
    if progress.detectors is not None:
        return progress.detectors
    found: Mapping[str, Any] = ask(cycle, "detectors", options.setup, targets=targets)
    return found


def look(cycle: CycleFolder, options: argparse.Namespace) -> int:
    """Let the Snakemake of a flow that is not ours say what it would make."""
    require_notes(cycle.root)
    way = _way(cycle, options)
    way = replace(way, extra=(*way.extra, "--dry-run"))
    words = command_line(cycle, targets_of(cycle, options.targets), way, logger="")
    done = subprocess.run(
        words, cwd=cycle.root, env=environment(os.environ, cycle), stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        tell(_without_software(cycle))
    return min(abs(done.returncode), 1)


def _without_software(cycle: CycleFolder) -> list[str]:
    """A hint where a flow of others failed that may lack its own packages."""
    setup = setup_of(cycle)
    if os.path.lexists(setup.path("install") / "bin" / "python"):
        return []
    return [f"hint: no software is installed in {setup.path('install')}: dataprod-install-sw {cycle.config}"]


def _way(cycle: CycleFolder, options: argparse.Namespace) -> Way:
    """How jobs are run: cores, the profile, the execution environment of another flow, and what the user gives."""
    profiles = snakefile_in(flow_folder(cycle) or cycle.root / "dataflow").parent / "profiles"
    profile = profile_of(options.profile, profiles) if options.profile else None
    if profile:
        require_engine(profile)
    jobs = options.jobs if profile and profile.is_remote else cores(options.jobs)
    return Way(jobs, profile, (*_system(cycle, profile is not None), *options.snakemake))


def _system(cycle: CycleFolder, has_profile: bool) -> list[str]:
    """Which execenv another flow shall use, where the user has chosen one: its profiles name another."""
    if source_of(cycle) is not None:
        return []
    if not os.environ.get("PRODENV_SYSTEM") and (has_profile or setup_of(cycle).execenv.name in ("bare", "default")):
        return []
    return ["--config", f"system={setup_of(cycle).execenv.name}"]
