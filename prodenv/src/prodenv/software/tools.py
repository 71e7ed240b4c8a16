"""``prodenv-tools``: uv, Snakemake and this package's dependencies in ``tools/``, from a lock of versions and hashes.

Runs on any Python ≥ 3.11 before anything is installed, so it uses the standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prodenv.base.errors import UserError, WorkFailed
from prodenv.base.files import aside, locked, remove_stale, swap_in, write_text
from prodenv.base.notes import step
from prodenv.base.places import OLDEST, ROOT
from prodenv.base.processes import call

from . import numba_cache, uv_settings

STAMP = ".prodenv-stamp.json"
SOURCES = {"tools": ("prodenv/src",), "dev": ("prodenv/src", "dataflow/src", "demo/src")}
"""Our own packages, which the tools and the tests import from where they lie; the tools do without any flow."""
_HINT_NETWORK = "can the package index be reached? See UV_INDEX_URL, UV_OFFLINE and HTTPS_PROXY"

PYTHON_FACTS = (
    "import json, platform, sys; print(json.dumps({'version': platform.python_version(), 'implementation': "
    "sys.implementation.name, 'system': sys.platform, 'machine': platform.machine()}))"
)
"""Program that says what an interpreter is."""

_LAUNCHER = """\
#!/bin/sh
# Made by prodenv-tools: Snakemake with the cycle found from where you are.
here=$(dirname -- "$(readlink -f -- "$0")")
python=$here/../env/bin/python
if ! [ -x "$python" ]; then
  echo "error: the tools are installed, but you may not use $(readlink -m -- "$python")" >&2
  echo "hint: ask its owner to let others read it; dataprod list says which folder is closed" >&2
  exit 2
fi
exec "$python" -I -m prodenv.running.snakemake "$@"
"""


@dataclass(frozen=True)
class Place:
    """Where the tools of a production environment are."""

    root: Path

    @property
    def tools(self) -> Path:
        return self.root / "tools"

    @property
    def env(self) -> Path:
        return self.tools / "env"

    @property
    def uv(self) -> Path:
        return self.tools / "bin" / "uv"

    @property
    def compiled(self) -> Path:
        """Where compiled code is kept for the next environment."""
        return self.tools / "cache" / "numba"

    def lock(self, name: str) -> Path:
        """The lock in use: that of the last upgrade, unless the committed one is newer than the upgrade."""
        committed = self.committed(name)
        upgraded = self.tools / "locks" / f"{name}.txt"
        base = upgraded.with_suffix(".base")
        if upgraded.exists() and base.exists() and base.read_text().strip() == digest(committed):
            return upgraded
        return committed

    def committed(self, name: str) -> Path:
        return self.root / "prodenv" / "locks" / f"{name}.txt"


def digest(*files: Path) -> str:
    """A hash of the content of `files`."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def run(options: argparse.Namespace) -> int:
    """Install what is missing; says so where nothing is."""
    place = Place(ROOT)
    python = _interpreter(options.python)
    with locked(place.tools / ".lock", "prodenv-tools"):
        if options.pinned:
            shutil.rmtree(place.tools / "locks", ignore_errors=True)
        if options.upgrade:
            _upgrade(place, python)
        name = "clusters" if options.clusters or has_clusters(place.env) else "tools"
        changed = [_ensure(place, name, place.env, python)]
        if options.dev:
            changed.append(_ensure(place, "dev", place.tools / "dev", python))
            if not options.no_compile:
                _warm(place, place.tools / "dev")
        _write_bin(place)
    print(("installed" if any(changed) else "up to date") + f": {_summary(place)}")
    return 0


def has_clusters(env: Path) -> bool:
    """Whether an environment has Snakemake's executors for clusters; what was installed with them keeps them."""
    return any((env / "lib").glob("python3.*/site-packages/snakemake_executor_plugin_slurm-*.dist-info"))


def _interpreter(wanted: str) -> str:
    """The Python to build on.

    Raises
    ------
    UserError
        If it is older than what the software needs.
    """
    if not wanted:
        full_name = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
        return str(full_name) if full_name.exists() else sys.executable
    found = shutil.which(wanted)
    if not found:
        raise UserError(
            f"there is no interpreter {wanted!r}", hint="give the path of a python3 of version 3.11 or newer"
        )
    probe = call([found, "-c", "import sys; print(*sys.version_info[:2])"], what=f"asking {found} for its version")
    version = tuple(map(int, probe.split()))
    if version < OLDEST:
        raise UserError(f"{found} is Python {version[0]}.{version[1]}; 3.11 or newer is needed")
    return found


def _stamp(lock: Path, python: str) -> dict[str, str]:
    """What decides whether an environment is the one that is wanted."""
    return {
        "lock": digest(lock),
        "python": str(Path(python).resolve()),
        "machine": platform.machine(),
        "form": "1",
    }


def _ensure(place: Place, name: str, target: Path, python: str) -> bool:
    """Build the environment `target` from the lock `name` unless it is there; returns whether it was built."""
    lock = place.lock(name)
    stamp = json.dumps(_stamp(lock, python), sort_keys=True)
    if _read(target / STAMP) == stamp and os.access(target / "bin" / "python", os.X_OK):
        return False
    remove_stale(target)
    with aside(target) as folder:
        uv = _uv(place, folder, python)
        new = folder / "env"
        _fill(place, uv, new, lock, python)
        _add_sources(place, new, target, SOURCES["dev" if lock == place.lock("dev") else "tools"])
        write_text(new / STAMP, stamp)
        swap_in(new, target)
    return True


def _fill(place: Place, uv: Path, new: Path, lock: Path, python: str) -> None:
    with step(f"environment on {python}"):
        _call_uv(place, uv, "venv", "--relocatable", "--no-project", "--python", python, new)
    with step(f"packages of {lock.name}"):
        arguments: list[str | Path] = ["--require-hashes", "--no-deps", "--compile-bytecode", "-r", lock]
        _call_uv(place, uv, "pip", "install", "--python", new / "bin" / "python", *arguments)


def _add_sources(place: Place, new: Path, target: Path, sources: Iterable[str]) -> None:
    """Make our own packages importable by relative paths, so that everything can be moved together."""
    site = next((new / "lib").glob("python3.*")) / "site-packages"
    final = target / site.relative_to(new)
    lines = [os.path.relpath(place.root / source, final) for source in sources]
    write_text(site / "prodenv.pth", "".join(f"{line}\n" for line in lines))


def _read(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def environment(place: Place) -> dict[str, str]:
    """The environment for uv: its cache is shared by all cycles, and nothing outside is taken for a target."""
    environ = uv_settings.own(os.environ)
    if os.access(place.tools, os.W_OK):  # else the tools belong to someone else, and uv uses a cache of the user's own
        environ.setdefault("UV_CACHE_DIR", str(place.tools / "cache" / "uv"))
    return environ | {"UV_NO_PROGRESS": "1"}


def _call_uv(place: Place, uv: Path, *arguments: str | Path) -> str:
    return call([uv, *arguments], what=f"uv {arguments[0]}", environ=environment(place), hint=_HINT_NETWORK)


def _uv(place: Place, folder: Path, python: str) -> Path:
    """A uv to work with: the one of the tools if it is of the pinned version, else a new one."""
    pinned = place.committed("bootstrap").read_text().split()[0].removeprefix("uv==")
    if place.uv.exists() and _version_of(place.uv) == pinned:
        return place.uv
    with step(f"uv {pinned}"):
        return _install_uv(place, folder / "boot", python)


def _version_of(uv: Path) -> str:
    done = subprocess.run([str(uv), "--version"], capture_output=True, text=True)
    return (done.stdout.split() or ["", ""])[1] if not done.returncode else ""


def _install_uv(place: Place, boot: Path, python: str) -> Path:
    """Install uv with pip: that of the interpreter, or, where there is none, that of a venv."""
    pip: Sequence[str | Path] = [python, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True).returncode:
        pip = [_venv(boot / "venv", python), "-m", "pip"]
    target = boot / "uv"
    form = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--quiet"]
    lock = place.committed("bootstrap")
    no_notice = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    call(
        [*pip, "install", *form, "--target", target, "-r", lock],
        what="installing uv",
        hint=_HINT_NETWORK,
        environ=os.environ | no_notice,
    )
    return target / "bin" / "uv"


def _venv(folder: Path, python: str) -> Path:
    if subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True).returncode:
        raise UserError(
            f"{python} has neither pip nor venv with ensurepip",
            hint="install them (on Debian: apt-get install python3-venv), or give another --python",
        )
    call([python, "-m", "venv", folder], what="making a virtual environment")
    return folder / "bin" / "python"


def _upgrade(place: Place, python: str) -> None:
    """Resolve ``prodenv/locks/*.in`` again, and record the result under ``tools/locks``."""
    with aside(place.tools / "locks.new") as folder:
        uv = _uv(place, folder, python)
        for name in ("tools", "clusters", "dev"):
            source = place.root / "prodenv" / "locks" / f"{name}.in"
            new = place.tools / "locks" / f"{name}.txt"
            with step(f"newest versions for {source.name}"):
                lock = folder / new.name
                form = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate"]
                _call_uv(place, uv, "pip", "compile", "--upgrade", "--quiet", *form, source, "-o", lock)
                write_text(new, lock.read_text())
                write_text(new.with_suffix(".base"), digest(place.committed(name)))


def _warm(place: Place, env: Path) -> None:
    """Compile once what the tests would otherwise compile, or take it from an earlier installation."""
    done = env / ".warm"
    if done.exists():
        return
    python, site = env / "bin" / "python", next((env / "lib").glob("python3.*")) / "site-packages"
    facts = json.loads(call([python, "-c", PYTHON_FACTS], what="asking Python for its version"))
    found = numba_cache.facts_of(site, {**facts, "container": []})
    command: list[str | Path] = [python, "-P", "-m", "dataflow.jobs.warm"]
    numba_cache.warm(site, place.compiled, found, lambda: call(command, what="compiling the signal processors"))
    done.touch()


def _write_bin(place: Place) -> None:
    """``tools/bin``: Snakemake and uv, nothing that could hide a program of the user."""
    launcher = place.tools / "bin" / "snakemake"
    if _read(launcher) != _LAUNCHER:
        write_text(launcher, _LAUNCHER, mode=0o755)
    link, to = place.uv, Path("..", "env", "bin", "uv")
    if not link.is_symlink() or link.readlink() != to:
        link.unlink(missing_ok=True)
        link.symlink_to(to)


def _summary(place: Place) -> str:
    versions = []
    for name in ("snakemake", "uv"):
        found = sorted((place.env / "lib").glob(f"python3.*/site-packages/{name}-*.dist-info"))
        if not found:
            raise WorkFailed(f"{name} is not in {place.env}", hint="remove tools/env and run prodenv-tools again")
        versions.append(found[0].name.removesuffix(".dist-info").replace("-", " "))
    return ", ".join(versions)
