"""Whole productions, with the commands as users type them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

Run = subprocess.CompletedProcess[str]


class Environment:
    """The production environment of the checkout under test, as after ``source setup.sh``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        bins = [str(root / "bin"), str(root / "tools" / "bin")]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PRODENV", "PYTHON"))}
        self.environ = inherited | {
            "PRODENV": str(root),
            "PATH": os.pathsep.join([*bins, os.environ["PATH"]]),
        }
        self.installed: Path | None = None
        """A cycle that has its software."""

    def run(self, *words: object, cwd: Path | None = None, code: int | None = 0) -> Run:
        """Run a command; its exit code must be as expected."""
        argv = [str(word) for word in words]
        done = subprocess.run(argv, env=self.environ, cwd=cwd or self.root, capture_output=True, text=True, check=False)
        assert code is None or done.returncode == code, f"{argv}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def install(self, cycle: Path) -> None:
        """Install the software of a cycle; where another one has it, link its files, which are at home anywhere."""
        config = cycle / "config.json"
        if self.installed is None:
            self.run("dataprod-install-sw", config)
            self.installed = cycle
            return
        made, new = (folder / "software/python" for folder in (self.installed, cycle))
        shutil.copytree(made / "install", new / "install", symlinks=True, copy_function=os.link)
        shutil.copy2(made / "software-lock.json", new)
        assert "up to date" in self.run("dataprod-install-sw", "--if-changed", config).stdout


@pytest.fixture(scope="session")
def environment(repository: Path) -> Environment:
    """The environment; skipped where its tools are not installed (``make test`` installs them)."""
    if not (repository / "tools" / "bin" / "snakemake").exists():
        pytest.skip("the tools of this checkout are not installed: run make test, or prodenv-tools")
    return Environment(repository)


@pytest.fixture(scope="session")
def places(repository: Path) -> Iterator[Path]:
    """A folder for cycles inside the environment, removed afterwards."""
    (repository / "cycles").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="test-", dir=repository / "cycles"))
    yield folder
    if not os.environ.get("KEEP_CYCLES"):
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def demo(environment: Environment, places: Path) -> tuple[Path, Run]:
    """The finished cycle of the demo, and what was printed."""
    cycle = places / "demo"
    done = environment.run("dataprod", "demo", "run", cycle.relative_to(environment.root), "-j", 2, "--scale", 0.5)
    environment.installed = cycle
    return cycle, done
