"""The process from which jobs are forked, for as long as a run lasts.

A flow of ours starts it as soon as its Snakemake knows what is to be made, and tells where it is to be had. It loads
what jobs need while Snakemake is still planning, and every start of Snakemake of the run uses the same one.
"""

from __future__ import annotations

import contextlib
import socket
from types import TracebackType

SOCKET, LIFE = "DATAPROD_FORKSERVER", "DATAPROD_FORKSERVER_LIFE"
"""Variables that tell Snakemake where the process is to be had, and the file descriptor at whose end it ends."""
AT_END = 5.0
"""Seconds in which it has to end with the run; it goes on as long as there are jobs."""


class Forks:
    """Lets the process live within a block."""

    def __init__(self) -> None:
        self._own, self._life = socket.socketpair()

    @property
    def file(self) -> int:
        """The file descriptor that the process takes over: it ends when nobody is at the other end any more."""
        return self._life.fileno()

    def environ(self, found: str) -> dict[str, str]:
        """What Snakemake is told, where the process is to be had if it was started already."""
        return {LIFE: str(self.file)} | ({SOCKET: found} if found else {})

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
