"""Work that hangs ends: ``settings.<step>.timeout`` seconds for each channel, or for the job where it is one piece.

Python code is interrupted by an alarm, and what it worked on has failed like any other. Compiled code does not notice
alarms; a while later the process is ended from a thread of its own, and says where it was.
"""

from __future__ import annotations

import faulthandler
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dataflow.base.errors import UserError
from dataflow.plan.job import Job

from .errors import WorkFailed

OPTION = "timeout"
GRACE = 10.0
"""Seconds after the alarm until the process is ended."""


def timeout_of(job: Job) -> float | None:
    """The seconds that the configuration allows for an item of a job, None if it says nothing.

    Raises
    ------
    UserError
        If it is not a positive number.
    """
    value = job.settings.get(OPTION)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        hint = "write a number of seconds, or leave it out for no limit"
        raise UserError(f"{job.setup.file}: settings.{job.step}.timeout is {value!r}", hint=hint)
    return float(min(value, LONGEST))


LONGEST = 1e6
"""More seconds than any timer of the system takes kindly to."""


@contextmanager
def deadline(seconds: float | None, what: str) -> Iterator[None]:
    """Fail what takes too long.

    Parameters
    ----------
    seconds
        None for no limit.
    what
        Who takes too long, for the message.

    Raises
    ------
    WorkFailed
        When the time is over.
    """
    if seconds is None:
        yield
        return

    def over(_signal: int, _frame: FrameType | None) -> None:
        raise WorkFailed(f"{what} took longer than {seconds:g} s", hint=f"see {OPTION} in the settings of the step")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
