"""UTC times as names carry them: ``YYYYmmddTHHMMSSZ``.

Such strings sort like the times they stand for, so comparisons and bisections need no conversion.
Intervals are half-open: a thing valid from A, followed by one valid from B, holds for A <= t < B.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache

FORMAT = "%Y%m%dT%H%M%SZ"
PATTERN = r"\d{8}T\d{6}Z"
_TIME = re.compile(PATTERN)
ALWAYS = "20000101T000000Z"
"""Earlier than any data: the beginning of what holds at all times."""


def is_time(text: str) -> bool:
    """Whether the text is an existing time of the form ``YYYYmmddTHHMMSSZ``."""
    if not _TIME.fullmatch(text):
        return False
    # plans have tens of thousands of these: strptime takes twenty times as long
    return _is_day(text[:8]) and int(text[9:11]) < 24 and int(text[11:13]) < 60 and int(text[13:15]) < 60


@lru_cache
def _is_day(text: str) -> bool:
    """Whether eight digits are an existing day."""
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return False
    return True


def to_text(value: object) -> str | None:
    """The text form of a time read from YAML (text, or what YAML takes for a date), None if it is not a time."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).strftime(FORMAT)
    if isinstance(value, str) and is_time(value):
        return value
    return None
