"""The state of a file as its folder tells it: whether it is the same as before, without reading it."""

from __future__ import annotations

import os

FileState = tuple[int, ...]
"""Mode, size, times of the last change of content and of anything, number of the file, and of its disk."""
ABSENT: FileState = ()
"""The state of a file that is not there."""


def state_of(path: str | os.PathLike[str]) -> FileState:
    """The state of a file; of a link, that of the file behind it."""
    try:
        seen = os.stat(path)  # noqa: PTH116 - thousands of them
    except (OSError, ValueError):
        return ABSENT
    return seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, seen.st_dev


def last_change(state: FileState) -> int:
    """When a file was last changed, in nanoseconds since 1970; 0 of one that is not there."""
    return max(state[2:4], default=0)
