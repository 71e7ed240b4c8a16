"""What made a file, compared with what would make it now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataflow.plan.inforce import in_force
from dataflow.plan.why import Explainer

from .planning import job_of, open_workflow


def why(question: Mapping[str, Any]) -> dict[str, Any]:
    """Why `file`, a path from `folder` or from the cycle, would be made again; with `tree`, with all its inputs."""
    flow = open_workflow(question)
    explainer = Explainer(flow.cycle, whole=bool(question.get("tree")))
    return explainer.why(*job_of(flow, question["file"], question["folder"])).plain()


def in_force_at(question: Mapping[str, Any]) -> dict[str, Any]:
    """What configures `step` for `detector` (empty for all) `at` a time or key."""
    flow = open_workflow(question)
    return in_force(flow.cycle, question["step"], question["detector"], question["at"])
