"""Names of files that are not whole yet: hidden, beside their place, with host and process: dead ones are known."""

from __future__ import annotations

import os
import re
from pathlib import Path

PART = re.compile(r"\.(?P<stem>.+)\.(?P<host>[^.]+)-(?P<pid>\d+)-part(?P<suffix>\.[^.]+)?")


def host() -> str:
    """The name of this host, without its domain."""
    return os.uname().nodename.split(".")[0]


def part_name(path: Path) -> Path:
    """The name under which this process writes a file before it is whole: hidden, in the same folder."""
    return path.with_name(f".{path.stem}.{host()}-{os.getpid()}-part{path.suffix}")


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file, and its folder if need be, so that nobody finds half of it; it is not flushed.

    Raises
    ------
    OSError
        If it cannot be written; then nothing is left of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_name(path)
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
