"""Taking an archive in, trusting nothing in it.

A member may only be a plain file, a folder, or a link that stays inside the cycle; its folder must have come before it
as a folder, so nothing is ever written through a link. What could make git run programs is refused too.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import shutil
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from prodenv.base.errors import UserError, WorkFailed
from prodenv.base.tables import size_text
from prodenv.cycles import manifest

from .write import BLOCK, FORM, GIT_LEFT_OUT, HEADER, LISTING, TOP, listing_digest

_MOST_TEXT = 1 << 28
"""Bytes of the header and of the manifest: more would only fill the memory."""
_BARE = ("HEAD", "objects", "refs")
"""What git takes for a repository of its own."""


@dataclass
class Extraction:
    """One archive being taken in.

    Parameters
    ----------
    file
        The archive.
    root
        The new folder of the cycle.
    """

    file: Path
    root: Path
    header: dict[str, Any] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    modes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Permissions and time in nanoseconds by name; those of folders are set when all is there."""
    folders: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)
    complete: bool = False

    def refuse(self, name: str, reason: str) -> UserError:
        """The error about a member that no archive of ours would have."""
        return UserError(
            f"{self.file}: {name!r} {reason}", hint="this is not an archive of dataprod archive: do not use it"
        )

    def damaged(self, what: object) -> WorkFailed:
        """The error about an archive that is not what was written."""
        return WorkFailed(f"{self.file} is damaged: {what}", hint="copy it again from where it was made")


def read_header(file: Path) -> dict[str, Any]:
    """What an archive says of itself.

    Raises
    ------
    UserError
        If it is none.
    """
    work = Extraction(file, Path())
    with _opened(work) as tar:
        try:
            member = tar.next()
        except (tarfile.TarError, OSError, ValueError) as error:
            raise UserError(f"{file} is not an archive: {error}") from None
        if member is None or member.name != HEADER:
            raise UserError(f"{file} is not an archive made by dataprod archive")
        _read_header(work, tar, member)
    return work.header


def extract(file: Path, root: Path) -> dict[str, Any]:
    """Put the content of an archive into the empty folder `root` and compare it with its manifest; returns its header.

    Raises
    ------
    UserError
        If it holds what no archive of ours would.
    WorkFailed
        If it is damaged.
    """
    work = Extraction(file, root)
    try:
        with _opened(work) as tar:
            for member in tar:
                _take(work, tar, member)
    except (tarfile.TarError, EOFError, ValueError, UnicodeError, OverflowError) as error:
        raise work.damaged(error) from None
    if not work.complete:
        raise work.damaged("it ends before its manifest")
    _check_links(work)
    _check_bare(work)
    _write_git_configs(work)
    _set_modes(work)
    return work.header


def _opened(work: Extraction) -> tarfile.TarFile:
    try:
        return tarfile.open(work.file, mode="r:", errorlevel=2)
    except FileNotFoundError:
        raise UserError(f"there is no file {work.file}") from None
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise UserError(f"{work.file} is not an archive: {error}") from None


def _take(work: Extraction, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    """Take one member in, in the order that archives have."""
    if work.complete:
        raise work.refuse(member.name, "comes after the manifest")
    if not work.header:
        if member.name != HEADER:
            raise work.refuse(member.name, "comes before the header")
        _read_header(work, tar, member)
    elif member.name == manifest.NAME:
        _compare(work, tar, member)
    elif member.name == TOP and member.isdir():
        work.folders.add("")
    else:
        _place(work, tar, member, _checked_name(work, member.name))


def _read_header(work: Extraction, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    text = _text(work, tar, member)
    try:
        header = json.loads(text)
    except ValueError as error:
        raise work.damaged(f"{HEADER}: {error}") from None
    if not isinstance(header, dict) or header.get("form") != FORM:
        hint = "was it made by a newer production environment?"
        raise UserError(f"{work.file} is not an archive of form {FORM}", hint=hint)
    size = header.get("bytes")
    if not isinstance(size, int) or not isinstance(header.get("links"), dict):
        raise work.damaged(f"{HEADER} is not complete")
    if work.root != Path() and shutil.disk_usage(work.root).free < size:
        raise UserError(f"{work.file} holds {size_text(size)}, more than is free on the disk of {work.root.parent}")
    work.header = header
    work.hashes[HEADER] = hashlib.sha256(text).hexdigest()


def _text(work: Extraction, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member) if _is_plain(member) and member.size <= _MOST_TEXT else None
    if stream is None:
        raise work.refuse(member.name, "is not a regular file of a plausible size")
    text = stream.read()
    if len(text) != member.size:
        raise work.damaged(f"{member.name} is cut off")
    return text


def _is_plain(member: tarfile.TarInfo) -> bool:
    return member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()


def _checked_name(work: Extraction, name: str) -> str:
    """The path of a member in the cycle."""
    parts = name.split("/")
    if parts[0] != TOP or len(parts) < 2 or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise work.refuse(name, f"is not in {TOP}/")
    inner = "/".join(parts[1:])
    if inner in work.modes or inner in work.links:
        raise work.refuse(name, "is there twice")
    if "/".join(parts[1:-1]) not in work.folders:
        raise work.refuse(name, "does not lie in a folder of the archive")
    if ".git" in parts:
        inside = parts[parts.index(".git") + 1 :]
        if inside and (inside[0] in GIT_LEFT_OUT or inside[:2] == ["info", "attributes"]):
            raise work.refuse(name, "could make git run programs")
    return inner


def _place(work: Extraction, tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
    path = work.root / name
    is_git = name.rpartition("/")[2] == ".git"
    if member.issym() and not is_git:
        _check_target(work, name, member.linkname)
        path.symlink_to(member.linkname)
        work.links[name] = member.linkname
        return
    if member.isdir():
        path.mkdir(mode=0o700)
        work.folders.add(name)
    elif _is_plain(member) and not is_git:
        work.hashes[member.name] = _write(work, tar, member, path)
    else:
        raise work.refuse(member.name, "is neither a plain file, nor a folder, nor a link")
    work.modes[name] = (member.mode & 0o777, _time(member))


def _time(member: tarfile.TarInfo) -> int:
    """The time of change in nanoseconds; as a number alone it would lose the last digits."""
    whole, _, part = member.pax_headers.get("mtime", "").partition(".")
    if whole.isdigit() and part.isdigit() and len(whole) < 12:
        return int(whole) * 10**9 + int(part[:9].ljust(9, "0"))
    return max(0, min(int(member.mtime), 10**11)) * 10**9


def _check_target(work: Extraction, name: str, target: str) -> None:
    """A link may lead up first and then down, and must stay inside. Every folder above it is a real one."""
    parts = target.split("/")
    ups = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    plain = parts[ups:]
    if not target or target.startswith("/") or "\0" in target or any(part in ("..", ".", "") for part in plain):
        raise work.refuse(name, f"is a link to {target!r}")
    if ups > name.count("/") or posixpath.normpath(posixpath.join(posixpath.dirname(name), target)).startswith(".."):
        raise work.refuse(name, f"is a link out of the cycle, to {target!r}")


def _write(work: Extraction, tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> str:
    """Write a file that is new; returns its sha256."""
    source = tar.extractfile(member)
    assert source is not None  # noqa: S101 - it is a plain file
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb", buffering=0) as stream:
        digest, size = _copy(source, stream)
        os.fsync(stream.fileno())
    if size != member.size:
        raise work.damaged(f"{member.name} is cut off")
    return digest


def _copy(source: IO[bytes], target: IO[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while block := source.read(BLOCK):
        digest.update(block)
        size += len(block)
        view = memoryview(block)
        while view:
            view = view[target.write(view) :]
    return digest.hexdigest(), size


def _compare(work: Extraction, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    """Compare what was written with the manifest."""
    try:
        wanted = manifest.parsed(_text(work, tar, member).decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise work.damaged(f"{member.name}: {error}") from None
    work.hashes[LISTING] = listing_digest(work.modes)
    for name in sorted(wanted.keys() | work.hashes.keys()):
        if wanted.get(name) != work.hashes.get(name):
            missing = name not in work.hashes
            raise work.damaged(f"{name} {'is missing' if missing else 'is not what the manifest says'}")
    if work.links != work.header["links"]:
        raise work.damaged("its links are not those of the header")
    work.complete = True


def _check_links(work: Extraction) -> None:
    """Once all is there: every link stays inside on its whole way."""
    root = os.path.realpath(work.root)
    for name in work.links:
        if not Path(os.path.realpath(work.root / name)).is_relative_to(root):
            raise work.refuse(name, "leads out of the cycle through other links")


def _check_bare(work: Extraction) -> None:
    """No folder but those called ``.git`` may look like a repository: git would take its configuration."""
    have = {*work.modes, *work.links}
    for folder in work.folders:
        if ".git" not in folder.split("/"):
            prefix = f"{folder}/" if folder else ""
            if all(f"{prefix}{part}" in have for part in _BARE):
                raise work.refuse(folder or TOP, "looks like a git repository without a working tree")


def _write_git_configs(work: Extraction) -> None:
    """Give the checkouts plain configurations again, with their remotes."""
    remotes = work.header.get("remotes")
    for folder in sorted(work.folders):
        if folder.rpartition("/")[2] == ".git":
            lines = ["[core]", "\trepositoryformatversion = 0", "\tfilemode = true", "\tbare = false"]
            remote = remotes.get(folder.removesuffix(".git").rstrip("/")) if isinstance(remotes, dict) else None
            if isinstance(remote, str) and remote and remote.isprintable() and not set('"\\#;') & set(remote):
                lines += ['[remote "origin"]', f"\turl = {remote}", "\tfetch = +refs/heads/*:refs/remotes/origin/*"]
            (work.root / folder / "config").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _set_modes(work: Extraction) -> None:
    """Permissions and times as they were; folders last, the deepest first."""
    ordered = sorted(work.modes, key=lambda name: (name in work.folders, -name.count("/")))
    for name in ordered:
        mode, time = work.modes[name]
        path = work.root / name
        path.chmod(mode | 0o400 | (0o100 if name in work.folders else 0))
        os.utime(path, ns=(time, time))
