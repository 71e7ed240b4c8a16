"""Running a command with the software of a cycle."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import CLEAN, GitRepository, ProdEnv, git

SHOW = "#!{python}\nimport json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ)]))\n"


@pytest.fixture
def config(prodenv: ProdEnv) -> Path:
    """A cycle with stand-ins for its software."""
    cycle = prodenv.cycle("cycles/my v01")
    folder = cycle / "software/python/install/bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    (folder / "show").write_text(SHOW.format(python=sys.executable))
    (folder / "show").chmod(0o755)
    return cycle / "config.json"


@pytest.mark.parametrize(
    "arguments",
    [
        ["-h"],
        ["--help", "--setup", "x"],
        ["-c", "true"],
        ["a b", "it's", 'a "quoted" word', "", "*", "$HOME", "\\", "new\nline"],
        ["--", "-x"],
    ],
)
def test_every_argument_of_the_command_arrives(arguments: list[str], prodenv: ProdEnv, config: Path) -> None:
    done = prodenv.run("dataprod-load-sw", config, "show", *arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0] == arguments


def test_a_double_dash_before_the_command_is_a_separator(prodenv: ProdEnv, config: Path) -> None:
    done = prodenv.run("dataprod-load-sw", "--setup", "l200", config, "--", "show", "--", "-x")
    assert json.loads(done.stdout)[0] == ["--", "-x"]


def test_the_environment_is_kept(prodenv: ProdEnv, config: Path) -> None:
    done = prodenv.run("dataprod-load-sw", config, "show", environ={"MINE": "a 'b'", "PYTHONPATH": "/mine"})
    seen = json.loads(done.stdout)[1]
    install = config.parent / "software/python/install"
    assert (seen["MINE"], seen["PYTHONPATH"], seen["HOME"]) == ("a 'b'", "/mine", str(prodenv.root.parent))
    assert seen["PATH"] == f"{install}/bin:{CLEAN['PATH']}"
    assert seen["VIRTUAL_ENV"] == str(install)


def test_libraries_have_a_cache_where_the_home_cannot_be_written(
    prodenv: ProdEnv, config: Path, tmp_path: Path
) -> None:
    """numba, which importing dspeed or the reader needs, ends with a traceback without one."""
    (tmp_path / "file").write_text("")
    surroundings = {"HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}
    done = prodenv.run("dataprod-load-sw", config, "show", environ=surroundings)
    cache = tmp_path / f"prodenv-cache-{os.getuid()}"
    seen = json.loads(done.stdout)[1]
    assert (seen["XDG_CACHE_HOME"], seen["MPLCONFIGDIR"]) == (str(cache), str(cache / "matplotlib"))
    assert cache.is_dir()
    done = prodenv.run("dataprod-load-sw", config, "show", environ={"HOME": str(tmp_path)})
    assert "XDG_CACHE_HOME" not in json.loads(done.stdout)[1]


def test_git_reads_a_colleagues_checkout_and_metadata_and_no_other_repository(
    prodenv: ProdEnv, config: Path, git_repository: GitRepository
) -> None:
    """Readers of metadata take their version from git, which refuses repositories of other users."""
    outside, cycle = git_repository("outside", {"x": "1"}), config.parent
    (cycle / "inputs/hardware").mkdir(exist_ok=True)
    git(cycle / "inputs", "init", "--quiet", "hardware")
    repositories = [cycle / "dataflow", cycle / "inputs", cycle / "inputs/hardware", outside]
    if os.getuid() == 0:
        for folder in repositories:
            subprocess.run(["chown", "-R", "12345:12345", folder], check=True)
    answers = [
        prodenv.run(
            "dataprod-load-sw", config, "git", "-C", folder, "rev-parse", "--show-toplevel",
            environ={"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"},
        )
        for folder in repositories
    ]  # fmt: skip
    assert [answer.stdout.strip() for answer in answers] == [*map(str, repositories[:3]), ""]
    assert "dubious ownership" in answers[3].stderr


def test_metadata_without_a_version_are_read_by_pylegendmeta_all_the_same(prodenv: ProdEnv, config: Path) -> None:
    """It asks git for a tag, and reads a folder as it is where a variable says so."""
    inputs, name = config.parent / "inputs", "METADATA_NO_GIT_REPO"

    def seen(**environ: str) -> str | None:
        answer = prodenv.run("dataprod-load-sw", config, "show", environ=environ)
        found: str | None = json.loads(answer.stdout)[1].get(name)
        return found

    assert seen() == "1"
    assert seen(**{name: "mine"}) == "mine"
    git(inputs, "-c", "user.name=T", "-c", "user.email=t@t", "tag", "v1.4.1")
    assert seen() is None
    shutil.rmtree(inputs / ".git")
    assert seen() == "1"


@pytest.mark.parametrize("code", [0, 1, 3, 77, 255])
def test_the_exit_code_is_passed_on(code: int, prodenv: ProdEnv, config: Path) -> None:
    assert prodenv.run("dataprod-load-sw", config, "sh", "-c", f"exit {code}").returncode == code


def test_signals_reach_the_command(prodenv: ProdEnv, config: Path) -> None:
    words = [sys.executable, prodenv.root / "bin/dataprod-load-sw", config, "sh", "-c", "echo ready; exec sleep 60"]
    with subprocess.Popen([str(w) for w in words], env=CLEAN, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == -signal.SIGTERM


def test_standard_input_reaches_the_command(prodenv: ProdEnv, config: Path) -> None:
    words = [sys.executable, str(prodenv.root / "bin/dataprod-load-sw"), str(config), "cat"]
    done = subprocess.run(words, env=CLEAN, input="line\n", capture_output=True, text=True)
    assert done.stdout == "line\n"


def test_without_a_command_there_is_a_shell(prodenv: ProdEnv, config: Path) -> None:
    words = [sys.executable, str(prodenv.root / "bin/dataprod-load-sw"), str(config)]
    script = 'show one; echo "shell $0"; exit 5\n'
    done = subprocess.run(words, env=CLEAN | {"SHELL": "/bin/sh"}, input=script, capture_output=True, text=True)
    assert json.loads(done.stdout.splitlines()[0])[0] == ["one"]
    assert "shell /bin/sh" in done.stdout
    assert done.returncode == 5


def test_the_shell_is_interactive_on_a_terminal(prodenv: ProdEnv, config: Path) -> None:
    words = [sys.executable, str(prodenv.root / "bin/dataprod-load-sw"), str(config)]
    main, side = pty.openpty()
    env = CLEAN | {"SHELL": "/bin/sh", "PS1": "here> ", "TERM": "dumb"}
    with subprocess.Popen(words, env=env, stdin=side, stdout=side, stderr=side, start_new_session=True) as process:
        os.close(side)
        os.write(main, b"show one\nexit 4\n")
        assert process.wait(timeout=30) == 4
    seen = os.read(main, 100_000).decode()
    os.close(main)
    assert "leave it with exit" in seen
    assert '["one"]' in seen


@pytest.mark.parametrize(("shell", "rc"), [("bash", ".bashrc"), ("zsh", ".zshrc")])
def test_the_prompt_names_the_cycle_and_its_python_wins_over_the_users_files(
    prodenv: ProdEnv, config: Path, shell: str, rc: str
) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    home = prodenv.root.parent
    (home / rc).write_text("export PATH=/elsewhere:$PATH MINE=read\nPS1='mine> '\n")
    seen = on_a_terminal(
        [str(prodenv.root / "bin/dataprod-load-sw"), str(config)], {"SHELL": program, "HOME": str(home)}
    )
    assert f"{config.parent}/software/python/install/bin/python read" in seen
    assert "(my v01) mine> " in seen


def test_fish_is_told_what_it_does_not_do(prodenv: ProdEnv, config: Path) -> None:
    program = shutil.which("fish")
    if program is None:
        pytest.skip("there is no fish here")
    words = [str(prodenv.root / "bin/dataprod-load-sw"), str(config)]
    assert "fish does not show the cycle in its prompt" in on_a_terminal(words, {"SHELL": program})


def on_a_terminal(words: list[str], environ: dict[str, str]) -> str:
    """What a shell shows that is asked for its python and then left."""
    main, side = pty.openpty()
    env = CLEAN | environ | {"TERM": "dumb"}
    seen = b""
    with subprocess.Popen(
        [sys.executable, *words], env=env, stdin=side, stdout=side, stderr=side, start_new_session=True
    ) as process:
        os.close(side)
        os.write(main, b"echo `command -v python` $MINE; exit 4\n")
        with contextlib.suppress(OSError):  # the end of a terminal is an error
            while part := os.read(main, 100_000):
                seen += part
        process.wait(timeout=60)
    os.close(main)
    return seen.decode(errors="replace")


def test_a_missing_command_is_a_sentence(prodenv: ProdEnv, config: Path) -> None:
    done = prodenv.run("dataprod-load-sw", config, "no-such-program")
    assert done.returncode == 2
    assert "there is no command 'no-such-program'" in done.stderr


def test_missing_software_and_a_missing_config_are_sentences(prodenv: ProdEnv) -> None:
    cycle = prodenv.cycle("c")
    done = prodenv.run("dataprod-load-sw", cycle / "config.json", "ls")
    assert done.returncode == 2
    assert f"run dataprod-install-sw {cycle}/config.json" in done.stderr
    assert prodenv.run("dataprod-load-sw", "nothing.json", "ls").returncode == 2
    assert prodenv.run("dataprod-load-sw").returncode == 2


def test_a_missing_engine_is_a_sentence(prodenv: ProdEnv, config: Path) -> None:
    content = json.loads(config.read_text())
    content["setups"]["l200"]["execenv"] = {"cmd": "apptainer run", "arg": "image.sif"}
    config.write_text(json.dumps(content))
    done = prodenv.run("dataprod-load-sw", config, "ls")
    assert done.returncode == 2
    assert "is the container engine of execenv.cmd installed?" in done.stderr
