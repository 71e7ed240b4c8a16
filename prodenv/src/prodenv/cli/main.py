"""Running one command, and what its end means for the shell."""

from __future__ import annotations

import argparse
import importlib
import os
import select
import sys
from pathlib import Path

from prodenv.base.accounts import closed_to_us
from prodenv.base.errors import UserError

from .parsers import COMMANDS, Command

INTERRUPTED = 130
CUT_OFF = 141
"""The exit code of a command whose output nobody reads to its end, as of others that ``| head`` ends."""
_OUTPUTS = (1, 2)
"""Standard output and error."""


def run(command: Command, options: argparse.Namespace) -> int:
    """Do the work of `command`; mistakes of the user end in sentences, everything else in a traceback.

    Where the reader of the output has gone, there is nobody to tell anything: the command ends without a word.
    """
    try:
        code = _run(command, options)
        print(end="", flush=True)
        return code
    except OSError as error:
        cut = [output for output in _OUTPUTS if _is_cut_off(output)]
        if isinstance(error, BrokenPipeError) and cut:
            _silence(cut)
            return CUT_OFF
        if error.strerror is None:
            raise
        sys.stderr.write(_sentence(error))
        return 1


def _sentence(error: OSError) -> str:
    """What the system did not do, and where; whom to ask where the folder is somebody else's."""
    if not error.filename:
        return f"error: {error.strerror}\n"
    hint = closed_to_us(Path(os.fsdecode(error.filename))) if isinstance(error, PermissionError) else ""
    return f"error: {error.strerror}: {error.filename}\n" + (f"hint: {hint}\n" if hint else "")


def _run(command: Command, options: argparse.Namespace) -> int:
    try:
        return int(importlib.import_module(command.module).run(options))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except UserError as error:
        sys.stderr.write(error.render() + "\n")
        return error.exit_code


def _is_cut_off(output: int) -> bool:
    """Whether an output is a pipe that nobody reads any more."""
    ends = select.poll()
    ends.register(output, select.POLLOUT)
    return any(event & select.POLLERR for _, event in ends.poll(0))


def _silence(outputs: list[int]) -> None:
    """Let outputs lead nowhere, so that what is still held back for them is not an error when the interpreter ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in outputs:
        os.dup2(nowhere, output)
    os.close(nowhere)


def main(argv: list[str]) -> int:
    """``python -m prodenv VERB …``, as the launcher calls it."""
    command = COMMANDS[argv[0]]
    return run(command, command.parse(argv[1:]))
