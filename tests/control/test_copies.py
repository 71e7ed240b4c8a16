"""A copy of sources serves the next test only as it was made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .. import copies
from ..copies import copy_sources, take_back


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, and no copies that other tests have left."""
    monkeypatch.setattr(copies, "_given", [])
    monkeypatch.setattr(copies, "_free", [])
    folder = tmp_path / "source"
    (folder / "src").mkdir(parents=True)
    (folder / "src/a.py").write_text("A = 1\n")
    return folder


def test_a_copy_that_was_left_as_it_was_serves_the_next_test(source: Path, tmp_path: Path) -> None:
    copy_sources(source, tmp_path / "one/here")
    number = (tmp_path / "one/here/src/a.py").stat().st_ino
    take_back(tmp_path / "one")
    assert not (tmp_path / "one/here").exists()
    copy_sources(source, tmp_path / "two/there")
    assert (tmp_path / "two/there/src/a.py").stat().st_ino == number, "the same file"
    copy_sources(source, tmp_path / "two/another")
    assert (tmp_path / "two/another/src/a.py").read_text() == "A = 1\n"


CHANGES: dict[str, Callable[[Path], object]] = {
    "changed": lambda folder: (folder / "src/a.py").write_text("A = 2\n"),
    "removed": lambda folder: (folder / "src/a.py").unlink(),
    "added": lambda folder: (folder / "src/b.py").touch(),
    "a folder": lambda folder: (folder / "src/b").mkdir(),
    "rights": lambda folder: (folder / "src/a.py").chmod(0o400),
    "all": lambda folder: folder.rename(folder.with_name("moved")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_copy_that_was_changed_does_not(source: Path, tmp_path: Path, change: Callable[[Path], object]) -> None:
    copy_sources(source, tmp_path / "one/here")
    change(tmp_path / "one/here")
    take_back(tmp_path / "one")
    copy_sources(source, tmp_path / "two")
    found = [path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*.py")]
    assert (found, (tmp_path / "two/src/a.py").read_text()) == ([Path("src/a.py")], "A = 1\n")
    assert (tmp_path / "two/src/a.py").stat().st_mode == (source / "src/a.py").stat().st_mode


def test_copies_of_others_stay(source: Path, tmp_path: Path) -> None:
    copy_sources(source, tmp_path / "of a module")
    take_back(tmp_path / "one")
    assert (tmp_path / "of a module/src/a.py").is_file()
