"""``bound.py PID COMMAND…``: become a command that is interrupted when the process PID, its parent, dies.

Without it a Snakemake would go on in the background, its output lost, when the ``dataprod run`` before it is killed.
Linux only; elsewhere the command is run as it is. Needs nothing but the standard library, and starts in no time.
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""See prctl(2): the signal survives the exec, and is sent when the thread that made this process ends."""


def main(words: list[str]) -> None:
    """Replace this process by the command; does not return."""
    parent, command = int(words[0]), words[1:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(130)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background commands are deaf to it
    os.execv(command[0], command)  # noqa: S606 - the caller's own words, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
