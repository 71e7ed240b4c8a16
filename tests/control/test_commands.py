"""The commands before anything is installed, and their help."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import CLEAN, ProdEnv

COMMANDS = ("dataprod-init-cycle", "dataprod-install-sw", "dataprod-load-sw", "prodenv-tools", "dataprod")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_needs_no_tools_and_imports_little(command: str, bare: ProdEnv) -> None:
    words = [sys.executable, "-I", "-X", "importtime", bare.root / "bin" / command, "--help"]
    done = subprocess.run(words, env=CLEAN, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {command}")
    imported = imported_by(done)
    assert {name for name in imported if name.startswith("prodenv.")} == {
        *OPTIONS,
        "prodenv.base",
        "prodenv.base.places",
    }
    assert imported.isdisjoint(SLOW)


OPTIONS = {f"prodenv.cli{part}" for part in ("", ".launch", ".parsers", ".run_options", ".verb_options")}
SLOW = {"asyncio", "dataclasses", "email", "importlib.metadata", "json", "logging", "socket", "subprocess", "yaml"}
"""Modules that take as long to import as all that help needs."""


def own(modules: set[str]) -> set[str]:
    """Those of this package."""
    return {name for name in modules if name.startswith("prodenv.")}


def imported_by(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The modules that a process imported, which was started with ``-X importtime``."""
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("dataprod-init-cycle", ["x"]),
        ("dataprod-install-sw", ["config.json"]),
        ("dataprod-load-sw", ["config.json", "ls", "-l"]),
        ("dataprod", ["init-cycle", "x"]),
    ],
)
def test_missing_tools_are_named(command: str, arguments: list[str], bare: ProdEnv) -> None:
    done = bare.run(command, *arguments)
    assert done.returncode == 2
    assert done.stderr == "error: the tools are not installed\nhint: run prodenv-tools\n"


def test_usage_is_that_of_the_published_commands(bare: ProdEnv) -> None:
    assert "[-h] [-c]" in bare.run("dataprod-init-cycle", "-h").stdout
    assert bare.run("dataprod-install-sw", "-h").stdout.startswith("usage: dataprod-install-sw [-h]")
    assert "config_file [command ...]" in bare.run("dataprod-load-sw", "-h").stdout


def test_a_wrong_option_is_a_sentence(bare: ProdEnv) -> None:
    done = bare.run("dataprod-init-cycle", "x", "--metdata", "y")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "hint: dataprod-init-cycle --help" in done.stderr


def test_all_commands_go_by_one_name_too(bare: ProdEnv) -> None:
    assert bare.run("dataprod", "install-sw", "-h").stdout.startswith("usage: dataprod install-sw")
    listing = bare.run("dataprod", "--help").stdout
    assert all(verb in listing for verb in ("init-cycle", "install-sw", "load-sw", "tools", "PRODENV_SITE"))
    unknown = bare.run("dataprod", "init")
    assert unknown.returncode == 2
    assert "there is no command 'init'" in unknown.stderr


def test_a_linked_command_finds_its_environment(bare: ProdEnv, tmp_path: Path) -> None:
    (tmp_path / "dp").symlink_to(bare.root / "bin" / "dataprod")
    done = subprocess.run([sys.executable, str(tmp_path / "dp"), "-h"], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0


def test_what_runs_before_the_tools_is_understood_by_old_pythons(repository: Path) -> None:
    """Otherwise an old python3 shows a SyntaxError instead of the sentence about its age."""
    code = (
        "import sys, prodenv.cli.launch; "
        "ours = (module for name, module in sys.modules.items() if name.partition('.')[0] == 'prodenv'); "
        "print(*(module.__file__ for module in ours), sep=chr(10))"
    )
    environ = CLEAN | {"PYTHONPATH": str(repository / "prodenv/src")}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    early = [Path(name) for name in done.stdout.splitlines()]
    assert {"launch.py", "parsers.py", "run_options.py", "verb_options.py"} < {file.name for file in early}
    for file in [*sorted((repository / "bin").iterdir()), *early]:
        ast.parse(file.read_text(), str(file), feature_version=(3, 7))


def test_an_old_python_is_told_so(bare: ProdEnv) -> None:
    script = (
        "import sys; sys.path.insert(0, 'prodenv/src'); import prodenv.cli.launch as l; l.OLDEST = (9, 0); "
        "l.shutil.which = lambda name: None; sys.exit(l.launch('tools', []))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=bare.root, env=CLEAN, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: this is Python 3.")


def test_commands_are_executable(repository: Path) -> None:
    assert all(os.access(repository / "bin" / command, os.X_OK) for command in COMMANDS)
