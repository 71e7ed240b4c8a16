"""Installing a published flow: its own pins with hashes, editable, and what may differ from them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ..control.conftest import GitRepository, ProdEnv, find_uv
from ..control.wheels import make_wheel
from .standin import flow_files, simulation_files


@dataclass(frozen=True)
class Small:
    """A cycle of the stand-in, and an index of tiny packages."""

    prodenv: ProdEnv
    cycle: Path
    index: Path

    @property
    def config(self) -> Path:
        return self.cycle / "dataflow-config.yaml"

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        cache = str(self.prodenv.root / "tools/cache/uv")
        environ = {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(self.index), "UV_CACHE_DIR": cache}
        return self.prodenv.run("dataprod-install-sw", *options, self.config, environ=environ)

    def installed(self) -> dict[str, Any]:
        done = self.run()
        assert done.returncode == 0, done.stderr
        lock: dict[str, Any] = json.loads((self.cycle / "software/python/software-lock.json").read_text())
        return lock

    def configure(self, text: str) -> None:
        self.config.write_text(self.config.read_text() + text)

    def ask(self, code: str) -> str:
        done = self.prodenv.run("dataprod-load-sw", self.config, "python", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def small(prodenv: ProdEnv, git_repository: GitRepository, tmp_path: Path) -> Small:
    if find_uv() is None:
        pytest.skip("uv is not in the environment of the tests")
    index = tmp_path / "index"
    index.mkdir()
    for name, version in (("tiny", "1.0"), ("tiny", "2.0"), ("other", "3.1"), ("other", "4.0")):
        make_wheel(index, name, version)
    cycle = prodenv.cycle("cycles/my v01", "--dataflow", git_repository("flow", flow_files()))
    return Small(prodenv, cycle, index)


def versions(lock: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["version"] for entry in lock["packages"]}


def test_its_pins_and_those_of_its_productions_are_locked_with_hashes(small: Small) -> None:
    lock = small.installed()
    assert versions(lock) == {"other": "3.1", "tiny": "1.0"}
    assert all(entry["hashes"][0].startswith("sha256:") for entry in lock["packages"])
    assert [(entry["name"], entry["path"]) for entry in lock["checkouts"]] == [("theirs", "dataflow")]
    assert small.ask("import theirs; print(theirs.__file__)") == str(small.cycle / "dataflow/theirs.py")
    (small.cycle / "dataflow/theirs.py").write_text("FLOW = 2\n")
    assert small.ask("import theirs; print(theirs.FLOW)") == "2", "editable: changes act at once"
    assert small.ask("import os; print(os.environ['PRODENV'])") == str(small.prodenv.root)


def test_an_exact_pin_is_beaten_by_what_the_cycle_asks_for(small: Small) -> None:
    small.configure("pkg_versions: {tiny: '2.0'}\n")
    done = small.run()
    assert done.returncode == 0, done.stderr
    assert small.ask("import tiny; print(tiny.VERSION)") == "2.0"
    assert "note: The package `theirs` requires `tiny==1.0`, but `2.0` is installed" in done.stderr
    assert "as pkg_versions asks for" in done.stderr


def test_a_python_that_is_not_there_is_a_sentence(small: Small) -> None:
    small.configure("python: /nowhere/python3\n")
    done = small.run()
    assert done.returncode == 1
    assert "is there such a Python on this machine? See `python` in" in done.stderr
    small.config.write_text(small.config.read_text().replace("/nowhere/python3", sys.executable))
    assert small.installed()["python"]["version"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")


def test_a_simulation_cycle_is_told_which_steps_are_possible(
    small: Small, git_repository: GitRepository, tmp_path: Path
) -> None:
    """Two of its programs are on no package index."""
    source = git_repository("simflow", simulation_files())
    made = small.prodenv.run("simprod-init-cycle", "cycles/sim", "--simflow", source)
    assert made.returncode == 0, made.stderr
    config = small.prodenv.root / "cycles/sim/simflow-config.yaml"
    cache = str(small.prodenv.root / "tools/cache/uv")
    environ = {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(small.index), "UV_CACHE_DIR": cache}
    julia = tmp_path / "bin/julia"
    julia.parent.mkdir()
    julia.write_text("#!/bin/sh\n")
    julia.chmod(0o755)
    path = f"{julia.parent}:/usr/bin:/bin"
    done = small.prodenv.run("dataprod-install-sw", config, environ=environ | {"PATH": path})
    assert done.returncode == 0, done.stderr
    assert "steps that are possible here: vtx, par, opt, hit, evt, cvt, pdf" in done.stdout
    assert "not possible: stp, which runs remage: that is on no package index" in done.stdout
    assert "julia" not in done.stdout


DSPEED = """
import os, pathlib
folder = pathlib.Path(__file__).parent / "__pycache__"
folder.mkdir(exist_ok=True)
(folder / f"processors.f-1.py311.{os.environ['LGDO_BOUNDSCHECK']}.nbc").write_text("compiled")
__all__ = ["late"]
def __getattr__(name):
    if name == "late":
        (folder / "late.f-1.py311.nbi").write_text("compiled")
        return 1
    raise AttributeError(name)
"""


def test_old_releases_are_compiled_under_the_variables_of_jobs(small: Small) -> None:
    """Those have no function for it: what they export compiles when it is asked for."""
    package(small, "dspeed", {"dspeed/__init__.py": "", "dspeed/processors.py": DSPEED})
    done = small.run()
    assert done.returncode == 0, done.stderr
    compiled = sorted(path.name for path in small.cycle.rglob("*.nb?"))
    assert compiled == ["late.f-1.py311.nbi", "processors.f-1.py311.false.nbc"]


def test_a_compilation_that_fails_is_a_warning_with_its_reason(small: Small) -> None:
    package(small, "dspeed", {"dspeed/__init__.py": "", "dspeed/processors.py": "raise RecursionError('too deep')\n"})
    done = small.run()
    assert done.returncode == 0
    assert "warning: compiling the signal processors failed" in done.stderr
    assert "RecursionError: too deep" in done.stderr
    assert versions(json.loads((small.cycle / "software/python/software-lock.json").read_text()))["tiny"] == "1.0"
    assert small.run("--if-changed").stdout.startswith("up to date")


def package(small: Small, name: str, files: dict[str, str]) -> None:
    """Make the flow depend on one more package, which consists of some files."""
    import zipfile

    info = f"{name}-1.0.dist-info"
    content = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
    with zipfile.ZipFile(small.index / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
    changed = flow_files(needs=f'"tiny==1.0", "{name}==1.0"')
    for file in ("pyproject.toml", "backend.py"):
        (small.cycle / "dataflow" / file).write_text(changed[file])
