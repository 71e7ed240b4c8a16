"""Things appear whole or not at all, and compiled code is taken only for the same sources."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prodenv.base.errors import UserError
from prodenv.base.files import aside, read_data, remove_stale, swap_in, write_text
from prodenv.cycles import lock
from prodenv.software import numba_cache


def test_a_failing_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "f"
    write_text(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(file, "\ud800")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_file_has_the_rights_that_its_group_shares(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "f", "text")
        write_text(tmp_path / "x", "text", mode=0o755)
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "fx"] == [mode, 0o755]


@pytest.mark.parametrize(
    ("words", "here"),
    [
        (["python", "snakemake", "-j1"], True),
        (["python", "snakemake", "--configfile=/prod/cycle/config.json"], True),
        (["python", "snakemake", "--configfile", "/prod/cycle/config.json", "x.gen"], True),
        (["python", "snakemake", "--configfile", "config.json"], True),
        (["python", "snakemake", "--configfile=/prod/other/config.json"], False),
        (["python", "something"], False),
    ],
)
def test_a_snakemake_of_another_user_that_works_on_a_cycle_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], *, here: bool
) -> None:
    (tmp_path / "cmdline").write_bytes(b"\0".join(word.encode() for word in words))

    def hidden(path: Path) -> Path:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "readlink", hidden)
    assert lock._is_snakemake_in(tmp_path, "/prod/cycle") is here


def test_what_is_built_aside_disappears_with_the_folders_made_for_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), aside(tmp_path / "a" / "b" / "c") as folder:
        (folder / "x").touch()
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_swapping_in_replaces_the_old_folder(tmp_path: Path) -> None:
    target, new = tmp_path / "t", tmp_path / "n"
    for folder in (target, new):
        folder.mkdir()
        (folder / folder.name).touch()
    swap_in(new, target)
    assert [path.name for path in tmp_path.rglob("*")] == ["t", "n"]


def test_a_swap_that_died_half_way_is_put_right(tmp_path: Path) -> None:
    taken_away = tmp_path / f".old-t-{socket.gethostname()}-999999999"
    half_made = tmp_path / f".new-t-{socket.gethostname()}-999999999"
    for folder in (taken_away, half_made):
        folder.mkdir()
    (taken_away / "working").touch()
    remove_stale(tmp_path / "t")
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["t", "working"]


def test_what_living_processes_or_other_hosts_build_is_left_alone(tmp_path: Path) -> None:
    names = [f".new-t-{socket.gethostname()}-{os.getpid()}", ".new-t-elsewhere-999999999", ".new-t2-x-1", ".hidden"]
    for name in names:
        (tmp_path / name).mkdir()
    remove_stale(tmp_path / "t")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_second_process_waits_for_the_lock(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from prodenv.base.files import locked\n"
        "with locked(Path(sys.argv[1]), 'test'): print('in', flush=True); time.sleep(float(sys.argv[2]))"
    )
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", script, str(tmp_path / "lock")]
    with subprocess.Popen([*words, "1"], env=environ, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "in\n"
        begin = time.monotonic()
        second = subprocess.run([*words, "0"], env=environ, capture_output=True, text=True, check=True)
        assert time.monotonic() - begin > 0.5
        assert "waiting for another test to finish" in second.stderr


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "pkg" / "__pycache__").mkdir(parents=True)
    (folder / "pkg" / "mod.py").write_text("source")
    for name in ("mod.f-1.py311.nbi", "mod.f-1.py311.1.nbc", "guf-mod.g-9.py311.nbi", "mod.cpython-311.pyc"):
        (folder / "pkg" / "__pycache__" / name).write_text(name)
    return folder


def another(site: Path) -> Path:
    """The same sources without compiled code."""
    other = site.with_name("other")
    (other / "pkg").mkdir(parents=True)
    source = site / "pkg" / "mod.py"
    (other / "pkg" / "mod.py").write_text(source.read_text())
    os.utime(other / "pkg" / "mod.py", ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
    return other


def test_compiled_code_is_kept_and_taken(site: Path, tmp_path: Path) -> None:
    assert numba_cache.keep(site, tmp_path / "store") == 3
    other = another(site)
    assert numba_cache.restore(other, tmp_path / "store") == 3
    assert numba_cache.compiled_files(other) == numba_cache.compiled_files(site)


def test_compiled_code_of_other_sources_is_not_taken(site: Path, tmp_path: Path) -> None:
    numba_cache.keep(site, tmp_path / "store")
    other = another(site)
    os.utime(other / "pkg" / "mod.py", ns=(0, 0))
    assert numba_cache.restore(other, tmp_path / "store") == 0


def test_compiled_code_of_a_workflow_is_taken_by_the_next_cycle(site: Path, tmp_path: Path) -> None:
    packages, kept = tmp_path / "packages", tmp_path / "kept"
    packages.mkdir()
    flow = another(site)

    def compile_all() -> None:
        shutil.copytree(site / "pkg" / "__pycache__", flow / "pkg" / "__pycache__")

    numba_cache.warm(packages, kept, {}, compile_all, flow)
    shutil.rmtree(flow / "pkg" / "__pycache__")
    numba_cache.warm(packages, kept, {}, lambda: None, flow)
    assert numba_cache.compiled_files(flow) == numba_cache.compiled_files(site) != []
    (own,) = flow.rglob("*.nbc")
    own.write_text("of this cycle")
    numba_cache.warm(packages, kept, {}, lambda: None, flow)
    assert own.read_text() == "of this cycle"


def test_without_a_store_nothing_is_taken(site: Path, tmp_path: Path) -> None:
    assert numba_cache.restore(site, tmp_path / "store") == 0


@pytest.mark.parametrize("text", ["a: [1", "[" * 5000, "!!python/object/apply:os.getcwd []", "a: \udcff"])
def test_a_file_that_is_no_plain_yaml_is_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"file\.yaml cannot be read: "):
        read_data(file)


def test_yaml_and_json_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: {b: [1, 2.5, on]}\n")
    (tmp_path / "a.json").write_text('{"a": {"b": [1, 2.5, true]}}')
    assert read_data(tmp_path / "a.yaml") == read_data(tmp_path / "a.json") == {"a": {"b": [1, 2.5, True]}}
