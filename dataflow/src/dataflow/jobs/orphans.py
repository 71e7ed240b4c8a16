"""Workers end with their job, also when that is killed: they would wait for it for ever, with all their memory."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""See prctl(2): the signal that a process gets when the thread that made it ends."""


def end_with(parent: int) -> None:
    """Let this process be killed when its parent is gone; at once if it is. Linux only, elsewhere nothing happens.

    Parameters
    ----------
    parent
        The process number of the parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
