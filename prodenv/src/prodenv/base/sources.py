"""Placing a source: what is built in, a git address with an optional revision, or a local path."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UserError
from .files import open_to_group, sha256_of
from .processes import call

BUILTIN = "builtin"
LEFT_BEHIND = shutil.ignore_patterns(
    "__pycache__", "*.pyc", ".snakemake", ".pytest_cache", ".mypy_cache", ".ruff_cache", "*.egg-info"
)
SOURCES_ONLY = (".", ":(exclude,glob)**/__pycache__/**", ":(exclude,glob)**/*.egg-info/**")
"""What building and running leave in a working tree is not a change of it."""
_URL = re.compile(r"[a-zA-Z][\w+.-]*://")
_SCP = re.compile(r"[\w.-]+@[\w.-]+:")
_IDENTITY = ("-c", "user.name=LEGEND production environment", "-c", "user.email=prodenv@localhost")
_PLAIN = ("-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false")
_SERVED = "git -c 'safe.directory=*' upload-pack"
"""What serves a repository of this machine to a clone, which keeps the variables of :func:`git_environment` from it."""
_HINT_CLONE = "check the address, your access to it, and the network"


@dataclass(frozen=True)
class Source:
    """Where something comes from.

    Parameters
    ----------
    kind
        ``builtin``, ``git`` or ``path``.
    address
        The git address or the absolute path.
    revision
        Branch, tag or commit; empty for the default branch.
    """

    kind: str
    address: str
    revision: str = ""

    def __str__(self) -> str:
        return self.address + (f"@{self.revision}" if self.revision else "")


def parse_source(text: str, known: Mapping[str, str] | None = None) -> Source:
    """The source that `text` names.

    Parameters
    ----------
    text
        ``builtin``, an address or a path, with an optional ``@revision``; or a name.
    known
        Addresses by name. A folder of that name counts more.

    Raises
    ------
    UserError
        If it is none of these.
    """
    if text == BUILTIN:
        return Source(BUILTIN, BUILTIN)
    for form in (_URL, _SCP):
        match = form.match(text)
        if match:
            return _git_source(text, match.end())
    name, at, revision = text.partition("@")
    address = (known or {}).get(name)
    if address and not Path(name).expanduser().is_dir():
        return parse_source(f"{address}{at}{revision}")
    return _path_source(text, known or {})


def _git_source(text: str, begin: int) -> Source:
    """An address whose revision follows the last ``@`` of its path; those before are the user and the host's."""
    path = text[begin:]
    if _URL.match(text) and "/" in path:
        begin += path.index("/")
        path = text[begin:]
    address, at, revision = path.rpartition("@")
    if not at:
        return Source("git", text)
    if not revision or revision.startswith("-"):
        raise UserError(f"{text!r} has no valid revision after the @", hint="give a branch, a tag or a commit")
    return Source("git", text[:begin] + address, revision)


def _path_source(text: str, known: Mapping[str, str]) -> Source:
    path = Path(text).expanduser()
    if path.is_dir():
        return Source("git" if is_bare(path) else "path", str(path.resolve()))
    address, at, revision = text.rpartition("@")
    if at and revision and not revision.startswith("-") and Path(address).expanduser().is_dir():
        return Source("git", str(Path(address).expanduser().resolve()), revision)
    hint = "give builtin, a git address (https://…, git@host:…) with optional @revision, or a folder"
    names = f"; known to the site configuration: {', '.join(sorted(known))}" if known else ""
    raise UserError(f"there is no folder {text!r}", hint=hint + names)


def is_bare(folder: Path) -> bool:
    """Whether a folder is a git repository without a working tree."""
    return (folder / "HEAD").is_file() and all((folder / name).is_dir() for name in ("objects", "refs"))


GIT_VARIABLES = re.compile(r"GIT_(?!SSH|ASKPASS|TERMINAL_PROMPT|HTTP|SSL|PROXY|TRACE|CONFIG_)")
"""Variables that lead git to another repository than the folder's, or change what it says of it."""


def git_environment() -> dict[str, str]:
    """The environment for git: it looks at the folder that it is told, whoever that belongs to.

    Nothing is run from a repository that is only looked at, so ``safe.directory`` protects nobody here; without it, git
    refuses to say anything of a colleague's checkout.
    """
    kept = {name: value for name, value in os.environ.items() if not GIT_VARIABLES.match(name)}
    return trusting(kept, ["*"]) | {"LC_ALL": "C"}


def trusting(environ: Mapping[str, str], folders: Iterable[str]) -> dict[str, str]:
    """An environment whose git looks at some repositories whoever they belong to, besides what it trusts already."""
    text = environ.get("GIT_CONFIG_COUNT", "")
    first = int(text) if text.isdigit() else 0
    added = dict[str, str]()
    for number, folder in enumerate(folders, first):
        added |= {f"GIT_CONFIG_KEY_{number}": "safe.directory", f"GIT_CONFIG_VALUE_{number}": folder}
    return {**environ, **added, "GIT_CONFIG_COUNT": str(first + len(added) // 2)}


def git(*arguments: str | Path, cwd: Path | None = None, what: str = "", hint: str = "") -> str:
    """Run git and return its output."""
    return call(["git", *arguments], what=what or f"git {arguments[0]}", cwd=cwd, hint=hint, environ=git_environment())


def clone(source: Source, target: Path, *, submodules: bool = False) -> None:
    """Clone `source` to `target` with its history, at its revision; submodules too if asked for."""
    what = f"cloning {source}"
    is_here = source.address.startswith("file://") or Path(source.address).is_dir()
    served = [f"--upload-pack={_SERVED}"] if is_here else []
    git("clone", "--quiet", *served, "--", source.address, target, what=what, hint=_HINT_CLONE)
    if source.revision:
        git("checkout", "--quiet", source.revision, "--", cwd=target, what=what, hint="does this revision exist?")
    if submodules and (target / ".gitmodules").exists():
        git("submodule", "update", "--quiet", "--init", "--recursive", cwd=target, what=what, hint=_HINT_CLONE)


def place(source: Source, target: Path, builtin: Callable[[Path], None], *, submodules: bool = False) -> None:
    """Bring `source` to `target`, which must not exist; `builtin` does it for what is built in."""
    if source.kind == BUILTIN:
        builtin(target)
    elif source.kind == "git" or (Path(source.address) / ".git").is_file():  # a linked working tree
        clone(source, target, submodules=submodules)
    else:
        shutil.copytree(source.address, target, symlinks=True, ignore=LEFT_BEHIND)
    open_to_group(target)


def state(folder: Path, *, surrounding: bool = False) -> dict[str, Any]:
    """Revision, remote and whether there are uncommitted changes; an empty mapping where there is no repository.

    Parameters
    ----------
    folder
        The top of a repository.
    surrounding
        Take also a folder somewhere in a repository. Without it such a folder is none: a cycle lies in the repository
        of the production environment, whose revision says nothing of what is in the cycle.
    """
    if not (_is_work_tree(folder) if surrounding else is_repository(folder)):
        return {}
    return {
        "revision": git("rev-parse", "HEAD", cwd=folder).strip() if _has_commit(folder) else "",
        "remote": _remote(folder),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=all", "--", *SOURCES_ONLY, cwd=folder).strip()),
    }


def provenance(folder: Path) -> dict[str, Any]:
    """The :func:`state` of a folder; ``content`` says what is in it where that is not what a commit says.

    ``unread`` is true where there is a repository of which git says nothing, or no git.
    """
    found = state(folder)
    if not found and (folder / ".git").exists():
        found = {"unread": True}
    clean = found.get("revision") and not found["dirty"]
    return found if clean else found | {"content": content_digest(folder)}


def provenance_text(found: Mapping[str, Any], revision: int = 40) -> str:
    """A :func:`provenance` in words, with as many digits of the revision."""
    content = f"content sha256:{found['content']}" if found.get("content") else ""
    if found.get("unread"):
        return f"under version control, but no git is here to tell the revision, {content}"
    if not found.get("revision"):
        return f"not under version control, {content}"
    name = f"{found['remote']} {found['revision'][:revision]}".strip()
    return f"{name} with changes, {content}" if content else name


def content_digest(folder: Path) -> str:
    """The sha256 of the names and contents of the files of a folder, without caches and the history of checkouts.

    It is that of the output of ``sha256sum`` for all files sorted by name.
    """
    root = folder.resolve()
    digest = hashlib.sha256()
    for name in sorted(_contents(str(root), "")):
        path = root / name
        digest.update(_hash(path).encode() + b"  " + os.fsencode(name) + b"\n")
    return digest.hexdigest()


def _hash(path: Path) -> str:
    """The sha256 of a file, or of where a link leads that leads to none."""
    return sha256_of(path) if path.is_file() else hashlib.sha256(os.fsencode(path.readlink())).hexdigest()


def _contents(folder: str, inside: str) -> Iterator[str]:
    """The files and links below a folder; links to folders are not followed."""
    names = os.listdir(folder)  # noqa: PTH208 - names only
    for name in sorted({*names} - {".git"} - LEFT_BEHIND(folder, names)):
        path = f"{folder}/{name}"
        if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114
            yield from _contents(path, f"{inside}{name}/")
        elif os.path.isfile(path) or os.path.islink(path):  # noqa: PTH113, PTH114
            yield inside + name


def is_repository(folder: Path) -> bool:
    """Whether a folder is the top of a working tree."""
    top = ask(folder, "rev-parse", "--show-toplevel") if shutil.which("git") else ""
    return bool(top) and Path(top).resolve() == folder.resolve()


def _is_work_tree(folder: Path) -> bool:
    if shutil.which("git") is None:
        return False
    return ask(folder, "rev-parse", "--is-inside-work-tree") == "true"


def _has_commit(folder: Path) -> bool:
    return bool(ask(folder, "rev-parse", "--verify", "--quiet", "HEAD"))


def _remote(folder: Path) -> str:
    return ask(folder, "config", "--get", "remote.origin.url")


def ask(folder: Path, *arguments: str) -> str:
    """What git answers in a folder, empty where it has no answer."""
    import subprocess

    words = ["git", *arguments]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=git_environment())
    return done.stdout.strip() if not done.returncode else ""


def tracked_files(folder: Path) -> list[Path]:
    """Files of `folder` that git knows or would add, relative to it; all files where it is in no repository."""
    if _is_work_tree(folder):
        listing = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=folder)
        names = [Path(name) for name in listing.split("\0") if name]
        return sorted({name for name in names if (folder / name).is_file()})
    ignored = {"__pycache__", ".snakemake", ".git", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not ignored & set(path.parts) and path.suffix != ".pyc")


def copy_files(folder: Path, target: Path) -> None:
    """Copy the tracked files of `folder` to `target`."""
    for name in tracked_files(folder):
        to = target / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / name, to)


def make_repository(folder: Path, message: str) -> None:
    """Turn `folder` into a git repository with one commit, whoever the user and whatever their git settings are."""
    git("init", "--quiet", "--initial-branch=main", cwd=folder)
    commit_all(folder, message)


def commit_all(folder: Path, message: str) -> None:
    """Commit everything that is in a repository."""
    git("add", "--all", "--force", cwd=folder)
    git(*_IDENTITY, *_PLAIN, "commit", "--quiet", "--allow-empty", "-m", message, cwd=folder, what="git commit")
