"""``dataprod plan CYCLE TARGET…``: what a run would make, and how long it would take."""

from __future__ import annotations

import argparse
from typing import Any

from prodenv.base.tables import coloured, print_json, print_table
from prodenv.cycles.find import CycleFolder, find_cycle
from prodenv.cycles.flow import Unknown, ask
from prodenv.running.planning import cores, duration, targets_of
from prodenv.running.progress import nothing_to_do

from .others import tell_files

WOULD_RUN = 3
SHOWN = 5


def run(options: argparse.Namespace) -> int:
    """Print what a run would make; with ``--check`` the exit code tells whether anything."""
    cycle = find_cycle(options.cycle)
    try:
        found = planned(cycle, options)
    except Unknown as unknown:
        tell_files(cycle, unknown, as_json=options.json)
        raise
    if options.json:
        print_json(found)
    else:
        show(found)
    return WOULD_RUN if options.check and found["jobs"] else 0


def planned(cycle: CycleFolder, options: argparse.Namespace) -> dict[str, Any]:
    """What a run for some targets would make, by step, with times learned from finished jobs.

    Raises
    ------
    UserError
        If something is wrong with a target or with what it needs.
    """
    targets = targets_of(cycle, options.targets)
    found: dict[str, Any] = ask(cycle, "plan", options.setup, targets=targets, cores=cores(options.jobs))
    return found


def show(found: dict[str, Any]) -> None:
    """Print a plan as a table."""
    for warning in found["warnings"]:
        print(f"warning: {warning}")
    if not found["jobs"]:
        print(nothing_to_do(found.get("undrawn", 0)))
        return
    rows = [_row(step) for step in found["steps"]]
    print_table(
        ["step", "jobs", "missing", "stale", "failed", "each", "memory", "keys"], rows, right="jobs each memory"
    )
    jobs = f"{found['jobs']} job{'' if found['jobs'] == 1 else 's'}"
    print(f"{jobs}, {time_text(found['seconds'], found['no_time_known'], found['cores'])}")


def _row(step: dict[str, Any]) -> list[Any]:
    states, keys = step["states"], step["keys"]
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    failed = coloured(str(states["failed"]), "red") if states.get("failed") else ""
    return [
        step["step"],
        step["jobs"],
        states.get("missing", ""),
        states.get("stale", ""),
        failed,
        "?" if step["seconds_each"] is None else f"{step['seconds_each']:.1f} s",
        "?" if step["memory_mb"] is None else f"{step['memory_mb']} MB",
        ", ".join(keys[:SHOWN]) + more,
    ]


def time_text(seconds: float | None, unknown: list[str], jobs: int) -> str:
    """How long it takes, as far as it is known."""
    if seconds is None:
        return "time unknown: no such job has been done yet"
    about = f"about {duration(seconds)} on {jobs} core{'s' if jobs > 1 else ''}"
    return about + (f" and the time of {', '.join(unknown)}, which no job has taken yet" if unknown else "")
