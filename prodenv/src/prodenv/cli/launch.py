"""From a bare ``python3`` to the interpreter of the tools. Standard library only, and syntax of Python 3.7.

Options are parsed here already: help and mistakes need no tools.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import List, Optional  # noqa: UP035 - see above

from prodenv.base.places import OLDEST, tools_python

from .parsers import COMMANDS, VARIABLES, Command


def launch(verb: str, argv: Optional[List[str]] = None, prog: str = "") -> int:  # noqa: UP006, UP045
    """Run the command `verb`; returns only where it is not handed over to the interpreter of the tools."""
    argv = sys.argv[1:] if argv is None else argv
    command = COMMANDS[verb]
    options = command.parse(argv, prog)
    if command.bare:
        return _run_bare(command, options)
    return _hand_over(command, argv)


def _run_bare(command: Command, options: argparse.Namespace) -> int:
    if tuple(sys.version_info) < OLDEST:
        _try_newer_python()
        have = ".".join(map(str, sys.version_info[:3]))
        sys.stderr.write(f"error: this is Python {have}; 3.11 or newer is needed\n")
        sys.stderr.write("hint: put a newer python3 on PATH, or run: python3.11 bin/prodenv-tools\n")
        return 2
    from .main import run

    return run(command, options)


def _try_newer_python() -> None:
    """Start again under a newer Python, if one is on PATH under its full name."""
    for minor in (14, 13, 12, 11):
        found = shutil.which(f"python3.{minor}")
        if found:
            os.execv(found, [found, "-I", *sys.argv])  # noqa: S606 - a list, no shell


def _hand_over(command: Command, argv: List[str]) -> int:  # noqa: UP006
    python = str(tools_python())
    if os.access(python, os.X_OK):
        sys.stdout.flush()
        os.execv(python, [python, "-I", "-m", "prodenv", command.verb, *argv])  # noqa: S606 - a list, no shell
    sys.stderr.write(_why_not(python))
    return 2


def _why_not(python: str) -> str:
    """What is to be said where the interpreter of the tools cannot be run."""
    closed = _closed(Path(python))
    if closed is None:
        return "error: the tools are not installed\nhint: run prodenv-tools\n"
    return (
        f"error: the tools are installed, but you may not use {closed}\n"
        "hint: ask its owner to let others read it, or to install the tools on a Python that all can read "
        "(prodenv-tools --python)\n"
    )


def _closed(path: Path) -> Optional[Path]:  # noqa: UP045
    """The first folder or file on the way to an interpreter that this user may not use, None if there is none."""
    for _ in range(40):  # as many links as the system follows
        for place in [*reversed(path.parents), path]:
            try:
                place.lstat()
            except PermissionError:
                return place.parent
            except OSError:
                return None
        if not path.is_symlink():
            return None if os.access(path, os.X_OK) else path
        path = Path(os.path.normpath(path.parent / os.readlink(path)))  # noqa: PTH115 - Python 3.7
    return path


def dispatch() -> int:
    """``dataprod VERB …``: the same commands under one name."""
    argv = sys.argv[1:]
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return 0 if argv else 2
    if argv[0] not in COMMANDS:
        sys.stderr.write(f"error: there is no command {argv[0]!r}\nhint: there are: {', '.join(sorted(COMMANDS))}\n")
        return 2
    return launch(argv[0], argv[1:], f"dataprod {argv[0]}")


def overview() -> str:
    """The help of ``dataprod``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {command.verb:<{width}}  {command.summary}" for command in COMMANDS.values()]
    names = max(map(len, VARIABLES))
    variables = [f"  {name:<{names}}  {meaning}" for name, meaning in VARIABLES.items()]
    head, tail = ["usage: dataprod [-h] COMMAND …", "", "commands:"], ["", "dataprod COMMAND --help tells more"]
    return "\n".join([*head, *lines, "", "environment variables:", *variables, *tail])
