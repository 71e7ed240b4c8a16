"""Compiled code: taken where it was made for this processor, else made once, by one process, in a folder of the user.

numba keeps compiled code beside the sources. It does not take it where the folder cannot be written (software of
another account), nor code for another processor: then every worker of every job would compile, many at once, and a
cache that two write at once kills every later process (numba issue 10128). So before workers start, one process
compiles for this processor into a folder of the user, and jobs that come meanwhile wait for it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import WorkFailed

log = logging.getLogger(__name__)

MARKER = "compiled-for.json"
"""File in ``site-packages`` that says for which processor the installation compiled."""
VARIABLE = "NUMBA_CACHE_DIR"
CHAINS = "DATAPROD_COMPILED_CHAINS"
"""Environment variable: ``0`` if dspeed's own processors are to be used."""
_ABOUT = ("model name", "flags", "CPU implementer", "CPU part", "Features")


def processor() -> str:
    """What compiled code depends on of this machine's processor, as a hash."""
    return hashlib.sha256("\n".join([platform.machine(), *_processor_facts()]).encode()).hexdigest()[:16]


def _processor_facts() -> list[str]:
    """What Linux says of the first processor; of others, the name that the system gives."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return [platform.processor()]
    lines = text.split("\n\n", 1)[0].splitlines()
    return sorted(" ".join(line.split()) for line in lines if line.partition(":")[0].strip() in _ABOUT)


def note_processor(site: Path) -> None:
    """Write down that the code in an installation is compiled for this processor."""
    (site / MARKER).write_text(json.dumps({"processor": processor()}) + "\n", encoding="utf-8")


def choose(is_wanted: bool) -> None:
    """Tell this process and its workers whether chains are compiled."""
    os.environ[CHAINS] = str(int(is_wanted))


def prepare() -> None:
    """Make sure that there is compiled code for this processor that this user can use.

    Raises
    ------
    WorkFailed
        If there is none and it cannot be made.
    """
    if is_ready():
        return
    folder = Path(os.environ[VARIABLE])
    done = folder / "complete"
    with _alone(folder):
        if not done.is_file():
            _compile(folder)
            done.touch()


def is_ready() -> bool:
    """Whether there is compiled code for this processor that this user can use; it is taken, and nothing is made."""
    site = site_packages()
    if site is None or os.environ.get(VARIABLE) or _is_usable(site):
        return True
    folder = user_folder(site)
    os.environ[VARIABLE] = str(folder)
    return (folder / "complete").is_file()


def site_packages() -> Path | None:
    """The ``site-packages`` of the installation that this process runs in, None where it is none of ours."""
    found = [Path(entry) for entry in sys.path if entry.endswith("site-packages") and entry.startswith(sys.prefix)]
    return next((site for site in found if (site / MARKER).is_file()), None)


def _is_usable(site: Path) -> bool:
    return not why_not(site)


def why_not(site: Path) -> str:
    """Why the compiled code of an installation cannot be used by this user on this machine; empty if it can."""
    made_for = json.loads((site / MARKER).read_text(encoding="utf-8")).get("processor")
    if made_for != processor():
        return "is compiled for another processor than that of this machine"
    may_write = os.access(site / "dspeed" / "processors" / "__pycache__", os.W_OK)
    return "" if may_write else "cannot be written by you, so that numba does not take the code compiled in it"


def state_of(site: Path) -> tuple[bool, str]:
    """Whether jobs of this user can begin at once, and a sentence on the compiled code of an installation.

    Nothing is made.
    """
    reason = why_not(site)
    if not reason:
        return True, "the compiled code is for this processor"
    folder = user_folder(site, is_asked_only=True)
    if (folder / "complete").is_file():
        return True, f"the software {reason}; yours is in {folder}"
    return False, f"the software {reason}: the first job compiles into {folder}, once (minutes), and the others wait"


def user_folder(site: Path, *, is_asked_only: bool = False) -> Path:
    """Where compiled code of this user for an installation and this processor is kept.

    Parameters
    ----------
    site
        The ``site-packages`` of the installation.
    is_asked_only
        Whether no folder is to be made above it.

    Raises
    ------
    WorkFailed
        If it would be in the temporary folder and somebody else can write in it.
    """
    found = os.environ.get("XDG_CACHE_HOME") or (f"{os.environ['HOME']}/.cache" if os.environ.get("HOME") else "")
    own = Path(found) / "prodenv" / "compiled" if found else None
    if own is None or not (_could_make(own) if is_asked_only else _can_make(own)):
        own = Path(tempfile.gettempdir()) / f"prodenv-compiled-{os.getuid()}"
        _make_private(own, is_asked_only)
    facts = [str(site), str((site / MARKER).stat().st_mtime_ns), processor()]
    return own / hashlib.sha256("\n".join(facts).encode()).hexdigest()[:20]


def _can_make(folder: Path) -> bool:
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        return os.access(folder, os.W_OK)
    return False


def _could_make(folder: Path) -> bool:
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _make_private(folder: Path, is_asked_only: bool) -> None:
    """Make a folder in the common temporary folder, where somebody else could have laid out one with other code."""
    if is_asked_only and not os.path.lexists(folder):
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid() or folder.is_symlink() or folder.stat().st_mode & 0o077:
        raise WorkFailed(
            f"{folder} is not a private folder of this user, so compiled code cannot be kept in it",
            hint="set XDG_CACHE_HOME to a folder that you can write in",
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def announcement(folder: Path) -> str:
    """The line by which users learn why jobs wait; ``dataprod run`` knows it by its first words."""
    return f"compiling the signal processors for this processor into {folder}, once (minutes); jobs wait for it"


def _compile(folder: Path) -> None:
    log.info("compiling for this processor into %s, once (minutes)", folder)
    print(announcement(folder), file=sys.stderr, flush=True)
    words = [sys.executable, "-P", "-m", "dataflow.jobs.warm"]
    done = subprocess.run(words, env=os.environ | {VARIABLE: str(folder)}, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise WorkFailed(
            f"the signal processors could not be compiled for this processor: {reason}",
            hint=f"remove {folder} and run again",
        )


if __name__ == "__main__":  # what `dataprod doctor` asks, in the surroundings of jobs
    found_site = site_packages()
    print(json.dumps(state_of(found_site) if found_site else None))
