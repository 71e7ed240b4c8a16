"""Validity lists: the same files at the same times as the collaboration's own reader finds."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from dataflow.base.errors import UserError
from dataflow.base.textfile import Reader
from dataflow.metadata.validity import Folder

TIMES = [f"2022{month:02d}01T000000Z" for month in range(1, 13)]
FILES = ["a.yaml", "b.yaml", "c.yaml", "d.yaml"]


def folder(path: Path, entries: object, files: dict[str, Any] | None = None) -> Folder:
    path.mkdir(exist_ok=True)
    (path / "validity.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
    for name, content in (files or {}).items():
        (path / name).write_text(yaml.safe_dump(content))
    return Folder(path, Reader())


def names(found: Folder, timestamp: str, category: str = "all") -> list[str]:
    return [path.name for path in found.files(timestamp, category)]


PLAIN: dict[str, Any] = {name: {"name": name} for name in FILES}


def test_intervals_are_half_open(tmp_path: Path) -> None:
    found = folder(
        tmp_path,
        [{"valid_from": TIMES[0], "apply": "a.yaml"}, {"valid_from": TIMES[2], "mode": "reset", "apply": "b.yaml"}],
        PLAIN,
    )
    assert names(found, "20211231T235959Z") == []
    assert names(found, TIMES[0]) == ["a.yaml"]
    assert names(found, "20220228T235959Z") == ["a.yaml"]
    assert names(found, TIMES[2]) == ["b.yaml"]


def test_modes_build_on_the_entry_before(tmp_path: Path) -> None:
    entries = [
        {"valid_from": TIMES[0], "apply": ["a.yaml"]},
        {"valid_from": TIMES[1], "apply": ["b.yaml", "c.yaml"]},
        {"valid_from": TIMES[2], "mode": "replace", "apply": ["a.yaml", "d.yaml"]},
        {"valid_from": TIMES[3], "mode": "remove", "apply": "b.yaml"},
        {"valid_from": TIMES[4], "mode": "reset", "apply": []},
    ]
    found = folder(tmp_path, list(reversed(entries)), PLAIN)
    assert [names(found, time) for time in TIMES[:5]] == [
        ["a.yaml"],
        ["a.yaml", "b.yaml", "c.yaml"],
        ["b.yaml", "c.yaml", "d.yaml"],
        ["c.yaml", "d.yaml"],
        [],
    ]


def test_a_category_falls_back_to_all_until_it_has_an_entry(tmp_path: Path) -> None:
    entries = [
        {"valid_from": TIMES[0], "apply": "a.yaml"},
        {"valid_from": TIMES[2], "category": ["cal", "lar"], "apply": "b.yaml"},
        {"valid_from": TIMES[4], "apply": "c.yaml"},
    ]
    found = folder(tmp_path, entries, PLAIN)
    assert names(found, TIMES[1], "cal") == ["a.yaml"]
    assert names(found, TIMES[3], "cal") == ["b.yaml"]
    assert names(found, TIMES[5], "cal") == ["b.yaml"], "a category does not inherit later entries of all"
    assert names(found, TIMES[5], "phy") == ["a.yaml", "c.yaml"]


def test_files_are_merged_in_the_order_of_the_list(tmp_path: Path) -> None:
    files = {"a.yaml": {"x": {"y": 1, "z": [1]}, "n": 1}, "b.yaml": {"x": {"z": [2]}, "n": None}}
    found = folder(tmp_path, [{"valid_from": TIMES[0], "apply": ["a.yaml", "b.yaml"]}], files)
    assert found.on(TIMES[0]) == {"x": {"y": 1, "z": [2]}, "n": None}
    assert found.on(TIMES[0]) is found.on(TIMES[5]), "merged once for an interval"


def test_the_legacy_list_resets_by_default_and_its_last_line_wins(tmp_path: Path) -> None:
    lines = [
        {"valid_from": TIMES[0], "apply": ["a.yaml"]},
        {"valid_from": TIMES[2], "apply": ["b.yaml"]},
        {"valid_from": TIMES[2], "apply": ["c.yaml"]},
    ]
    (tmp_path / "validity.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    for name in FILES:
        (tmp_path / name).write_text("x: 1\n")
    found = Folder(tmp_path, Reader())
    assert [names(found, time) for time in TIMES[:3]] == [["a.yaml"], ["a.yaml"], ["c.yaml"]]


def test_a_folder_without_a_list_holds_nothing(tmp_path: Path) -> None:
    found = Folder(tmp_path / "none", Reader())
    assert found.on(TIMES[0]) == {} and found.files(TIMES[0]) == ()
    with pytest.raises(UserError, match="nothing is valid at 20220101T000000Z"):
        found.require(TIMES[0])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("- {valid_from: 20220101T000000Z, apply: a.yaml}\n- 3\n", "validity.yaml:2: a validity entry must be"),
        ("- valid_from: 2022-01-01\n  apply: a.yaml\n", "validity.yaml:1: valid_from must be a UTC time"),
        ("- valid_from: 20221301T000000Z\n  apply: a.yaml\n", "validity.yaml:1: valid_from must be a UTC time"),
        ("- apply: a.yaml\n", "validity.yaml:1: valid_from must be a UTC time"),
        ("- valid_from: 20220101T000000Z\n  aply: a.yaml\n", "validity.yaml:2: unknown key 'aply'"),
        ("- valid_from: 20220101T000000Z\n  select: all\n  apply: a.yaml\n", "write 'category'"),
        ("- valid_from: 20220101T000000Z\n  mode: apend\n  apply: a.yaml\n", "did you mean 'append'"),
        ("- valid_from: 20220101T000000Z\n  apply: {a: b}\n", "validity.yaml:2: apply must be a name or a list"),
        ("- valid_from: 20220101T000000Z\n  category: []\n  apply: a.yaml\n", "validity.yaml:2: category must be"),
        ("a: 1\n", "validity.yaml:1: a list of validity entries is expected here"),
        (
            "- {valid_from: 20220101T000000Z, apply: a.yaml}\n- {valid_from: 20220101T000000Z, apply: b.yaml}\n",
            "validity.yaml:2: a second entry of 20220101T000000Z",
        ),
        (
            "- {valid_from: 20220101T000000Z, apply: a.yaml}\n"
            "- {valid_from: 20220201T000000Z, mode: remove, apply: b.yaml}\n",
            "validity.yaml:2: cannot remove 'b.yaml'",
        ),
        (
            "- {valid_from: 20220101T000000Z, apply: a.yaml}\n"
            "- {valid_from: 20220201T000000Z, mode: replace, apply: [a.yaml]}\n",
            "validity.yaml:2: mode replace takes the old and the new file",
        ),
        ("- {valid_from: 20220101T000000Z, apply: c.yaml}\n", "validity.yaml:1: there is no file 'c.yaml'"),
        ("- {valid_from: 20220101T000000Z, apply: ../out.yaml}\n", "validity.yaml:1: '../out.yaml' lies outside"),
        ("- {valid_from: 20220101T000000Z, apply: /etc/passwd}\n", "validity.yaml:1: '/etc/passwd' lies outside"),
        ("- {valid_from: 20220101T000000Z, apply: link.yaml}\n", "validity.yaml:1: 'link.yaml' lies outside"),
    ],
)
def test_a_wrong_entry_is_named_with_file_and_line(tmp_path: Path, entries: str, message: str) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    for path in (inside / "a.yaml", inside / "b.yaml", tmp_path / "out.yaml"):
        path.write_text("x: 1\n")
    (inside / "link.yaml").symlink_to(tmp_path / "out.yaml")
    (inside / "validity.yaml").write_text(entries)
    with pytest.raises(UserError) as caught:
        Folder(inside, Reader()).on(TIMES[11])
    assert message in str(caught.value)


@pytest.mark.parametrize("line", ["{", "[1]", '{"valid_from": "x", "apply": []}'])
def test_a_wrong_line_of_the_legacy_list_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "validity.jsonl").write_text(f'{{"valid_from": "{TIMES[0]}", "apply": []}}\n\n{line}\n')
    with pytest.raises(UserError, match=r"validity\.jsonl:3: "):
        Folder(tmp_path, Reader()).on(TIMES[0])


def random_entries(draw: random.Random) -> list[dict[str, Any]]:
    """Entries in which every mode applies to what holds before."""
    entries: list[dict[str, Any]] = []
    held: dict[str, list[str]] = {}
    for time in sorted(draw.sample(TIMES, draw.randint(1, 8))):
        category = draw.choice(["all", "cal", "phy"])
        now = held.setdefault(category, [])
        mode = draw.choice(["append", "reset", "remove", "replace"]) if now else "append"
        new = draw.choice(FILES)
        if mode in ("remove", "replace") and not now:
            continue
        apply = {"remove": [draw.choice(now or [""])], "replace": [draw.choice(now or [""]), new]}.get(mode, [new])
        held[category] = _after(now, mode, apply)
        entry: dict[str, Any] = {"valid_from": time, "category": category, "mode": mode, "apply": apply}
        if category == "all" and draw.random() < 0.5:
            del entry["category"]
        if mode == "append" and draw.random() < 0.5:
            entry |= {"apply": apply[0]}
            del entry["mode"]
        entries.append(entry)
    draw.shuffle(entries)
    return entries


def _after(now: list[str], mode: str, apply: list[str]) -> list[str]:
    if mode == "reset":
        return apply
    kept = list(now)
    if mode in ("remove", "replace"):
        kept.remove(apply[0])
    return kept + (apply[1:] if mode == "replace" else apply if mode == "append" else [])


def random_content(draw: random.Random, depth: int = 0) -> dict[str, Any]:
    def value() -> object:
        if depth < 2 and draw.random() < 0.5:
            return random_content(draw, depth + 1)
        return draw.choice([None, 1, 2.5, "text", "$_/file", [1, 2], [], True])

    return {draw.choice("abcd"): value() for _ in range(draw.randint(1, 4))}


@pytest.mark.parametrize("seed", range(60))
def test_made_up_folders_read_as_dbetto_reads_them(tmp_path: Path, seed: int) -> None:
    dbetto = pytest.importorskip("dbetto")
    draw = random.Random(seed)
    found = folder(tmp_path, random_entries(draw), {name: random_content(draw) for name in FILES})
    theirs = dbetto.TextDB(tmp_path)
    for time in ["20210101T000000Z", *TIMES, "20220615T120000Z", "20240101T000000Z"]:
        for category in ("all", "cal", "phy", "lar"):
            try:
                expected = json.loads(json.dumps(theirs.on(time, category=category)))
            except RuntimeError:
                assert found.validity.at(time, category) is None
            else:
                assert found.on(time, category) == expected
