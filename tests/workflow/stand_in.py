"""A stand-in for the software of a cycle: each job writes its name into its outputs.

What the environment says of a job makes it take long, need memory, fail, or note something. Jobs are children of one
process that has imported the flow: to import it takes 0.2 s, and some tests have a hundred jobs. Those that are to be
killed, belong to another user, or to a cycle with a flow of its own, are processes of their own.
"""

from __future__ import annotations

import atexit
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import traceback
from functools import cache
from pathlib import Path

JOB = Path(__file__).with_name("stand_in_job.py")
SOURCES = Path(__file__).resolve().parents[2] / "dataflow/src"
CLIENT = """\
#!{python} -IS
import _socket, os, struct, sys
if "SLOW" in os.environ or "LARGE" in os.environ or os.geteuid() != {user}:
    os.execv({python!r}, [{python!r}, {job!r}, *sys.argv[1:]])
server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
server.connect({address!r})
environ = [f"{{name}}={{value}}" for name, value in os.environ.items()]
text = os.fsencode("\\0".join([os.getcwd(), *sys.argv[1:], "", *environ]))
descriptors = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("3i", 0, 1, 2))]
server.sendmsg([struct.pack("I", len(text))], descriptors)
while text:
    text = text[server.send(text) :]
code = server.recv(1)
sys.exit(code[0] if code else "error: the stand-in of a job died")
"""


def write_stand_in(python: Path, *, apart: bool = False) -> None:
    """Put the stand-in to where the Python of a cycle's software is.

    Parameters
    ----------
    python
        The file.
    apart
        Whether each job is a process of its own that imports the flow of the cycle.
    """
    if apart:
        text = f'#!/bin/sh\nexec {sys.executable} "{JOB}" "$@"\n'
    else:
        address = _server(os.getpid())
        text = CLIENT.format(python=sys.executable, job=str(JOB), address=address, user=os.geteuid())
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(text)
    python.chmod(0o755)


@cache
def _server(pid: int) -> str:
    """The address of the server of this process, without a file; the server ends with its standard input."""
    address = f"\0stand-in-{pid}"
    words = [sys.executable, "-P", __file__, address[1:]]
    environ = os.environ | {"PYTHONPATH": str(SOURCES)}
    server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
    assert server.stdout and server.stdout.readline() == b"ready\n"
    atexit.register(server.communicate)
    return address


def serve(address: str) -> socket.socket:
    """Fork a child for each request until standard input ends; returns in children only, with their connection."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(f"\0{address}")
    listening.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for children
    print("ready", flush=True)
    while listening in select.select([listening, sys.stdin], [], [])[0]:
        connection, _ = listening.accept()
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listening.close()
            return connection
        connection.close()
    os._exit(0)


def become(connection: socket.socket) -> None:
    """Make of a child what a process would be that was started with its words, folder, environment and files."""
    head, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
    for number, opened in enumerate(descriptors):
        os.dup2(opened, number)
        os.close(opened)
    (length,) = struct.unpack("I", head)
    text = b""
    while len(text) < length:
        text += connection.recv(length - len(text))
    parts = os.fsdecode(text).split("\0")
    end = parts.index("", 1)
    os.chdir(parts[0])
    sys.argv[1:] = parts[1:end]
    os.environ.clear()
    os.environ.update(part.split("=", 1) for part in parts[end + 1 :])


def run() -> int:
    """Do the work of a job; its exit code."""
    try:
        runpy.run_path(str(JOB), run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    """Be the server."""
    runpy.run_path(str(JOB), run_name="imported")
    connection = serve(sys.argv[1])
    become(connection)
    code = run()
    sys.stdout.flush()
    sys.stderr.flush()
    connection.send(bytes([code]))
    os._exit(code)


if __name__ == "__main__":
    main()
