"""A process that is a job, from its command line to its exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from types import TracebackType

from .runner import main

log = logging.getLogger(__name__)


def run(arguments: Sequence[str] | None = None) -> int:
    """Do the job that a command line names; returns the exit code."""
    sys.unraisablehook, sys.excepthook = log_unraisable, log_uncaught
    code = main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def log_unraisable(event: sys.UnraisableHookArgs) -> None:
    """Log what an object says while it is thrown away: on a full disk, each open HDF5 object tries to write again."""
    log.debug("ignored in %r: %s", event.object, event.exc_value)


def log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log what h5py prints before it gives up; nothing of ours comes here, :func:`main` reports it."""
    log.debug("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))
