"""``dataprod-load-sw``: a command, or a shell, with the software of a cycle."""

from __future__ import annotations

import argparse
import os
import sys

from prodenv.base.errors import UserError
from prodenv.cycles.setups import Setup, read_setup, wrap
from prodenv.software.shells import opened


def run(options: argparse.Namespace) -> int:
    """Replace this process by the command, so that its exit code and its signals are its own."""
    setup = read_setup(options.config_file, options.setup)
    _refuse_missing(setup)
    argv, environ = wrap(setup, options.command, os.environ, interactive=True, tty=_at_terminal())
    if not options.command and sys.stdin.isatty():
        sys.stderr.write(f"software of {setup.directory}; leave it with exit\n")
        if not setup.execenv.cmd:
            argv, environ, said = opened(argv[0], environ, setup.directory.name, setup.path("install") / "bin")
            sys.stderr.write(f"{said}\n" if said else "")
    sys.stdout.flush()
    try:
        os.execvpe(argv[0], argv, environ)  # noqa: S606 - a list, no shell
    except FileNotFoundError:
        raise UserError(f"there is no command {argv[0]!r}", hint=_hint(setup)) from None
    except OSError as error:
        raise UserError(f"cannot run {argv[0]!r}: {error.strerror}") from None


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _refuse_missing(setup: Setup) -> None:
    if not os.path.lexists(setup.path("install") / "bin" / "python"):
        hint = f"run dataprod-install-sw {setup.file}"
        raise UserError(f"no software is installed in {setup.path('install')}", hint=hint)


def _hint(setup: Setup) -> str:
    return "is the container engine of execenv.cmd installed?" if setup.execenv.cmd else "is it on your PATH?"
