"""Jupyter beside the software of a cycle, which it sees and does not change."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from prodenv.base.errors import UserError
from prodenv.base.files import aside, locked, swap_in, write_text
from prodenv.base.notes import step
from prodenv.base.places import ROOT
from prodenv.base.processes import call
from prodenv.cycles.setups import Setup

from .install import lock_of
from .tools import Place, environment

PACKAGES = ("jupyterlab", "ipykernel")
COMPLETE = ".complete"
_HINT = "can the package index be reached? See UV_INDEX_URL, UV_OFFLINE and HTTPS_PROXY"


def jupyter_of(setup: Setup, wanted: str) -> Path:
    """A Python that has Jupyter and the software of a cycle.

    Parameters
    ----------
    setup
        The cycle.
    wanted
        What is needed of it: ``jupyterlab`` or ``ipykernel``.

    Returns
    -------
    Path
        The cycle's own where it has what is wanted; else one in a folder beside, which is made if it is not there yet.

    Raises
    ------
    UserError
        If no software is installed, or it is used in a container and lacks what is wanted.
    WorkFailed
        If Jupyter cannot be installed.
    """
    install = setup.path("install")
    if not os.path.lexists(install / "bin" / "python"):
        raise UserError(f"no software is installed in {install}", hint=f"run dataprod-install-sw {setup.file}")
    site = _site(install)
    if (site / wanted).is_dir() or (site / f"{wanted}.py").is_file():
        return install / "bin" / "python"
    if setup.execenv.cmd:
        hint = f'write pkg_versions: {{"{wanted}": ">=0"}} in {setup.file}, and run dataprod-install-sw {setup.file}'
        raise UserError(f"the software of {setup.directory}, which runs in a container, has no {wanted}", hint=hint)
    return _beside(setup, site) / "bin" / "python"


def _site(install: Path) -> Path:
    return next(iter(sorted((install / "lib").glob("python3.*"))), install / "lib" / "python3") / "site-packages"


def _beside(setup: Setup, site: Path) -> Path:
    """The folder with Jupyter for the software of a cycle; made where it is not there yet."""
    pins, interpreter = _pins(setup), str((setup.path("install") / "bin" / "python").resolve())
    name = hashlib.sha256("\n".join([str(site), interpreter, *pins]).encode()).hexdigest()[:16]
    target = cache() / "jupyter" / name
    if not (target / COMPLETE).is_file():
        _make(target.parent)
        with locked(target.parent / f".{name}.lock", "dataprod notebook"), aside(target) as new:
            if not (target / COMPLETE).is_file():
                _install(setup, site, pins, new)
                swap_in(new, target)
    return target


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "set XDG_CACHE_HOME to a folder that you may write in"
        raise UserError(f"{folder} cannot be made: {error.strerror}", hint=hint) from None


def cache() -> Path:
    """Where what is only there to be quick is kept, for this user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME") or "/") / ".cache"
    return Path(base) / "prodenv"


def _pins(setup: Setup) -> list[str]:
    """The versions that the cycle's software has, so that packages that both need are the same."""
    try:
        entries = json.loads(lock_of(setup).read_text(encoding="utf-8"))["packages"]
    except (OSError, ValueError, KeyError):
        return []
    return sorted(f"{entry['name']}=={entry['version']}" for entry in entries if entry.get("version"))


def _install(setup: Setup, site: Path, pins: list[str], new: Path) -> None:
    place = Place(ROOT)
    environ, uv, python = environment(place), place.env / "bin" / "uv", setup.path("install") / "bin" / "python"
    with step(f"Jupyter beside the software of {setup.directory.name}, once"):
        form = ["--relocatable", "--no-project", "--allow-existing", "--python", str(python.resolve())]
        call([uv, "venv", *form, new], what="making the virtual environment", environ=environ, hint=_HINT)
        write_text(new / "pins.txt", "".join(f"{pin}\n" for pin in pins))
        words: list[str | Path] = [
            uv,
            "pip",
            "install",
            "--python",
            new / "bin" / "python",
            "--constraint",
            new / "pins.txt",
            *PACKAGES,
        ]
        call(words, what="installing Jupyter", environ=environ, hint=_HINT)
        # the folder's own .pth files, of the cycle's dataflow and checkouts, count too: hence addsitedir
        write_text(_site(new) / "cycle.pth", f"import site; site.addsitedir({str(site)!r})\n")
        write_text(new / COMPLETE, "")
