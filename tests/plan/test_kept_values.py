"""What large YAML files say is kept as JSON, and is what the YAML says; shipped files are read once by a process."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import yaml

from dataflow.base import keptvalues, textfile
from dataflow.base.errors import UserError
from dataflow.base.keptvalues import ENDING, LEAST, GivenReader
from dataflow.base.textfile import Reader, read

FILLING = "x" * LEAST
VALUES = {
    "peaks": {238.632: {"fwhm": 1.5}, 2614.5: {"fwhm": float("nan")}, 3: "three", True: "yes", None: "none"},
    "numbers": [1, 1.0, -0.0, 1e300, float("inf"), float("-inf"), 2**70, 0.1, True, False, None],
    "texts": ["", "1", "true", "µ", "\U0001f600", "a\nb", "\0", "null"],
    "nested": [[{}, []], {"a": {"b": {}}}],
    "\0": [["a", 1]],
    "filling": FILLING,
}


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, allow_unicode=True))
    return path


def no_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, _content: bytes) -> None:
        raise AssertionError(f"{path} is parsed again")

    monkeypatch.setattr(keptvalues, "read", refuse)


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{ENDING}"))


def test_what_is_kept_is_what_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, folder = written(tmp_path / "a.yaml", VALUES), tmp_path / "kept"
    first = GivenReader({}, folder)(path).data
    no_parsing(monkeypatch)
    second = GivenReader({}, folder)(path).data
    assert repr(first) == repr(second) == repr(read(path).data)
    assert list(second["peaks"]) == list(first["peaks"])
    assert [type(each) for each in second["numbers"]] == [type(each) for each in first["numbers"]]


def test_it_is_found_by_what_the_file_says_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, folder = written(tmp_path / "a.yaml", VALUES), tmp_path / "kept"
    GivenReader({}, folder)(path)
    other = path.rename(tmp_path / "b.yaml")
    no_parsing(monkeypatch)
    found = GivenReader({}, folder)(other)
    assert (found.path, found.data["texts"]) == (other, VALUES["texts"])
    assert found.line("texts", 1) > found.line("texts") > 1, "errors name the line"


def test_a_large_list_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, folder = written(tmp_path / "a.yaml", [FILLING, 1]), tmp_path / "kept"
    GivenReader({}, folder)(path)
    no_parsing(monkeypatch)
    assert GivenReader({}, folder)(path).data == [FILLING, 1]


def test_a_changed_file_of_the_same_size_and_time_is_read_again(tmp_path: Path) -> None:
    path, folder = written(tmp_path / "a.yaml", f"a: 1\nfilling: {FILLING}\n"), tmp_path / "kept"
    status = path.stat()
    assert GivenReader({}, folder)(path).data["a"] == 1
    written(path, f"a: 2\nfilling: {FILLING}\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert GivenReader({}, folder)(path).data["a"] == 2
    assert len(kept(folder)) == 2


@pytest.mark.parametrize("damage", [b"", b"x\x9c", b"no zlib at all"])
def test_what_was_damaged_is_parsed_and_kept_again(tmp_path: Path, damage: bytes) -> None:
    path, folder = written(tmp_path / "a.yaml", VALUES), tmp_path / "kept"
    GivenReader({}, folder)(path)
    (file,) = kept(folder)
    whole = file.read_bytes()
    file.write_bytes(damage)
    assert repr(GivenReader({}, folder)(path).data) == repr(read(path).data)
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.yaml", "a: 1\n"),
        ("a.yaml", f"a: $_/b.lh5\nfilling: {FILLING}\n"),
        ("a.yaml", f"a: 1\na: 2\nfilling: {FILLING}\n"),
        ("a.yaml", f"a: 2024-01-01 10:00:00\nfilling: {FILLING}\n"),
        ("a.json", f'{{"a": 1, "filling": "{FILLING}"}}'),
    ],
    ids=["small", "names its folder", "a name twice", "a time", "json"],
)
def test_what_would_not_come_back_the_same_is_not_kept(tmp_path: Path, name: str, content: str) -> None:
    path, folder = written(tmp_path / name, content), tmp_path / "kept"
    for _ in range(2):
        found = GivenReader({}, folder)(path)
        assert (found.data, found.has_twice) == (read(path).data, read(path).has_twice)
    assert not kept(folder)


def test_where_nothing_can_be_kept_files_are_read_all_the_same(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", VALUES)
    assert repr(GivenReader({}, written(tmp_path / "kept", "a file"))(path).data) == repr(read(path).data)


def test_on_a_full_disk_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, folder = written(tmp_path / "a.yaml", VALUES), tmp_path / "kept"

    def full(part: Path, content: bytes) -> None:
        with part.open("wb") as stream:
            stream.write(content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert repr(GivenReader({}, folder)(path).data) == repr(read(path).data)
    assert not list(folder.iterdir())


def test_a_wrong_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", f"filling: {FILLING}\nb: [\n")
    with pytest.raises(UserError, match=r"a\.yaml:\d+"):
        GivenReader({}, tmp_path / "kept")(path)
    with pytest.raises(UserError, match="cannot be read"):
        GivenReader({}, tmp_path / "kept")(tmp_path / "nowhere.yaml")
    assert not kept(tmp_path / "kept")


def test_a_shipped_file_is_read_once_by_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.yaml", "a: 1\n")
    first, second = Reader(), Reader()
    assert first.shipped(path) is second.shipped(path) is second(path)
    assert second.read == (first.shipped(path),)
    written(path, "a: 22\n")
    assert Reader().shipped(path).data == {"a": 22}
    assert first.shipped(path).data == {"a": 1}, "one plan has one configuration"
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        Reader().shipped(path)
    monkeypatch.setattr(textfile, "read", lambda path: pytest.fail(f"{path} is read again"))
    assert first.shipped(path).data == {"a": 1}
