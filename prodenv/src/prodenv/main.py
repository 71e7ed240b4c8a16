"""Running one command, and what its end means for the shell."""

from __future__ import annotations

import argparse
import importlib
import sys

from prodenv.errors import UserError
from prodenv.parsers import COMMANDS, Command

INTERRUPTED = 130


def run(command: Command, options: argparse.Namespace) -> int:
    """Do the work of `command`; slips of the user end in sentences, everything else in a traceback."""
    try:
        return int(importlib.import_module(command.module).run(options))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except UserError as slip:
        sys.stderr.write(slip.render() + "\n")
        return slip.exit_code
    except OSError as slip:
        if slip.strerror is None:
            raise
        sys.stderr.write(f"error: {slip.strerror}{f': {slip.filename}' if slip.filename else ''}\n")
        return 1
    except Exception as slip:
        if not _of_the_plan(slip):
            raise
        sys.stderr.write(f"{slip.render()}\n")  # type: ignore[attr-defined]
        return 2


def _of_the_plan(slip: Exception) -> bool:
    """Whether it is the UserError of the dataflow, which is imported only where it is needed."""
    errors = sys.modules.get("dataflow.plan.errors")
    return errors is not None and isinstance(slip, errors.UserError)


def main(argv: list[str]) -> int:
    """``python -m prodenv VERB …``, as the launcher calls it."""
    command = COMMANDS[argv[0]]
    return run(command, command.parse(argv[1:]))
