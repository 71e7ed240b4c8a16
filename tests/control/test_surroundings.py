"""What lies around a user (variables, settings, rights) does not decide about what is installed, run or found."""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prodenv.base import sources
from prodenv.base.caches import with_cache
from prodenv.base.errors import UserError
from prodenv.cli import launch
from prodenv.commands.run import run
from prodenv.cycles.create import REFUSED, refuse_characters
from prodenv.cycles.doctor.cycle import _files
from prodenv.cycles.doctor.environment import Finding
from prodenv.cycles.find import CycleFolder
from prodenv.cycles.setups import setup_of
from prodenv.running.snakemake import environment, refuse_unwritable
from prodenv.software import uv_settings
from prodenv.software.tools import _LAUNCHER

from .conftest import CLEAN, ProdEnv

AS_ROOT = os.geteuid() == 0


@pytest.mark.parametrize("command", ["dataprod", "dataprod-init-cycle", "prodenv-tools"])
def test_python_variables_of_the_user_do_not_reach_the_commands(repository: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "argparse.py").write_text("raise SystemExit('the module of the user')")
    environ = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nonexistent", "PYTHONSTARTUP": "x"}
    done = subprocess.run([repository / "bin" / command, "--help"], env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


def test_neither_variables_nor_modules_of_the_user_reach_the_simulator(
    prodenv: ProdEnv, repository: Path, tmp_path: Path
) -> None:
    cycle = prodenv.cycle()
    (prodenv.root / "demo").symlink_to(repository / "demo")
    python = cycle / "software/python/install/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "numpy.py").write_text("raise SystemExit('the module of the user')")
    misleading = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nonexistent", "PYTHONSTARTUP": "x"}
    words = [prodenv.root / "bin/dataprod", "demo", "draw", cycle]
    done = subprocess.run(words, env=CLEAN | misleading, cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr.startswith("error: "), done.stderr
    assert "experiment.yaml" in done.stderr


def settings(tmp_path: Path, text: str) -> dict[str, str]:
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv/uv.toml").write_text(text)
    nowhere = str(tmp_path / "nothing")
    return uv_settings.own({"XDG_CONFIG_HOME": str(tmp_path), "XDG_CONFIG_DIRS": nowhere, "HOME": nowhere})


def test_of_uv_settings_only_index_and_network_count(tmp_path: Path) -> None:
    text = """
    index-url = "https://one.example/simple"
    extra-index-url = ["https://two.example/simple", "https://three.example/simple"]
    native-tls = true
    prerelease = "allow"
    [pip]
    target = "/somewhere/else"
    no-build = true
    find-links = ["/wheels"]
    """
    found = settings(tmp_path, text)
    assert found == {
        "XDG_CONFIG_HOME": str(tmp_path),
        "XDG_CONFIG_DIRS": str(tmp_path / "nothing"),
        "HOME": str(tmp_path / "nothing"),
        "UV_NO_CONFIG": "1",
        "UV_DEFAULT_INDEX": "https://one.example/simple",
        "UV_INDEX": "https://two.example/simple https://three.example/simple",
        "UV_NATIVE_TLS": "true",
        "UV_FIND_LINKS": "/wheels",
    }


def test_named_indexes_are_handed_on(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        """
        [[index]]
        name = "lab"
        url = "https://lab.example/simple"
        [[index]]
        url = "https://main.example/simple"
        default = true
        """,
    )
    assert found["UV_INDEX"] == "lab=https://lab.example/simple"
    assert found["UV_DEFAULT_INDEX"] == "https://main.example/simple"


def test_a_variable_wins_over_the_file_and_what_decides_on_packages_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv/uv.toml").write_text('index-url = "https://file.example"')
    found = uv_settings.own(
        {
            "XDG_CONFIG_HOME": str(tmp_path),
            "UV_INDEX_URL": "https://variable.example",
            "UV_CONSTRAINT": "c.txt",
            "VIRTUAL_ENV": "/venv",
            "PYTHONPATH": "/x",
        }
    )
    assert found["UV_INDEX_URL"] == "https://variable.example" and "UV_DEFAULT_INDEX" not in found
    assert not {"UV_CONSTRAINT", "VIRTUAL_ENV", "PYTHONPATH"} & set(found)


def test_a_broken_uv_toml_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="uv.toml cannot be read"):
        settings(tmp_path, "index-url = ")


def test_uv_itself_takes_no_target_from_the_user(repository: Path, tmp_path: Path) -> None:
    """The real uv, with a settings file that would send packages to another folder."""
    uv = repository / "tools" / "bin" / "uv"
    if not uv.exists():
        pytest.skip("uv is not installed: run make test, or prodenv-tools")
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv/uv.toml").write_text(f'[pip]\ntarget = "{tmp_path / "elsewhere"}"\nunknown-entry = 1\n')
    environ = uv_settings.own(os.environ | {"XDG_CONFIG_HOME": str(tmp_path)})
    done = subprocess.run([uv, "pip", "list", "--python", sys.executable], env=environ, capture_output=True, text=True)
    assert done.returncode == 0 and "pytest" in done.stdout, done.stderr


def test_git_variables_do_not_lead_to_another_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    for folder in (ours, other):
        folder.mkdir()
        (folder / "file").write_text(folder.name)
        sources.make_repository(folder, folder.name)
    before = sources.state(ours)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert sources.state(ours) == before != sources.state(other)


@pytest.mark.skipif(not AS_ROOT, reason="only root can give files to another user")
def test_a_repository_of_another_user_keeps_its_provenance(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "file").write_text("content")
    sources.make_repository(folder, "first")
    before = sources.state(folder)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    assert sources.state(folder) == before and before["revision"]


def test_the_state_of_a_checkout_needs_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataflow.setup.packages import checkout_state

    folder = tmp_path / "package"
    (folder / "src").mkdir(parents=True)
    (folder / "src/module.py").write_text("x = 1\n")
    sources.make_repository(folder, "first")
    before = checkout_state(folder)
    monkeypatch.setenv("PATH", "")
    assert checkout_state(folder) == before != ""
    (folder / "src/module.py").write_text("x = 2\n")
    assert checkout_state(folder) != before


@pytest.mark.parametrize("character", [*sorted(REFUSED), "\n", "\x1b", "\x7f", "\u2028", "\udcff"])
def test_characters_that_something_takes_for_something_else_are_refused(character: str) -> None:
    with pytest.raises(UserError, match="has the character"):
        refuse_characters(Path(f"/data/a{character}b"))


@pytest.mark.parametrize("name", ["v01", "a b", "a-b_c.d", "é", "測定", "a+b", "a=b", "a@b"])
def test_other_characters_are_allowed(name: str) -> None:
    refuse_characters(Path("/data") / name)


def test_a_cycle_with_such_a_name_is_refused_before_anything_is_made(repository: Path) -> None:
    done = subprocess.run(
        [repository / "bin/dataprod-init-cycle", "cycles/a:b"], capture_output=True, text=True, cwd=repository
    )
    assert done.returncode == 2 and "the character ':'" in done.stderr
    assert not (repository / "cycles/a:b").exists()


def test_snakemake_has_a_cache_that_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    found = environment({"HOME": str(file), "TMPDIR": str(tmp_path), "PYTHONPATH": "x", "PYTHONHOME": "y"})
    assert found["XDG_CACHE_HOME"] == str(tmp_path / f"prodenv-cache-{os.getuid()}")
    assert "PYTHONPATH" not in found and "PYTHONHOME" not in found
    assert "XDG_CACHE_HOME" not in environment({"HOME": str(tmp_path)})


def test_a_cache_in_the_temporary_folder_is_private(tmp_path: Path) -> None:
    """What libraries keep there is executed, and others may write in the folder above."""
    (tmp_path / "file").write_text("")
    surroundings = {"HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}
    folder = Path(with_cache(surroundings)["XDG_CACHE_HOME"])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert with_cache(surroundings)["XDG_CACHE_HOME"] == str(folder)
    folder.chmod(0o777)
    with pytest.raises(UserError, match="is not a private folder of yours") as caught:
        with_cache(surroundings)
    assert "XDG_CACHE_HOME" in caught.value.hint
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(UserError, match="is not a private folder of yours"):
        environment(surroundings)


def test_a_cache_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        with_cache({"HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path / "file")})


def test_a_user_without_a_name_is_called_by_the_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = {"HOME": str(tmp_path)}
    monkeypatch.setattr("prodenv.running.snakemake.os.getuid", lambda: 1234567)
    assert environment(home)["LOGNAME"] == "1234567"
    assert "LOGNAME" not in environment({**home, "USER": "me"})
    monkeypatch.setattr("prodenv.running.snakemake.os.getuid", lambda: 0)
    assert "LOGNAME" not in environment(home)


def test_a_cycle_that_may_only_be_read_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "dataflow").mkdir()
    refuse_unwritable(["-n"], tmp_path)
    monkeypatch.setattr("prodenv.running.snakemake.os.access", lambda path, mode: False)
    with pytest.raises(UserError, match="you may not write in") as caught:
        refuse_unwritable(["-n"], tmp_path)
    assert "dataprod plan" in caught.value.hint


def test_a_run_in_a_cycle_that_may_only_be_read_is_the_same_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "dataflow").mkdir()
    monkeypatch.setattr("prodenv.running.snakemake.os.access", lambda path, mode: False)
    with pytest.raises(UserError, match="you may not write in"):
        run(argparse.Namespace(cycle=str(tmp_path), dry_run=False, json=False))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "dataflow"]


def test_snakemake_of_tools_that_others_may_not_read_is_a_sentence(tmp_path: Path) -> None:
    launcher = tmp_path / "tools/bin/snakemake"
    launcher.parent.mkdir(parents=True)
    launcher.write_text(_LAUNCHER)
    done = subprocess.run(["sh", launcher, "-n"], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"you may not use {tmp_path / 'tools/env/bin/python'}" in done.stderr


def test_tools_that_others_may_not_read_are_not_called_missing(tmp_path: Path) -> None:
    python = tmp_path / "tools/env/bin/python"
    assert "the tools are not installed" in launch._why_not(str(python))
    python.parent.mkdir(parents=True)
    private = tmp_path / "private"
    private.mkdir()
    (private / "python").write_text("")
    python.symlink_to(private / "python")
    assert f"you may not use {private / 'python'}" in launch._why_not(str(python))


@pytest.mark.skipif(not AS_ROOT or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_another_user_is_told_which_folder_is_closed(repository: Path, tmp_path: Path) -> None:
    """The real command as another user, with tools whose interpreter lies in a closed home."""
    root, home = tmp_path / "prodenv", tmp_path / "home"
    shutil.copytree(repository / "bin", root / "bin")
    shutil.copytree(repository / "prodenv", root / "prodenv", ignore=shutil.ignore_patterns("__pycache__"))
    home.mkdir(mode=0o700)
    (home / "python").symlink_to(sys.executable)
    (root / "tools/env/bin").mkdir(parents=True)
    (root / "tools/env/bin/python").symlink_to(home / "python")
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            if not folder.is_relative_to(tmp_path.parent.parent):
                pytest.skip(f"{folder} is closed to others")
            folder.chmod(folder.stat().st_mode | 0o055)
    python = shutil.which("python3", path="/usr/bin:/bin")
    if python is None:
        pytest.skip("there is no python3 that every user may run")
    words = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", root / "bin/dataprod", "list"]
    done = subprocess.run(words, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert done.returncode == 2 and f"you may not use {home}" in done.stderr, done.stderr


@pytest.mark.skipif(not AS_ROOT or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_another_user_is_told_whose_folder_it_is(repository: Path, tmp_path: Path) -> None:
    """The real command as another user, whose number has no name, in a folder that is closed to writing."""
    python = shutil.which("python3", path="/usr/bin:/bin")
    new_enough = "import sys; sys.exit(sys.version_info < (3, 11))"
    if python is None or subprocess.run([python, "-c", new_enough]).returncode:
        pytest.skip("there is no python3 of 3.11 that every user may run")
    sources, closed = tmp_path / "sources", tmp_path / "closed"
    shutil.copytree(repository / "prodenv/src", sources, ignore=shutil.ignore_patterns("__pycache__"))
    closed.mkdir()
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            if not folder.is_relative_to(tmp_path.parent.parent):
                pytest.skip(f"{folder} is closed to others")
            folder.chmod(folder.stat().st_mode | 0o055)
    program = (
        "import argparse, pathlib, sys; from types import SimpleNamespace as Any; from prodenv.cli import main\n"
        f"work = lambda options: pathlib.Path({str(closed / 'a/b')!r}).mkdir(parents=True)\n"
        "sys.modules['work'] = Any(run=work)\n"
        "sys.exit(main.run(Any(module='work'), argparse.Namespace()))"
    )
    words = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", python, "-c", program]
    done = subprocess.run(words, env={"PYTHONPATH": str(sources)}, capture_output=True, text=True)
    owner = pwd.getpwuid(closed.stat().st_uid).pw_name
    assert done.returncode == 1
    assert f"hint: {closed} belongs to {owner}: ask for the right to write there" in done.stderr, done.stderr


def test_a_doctor_says_in_one_sentence_that_a_cycle_is_that_of_another_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    for number in range(20):
        (tmp_path / f"generated/{number}").mkdir(parents=True)
    folder = CycleFolder(tmp_path, tmp_path / "config.json")
    monkeypatch.setattr("prodenv.cycles.doctor.cycle.os.access", lambda path, mode: False)
    assert [found.what for found in permissions(folder)][0] == "you may not write in generated"
    monkeypatch.setattr("prodenv.cycles.doctor.cycle.os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    (found,) = permissions(folder)
    owner = pwd.getpwuid(tmp_path.stat().st_uid).pw_name
    assert (found.state, found.what) == ("warning", f"the cycle belongs to {owner}; you may read it")
    assert "dataprod new" in found.fix


def permissions(cycle: CycleFolder) -> list[Finding]:
    """What a doctor finds about the rights in a cycle."""
    return [found for found in _files(cycle, setup_of(cycle)) if found.area == "permissions"]
