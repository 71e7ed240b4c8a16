"""Writing so that things appear whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import UserError, WorkFailed


def write_text(path: Path, text: str, *, mode: int | None = None) -> None:
    """Write `text` to `path` by way of a temporary name in the same folder.

    Without a mode it has that of a new file of this user: a group that shares a production sets ``umask 002``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def open_to_group(top: Path) -> None:
    """Let the group write copies, which have the rights of their origin, where it may write what this user makes.

    Folders give what is made in them to the group of the folder above, if that does.
    """
    umask = os.umask(0)
    os.umask(umask)
    if umask & stat.S_IWGRP:
        return
    for path in (top, *sorted(top.rglob("*"))):
        mode = path.lstat().st_mode
        if path.is_symlink() or not (mode & stat.S_IWUSR and mode & stat.S_IRGRP):
            continue
        inherited = path.parent.stat().st_mode & stat.S_ISGID if path.is_dir() else 0
        path.chmod(stat.S_IMODE(mode) | stat.S_IWGRP | inherited)


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path`; waits, and says so, while another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"waiting for another {what} to finish\n")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _aside_name(target: Path, pid: int, kind: str = "new") -> str:
    return f".{kind}-{target.name}-{socket.gethostname()}-{pid}"


def remove_stale(target: Path) -> None:
    """Clear up what processes that no longer live left beside `target`, those of this host only.

    A process that died between the two renames of a swap took `target` away: it is put back.
    """
    for entry in _left_by_the_dead(target, "old"):
        if not target.exists():
            entry.rename(target)
    for kind in ("old", "new"):
        for entry in _left_by_the_dead(target, kind):
            shutil.rmtree(entry, ignore_errors=True)


def _left_by_the_dead(target: Path, kind: str) -> list[Path]:
    prefix = _aside_name(target, 0, kind)[:-1]
    found = [(entry, entry.name.removeprefix(prefix)) for entry in sorted(target.parent.glob(".*"))]
    return [entry for entry, pid in found if entry.name != pid and pid.isdigit() and not _alive(int(pid))]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def aside(target: Path) -> Iterator[Path]:
    """A new folder beside `target` to build in; gone in the end unless it was moved.

    The folders above `target` that had to be made disappear too where nothing came of it.
    """
    made = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(target)
    folder = target.parent / _aside_name(target, os.getpid())
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for empty in made:
            with contextlib.suppress(OSError):
                empty.rmdir()


def swap_in(new: Path, target: Path) -> None:
    """Put the folder `new` in the place of `target`; if that fails, `target` is as it was."""
    if not target.exists():
        new.rename(target)
        return
    old = target.with_name(_aside_name(target, os.getpid(), "old"))
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def read_data(path: Path) -> Any:
    """What a YAML or JSON file holds, only to be compared or shown: the flow has a stricter reader of its own.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content.

    Raises
    ------
    WorkFailed
        If it cannot be read to its end.
    """
    digest, buffer = hashlib.sha256(), memoryview(bytearray(1 << 18))
    try:
        with path.open("rb", buffering=0) as stream:
            while count := stream.readinto(buffer):
                digest.update(buffer[:count])  # hashing leaves the interpreter to the other threads
    except OSError as error:
        raise WorkFailed(f"{path} cannot be read: {error.strerror}") from None
    return digest.hexdigest()
