"""Where libraries keep what they have compiled or copied: the user's cache folder, or one that can be written.

numba ends with a traceback where neither its sources nor the user's cache folder can be written, Snakemake where the
latter cannot: a home that is missing, full or read-only, as containers and batch systems have it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from .errors import UserError

VARIABLE = "XDG_CACHE_HOME"


def with_cache(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with a cache folder that can be written; the temporary folder has one where the user has none.

    Raises
    ------
    UserError
        If the folder there is not private: what is kept in it is executed.
    """
    found = dict(environ)
    if not _can_write(Path(found.get(VARIABLE) or Path(found.get("HOME") or "/") / ".cache")):
        own = Path(found.get("TMPDIR") or "/tmp") / f"prodenv-cache-{os.getuid()}"  # noqa: S108 - made private
        _make_private(own)
        found[VARIABLE] = str(own)
        found.setdefault("MPLCONFIGDIR", str(own / "matplotlib"))  # or each start complains, and looks for fonts
    return found


def _can_write(folder: Path) -> bool:
    """Whether a folder can be written in, or could be made."""
    there = next((place for place in (folder, *folder.parents) if os.path.lexists(place)), Path("/"))
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _make_private(folder: Path) -> None:
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
    try:
        facts = folder.lstat()
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}", hint=_HINT) from None
    if folder.is_symlink() or not folder.is_dir() or facts.st_uid != os.getuid() or facts.st_mode & 0o022:
        raise UserError(f"{folder} is not a private folder of yours, so nothing can be kept in it", hint=_HINT)


_HINT = f"set {VARIABLE} to a folder that you may write in"
