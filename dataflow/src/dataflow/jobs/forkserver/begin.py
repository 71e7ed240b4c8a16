"""Start the process from which jobs are forked; it needs nothing but the standard library.

The Snakefile does so when Snakemake begins to run jobs; for ``dataprod run`` as soon as it is known what is to be made,
so that much is loaded when the first job begins, and one process is enough for all starts of Snakemake.
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
from collections.abc import Iterable, Sequence
from pathlib import Path

VARIABLE = "DATAPROD_FORKSERVER"
"""Environment variable with the name of the socket at which :mod:`.ask` asks."""
LIFE = "DATAPROD_FORKSERVER_LIFE"
"""Environment variable with the file descriptor at whose end the process ends, where ``dataprod run`` has one."""
FORKSERVER = "dataflow.jobs.forkserver"
FORKS_LOG = ".snakemake/forked-jobs.log"
"""What the process says, in the cycle."""
FEWEST = 3
"""Jobs for which it pays."""
WAITING = 4096
"""Programs that may wait to be answered."""
AT_END = 5.0
"""Seconds that the process has to end when this one ends; it goes on as long as there are jobs."""
_lasting: list[subprocess.Popen[bytes]] = []
"""Processes that outlive this one."""
_begun: list[tuple[subprocess.Popen[bytes], int]] = []
"""Processes that were started, and the file descriptors whose end tells them that this one is gone."""


def asking() -> list[str]:
    """What stands before the command of a job that is to be forked where that is possible."""
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("ask.py"))]


def begin(command: Sequence[str], steps: Iterable[tuple[str, str]], log: Path) -> str:
    """Start the process, if there are enough jobs and it was not started before.

    It ends with this one; where ``dataprod run`` started this one, with the run.

    Parameters
    ----------
    command
        The command line of ``python -m dataflow.jobs.forkserver`` in the software of the cycle.
    steps
        Name and module of the step of each job that is about to run, in their order.
    log
        File that takes what the process says.

    Returns
    -------
    str
        The name of its socket; empty if it was not started.
    """
    counts = Counter(steps)
    if os.environ.get(VARIABLE) or counts.total() < FEWEST or sys.platform != "linux":
        return ""
    life = os.environ.get(LIFE, "")
    reading, writing = (int(life), -1) if life.isdigit() else os.pipe()
    name = f"dataprod-{secrets.token_hex(16)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, log.open("w") as said:
        listener.bind(f"\0{name}")  # a name without a file, which could be left in the way; both ends ask for the user
        listener.listen(WAITING)
        planned = [f"{step}:{module}:{number}" for (step, module), number in counts.items()]
        server = subprocess.Popen(
            [*command, str(listener.fileno()), str(reading), *planned],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            pass_fds=(listener.fileno(), reading),
        )  # fmt: skip
    if writing < 0:
        _lasting.append(server)
    else:
        os.close(reading)
        _begun.append((server, writing))
    os.environ[VARIABLE] = name
    return name


@atexit.register
def leave() -> None:
    """Let the process end."""
    while _begun:
        server, life = _begun.pop()
        os.close(life)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(AT_END)
