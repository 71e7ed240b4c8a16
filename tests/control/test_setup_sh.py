"""Sourcing setup.sh, in every shell that is here."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from .conftest import CLEAN, ProdEnv

SHELLS = ("bash", "zsh", "dash", "sh")
KNOWS_THE_FILE = ("bash", "zsh")


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if not shutil.which(name, path=CLEAN["PATH"]):
        pytest.skip(f"{name} is not installed here")
    return name


def say(shell: str, script: str, cwd: Path, environ: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:  # noqa: B006
    clean = CLEAN | {"HOME": str(cwd)} | dict(environ)
    return subprocess.run([shell, "-c", script], cwd=cwd, env=clean, capture_output=True, text=True)


def test_it_finds_its_folder_from_inside(shell: str, bare: ProdEnv) -> None:
    done = say(shell, '. ./setup.sh; printf "%s|%s" "$PRODENV" "$PATH"', bare.root)
    root = str(bare.root.resolve())
    assert done.stdout == f"{root}|{root}/bin:{root}/tools/bin:/usr/bin:/bin"
    assert done.stderr == ""


@pytest.mark.parametrize("knowing", KNOWS_THE_FILE)
def test_it_finds_its_folder_from_anywhere(knowing: str, bare: ProdEnv) -> None:
    if not shutil.which(knowing):
        pytest.skip(f"{knowing} is not installed here")
    script = f'source "{bare.root}/setup.sh"; printf "%s" "$PRODENV"'
    assert say(knowing, script, Path("/")).stdout == str(bare.root.resolve())


@pytest.mark.parametrize("knowing", KNOWS_THE_FILE)
def test_a_link_to_it_leads_to_its_folder(knowing: str, bare: ProdEnv, tmp_path: Path) -> None:
    if not shutil.which(knowing):
        pytest.skip(f"{knowing} is not installed here")
    (tmp_path / "my-setup").symlink_to(bare.root / "setup.sh")
    script = f'source "{tmp_path}/my-setup"; printf "%s" "$PRODENV"'
    assert say(knowing, script, Path("/")).stdout == str(bare.root.resolve())


def test_sourced_again_it_changes_nothing(shell: str, bare: ProdEnv) -> None:
    again = '. "$PRODENV/setup.sh"; cd /; . "$PRODENV/setup.sh"'
    done = say(shell, f'. ./setup.sh; once=$PATH; {again}; [ "$once" = "$PATH" ] && printf same', bare.root)
    assert done.stdout == "same"


def test_it_is_safe_under_strict_settings(shell: str, bare: ProdEnv) -> None:
    done = say(shell, 'set -eu; . ./setup.sh; printf "%s" "$PRODENV_VERSION"', bare.root)
    assert done.stdout == (bare.root / "prodenv" / "VERSION").read_text().strip()


def test_it_leaves_nothing_else_behind(shell: str, bare: ProdEnv) -> None:
    names = "env | cut -d= -f1 | sort"
    before = say(shell, names, bare.root).stdout.split()
    after = say(shell, f". ./setup.sh; {names}", bare.root).stdout.split()
    assert sorted(set(after) - set(before)) == ["PRODENV", "PRODENV_TOOLS", "PRODENV_VERSION"]
    leftovers = say(shell, ". ./setup.sh; set | cut -d= -f1 | grep -i _prodenv; command -v is_prodenv", bare.root)
    assert leftovers.stdout == ""


@pytest.mark.parametrize("knowing", KNOWS_THE_FILE)
def test_another_environment_takes_the_place_on_path(knowing: str, bare: ProdEnv, tmp_path: Path) -> None:
    if not shutil.which(knowing):
        pytest.skip(f"{knowing} is not installed here")
    other = tmp_path / "other"
    shutil.copytree(bare.root, other)
    done = say(knowing, f'. ./setup.sh; . "{other}/setup.sh"; printf "%s" "$PATH"', bare.root)
    assert done.stdout == f"{other.resolve()}/bin:{other.resolve()}/tools/bin:/usr/bin:/bin"


@pytest.mark.parametrize("unknowing", ["dash", "sh"])
def test_a_shell_that_cannot_tell_says_what_to_set(unknowing: str, bare: ProdEnv) -> None:
    if not shutil.which(unknowing) or "dash" not in str(Path(shutil.which(unknowing) or "").resolve()):
        pytest.skip(f"{unknowing} is not a dash here")
    done = say(unknowing, f'. "{bare.root}/setup.sh"; printf "%s" "$? ${{PRODENV:-none}}"', Path("/"))
    assert done.stdout == "2 none"
    assert "hint: set PRODENV" in done.stderr


def test_a_shell_that_cannot_tell_believes_prodenv(shell: str, bare: ProdEnv) -> None:
    script = f'. "{bare.root}/setup.sh"; printf "%s" "$PRODENV"'
    assert say(shell, script, Path("/"), {"PRODENV": str(bare.root)}).stdout == str(bare.root.resolve())


def test_a_wrong_prodenv_is_put_right(shell: str, bare: ProdEnv) -> None:
    done = say(shell, '. ./setup.sh; printf "%s" "$PRODENV"', bare.root, {"PRODENV": "/nowhere"})
    assert done.stdout == str(bare.root.resolve())


def test_make_uses_the_environment_of_its_folder(bare: ProdEnv, repository: Path) -> None:
    """Also in a shell in which another one was set up."""
    if not shutil.which("make", path=CLEAN["PATH"]):
        pytest.skip("make is not installed here")
    shutil.copy2(repository / "Makefile", bare.root)
    tool = bare.root / "bin/prodenv-tools"
    tool.write_text('#!/bin/sh\nprintf "%s" "$PRODENV"\n')
    environ = {"PRODENV": str(repository), "PATH": f"{repository}/bin:{CLEAN['PATH']}"}
    assert say("sh", "make -s tools", bare.root, environ).stdout == str(bare.root.resolve())
