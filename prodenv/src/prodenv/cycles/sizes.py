"""How much space folders take."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Size:
    """Bytes and number of files."""

    size: int = 0
    files: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.size + other.size, self.files + other.files)


def size_of(folder: Path | str) -> Size:
    """What a folder holds; links count nothing and are not followed, and folders that may not be read are left out."""
    size = files = 0
    ahead = [] if Path(folder).is_symlink() else [os.fspath(folder)]
    while ahead:
        with (
            contextlib.suppress(PermissionError, FileNotFoundError, NotADirectoryError),
            os.scandir(ahead.pop()) as all_,
        ):
            for entry in all_:
                if entry.is_symlink():
                    continue
                if entry.is_dir():
                    ahead.append(entry.path)
                else:
                    size += entry.stat(follow_symlinks=False).st_size
                    files += 1
    return Size(size, files)
