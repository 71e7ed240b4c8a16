"""What a run would make."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dataflow.base.errors import UserError
from dataflow.base.messages import few
from dataflow.plan.job import Unit
from dataflow.plan.survey import Cost, Item, Survey, all_jobs, remaining
from dataflow.plan.workflow import Workflow


def open_workflow(question: Mapping[str, Any]) -> Workflow:
    """The workflow of the cycle that a question is about."""
    return Workflow(question["config"], question.get("experiment"))


def warnings_of(flow: Workflow) -> list[str]:
    """What someone who looks at a cycle has to be told beforehand."""
    return [*not_installed_of(flow), *flow.ignored()]


def not_installed_of(flow: Workflow) -> list[str]:
    """What is to be said if the installed software is not what the configuration asks for."""
    error = flow.not_installed()
    return [str(error)] if error else []


def gaps(items: Iterable[Item]) -> list[str]:
    """Runs that no grouping of some detectors holds, as far as it is not in a file yet: a sentence for each step."""
    by_step: dict[str, list[str]] = {}
    for item in items:
        if item.to_make and item.unit.note:
            who = few(sorted(item.unit.detectors or ()))
            by_step.setdefault(item.step, []).append(f"{item.unit.runs[0]} ({who})")
    text = "no grouping in datasets/cal_groupings.yaml holds {}: each of these runs is a partition of its own"
    return [f"{step}: {text.format(few(runs))}" for step, runs in by_step.items()]


def plan(question: Mapping[str, Any]) -> dict[str, Any]:
    """What a run for `targets` would make, by step, with times on `cores` learned from finished jobs.

    Raises
    ------
    UserError
        If something is wrong with a target or with what it needs.
    """
    flow = open_workflow(question)
    wanted = flow.wanted(question["targets"])
    survey = Survey(flow.cycle)
    items = survey.to_make(wanted, flow.figures(question["targets"]))
    costs = survey.costs(all_jobs(flow.cycle)) if items else {}
    seconds, unknown = remaining(items, costs, question["cores"])
    steps = list(dict.fromkeys(item.step for item in items))
    return {
        "targets": question["targets"],
        "warnings": warnings_of(flow) + gaps(items) + survey.undrawn_said(),
        "jobs": len(items),
        "undrawn": len(survey.undrawn),
        "cores": question["cores"],
        "seconds": seconds,
        "no_time_known": unknown,
        "steps": [_step(step, [item for item in items if item.step == step], costs) for step in steps],
    }


def _step(step: str, items: list[Item], costs: Mapping[str, Cost]) -> dict[str, Any]:
    cost = costs.get(step)
    return {
        "step": step,
        "jobs": len(items),
        "states": dict(Counter(item.state for item in items)),
        "seconds_each": round(cost.seconds, 2) if cost else None,
        "memory_mb": cost.memory_mb if cost else None,
        "keys": [str(item.unit) for item in items],
    }


def job_of(flow: Workflow, text: str, folder: str) -> tuple[str, Unit]:
    """The job that makes a file, given as a path from a folder or from the cycle's folder.

    Raises
    ------
    UserError
        If no step makes such a file.
    """
    cycle = Path(flow.folder)
    for base in (Path(folder), cycle):
        path = Path(os.path.abspath(base / text))  # noqa: PTH100 - links stay as the user gave them
        for name, root in ((path, cycle), (path.resolve(), cycle.resolve())):
            found = flow.job_of(str(name.relative_to(root))) if name.is_relative_to(root) else None
            if found:
                return found
    examples = sorted(str(Path(template).parent) for step in flow.steps for template in flow.outputs(step).values())
    raise UserError(f"{text!r} is not an output of a step", hint=f"outputs are in {', '.join(dict.fromkeys(examples))}")
