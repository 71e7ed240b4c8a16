"""The process from which jobs are forked, for as long as a run lasts.

A flow of ours starts it when it is asked whether a run can begin, and answers where it is to be had: it loads what
jobs need while Snakemake is still planning, and every start of Snakemake of the run uses the same one.
"""

from __future__ import annotations

import contextlib
import os
import socket
from types import TracebackType

from prodenv.cycles.find import CycleFolder

from .snakemake import environment

VARIABLE = "DATAPROD_FORKSERVER"
"""Tells Snakemake's jobs where the process is to be had."""
AT_END = 5.0
"""Seconds in which it has to end with the run; it goes on as long as there are jobs."""


class Forks:
    """Lets the process live within a block.

    Attributes
    ----------
    socket
        Where it is to be had, by the flow's answer; empty if there is none.
    """

    def __init__(self) -> None:
        self.socket = ""
        self._own, self._life = socket.socketpair()

    @property
    def file(self) -> int:
        """The file descriptor that the process takes over: it ends when nobody is at the other end any more."""
        return self._life.fileno()

    def asked(self, cycle: CycleFolder) -> dict[str, object]:
        """What the flow has to know to start the process."""
        return {"life": self.file, "environ": environment(os.environ, cycle)}

    @property
    def environ(self) -> dict[str, str]:
        """What Snakemake is told."""
        return {VARIABLE: self.socket} if self.socket else {}

    def __enter__(self) -> Forks:
        """Nothing is started yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let the process end, and wait for it."""
        self._life.close()
        with self._own, contextlib.suppress(OSError):
            self._own.shutdown(socket.SHUT_WR)
            self._own.settimeout(AT_END)
            self._own.recv(1)  # nothing ever comes: it is the end of the process that ends this
