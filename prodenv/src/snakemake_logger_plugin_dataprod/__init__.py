"""Snakemake's events as lines of JSON, for the ``dataprod run`` that started it.

Snakemake finds the package by its name: ``--logger dataprod``. It writes what
:mod:`prodenv.running.progress` reads.
"""

from __future__ import annotations

import json
import os
from logging import Handler, LogRecord
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase

EVENTS = "DATAPROD_EVENTS"
"""The variable with the number of the pipe to write to."""
FIELDS = ("stats", "jobid", "job_id", "jobs", "rule_name", "output", "log", "exception", "rule_msg", "indent")
"""What is told of an event, where it has it."""


class LogHandler(LogHandlerBase):
    """Writes each record as one line; without a pipe, and when nobody listens any more, it is silent."""

    _pipe: int | None = None

    def __post_init__(self) -> None:
        """Look for the pipe."""
        if not hasattr(self, "lock"):  # the base class of Snakemake 9.9, which published flows pin, forgets it
            Handler.__init__(self)
        number = os.environ.get(EVENTS, "")
        self._pipe = int(number) if number.isdigit() else None

    def emit(self, record: LogRecord) -> None:
        """Write a record; an error here must not be Snakemake's."""
        if self._pipe is None:
            return
        try:
            rest = (json.dumps(plain(record)) + "\n").encode()
            while rest:
                rest = rest[os.write(self._pipe, rest) :]
        except (OSError, TypeError, ValueError):
            self._pipe = None

    @property
    def writes_to_stream(self) -> bool:
        """Snakemake goes on to print what it always prints."""
        return False

    @property
    def writes_to_file(self) -> bool:
        """Nothing is left behind."""
        return False

    @property
    def has_filter(self) -> bool:
        """All events are wanted, whatever a profile wants to be printed."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Records are taken as they are."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """Drawing is not for us."""
        return False


def plain(record: LogRecord) -> dict[str, Any]:
    """The event of a record, its fields, and its text where it is not an event of a job."""
    event = getattr(record, "event", None)
    found: dict[str, Any] = {"event": str(event or "")}
    for name in FIELDS:
        value = getattr(record, name, None)
        if value is not None:
            found[name] = value if isinstance(value, int | str | dict) else [_item(each) for each in value]
    if event is None or "exception" in found:
        found["text"] = str(record.msg or "")
    return found


def _item(value: object) -> int | str:
    return value if isinstance(value, int) else str(value)
