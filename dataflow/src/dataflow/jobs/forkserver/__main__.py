"""``python -m dataflow.jobs.forkserver LISTENER LIFE STEP:MODULE:JOBS …``: fork jobs until Snakemake is gone."""

from __future__ import annotations

import os
import socket
import sys

from dataflow.jobs import compiled
from dataflow.jobs.runner import SERIAL

from .loading import Loading, Planned
from .server import Server


def main(words: list[str]) -> int:
    """Serve; returns the exit code.

    Where compiled code is not ready, jobs are started anew each: the first one makes it, and the others wait.
    """
    listener, life, *steps = words
    for name in SERIAL:
        os.environ[name] = "1"
    if compiled.is_ready():  # before anything imports numba, which looks but once where compiled code is
        planned = [Planned(name, module, int(jobs)) for name, module, jobs in (step.split(":") for step in steps)]
        Server(socket.socket(fileno=int(listener)), int(life), Loading(planned)).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
