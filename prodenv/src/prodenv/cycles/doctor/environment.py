"""What may be wrong with a production environment, and the command that fixes it. Nothing is changed here."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prodenv.base.errors import UserError
from prodenv.base.site import read_site
from prodenv.base.tables import size_text
from prodenv.software.tools import STAMP, Place, digest

OK, WARNING, BAD = "ok", "warning", "bad"
_GB = 10**9
LITTLE_SPACE = 20 * _GB
NO_SPACE = _GB
FEW_FILES = 1024
MISLEADING = ("PYTHONHOME", "PYTHONPATH", "LD_PRELOAD", "NUMBA_CACHE_DIR", "VIRTUAL_ENV")
"""Variables that lead other programs than ours to other packages than theirs."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    area
        Environment, disk, software, ….
    state
        ``ok``, ``warning`` (it works, but) or ``bad`` (it does not work).
    what
        A sentence.
    fix
        The command, or what to do, for a person to copy.
    """

    area: str
    state: str
    what: str
    fix: str = ""


def environment(root: Path) -> Iterator[Finding]:
    """Look at the environment at `root`."""
    yield _prodenv(root)
    yield from _variables()
    yield from _tools(Place(root))
    yield _site(root)
    yield _git()
    yield _open_files()
    yield disk(root)


def _prodenv(root: Path) -> Finding:
    fix = f"source {shlex.quote(str(root / 'setup.sh'))}"
    given = os.environ.get("PRODENV", "")
    if not given:
        return Finding("environment", WARNING, "PRODENV is not set", fix)
    if Path(given).resolve() != root:
        return Finding("environment", WARNING, f"PRODENV is {given}, but the commands are those of {root}", fix)
    return Finding("environment", OK, f"PRODENV is {root}")


def _variables() -> Iterator[Finding]:
    for name in MISLEADING:
        if os.environ.get(name):
            yield Finding("environment", WARNING, f"{name} is set to {os.environ[name]}", f"unset {name}")


def _tools(place: Place) -> Iterator[Finding]:
    if not os.access(place.env / "bin" / "python", os.X_OK):
        yield Finding("tools", BAD, f"there are no tools in {place.tools}", "prodenv-tools")
        return
    stamp = place.env / STAMP
    if stamp.is_file() and digest(place.lock("tools")) not in stamp.read_text(encoding="utf-8"):
        yield Finding("tools", WARNING, "the tools are not those of the lock", "prodenv-tools")
    for name in ("snakemake", "uv"):
        found = sorted((place.env / "lib").glob(f"python3.*/site-packages/{name}-*.dist-info"))
        if found and os.access(place.tools / "bin" / name, os.X_OK):
            version = found[0].name.removesuffix(".dist-info").rpartition("-")[2]
            yield Finding("tools", OK, f"{name} {version}")
        else:
            yield Finding("tools", BAD, f"{name} is not in the tools", "prodenv-tools")


def _site(root: Path) -> Finding:
    try:
        read_site(root)
    except UserError as error:
        return Finding("environment", BAD, error.message, error.hint)
    return Finding("environment", OK, "the site configuration can be read")


def _git() -> Finding:
    if shutil.which("git") is None:
        return Finding("environment", BAD, "there is no git: no cycle can be made", "install git")
    return Finding("environment", OK, f"git is {shutil.which('git')}")


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FEW_FILES:
        return Finding("environment", WARNING, f"only {soft} files may be open at a time", f"ulimit -n {hard}")
    return Finding("environment", OK, f"{soft} files may be open at a time")


def disk(folder: Path) -> Finding:
    """How much space is left where a folder is."""
    usage = shutil.disk_usage(folder)
    what = f"{size_text(usage.free)} of {size_text(usage.total)} free for {folder}"
    fix = "free some space: `dataprod list` shows sizes, `dataprod clean CYCLE --attic` deletes what was moved there"
    state = BAD if usage.free < NO_SPACE else WARNING if usage.free < LITTLE_SPACE else OK
    return Finding("disk", state, what, "" if state == OK else fix)
