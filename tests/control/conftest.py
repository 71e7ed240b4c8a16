"""A production environment to try things in: a copy of the repository, with the tests' interpreter as its tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..copies import copy_sources

COPIED = ("setup.sh", "site.yaml", "bin", "prodenv", "dataflow")
CLEAN = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


@dataclass(frozen=True)
class ProdEnv:
    """A copy of the production environment."""

    root: Path

    def run(
        self, command: str, *arguments: str | Path, cwd: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of ``bin/`` as a user would, with the bare interpreter."""
        words = [sys.executable, str(self.root / "bin" / command), *map(str, arguments)]
        env = CLEAN | {"HOME": str(self.root.parent)} | dict(environ or {})
        return subprocess.run(words, cwd=cwd or self.root, env=env, capture_output=True, text=True, timeout=300)

    def cycle(self, rpath: str = "cycles/v01", *options: str | Path) -> Path:
        """A new cycle."""
        done = self.run("dataprod-init-cycle", rpath, *options)
        assert done.returncode == 0, done.stderr
        return self.root / rpath


def copy_of(repository: Path, root: Path) -> ProdEnv:
    """Copy what a production environment consists of."""
    root.mkdir(parents=True)
    for name in COPIED:
        source = repository / name
        if source.is_dir():
            copy_sources(source, root / name)
        else:
            shutil.copy2(source, root / name)
    return ProdEnv(root)


def stand_in_tools(prodenv: ProdEnv) -> None:
    """Tools without an installation: a virtual environment that sees the packages of the tests, and uv."""
    env = prodenv.root / "tools" / "env"
    site = env / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    site.mkdir(parents=True)
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    (env / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    (env / "bin").mkdir()
    (env / "bin" / "python").symlink_to(base)
    sources = [str(prodenv.root / name / "src") for name in ("prodenv", "dataflow")]
    (site / "tests.pth").write_text("\n".join([*sources, sysconfig.get_path("purelib"), ""]))
    uv = find_uv()
    if uv:
        (env / "bin" / "uv").symlink_to(uv)


def find_uv() -> str | None:
    """The uv beside the interpreter of the tests, else the one on PATH."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


@pytest.fixture
def bare(repository: Path, tmp_path: Path) -> ProdEnv:
    """A production environment whose tools are not installed, in a folder with spaces."""
    return copy_of(repository, tmp_path / "prod env")


@pytest.fixture
def prodenv(bare: ProdEnv) -> ProdEnv:
    """A production environment that can be used."""
    stand_in_tools(bare)
    return bare


GitRepository = Callable[..., Path]


@pytest.fixture
def git_repository(tmp_path: Path) -> GitRepository:
    """Make a git repository with the given files, each commit of `history` on top of the other, tagged v1, v2, …"""

    def make(name: str, *history: Mapping[str, str]) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--initial-branch=main")
        for number, files in enumerate(history, 1):
            for file, text in files.items():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_text(text)
            git(folder, "add", "--all")
            git(folder, "-c", "user.name=T", "-c", "user.email=t@t", "commit", "--quiet", "-m", f"v{number}")
            git(folder, "tag", f"v{number}")
        return folder

    return make


def git(folder: Path, *arguments: str) -> str:
    """Run git without anybody's settings."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=CLEAN | {"HOME": str(folder)}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
