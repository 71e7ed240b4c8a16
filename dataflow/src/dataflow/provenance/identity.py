"""The identity of a file that no recipe makes: its size and the sha256 of its whole content.

Reading every DAQ file before each run would take hours, so what was read once is remembered in
``generated/tmp/identities.jsonl`` by path (relative to the cycle), size and time of change. The list is only a memory:
without it, or where a file was touched, the file is read again and the identity is the same. Planning reads the list
and never writes it; jobs and ``dataprod run`` add to it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from dataflow.base.errors import UserError

LIST = "identities.jsonl"
CHUNK = 1 << 18


class Seen(NamedTuple):
    """A file as a directory shows it, and what it is called in the list."""

    name: str
    size: int
    mtime_ns: int


class Identities:
    """The identities of files, each read once.

    Parameters
    ----------
    cycle
        Folder of the cycle.
    file
        The list of what is known.
    """

    def __init__(self, cycle: Path, file: Path) -> None:
        self._cycle, self.file = os.fspath(cycle) + os.sep, file
        self._seen: dict[str, Seen] = {}
        self._new: dict[str, str] = {}

    @cached_property
    def _known(self) -> dict[str, str]:
        found: dict[str, str] = {}
        try:
            text = self.file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return found
        lines = text.splitlines()
        try:
            return dict(json.loads(f"[{','.join(lines)}]"))  # tens of thousands of lines: many times as fast
        except (ValueError, TypeError):
            pass
        for line in lines:
            try:
                name, sha256 = json.loads(line)
            except (ValueError, TypeError):  # the last line of a process that was killed
                continue
            found[name] = sha256
        return found

    def of(self, path: Path) -> Mapping[str, object]:
        """The identity of a file.

        Raises
        ------
        UserError
            If it cannot be read.
        """
        found = self.known(path)
        if found is None:
            seen = self._look(path)
            self._new[seen.name] = hashed(path)
            found = {"size": seen.size, "sha256": self._new[seen.name]}
        return found

    def known(self, path: Path) -> Mapping[str, object] | None:
        """The identity of a file if it can be told without reading it."""
        seen = self._look(path)
        sha256 = self._known.get(seen.name) or self._new.get(seen.name)
        return {"size": seen.size, "sha256": sha256} if sha256 else None

    def unknown(self, paths: Iterable[Path]) -> list[Path]:
        """The files that would have to be read."""
        return [path for path in paths if not self.is_known(path)]

    def is_known(self, path: Path) -> bool:
        """Whether the identity of a file can be told without reading it."""
        return self.known(path) is not None

    def is_listed(self, path: Path) -> bool:
        """Whether the list has a file as it looks now."""
        return bool(self._known.get(self._look(path).name))

    def listed(self, path: Path) -> str:
        """A file as the list calls it, with its size and the time of its change, and the hash of its content there."""
        name = self._look(path).name
        return f"{name}|{self._known[name]}"

    def recall(self, path: Path, identity: object, mtime_ns: object) -> bool:
        """Take over what a record says of a file, if the file still looks as it did then."""
        seen = self._look(path)
        if not isinstance(identity, Mapping) or (identity.get("size"), mtime_ns) != (seen.size, seen.mtime_ns):
            return False
        self._new[seen.name] = str(identity.get("sha256"))
        return True

    def size(self, path: Path) -> int:
        """How many bytes a file has, as it was seen first."""
        return self._look(path).size

    def mtime_ns(self, path: Path) -> int:
        """When a file was changed, as it was seen first."""
        return self._look(path).mtime_ns

    def learn(self, paths: Iterable[Path], threads: int = 2) -> None:
        """Read several files at once, so that their identities are known."""
        ahead = self.unknown(paths)
        with ThreadPoolExecutor(max(threads, 1)) as pool:  # hashing leaves the interpreter to others
            list(pool.map(self.of, ahead))

    def save(self) -> None:
        """Add what was learned to the list; not for planning.

        It is one write, so that processes do not mix their lines, and no error: without it files are read again.
        """
        lines = "".join(json.dumps([name, sha256]) + "\n" for name, sha256 in sorted(self._new.items()))
        if not lines:
            return
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(handle, lines.encode("utf-8", "surrogateescape"))
            finally:
                os.close(handle)

    def _look(self, path: Path) -> Seen:
        text = os.fspath(path)
        seen = self._seen.get(text)
        if seen is None:
            try:
                found = os.stat(text)  # noqa: PTH116 - tens of thousands of them
            except OSError as problem:
                raise UserError(f"{path} cannot be read: {problem.strerror}") from None
            name = f"{text.removeprefix(self._cycle)}|{found.st_size}|{found.st_mtime_ns}"
            seen = self._seen[text] = Seen(name, found.st_size, found.st_mtime_ns)
        return seen


def hashed(path: Path) -> str:
    """The sha256 of a file's content.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK))
    try:
        with path.open("rb", buffering=0) as stream:
            while count := stream.readinto(buffer):
                digest.update(buffer[:count])  # hashing leaves the interpreter to the other threads
    except OSError as problem:
        raise UserError(f"{path} cannot be read: {problem.strerror}") from None
    return digest.hexdigest()
