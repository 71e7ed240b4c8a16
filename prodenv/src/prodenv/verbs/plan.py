"""``dataprod plan CYCLE TARGET…``: what a run would make, and how long it would take."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any

from prodenv.cycles import find_cycle
from prodenv.planning import cores, duration, open_workflow, targets_of, warnings_of
from prodenv.render import coloured, print_json, print_table

if TYPE_CHECKING:
    from dataflow.plan.survey import Cost, Item
    from dataflow.plan.workflow import Workflow

WOULD_RUN = 3
SHOWN = 5


def run(options: argparse.Namespace) -> int:
    """Print what a run would make; with ``--check`` the exit code tells whether anything."""
    cycle = find_cycle(options.cycle)
    flow = open_workflow(cycle, options.setup)
    found = planned(flow, targets_of(cycle, options.targets), cores(options.jobs))
    if options.json:
        print_json(found)
    else:
        show(found)
    return WOULD_RUN if options.check and found["jobs"] else 0


def planned(flow: Workflow, words: list[str], jobs: int) -> dict[str, Any]:
    """What a run for some targets would make, by step, with times learned from finished jobs.

    Raises
    ------
    UserError
        If something is wrong with a target or with what it needs.
    """
    from dataflow.plan.survey import Survey, remaining

    wanted = flow.wanted(words)
    survey = Survey(flow.cycle)
    items = survey.to_make(wanted)
    costs = survey.costs(survey.everything()) if items else {}
    seconds, unknown = remaining(items, costs, jobs)
    return {
        "targets": words,
        "warnings": warnings_of(flow),
        "jobs": len(items),
        "cores": jobs,
        "seconds": seconds,
        "no_time_known": unknown,
        "steps": [_step(step, [item for item in items if item.step == step], costs) for step in _steps(items)],
    }


def _steps(items: list[Item]) -> list[str]:
    return list(dict.fromkeys(item.step for item in items))


def _step(step: str, items: list[Item], costs: dict[str, Cost]) -> dict[str, Any]:
    cost = costs.get(step)
    return {
        "step": step,
        "jobs": len(items),
        "states": dict(Counter(item.state for item in items)),
        "seconds_each": round(cost.seconds, 2) if cost else None,
        "memory_mb": cost.memory_mb if cost else None,
        "keys": [str(item.key) for item in items],
    }


def show(found: dict[str, Any]) -> None:
    """Print a plan as a table."""
    for warning in found["warnings"]:
        print(f"warning: {warning}")
    if not found["jobs"]:
        print("nothing to be done: everything is there and as the configuration asks for")
        return
    rows = [_row(step) for step in found["steps"]]
    print_table(
        ["step", "jobs", "missing", "stale", "failed", "each", "memory", "keys"], rows, right="jobs each memory"
    )
    print(f"{found['jobs']} jobs, {time_text(found['seconds'], found['no_time_known'], found['cores'])}")


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
