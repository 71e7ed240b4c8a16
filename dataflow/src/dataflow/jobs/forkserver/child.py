"""A fork becomes a job: the open files, folder and variables of the program that asked, and its end with it."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from dataflow.jobs.joblog import FORKED_FROM
from dataflow.jobs.orphans import end_with
from dataflow.jobs.process import run

PR_SET_NAME = 15
"""See prctl(2): the name that ps and top show, of 15 bytes at most; the command line stays that of the server."""


@dataclass(frozen=True)
class Request:
    """What a program asks for: words of a job's command line, its folder and variables, and its open files."""

    words: list[str]
    folder: str
    environ: dict[str, str]
    files: list[int]


def become(request: Request, asking: socket.socket, server: int) -> NoReturn:
    """Do the job and end as it ends.

    Parameters
    ----------
    request
        What was asked for.
    asking
        The connection to the program that asked.
    server
        The process number of the server.
    """
    code = 1
    try:
        end_with(server)
        _begin(asking)
        _end_with_program(asking)
        _take_place(request)
        os.environ[FORKED_FROM] = str(server)
        code = run(request.words)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as Python does where nobody handles it
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        _report(asking, code)
        os._exit(code)


def _begin(asking: socket.socket) -> None:
    """Tell the process number, before anything else: said by the server, it could come after the end of a short job."""
    with suppress(OSError):  # the program is gone, which is seen next
        asking.sendall(f"job {os.getpid()}\n".encode())


def _end_with_program(asking: socket.socket) -> None:
    """Let SIGTERM come when the program at the other end is gone, however it ended."""
    fcntl.fcntl(asking, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(asking, fcntl.F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(asking, fcntl.F_SETFL, fcntl.fcntl(asking, fcntl.F_GETFL) | os.O_ASYNC)
    with suppress(BlockingIOError):
        if asking.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"":
            os._exit(143)


def _report(asking: socket.socket, code: int) -> None:
    """Tell the program how the job ends, which need not wait until its memory is given back."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # by which the end of that program would be told
    with suppress(OSError):
        asking.send(f"{code << 8}\n".encode())


def _take_place(request: Request) -> None:
    ctypes.CDLL(None).prctl(PR_SET_NAME, request.words[0].encode(), 0, 0, 0)
    for number, file in enumerate(request.files):
        os.dup2(file, number)
        os.close(file)  # no process of the job is to keep it open
    os.chdir(request.folder)
    os.environ.update(request.environ)
    sys.orig_argv = [sys.executable, "-m", "dataflow.jobs", *request.words]
    sys.argv = [*sys.orig_argv[2:3], *request.words]
