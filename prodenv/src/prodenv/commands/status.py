"""``dataprod status CYCLE``: what is there, stale, missing, failed, by tier, datatype and run."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from typing import Any

from prodenv.base.tables import coloured, print_json, print_table
from prodenv.cycles.find import CycleFolder, find_cycle
from prodenv.cycles.flow import Unknown, ask
from prodenv.running.planning import cores

from .others import tell_files
from .plan import time_text
from .show import salvaged_lines

STATES = ("there", "foreign", "stale", "missing", "failed")
GOOD = {"there", "foreign"}
COLOURS = {"stale": "yellow", "missing": "dim", "failed": "red"}
FAILURES, DETECTORS = 5, 10
FIGURES = "figures"
"""The column of all figures of a run."""


def run(options: argparse.Namespace) -> int:
    """Print the state of a cycle."""
    cycle = find_cycle(options.cycle)
    try:
        found = state_of(cycle, options.setup, cores(options.jobs))
    except Unknown as unknown:
        tell_files(cycle, unknown, as_json=options.json)
        if not options.json:
            print(unknown.message)
        return 0
    if options.json:
        print_json(found)
    else:
        show(found, everything=options.all)
    return 0


def state_of(cycle: CycleFolder, experiment: str | None, jobs: int) -> dict[str, Any]:
    """The state of everything that the data of a cycle allow."""
    found: dict[str, Any] = ask(cycle, "status", experiment, cores=jobs)
    return {"name": cycle.name, "running": _holder(cycle)} | found


def _holder(cycle: CycleFolder) -> dict[str, Any] | None:
    from prodenv.cycles.lock import holder_of

    who = holder_of(cycle.root)
    return {"host": who.host, "process": who.pid, "since": who.since} if who else None


def show(found: dict[str, Any], *, everything: bool = False) -> None:
    """Print the state of a cycle as a table: a line a run, a column a step, and one for all figures."""
    if found["running"]:
        who = found["running"]
        print(f"process {who['process']} on {who['host']} has been working on it since {who['since'] or 'some time'}")
    rows_of = {run["run"]: _columns(run["steps"]) for run in found["runs"]}
    columns = sorted({name: None for row in rows_of.values() for name in row}, key=lambda name: name == FIGURES)
    whole = [run for run in found["runs"] if all(set(counts) <= GOOD for counts in run["steps"].values())]
    rows = found["runs"] if everything or len(whole) < 2 else [run for run in found["runs"] if run not in whole]
    if rows:
        lines = [[run["run"], *(_cell(rows_of[run["run"]].get(name)) for name in columns)] for run in rows]
        print_table(["run", *columns], lines)
    if len(rows) < len(found["runs"]):
        print(f"{len(whole)} complete runs are not shown (--all shows them)")
    for failure in found["failures"][:FAILURES]:
        print(f"{failure['step']} of {failure['key']} failed: {_sentence(failure['error'])}\n  log: {failure['log']}")
    for trouble in found["detectors"][:DETECTORS]:
        print(trouble["line"])
    if (more := len(found["detectors"]) - DETECTORS) > 0:
        print(f"and {more} more about detectors (all: --json)")
    partial = salvaged_lines(found)
    for line in partial[:FAILURES]:
        print(line)
    if (more := len(partial) - FAILURES) > 0:
        print(f"and {more} more such files (all: --json)")
    for warning in found["warnings"]:
        print(f"warning: {warning}")
    print(_summary(found, found["detectors_counted"]))


def _columns(steps: Mapping[str, Mapping[str, int]]) -> dict[str, Counter[str]]:
    """The counts of a run by column; what makes figures (``plt_hit_ecal``) is put together."""
    found: dict[str, Counter[str]] = {}
    for step, counts in steps.items():
        name = FIGURES if step.startswith("plt_") else step.removeprefix("tier_")
        found.setdefault(name, Counter()).update(counts)
    return found


def _cell(counts: Mapping[str, int] | None) -> Any:
    if counts is None:
        return ""
    total, there = sum(counts.values()), sum(counts.get(state, 0) for state in GOOD)
    if there == total:
        foreign = counts.get("foreign", 0)
        return coloured(f"{total}" + (" foreign" if foreign else ""), "cyan" if foreign else "green")
    worst = next(state for state in ("failed", "stale", "missing") if counts.get(state))
    bad = ", ".join(f"{counts[state]} {state}" for state in ("failed", "stale") if counts.get(state))
    return coloured(f"{there}/{total}" + (f" ({bad})" if bad else ""), COLOURS[worst])


def _sentence(error: str | None) -> str:
    return (error or "no reason recorded").splitlines()[0].removeprefix("error: ")


def _summary(found: dict[str, Any], detectors: str) -> str:
    jobs = found["jobs"]
    if not jobs:
        return "there is no data yet"
    counts = ", ".join(f"{jobs[state]} {state}" for state in STATES if jobs.get(state))
    if set(jobs) == {"foreign"}:
        return f"{counts}: made by others, so they are read as they are and never made again"
    if set(jobs) <= GOOD:
        but = f", but {detectors}" if detectors else ""
        return f"{counts}: everything is made and up to date{but}"
    return f"{counts}; the rest takes {time_text(found['seconds'], found['no_time_known'], found['cores'])}"
