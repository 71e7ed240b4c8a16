"""A stand-in for the software of a cycle: each job writes its name into its outputs.

What the environment says of a job makes it take long, need memory, fail, or note something. Jobs are forked as real
ones are, from one process that has imported the flow: to import it takes 0.2 s, and some tests have a hundred jobs.
Those that take long or need memory, are of another user, or of a cycle with a flow of its own, are processes of their
own.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

import pytest

from dataflow.jobs.forkserver.begin import FEWEST, LIFE, VARIABLE, begin

JOB = Path(__file__).with_name("stand_in_job.py")
SOURCES = Path(__file__).resolve().parents[2] / "dataflow/src"
ASKING = SOURCES / "dataflow/jobs/forkserver"
ALONE = """\
#!/bin/sh
exec {python} "{job}" "$@"
"""
FORKED = """\
#!{python} -IS
import os, sys
if sys.argv[1:3] != ["-m", "dataflow.jobs"] or os.getuid() != {user} or {{"SLOW", "LARGE"}} & os.environ.keys():
    os.execv({python!r}, [{python!r}, {job!r}, *sys.argv[1:]])
sys.path.insert(0, {asking!r})
import ask
ask.PASSED_ON = tuple(os.environ)
status = ask.asked({name!r}, sys.argv[3:])
if status is None:
    sys.exit("error: the process from which stand-ins are forked does not answer")
ask.end(status)
"""


def write_stand_in(python: Path, *, alone: bool = False) -> None:
    """Put the stand-in to where the Python of a cycle's software is.

    Parameters
    ----------
    python
        The file.
    alone
        Whether each job is a process of its own that imports the flow of the cycle.
    """
    text, name = (ALONE, "") if alone else (FORKED, _server(os.getpid()))
    given = {"python": sys.executable, "job": str(JOB), "asking": str(ASKING), "user": os.getuid(), "name": name}
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(text.format(**given))
    python.chmod(0o755)


@cache
def _server(_pid: int) -> str:
    """The name of the socket at which the server of this process is asked; it ends with this process."""
    command = ["env", "-i", f"PATH={os.environ['PATH']}", f"PYTHONPATH={SOURCES}", sys.executable, str(JOB), "--serve"]
    life, _open_until_the_end = os.pipe()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LIFE, str(life))
        patch.delenv(VARIABLE, raising=False)
        name = begin(command, [("any", "any")] * FEWEST, Path(os.devnull))
        del os.environ[VARIABLE]  # of jobs that ask by themselves
    os.close(life)
    return name
