"""What happens to a channel that fails: recorded (the default), or the job fails, as the configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataflow.plan.model import Job

from .errors import WorkFailed
from .spread import Outcome


def keep_or_fail(job: Job, outcome: Outcome[Any]) -> None:
    """Fail the job if a channel failed and the configuration wants it so.

    Raises
    ------
    WorkFailed
        If the outcome is a failure and ``failing_channels`` is ``fail``.
    """
    if outcome.failed and job.setup.failing_channels == "fail":
        raise WorkFailed(
            f"{job.step} of {job.key}: {outcome.item} failed: {outcome.reason}",
            hint="mend the cause, or set failing_channels to record to go on without the channel",
        )


def failure_entry(job: Job, reason: str) -> dict[str, Any]:
    """What a parameter file says of a channel whose step failed."""
    return {"status": {"state": "failed", "step": job.step, "reason": reason}}


def failure_of(pars: Mapping[str, Any] | None) -> str:
    """Why a channel has no parameters: the recorded reason; empty if it has."""
    if pars is None:
        return "no parameters"
    status = pars.get("status") or {}
    return f"{status.get('step')}: {status.get('reason')}" if status.get("state") == "failed" else ""
