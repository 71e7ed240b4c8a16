"""What happens to a channel that fails: recorded (the default), or the job fails, as the configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataflow.plan.job import Job
from dataflow.plan.troubles import DEGRADED

from .errors import WorkFailed
from .notes import Note, note
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
            hint="fix the cause, or set failing_channels to record to go on without the channel",
        )


def failure_entry(cause: Note) -> dict[str, Any]:
    """What a parameter file says of a channel whose step failed: the first cause, and what came of it."""
    then = {"then": cause.then} if cause.then else {}
    return {"status": {"state": "failed", "step": cause.step, "reason": cause.reason} | then}


def note_degraded(name: str, pars: Mapping[str, Any] | None, role: str) -> str:
    """Note that a channel is done without the parameters of a role, if it has none; returns why, empty if it has."""
    why = failure_of(pars)
    if why:
        status = (pars or {}).get("status") or {}
        note(name, DEGRADED, str(status.get("step", role)), str(status.get("reason", why)))
    return why


def failure_of(pars: Mapping[str, Any] | None) -> str:
    """Why a channel has no parameters: the recorded reason; empty if it has."""
    if pars is None:
        return "no parameters"
    status = pars.get("status") or {}
    return f"{status.get('step')}: {status.get('reason')}" if status.get("state") == "failed" else ""
