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
    handler = Log(path, encoding="utf-8")
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
    logging.getLogger(__name__).info(
        "%s at %s on %s, process %d, python %s", title, now, platform.node(), os.getpid(), sys.version.split()[0]
    )
    return handler


def _utc(seconds: float | None) -> object:
    return datetime.fromtimestamp(seconds or 0, UTC).timetuple()
