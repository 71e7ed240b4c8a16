"""Calls of Snakemake, each in a process of its own that is a child of one that has imported it."""

from __future__ import annotations

import atexit
import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

SERVER = Path(__file__).with_name("snakemake_server.py")
TIMEOUT = 120.0
"""Seconds after which a call has failed."""


def call_snakemake(words: Sequence[str], cwd: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``python -m snakemake WORDS`` in a folder and an environment; its exit code and what it printed."""
    with tempfile.NamedTemporaryFile("r") as stdout, tempfile.NamedTemporaryFile("r") as stderr:
        files = {"stdout": stdout.name, "stderr": stderr.name}
        request = {"words": [*words], "cwd": str(cwd), "environ": dict(environ), **files}
        code = _ask(_server(os.getpid()), json.dumps(request))
        return subprocess.CompletedProcess([*words], code, stdout.read(), stderr.read())


def _ask(server: subprocess.Popen[str], line: str) -> int:
    assert server.stdin and server.stdout
    server.stdin.write(f"{line}\n")
    server.stdin.flush()
    with selectors.DefaultSelector() as selector:
        selector.register(server.stdout, selectors.EVENT_READ)
        if not selector.select(TIMEOUT):
            server.kill()
            _server.cache_clear()
            raise TimeoutError(f"Snakemake did not end in {TIMEOUT:.0f} s")
    return int(server.stdout.readline())


@cache
def _server(_pid: int) -> subprocess.Popen[str]:
    """The server of this process; it ends with its standard input."""
    pipe = subprocess.PIPE
    server = subprocess.Popen([sys.executable, str(SERVER)], stdin=pipe, stdout=pipe, text=True)
    atexit.register(server.communicate)
    return server
