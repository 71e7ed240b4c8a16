"""Planning by two processes: what was planned so far is there in both, and what each finds goes through a pipe."""

from __future__ import annotations

import marshal
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from dataflow.base.errors import SentenceError

TOLD = 3
"""Exit code of a process whose failure is told by the other."""
T = TypeVar("T")
Found = TypeVar("Found")


def in_halves(work: Callable[[Sequence[T]], Found], first: Sequence[T], second: Sequence[T]) -> tuple[Found, Found]:
    """What work finds for two lists, the second by a process of its own where there is a core for it.

    Parameters
    ----------
    work
        Must not depend on the order of its calls. What it returns consists of tuples, lists, dicts and plain values.
    first, second
        What it is called with.

    Raises
    ------
    Exception
        What `work` raises here. Where it does in the other process, or that process dies, it is called here; what is
        no mistake of the user is told with its traceback.
    """
    if not _has_core():
        return work(first), work(second)
    end, start = os.pipe()
    child = os.fork()
    if not child:
        os.close(end)
        _answer(work, second, start)
    os.close(start)
    try:
        with os.fdopen(end, "rb") as pipe:
            mine, told = work(first), pipe.read()
    finally:
        _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, TOLD):
        print(f"warning: a process that planned half of the files failed ({code}): it is done again", file=sys.stderr)
    other: Any = marshal.loads(told) if code == 0 else work(second)  # noqa: S302 - written by this program
    return mine, other


def _has_core() -> bool:
    """Whether a process can be forked, and has a core to run on; of several threads, a fork has one."""
    return hasattr(os, "fork") and threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1


def _answer(work: Callable[[Sequence[T]], Any], items: Sequence[T], start: int) -> None:
    """Do the work of the other process, and end it: it is no copy of this program that goes on."""
    code = 1
    try:
        with os.fdopen(start, "wb") as pipe:
            marshal.dump(work(items), pipe)
        code = 0
    except (SentenceError, BrokenPipeError):  # the other finds the same mistake, or has failed and reads nothing
        code = TOLD
    except BaseException:  # noqa: BLE001 - as Python does where nobody handles it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
