"""Running something that may crash, hang or be killed: in a forked child, with a deadline."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

STEP = 0.002
OUR_FAULT = 70
"""Exit code of a child whose function raised what it must not raise."""


@dataclass(frozen=True)
class Ending:
    """How a child ended.

    Attributes
    ----------
    code
        Exit code; the negative number of the signal that ended it.
    said
        What it wrote to its standard output and error.
    hung
        Whether it was killed because its time was over.
    """

    code: int
    said: str
    hung: bool = False


def in_child(work: Callable[[], int], said: Path, seconds: float = 60.0) -> Ending:
    """Run a function in a forked child.

    Parameters
    ----------
    work
        Returns the exit code.
    said
        A file for what it prints.
    seconds
        When it is killed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _child(work, said)
    code, hung = _wait(pid, seconds)
    return Ending(code, said.read_text(encoding="utf-8", errors="replace"), hung)


def _child(work: Callable[[], int], said: Path) -> None:
    """Never returns: the child must not go on with what its parent was doing."""
    code = OUR_FAULT
    gc.freeze()  # jobs collect garbage; what is the parent's is none
    try:
        handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        code = work()
    except BaseException:  # noqa: BLE001 - whatever it is belongs into the verdict
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, seconds: float) -> tuple[int, bool]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status), False
        time.sleep(STEP)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), True
