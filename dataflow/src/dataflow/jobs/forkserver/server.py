"""The process from which jobs are forked: it answers one program after the other, and tells each how its job ended."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .child import Request, become
from .loading import Loading

PATIENCE = 10.0
"""Seconds in which a program must have said what it wants."""
NO = b"no\n"
"""The answer by which a program is told to do its job itself."""
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group at the other end of a socket, see unix(7)."""


class Server:
    """Forks jobs until Snakemake is gone and the last one has ended.

    Parameters
    ----------
    listener
        The socket at which programs ask.
    life
        File descriptor that ends when Snakemake ends.
    loading
        What is loaded before.
    """

    def __init__(self, listener: socket.socket, life: int, loading: Loading) -> None:
        self._listener, self._life, self._loading = listener, life, loading
        self._jobs: dict[int, socket.socket] = {}
        self._ended, self._ending = socket.socketpair()
        self._fails = False

    def serve(self) -> None:
        """Serve until nobody can ask any more."""
        for end in (self._ended, self._ending):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._ending.fileno(), warn_on_full_buffer=False)
        waiting: list[Any] = [self._listener, self._life, self._ended]
        while self._jobs or self._life in waiting:
            idle = self._life in waiting and self._more()
            ready, _, _ = select.select(waiting, [], [], 0.0 if idle else None)
            if self._life in ready:
                waiting = [self._ended]
                self._listener.close()
            elif self._listener in ready:
                self._answer(self._listener.accept()[0])
            if self._ended in ready:
                self._report()
        print(f"{time.process_time():.1f} s of a processor to load and to fork")

    def _answer(self, asking: socket.socket) -> None:
        """Fork the job that a program asks for, or tell it to do it itself."""
        try:
            asking.settimeout(PATIENCE)
            with _request(asking) as request:
                asking.setblocking(True)
                if self._loaded(request.words[0]):
                    self._fork(request, asking)
                    return
            asking.sendall(NO)
        except (OSError, ValueError):  # the program is gone, or talks of something else
            pass
        asking.close()

    def _loaded(self, step: str) -> bool:
        """Whether all that a step needs is loaded, and as it is on disk."""
        return not self._fails and self._loading.is_current() and self._try(lambda: self._loading.require(step))

    def _more(self) -> bool:
        """Load one more piece of what will be needed; False if nothing is left."""
        return not self._fails and self._try(self._loading.more)

    def _try(self, load: Callable[[], bool]) -> bool:
        """Load something; if that fails, jobs are done without this process from now on, and say what is wrong."""
        try:
            return load()
        except Exception:  # noqa: BLE001 - what is loaded may be anybody's code
            traceback.print_exc()
            self._fails = True
            return False

    def _fork(self, request: Request, asking: socket.socket) -> None:
        server, job = os.getpid(), os.fork()
        if job == 0:
            self._leave(asking)
            become(request, asking, server)
        self._jobs[job] = asking

    def _leave(self, asking: socket.socket) -> None:
        """Let go, in a fork, of what is the server's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in (self._listener, self._ended, self._ending, *self._jobs.values()):
            other.close()
        os.close(self._life)

    def _report(self) -> None:
        """Tell programs how their jobs ended, as far as these could not say it themselves."""
        with suppress(BlockingIOError):
            self._ended.recv(4096)
        while self._jobs:
            job, status = os.waitpid(-1, os.WNOHANG)
            if not job:
                return
            with self._jobs.pop(job) as asking, suppress(OSError):  # who asked may be gone
                asking.sendall(f"{status}\n".encode())


@contextmanager
def _request(asking: socket.socket) -> Iterator[Request]:
    """What a program asks for; its files are closed at the end, for others wait until nobody has them open."""
    _, user, _ = _CREDENTIALS.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if user != os.getuid():
        raise PermissionError("it is that of another user")
    length, files, _, _ = socket.recv_fds(asking, 4, 3)
    try:
        number, *parts = os.fsdecode(_received(asking, int.from_bytes(length, "big"))).split("\0")
        words, (folder, *environ) = parts[: int(number)], parts[int(number) :]
        yield Request(words, folder, dict(each.split("=", 1) for each in environ), files)
    finally:
        for file in files:
            os.close(file)


def _received(asking: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = asking.recv(size - len(parts))
        if not part:
            raise ConnectionError("it said less than it announced")
        parts += part
    return bytes(parts)
