"""Imports Snakemake once and runs it in a child process for each request, as ``python -m snakemake`` would.

To import it takes longer than all else that most calls in tests do. A request is a line of JSON on standard input:
``words``, ``cwd``, ``environ``, and the files ``stdout`` and ``stderr``; the answer is a line with the exit code.
Nothing of the flow is imported here: each child imports the one of its cycle.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from typing import Any

import smart_open  # noqa: F401 - Snakemake imports it when it opens its first file
from snakemake.cli import get_argument_parser


def main() -> None:
    """Answer requests until there are no more; returns in children only."""
    get_argument_parser()  # imports the plugins
    for line in sys.stdin:
        child = os.fork()
        if not child:
            become(json.loads(line))
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    os._exit(0)


def become(request: dict[str, Any]) -> None:
    """Make of a child what a process would be that was started with its environment."""
    for number, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["stdout"], os.O_WRONLY),
        (2, request["stderr"], os.O_WRONLY),
    ):
        opened = os.open(name, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environ"])
    sys.argv[1:] = request["words"]
    sys.path[0] = request["cwd"]


if __name__ == "__main__":
    main()
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
