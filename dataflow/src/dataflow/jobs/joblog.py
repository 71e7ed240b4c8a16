"""The log of a job: kept, appended to with each attempt, with the traceback of what is our fault."""

from __future__ import annotations

import logging
import os
import platform
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
TIME = "%Y%m%dT%H%M%SZ"
FORKED_FROM = "DATAPROD_FORKED_FROM"
"""Environment variable of a job that was forked: the process from which; see :mod:`dataflow.jobs.forkserver`."""
CHATTY = ("daq2lh5", "dspeed", "lh5", "pygama", "numba", "matplotlib", "fontTools", "pypdf")
"""Libraries that say much at level INFO, or draw progress bars at it; their warnings are logged."""


class Log(logging.FileHandler):
    """A log file that nobody fails for: on a full disk, what a job has to say is printed in any case."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Let go of a line that cannot be written."""

    def close(self) -> None:
        """Close the file, whether or not its last lines can be written."""
        with suppress(OSError):
            super().close()


def open_log(path: Path, title: str) -> logging.Handler:
    """Send what this process logs to a file, behind a line that says what was run, where and when.

    Parameters
    ----------
    path
        The log file; earlier attempts stay in it.
    title
        What is run.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _bring_back(path)
    handler = Log(path, encoding="utf-8")
    _keep(path)
    formatter = logging.Formatter(FORMAT, TIME)
    formatter.converter = _utc  # type: ignore[assignment]
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    now = datetime.now(UTC).strftime(TIME)
    origin = f" forked from {os.environ[FORKED_FROM]}" if FORKED_FROM in os.environ else ""
    logging.getLogger(__name__).info(
        "%s at %s on %s, process %d%s, python %s", title, now, platform.node(), os.getpid(), origin, _PYTHON
    )
    return handler


_PYTHON = sys.version.split()[0]
KEPT = ".kept"
"""Folder beside the logs with a second name of each: Snakemake removes a log before the job that writes it begins."""


def _bring_back(path: Path) -> None:
    """Put back what earlier attempts wrote."""
    with suppress(OSError):  # there was none, or the log is still there
        path.hardlink_to(path.parent / KEPT / path.name)


def _keep(path: Path) -> None:
    """Give a log its second name; where the disk knows no hard links, earlier attempts are lost with the log."""
    kept = path.parent / KEPT / path.name
    with suppress(OSError):
        kept.parent.mkdir(exist_ok=True)
        if not (kept.exists() and kept.samefile(path)):
            kept.unlink(missing_ok=True)
            kept.hardlink_to(path)


def _utc(seconds: float | None) -> object:
    return datetime.fromtimestamp(seconds or 0, UTC).timetuple()
