"""``ask.py COMMAND…``: let a job's command be done by a fork, or become the command.

It needs nothing but modules that Python itself is made of: others take longer to import than all of this, and each job
waits for it. It ends as the job does, with its exit code or by the signal that ended it. Signals are passed on. See the
description of the package.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # ``signal`` and ``socket`` import enum, which takes 8 ms
import _socket
import os
import sys

VARIABLE = "DATAPROD_FORKSERVER"  # of begin.py, which cannot be imported here
MODULE = "dataflow.jobs"
PASSED_ON = ("TMPDIR", "TMP", "TEMP", "TEMPDIR")
"""Variables that Snakemake sets for each job; all others are those of the process from which jobs are forked."""
SIGNALS = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGUSR1, _signal.SIGUSR2)


def main(command: list[str]) -> None:
    """Let the command be done, or become it; does not return."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # no traceback of this program
    name = os.environ.pop(VARIABLE, "")
    status = asked(name, command[command.index(MODULE) + 1 :]) if name and MODULE in command else None
    if status is None:
        os.execvp(command[0], command)  # noqa: S606 - the caller's own words, no shell
    end(status)


def asked(name: str, words: list[str]) -> int | None:
    """The status with which the job for these words ended, as of :func:`os.waitpid`; None if it was not done."""
    environ = [f"{each}={os.environ[each]}" for each in PASSED_ON if each in os.environ]
    said = os.fsencode("\0".join([str(len(words)), *words, os.getcwd(), *environ]))  # noqa: PTH109 - no pathlib here
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        server.connect(f"\0{name}")
        if user_of(server) != os.getuid():
            return None
        files = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
        server.sendmsg([len(said).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
        server.sendall(said)
        return waited(server)
    except OSError:  # it is gone: jobs can do without it
        return None


def user_of(server: _socket.socket) -> int:
    """The user at the other end, see unix(7): anybody can take a name."""
    said = server.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return int.from_bytes(said[4:8], sys.byteorder)


def waited(server: _socket.socket) -> int | None:
    """The status of a job, once it has ended; before, it tells its process number, unless it died before that."""
    first, rest = line_of(server, b"")
    if first.isdigit():
        return int(first)
    if not first.startswith(b"job "):
        return None
    job = int(first[4:])
    for number in SIGNALS:
        if _signal.getsignal(number) is not _signal.SIG_IGN:
            _signal.signal(number, lambda received, _: pass_on(job, received))
    last, _ = line_of(server, rest)
    return int(last) if last else None


def line_of(server: _socket.socket, begin: bytes) -> tuple[bytes, bytes]:
    """The next line of an answer, and what came after it; empty if there is none."""
    while b"\n" not in begin:
        part = server.recv(256)
        if not part:
            return b"", b""
        begin += part
    line, _, rest = begin.partition(b"\n")
    return line, rest


def pass_on(job: int, number: int) -> None:
    """Send a signal to a job, unless it has ended meanwhile."""
    try:  # noqa: SIM105 - contextlib takes 5 ms to import
        os.kill(job, number)
    except ProcessLookupError:
        pass


def end(status: int) -> None:
    """End as the job did."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if code != -_signal.SIGKILL:  # which cannot be handled in another way
            _signal.signal(-code, _signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
