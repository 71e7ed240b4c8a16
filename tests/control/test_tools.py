"""Installing the tools; the whole of it with the package index, once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prodenv.cli.parsers import COMMANDS
from prodenv.software import tools
from prodenv.software.tools import Place, digest, has_clusters

from .conftest import CLEAN, ProdEnv


def test_the_lock_in_use_is_the_upgraded_one_until_the_committed_one_changes(bare: ProdEnv) -> None:
    place = Place(bare.root)
    committed = bare.root / "prodenv/locks/tools.txt"
    assert place.lock("tools") == committed
    upgraded = place.tools / "locks" / "tools.txt"
    upgraded.parent.mkdir(parents=True)
    upgraded.write_text("newer")
    upgraded.with_suffix(".base").write_text(digest(committed))
    assert place.lock("tools") == upgraded
    committed.write_text("newest")
    assert place.lock("tools") == committed


def test_what_was_installed_with_clusters_keeps_them(tmp_path: Path) -> None:
    site = tmp_path / "lib/python3.11/site-packages"
    (site / "snakemake-9.27.1.dist-info").mkdir(parents=True)
    assert not has_clusters(tmp_path)
    (site / "snakemake_executor_plugin_slurm-2.8.0.dist-info").mkdir()
    assert has_clusters(tmp_path)


def test_an_interpreter_that_is_not_there_is_a_sentence(bare: ProdEnv) -> None:
    done = bare.run("prodenv-tools", "--python", "python9.9")
    assert done.returncode == 2
    assert "there is no interpreter 'python9.9'" in done.stderr


def test_a_python_without_pip_and_venv_is_a_sentence(bare: ProdEnv, tmp_path: Path) -> None:
    poor = tmp_path / "poor"
    script = 'case "$2" in pip|venv|*ensurepip*) exit 1;; esac'
    poor.write_text(f'#!/bin/sh\n{script}\nexec "{sys.executable}" "$@"\n')
    poor.chmod(0o755)
    done = bare.run("prodenv-tools", "--python", poor)
    assert done.returncode == 2
    assert "has neither pip nor venv with ensurepip" in done.stderr
    assert "apt-get install python3-venv" in done.stderr


def test_a_failing_installation_leaves_nothing_half_made(bare: ProdEnv) -> None:
    lock = bare.root / "prodenv/locks/bootstrap.txt"
    lock.write_text(f"uv==0.0.1 --hash=sha256:{'0' * 64}\n")
    done = bare.run("prodenv-tools", environ={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(bare.root)})
    assert done.returncode == 1
    assert "error: installing uv failed" in done.stderr
    left = sorted(path.name for path in (bare.root / "tools").iterdir())
    assert left == [".lock"]


@pytest.mark.parametrize(("words", "done"), [((), ["tools", "dev", "warm"]), (("--no-compile",), ["tools", "dev"])])
def test_what_the_tests_need_compiled_can_be_left_to_the_next_call(
    bare: ProdEnv, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], done: list[str]
) -> None:
    called: list[str] = []
    monkeypatch.setattr(tools, "ROOT", bare.root)
    monkeypatch.setattr(tools, "_ensure", lambda place, name, *_: called.append(name))
    monkeypatch.setattr(tools, "_warm", lambda *_: called.append("warm"))
    monkeypatch.setattr(tools, "_summary", lambda place: "")
    assert tools.run(COMMANDS["tools"].parse(["--dev", *words])) == 0
    assert called == done


@pytest.mark.production
def test_from_a_bare_python_to_the_software_of_a_cycle(bare: ProdEnv, repository: Path) -> None:
    """Everything with the real packages: minutes, unless they were downloaded and compiled in this checkout before."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    cache = repository / "tools" / "cache"
    if (cache / "numba").is_dir() and "UV_CACHE_DIR" not in environ:
        environ["UV_CACHE_DIR"] = str(cache / "uv")
        shutil.copytree(cache / "numba", bare.root / "tools" / "cache" / "numba")

    def run(command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, bare.root / "bin" / command, *arguments]
        done = subprocess.run([str(w) for w in words], cwd="/", env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    assert run("prodenv-tools").stdout.startswith("installed: snakemake 9.27")
    assert run("prodenv-tools").stdout.startswith("up to date: snakemake 9.27")
    assert sorted(path.name for path in (bare.root / "tools/bin").iterdir()) == ["snakemake", "uv"]
    run("dataprod-init-cycle", "cycles/v01")
    config = bare.root / "cycles/v01/config.json"
    run("dataprod-install-sw", config)
    packages = {entry["name"] for entry in _lock(config)["packages"]}
    assert {"dspeed", "pygama", "legend-daq2lh5", "numba"} <= packages
    _moved_environment_works(bare, environ)


def _lock(config: Path) -> dict[str, list[dict[str, str]]]:
    lock: dict[str, list[dict[str, str]]] = json.loads(
        (config.parent / "software/python/software-lock.json").read_text()
    )
    return lock


def _moved_environment_works(bare: ProdEnv, environ: dict[str, str]) -> None:
    """Tools, cycle and software can be moved together, and no compiled code is lost."""
    moved = bare.root.with_name("moved")
    shutil.move(bare.root, moved)
    version = subprocess.run([moved / "tools/bin/snakemake", "--version"], capture_output=True, text=True, env=CLEAN)
    assert version.stdout.startswith("9.27")
    before = _compiled(moved)
    words = [sys.executable, moved / "bin/dataprod-load-sw", moved / "cycles/v01/config.json"]
    warm = [*words, "python", "-P", "-m", "dataflow.jobs.warm"]
    done = subprocess.run([str(w) for w in warm], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(before) > 100
    assert _compiled(moved) == before


def _compiled(root: Path) -> list[tuple[str, int]]:
    files = sorted((root / "cycles/v01/software/python/install").rglob("*.nb?"))
    return [(file.name, file.stat().st_mtime_ns) for file in files]
