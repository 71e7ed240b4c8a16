"""Start the process from which jobs are forked; it needs nothing but the standard library.

The Snakefile does so when Snakemake begins to run jobs. ``dataprod run`` has it done as soon as it is known what is to
be made, so that much is loaded when the first job begins, and one process is enough for all starts of Snakemake.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

VARIABLE = "DATAPROD_FORKSERVER"
"""Environment variable with the name of the socket at which :mod:`.ask` asks."""
FORKSERVER = "dataflow.jobs.forkserver"
FORKS_LOG = ".snakemake/forked-jobs.log"
"""What the process says, in the cycle."""
FEWEST = 3
"""Jobs for which it pays."""
WAITING = 4096
"""Programs that may wait to be answered."""
AT_END = 5.0
"""Seconds that the process has to end when this one ends; it goes on as long as there are jobs."""
_begun: list[tuple[subprocess.Popen[bytes], int]] = []
"""Processes that were started, and the file descriptors whose end tells them that this one is gone."""


def asking() -> list[str]:
    """What stands before the command of a job that is to be forked where that is possible."""
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("ask.py"))]


def begin(command: Sequence[str], steps: Iterable[tuple[str, str]], log: Path) -> None:
    """Start the process, if there are enough jobs and it was not started before; it ends with this one.

    Parameters
    ----------
    command
        The command line of ``python -m dataflow.jobs.forkserver`` in the software of the cycle.
    steps
        Name and module of the step of each job that is about to run, in their order.
    log
        File that takes what the process says.
    """
    if os.environ.get(VARIABLE):
        return
    reading, writing = os.pipe()
    found = started(command, steps, log, reading)
    os.close(reading)
    if found is None:
        os.close(writing)
        return
    os.environ[VARIABLE], server = found
    _begun.append((server, writing))


def started(
    command: Sequence[str],
    steps: Iterable[tuple[str, str]],
    log: Path,
    life: int,
    environ: Mapping[str, str] | None = None,
) -> tuple[str, subprocess.Popen[bytes]] | None:
    """Start the process, if there are enough jobs.

    Parameters
    ----------
    command, steps, log
        As for :func:`begin`.
    life
        File descriptor at whose end the process ends, when there are no jobs any more.
    environ
        The variables of the process; those of this one if not given.

    Returns
    -------
    tuple
        The value of :data:`VARIABLE` for programs that ask, and the process; None if there are too few jobs.
    """
    counts = Counter(steps)
    if counts.total() < FEWEST or sys.platform != "linux":
        return None
    name = f"dataprod-{secrets.token_hex(16)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, log.open("w") as said:
        listener.bind(f"\0{name}")  # a name without a file, which could be left in the way; both ends ask for the user
        listener.listen(WAITING)
        planned = [f"{step}:{module}:{number}" for (step, module), number in counts.items()]
        server = subprocess.Popen(
            [*command, str(listener.fileno()), str(life), *planned],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, env=environ,
            pass_fds=(listener.fileno(), life),
        )  # fmt: skip
    return name, server


@atexit.register
def leave() -> None:
    """Let the process end."""
    while _begun:
        server, life = _begun.pop()
        os.close(life)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(AT_END)
