"""Outputs appear whole or not at all: written beside their place under a name of their own, flushed, renamed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from dataflow.base.errors import SentenceError
from dataflow.base.parts import PART, host, part_name

from .errors import NoSpace, WorkFailed, is_full_disk
from .lostwrites import no_lost_writes
from .stamp import replacing, stamp

HDF5 = ".lh5"
"""Files that are written by HDF5, which may notice a full disk only while it throws its objects away."""


@contextmanager
def whole_files(outputs: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Write files under temporary names and move them into place together when all is well.

    Parameters
    ----------
    outputs
        Where the files shall stand, by role.

    Yields
    ------
    dict
        Where to write them. If the block raises, nothing of it remains.

    Raises
    ------
    NoSpace
        If the disk is full.
    WorkFailed
        If a folder cannot be written to, or has gone, or one of the files has: the block did not write it, or somebody
        removed it.
    """
    parts = {role: part_name(path) for role, path in outputs.items()}
    try:
        for path in outputs.values():
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(path)
        with no_lost_writes() if any(path.suffix == HDF5 for path in parts.values()) else nullcontext():
            yield parts
            for part in parts.values():
                stamp(part)
        # all on the disk before the first is renamed: after a power cut no new name leads to an empty file, and of
        # several outputs none is in place while another is still being written
        for part in parts.values():
            flush(part)
        for role, part in parts.items():
            replacing(outputs[role])
            part.replace(outputs[role])
        for folder in {path.parent for path in outputs.values()}:
            flush(folder)
    except Exception as error:
        if is_full_disk(error):
            places = ", ".join(sorted({str(path.parent) for path in outputs.values()}))
            raise NoSpace(f"no space left on the disk of {places}", hint="free some space, then run again") from error
        _explain(error, outputs, parts)
        raise
    finally:
        for part in parts.values():
            remove(part)


def _explain(error: Exception, outputs: Mapping[str, Path], parts: Mapping[str, Path]) -> None:
    """Raise a sentence if an error came because an output or its folder has gone, or cannot be written to."""
    if isinstance(error, SentenceError):
        return
    hint = "somebody removed it while the job was running; run again"
    for folder in sorted({path.parent for path in outputs.values()}):
        if not folder.is_dir():
            raise WorkFailed(f"the folder {folder} has disappeared", hint=hint) from error
        if isinstance(error, OSError) and not os.access(folder, os.W_OK | os.X_OK):
            raise WorkFailed(f"the folder {folder} cannot be written to", hint="see its owner and rights") from error
    for part in parts.values():
        if isinstance(error, FileNotFoundError) and str(part) in str(error) and not part.exists():
            raise WorkFailed(f"the file {part} disappeared before it was complete", hint=hint) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with whole_files({"text": path}) as parts:
        parts["text"].write_text(text, encoding="utf-8")


def flush(path: Path) -> None:
    """Make sure that a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file or folder of ours, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes of this host left behind while writing a file."""
    for candidate in sorted(path.parent.glob(f".{glob_safe(path.stem)}.*-part*")):
        match = PART.fullmatch(candidate.name)
        if match and match["stem"] == path.stem and match["host"] == host() and not is_alive(int(match["pid"])):
            remove(candidate)


def glob_safe(text: str) -> str:
    """A name in which no character is a wildcard."""
    return re.sub(r"([*?[])", r"[\1]", text)


def is_alive(pid: int) -> bool:
    """Whether a process of this host exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
