"""Running something that may crash, hang or be killed: in a forked child, with a deadline."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

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


def in_child(work: Callable[[], int], seconds: float = 60.0) -> Ending:
    """Run a function in a forked child.

    Parameters
    ----------
    work
        Returns the exit code.
    seconds
        When it is killed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()  # no file: what the child may write may be limited
    pid = os.fork()
    if pid == 0:
        _child(work, writing)
    os.close(writing)
    os.set_blocking(reading, False)
    try:
        code, text, hung = _wait(pid, reading, seconds)
    finally:
        os.close(reading)
    return Ending(code, text.decode("utf-8", errors="replace"), hung)


def _child(work: Callable[[], int], writing: int) -> None:
    """Never returns: the child must not go on with what its parent was doing."""
    code = OUR_FAULT
    warnings.simplefilter("default")  # as in life; for tests they are errors
    gc.freeze()  # jobs collect garbage; what is the parent's is none
    try:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        code = work()
    except BaseException:  # noqa: BLE001 - whatever it is belongs to the verdict
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, reading: int, seconds: float) -> tuple[int, bytes, bool]:
    deadline, text = time.monotonic() + seconds, b""
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        text += _read(reading)
        if found:
            return os.waitstatus_to_exitcode(status), text, False
        time.sleep(STEP)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text + _read(reading), True


def _read(reading: int) -> bytes:
    """What is there to read now."""
    text = b""
    with suppress(BlockingIOError):
        while part := os.read(reading, 65536):
            text += part
    return text
