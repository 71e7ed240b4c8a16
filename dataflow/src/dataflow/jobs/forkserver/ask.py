"""``ask.py COMMAND…``: let a job's command be done by a fork, or become the command.

It needs nothing but the standard library and starts in no time. It ends as the job does: with its exit code, or by the
signal that ended it. Signals are passed on. See the description of the package.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import sys

VARIABLE = "DATAPROD_FORKSERVER"  # of begin.py, which cannot be imported here
MODULE = "dataflow.jobs"
PASSED_ON = ("TMPDIR", "TMP", "TEMP", "TEMPDIR")
"""Variables that Snakemake sets for each job; all others are those of the process from which jobs are forked."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def main(command: list[str]) -> None:
    """Let the command be done, or become it; does not return."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback of this program
    name = os.environ.pop(VARIABLE, "")
    status = asked(name, command[command.index(MODULE) + 1 :]) if name and MODULE in command else None
    if status is None:
        os.execvp(command[0], command)  # noqa: S606 - the caller's own words, no shell
    end(status)


def asked(name: str, words: list[str]) -> int | None:
    """The status with which the job for these words ended, as of :func:`os.waitpid`; None if it was not done."""
    environ = {each: os.environ[each] for each in PASSED_ON if each in os.environ}
    said = json.dumps({"words": words, "folder": os.getcwd(), "environ": environ}).encode()  # noqa: PTH109 - pathlib takes longer to import than all of this
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        try:
            server.connect(f"\0{name}")
            if user_of(server) != os.getuid():
                return None
            socket.send_fds(server, [len(said).to_bytes(4, "big")], [0, 1, 2])
            server.sendall(said)
            with server.makefile("r") as answers:
                return waited(answers.readline(), answers)
        except OSError:  # it is gone: jobs can do without it
            return None


def user_of(server: socket.socket) -> int:
    """The user at the other end, see unix(7): anybody can take a name."""
    said = server.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(said[4:8], sys.byteorder)


def waited(first: str, answers: io.TextIOBase) -> int | None:
    """The status of a job whose process number is the first answer, once it has ended."""
    if not first.strip().isdigit():
        return None
    job = int(first)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda received, _: pass_on(job, received))
    last = answers.readline().strip()
    return int(last) if last else None


def pass_on(job: int, number: int) -> None:
    """Send a signal to a job, unless it has ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(job, number)


def end(status: int) -> None:
    """End as the job did."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if code != -signal.SIGKILL:  # which cannot be handled in another way
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
