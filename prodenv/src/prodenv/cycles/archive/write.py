"""The form of archives: a plain tar file, read and written in one pass.

::

    dataprod-archive.json    what it is: name, setup, number and size of the files, links, remotes of checkouts
    cycle/…                  folders, files and links (inside the cycle only), with times to the nanosecond
    manifest.sha256          of everything before it, permissions and times included

Nothing in it is trusted when it is read: see :mod:`prodenv.cycles.archive.read`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from prodenv.base.errors import UserError, WorkFailed
from prodenv.cycles import manifest
from prodenv.cycles.derived.links import parent_of
from prodenv.cycles.find import DERIVED, FROZEN, CycleFolder
from prodenv.cycles.manifest import Entry, entries_of

FORM = 1
HEADER = "dataprod-archive.json"
TOP = "cycle"
BLOCK = 1 << 22
LISTING = "listing"
"""Entry of the manifest for permissions and times, which are not in the content of files."""
GIT_LEFT_OUT = frozenset({"config", "hooks", "worktrees", "modules", "commondir", "gitdir", "config.worktree"})
"""Entries of a ``.git`` folder that can make git run programs or look elsewhere."""


@dataclass(frozen=True)
class Member:
    """Something that goes into an archive.

    Parameters
    ----------
    name
        Path in the cycle.
    path
        Where its content is, after following what has to be followed.
    link
        For a link: where it leads, relative and inside the cycle.
    folder
        Whether it is a folder.
    """

    name: str
    path: str
    link: str = ""
    folder: bool = False


@dataclass
class Content:
    """What is to be archived.

    Parameters
    ----------
    members
        Sorted by name, folders before what is in them.
    followed
        Links out of the cycle of which the archive contains their targets.
    """

    members: list[Member] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[Member]:
        return [member for member in self.members if not member.folder and not member.link]

    @property
    def size(self) -> int:
        return sum(Path(member.path).stat().st_size for member in self.files)


def content_of(cycle: CycleFolder, left_out: tuple[Path, ...], *, follow: bool) -> Content:
    """Everything that belongs into the archive of a cycle.

    Links into the cycle that it was derived from are followed, so that the archive is complete.

    Raises
    ------
    UserError
        If another link leads out of the cycle, and `follow` is not given.
    """
    kept = cycle.root / ".snakemake"
    others = [path for path in kept.iterdir() if path.name != "metadata"] if kept.is_dir() else []
    content = Content()
    for entry in entries_of(cycle.root, (*left_out, *others), whole=True):
        if not _is_unsafe_git(entry):
            _add(content, cycle, entry, follow)
    if content.followed:  # it is not a derived cycle any more, and not byte for byte what was frozen
        content.members = [member for member in content.members if member.name.split("/")[0] not in (DERIVED, FROZEN)]
    return content


def _is_unsafe_git(entry: Entry) -> bool:
    """Whether it is an entry of a ``.git`` folder that is left out, or a ``.git`` that is not a folder."""
    parts = entry.name.split("/")
    if ".git" not in parts:
        return False
    inside = parts[parts.index(".git") + 1 :]
    return not entry.folder if not inside else inside[0] in GIT_LEFT_OUT or inside[:2] == ["info", "attributes"]


def _add(content: Content, cycle: CycleFolder, entry: Entry, follow: bool) -> None:
    if not entry.link:
        content.members.append(Member(entry.name, entry.path, folder=entry.folder))
        return
    target = inner_target(cycle.root, entry)
    if target:
        content.members.append(Member(entry.name, entry.path, link=target))
        return
    real = os.path.realpath(entry.path)
    parent = parent_of(cycle)
    into_parent = parent is not None and Path(real).is_relative_to(os.path.realpath(parent.root))
    if not (follow or into_parent):
        hint = "--follow stores its target"
        raise UserError(f"{entry.name} is a link out of the cycle, to {entry.link}", hint=hint)
    if not os.path.exists(real):  # noqa: PTH110 - many of them
        raise UserError(f"{entry.name} is a broken link: {entry.link}", hint="remove it, or bring it back")
    content.followed.append(entry.name)
    content.members += _real(entry.name, Path(real))


def inner_target(root: Path, entry: Entry) -> str:
    """Where a link leads, relative to its folder, if that is in the cycle on every way of looking; else empty."""
    folder = os.path.dirname(entry.path)  # noqa: PTH120 - many of them
    target = os.path.normpath(os.path.join(folder, entry.link))  # noqa: PTH118
    inside = Path(target).is_relative_to(root)
    if not inside or not Path(os.path.realpath(entry.path)).is_relative_to(os.path.realpath(root)):
        return ""
    return os.path.relpath(target, folder)


def _real(name: str, path: Path) -> Iterator[Member]:
    """A file or folder outside of the cycle under its name in it; further links in it are left out."""
    if not path.is_dir():
        yield Member(name, str(path))
        return
    yield Member(name, str(path), folder=True)
    for entry in entries_of(path):
        if entry.folder or entry.hashed:
            if entry.link and Path(entry.path).resolve().is_dir():
                continue
            yield Member(f"{name}/{entry.name}", entry.path, folder=entry.folder)


def write(target: Path, content: Content, about: Mapping[str, Any]) -> None:
    """Write an archive under a temporary name and move it into place when it is whole.

    Raises
    ------
    WorkFailed
        If a file changes while it is read, or cannot be read.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    links = {member.name: member.link for member in content.members if member.link}
    header = {"form": FORM, "files": len(content.files), "bytes": content.size, "links": links, **about}
    try:
        with temporary.open("xb") as stream:
            _write(stream, content, json.dumps(header, indent=1, sort_keys=True).encode())
            stream.flush()
            os.fsync(stream.fileno())
        if os.path.lexists(target):
            raise UserError(f"{target} was created by someone else in the meantime")
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)


def _write(stream: IO[bytes], content: Content, header: bytes) -> None:
    hashes = {HEADER: hashlib.sha256(header).hexdigest()}
    listed: dict[str, tuple[int, int]] = {}
    with tarfile.TarFile(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, copybufsize=BLOCK) as tar:
        _write_bytes(tar, HEADER, header)
        tar.addfile(_folder(TOP))
        for member in content.members:
            if member.link:
                _write_link(tar, member)
                continue
            found = Path(member.path).stat()
            listed[member.name] = (stat.S_IMODE(found.st_mode) & 0o777, found.st_mtime_ns)
            info = _info(member, found.st_size, *listed[member.name])
            if member.folder:
                tar.addfile(info)
            else:
                hashes[info.name] = _write_file(tar, info, member)
        hashes[LISTING] = listing_digest(listed)
        _write_bytes(tar, manifest.NAME, manifest.text_of(hashes).encode("utf-8", "surrogateescape"))


def listing_digest(listed: Mapping[str, tuple[int, int]]) -> str:
    """The sha256 of permissions and times (nanoseconds) by name."""
    return hashlib.sha256(json.dumps(sorted(listed.items())).encode()).hexdigest()


def _info(member: Member, size: int, mode: int, mtime: int) -> tarfile.TarInfo:
    info = _folder(f"{TOP}/{member.name}") if member.folder else tarfile.TarInfo(f"{TOP}/{member.name}")
    info.mode, info.size = mode, 0 if member.folder else size
    info.pax_headers = {"mtime": f"{mtime // 10**9}.{mtime % 10**9:09d}"}
    return info


def _write_link(tar: tarfile.TarFile, member: Member) -> None:
    info = tarfile.TarInfo(f"{TOP}/{member.name}")
    info.type, info.linkname = tarfile.SYMTYPE, member.link
    tar.addfile(info)


def _write_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    tar.addfile(info, io.BytesIO(content))


def _folder(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info


def _write_file(tar: tarfile.TarFile, info: tarfile.TarInfo, member: Member) -> str:
    try:
        with Path(member.path).open("rb", buffering=0) as stream:
            source = _Hashing(stream)
            tar.addfile(info, source)  # type: ignore[arg-type]
            grown = bool(stream.read(1))
    except OSError as error:
        raise WorkFailed(
            f"{member.name} cannot be read, or changes while it is read: {error.strerror or error}"
        ) from None
    if grown:
        raise WorkFailed(f"{member.name} grows while it is read", hint="wait until nobody works on the cycle")
    return source.digest.hexdigest()


class _Hashing:
    """A stream that hashes what is read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.digest = stream, hashlib.sha256()

    def read(self, size: int) -> bytes:
        parts = []
        while size > 0 and (part := self._stream.read(size)):
            self.digest.update(part)
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
