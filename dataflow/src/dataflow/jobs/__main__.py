"""``python -m dataflow.jobs STEP --config CONFIG --key KEY --threads N``: run one job."""

from __future__ import annotations

import logging
import os
import sys
from types import TracebackType

from .runner import main


def log_unraisable(event: sys.UnraisableHookArgs) -> None:
    """Log what an object says while it is thrown away: on a full disk, each open HDF5 object tries to write again."""
    logging.getLogger(__name__).debug("ignored in %r: %s", event.object, event.exc_value)


def log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log what h5py prints before it gives up; nothing of ours comes here, :func:`main` reports it."""
    logging.getLogger(__name__).debug("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))


if __name__ == "__main__":
    sys.unraisablehook, sys.excepthook = log_unraisable, log_uncaught
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if code:  # what HDF5 could not write it would try to write again at exit, and crash
        os._exit(code)
