"""Metadata files: what they may hold, and how errors point into them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataflow.base.errors import UserError
from dataflow.base.textfile import Reader, read
from dataflow.metadata.merge import merged, merged_all


def write(folder: Path, text: str | bytes, name: str = "file.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_here_is_the_folder_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a: $_/x.yaml\nb: ['${_}/y', {c: '$_'}]\nd: $_other\ne: $HOME\n")
    here = str(tmp_path)
    assert read(path).data == {"a": f"{here}/x.yaml", "b": [f"{here}/y", {"c": here}], "d": "$_other", "e": "$HOME"}


def test_an_empty_file_is_an_empty_mapping(tmp_path: Path) -> None:
    assert read(write(tmp_path, "# nothing\n")).data == {}
    assert read(write(tmp_path, "", "file.json")).data == {}


def test_json_is_read_with_tabs_and_all(tmp_path: Path) -> None:
    assert read(write(tmp_path, '{\n\t"a": [1, null, "$_"]\n}', "file.json")).data == {"a": [1, None, str(tmp_path)]}


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("file.yaml", "a: 1\nb: [1, 2\nc: 3\n", "file.yaml:3: "),
        ("file.yaml", "a: 1\n\tb: 2\n", "file.yaml:2: "),
        ("file.yaml", "a: 1\nb: *nowhere\n", "file.yaml:2: "),
        ("file.json", '{"a": 1,\n "b": }', "file.json:2: "),
    ],
)
def test_invalid_text_is_named_with_its_line(tmp_path: Path, name: str, text: str, place: str) -> None:
    with pytest.raises(UserError) as caught:
        read(write(tmp_path, text, name))
    assert caught.value.message.startswith(f"{tmp_path}/{place}")


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [id]", "!!python/name:os.system", "!custom {}"])
def test_object_tags_are_refused(tmp_path: Path, tag: str) -> None:
    with pytest.raises(UserError, match=r"file\.yaml:2: could not determine a constructor"):
        read(write(tmp_path, f"a: 1\nb: {tag}\n"))


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a UTF-8"):
        read(write(tmp_path, b"a: \xff\xfe\n"))


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read(tmp_path / "none.yaml")


def test_a_structure_that_holds_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nested too deeply"):
        read(write(tmp_path, "a: &a [*a]\n"))


def test_aliases_that_multiply_are_refused_instead_of_filling_the_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(UserError, match="too large"):
        read(write(tmp_path, "\n".join(lines)))


def test_an_entry_is_found_by_its_keys(tmp_path: Path) -> None:
    text = read(write(tmp_path, "a: 1\nb:\n  c:\n    - x\n    - y\n"))
    assert [text.line("a"), text.line("b", "c"), text.line("b", "c", 1), text.line("b", "d")] == [1, 3, 5, 2]
    assert str(text.error("is wrong", "b", "c")) == f"{tmp_path}/file.yaml:3: is wrong"


def test_a_list_where_a_mapping_is_expected_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a mapping is expected here, not a list"):
        read(write(tmp_path, "- a\n")).mapping()


def test_a_file_is_read_once(tmp_path: Path) -> None:
    path, reader = write(tmp_path, "a: 1\n"), Reader()
    first = reader(path)
    path.unlink()
    assert reader(path) is first


def test_merging_goes_key_by_key_and_null_wins() -> None:
    first = {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": {"d": 1}}
    second = {"a": {"y": [3], "z": None}, "b": None, "c": 5}
    assert merged(first, second) == {"a": {"x": 1, "y": [3], "z": None}, "b": None, "c": 5}
    assert first == {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": {"d": 1}}
    assert merged_all([]) == {}
