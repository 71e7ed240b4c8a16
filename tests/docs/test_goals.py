"""The goals of speed together: what programs found, what they could not find, and what is said of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import goals
import pytest
from goals import MEGABYTES, SECONDS, SHARE, Result, ratio
from PIL import Image

PROGRAM = """\
import json, pathlib, sys
print("what it prints", *sys.argv[1:-2])
assert sys.argv[-2] == "--json"
results = {results}
if results is not None:
    pathlib.Path(sys.argv[-1]).write_text(json.dumps({{"results": results}}))
sys.exit({code})
"""
MET = {"goal": 3, "what": "fast", "value": 6.0, "limit": 5.0, "unit": "times", "ours": 1.0, "theirs": 6.0}
MISSED = {"goal": 1, "what": "slow", "value": 12.0, "limit": 10.0, "unit": "s", "ours": None, "theirs": None}


def called(
    folder: Path, monkeypatch: pytest.MonkeyPatch, **programs: tuple[list[dict[str, object]] | None, int]
) -> int:
    """The exit code, with programs that find something and end with a code."""
    for name, (results, code) in programs.items():
        (folder / f"{name}.py").write_text(PROGRAM.format(results=results, code=code))
    monkeypatch.setattr(goals, "HERE", folder)
    monkeypatch.setattr(goals, "PROGRAMS", dict.fromkeys(programs, ("--rows", "7")))
    monkeypatch.setattr(goals, "WHOLE", {})
    monkeypatch.setattr(sys, "argv", ["goals.py", "--folder", str(folder / "out")])
    return goals.main()


@pytest.mark.parametrize(
    ("value", "limit", "unit", "margin"),
    [
        (6, 5, goals.TIMES, 1.2),
        (4, 5, goals.TIMES, 0.8),
        (4, 5, SECONDS, 1.25),
        (600, 500, MEGABYTES, 5 / 6),
        (0.4, 0.5, SHARE, 1.25),
    ],
)
def test_more_times_are_better_and_less_of_all_else(value: float, limit: float, unit: str, margin: float) -> None:
    found = Result(1, "something", value, limit, unit)
    assert found.margin == pytest.approx(margin)
    assert found.is_met is (margin > 1)


def test_a_ratio_is_of_the_other_side_to_ours() -> None:
    assert ratio(1, "something", 2.0, 9.0, 4.0) == Result(1, "something", 4.5, 4.0, goals.TIMES, 2.0, 9.0)


def test_all_that_was_found_is_kept_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert called(tmp_path, monkeypatch, one=([MET], 0), other=([], 0)) == 0
    content = json.loads((tmp_path / "out/goals.json").read_text())
    assert content["results"] == [MET]
    assert content["failed"] == []
    assert set(content["machine"]) == {"processor", "cores", "python", "commit", "at"}
    assert (tmp_path / "out/one.txt").read_text() == "what it prints --rows 7\n"
    with Image.open(tmp_path / "out/goals.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 10, "bars and text are there"
    assert (tmp_path / "out/goals.pdf").read_bytes().startswith(b"%PDF")


def test_a_missed_goal_is_no_failure_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(tmp_path, monkeypatch, one=([MET], 0), other=([MISSED], 1)) == 1
    out, err = capsys.readouterr()
    lines = [line for line in out.splitlines() if "fast" in line or "slow" in line]
    assert ["missed" in line for line in lines] == [True, False], "in the order of goals"
    assert err == ""


@pytest.mark.parametrize(("results", "code"), [(None, 0), (None, 1), ([MET], 1)])
def test_a_program_that_fails_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    results: list[dict[str, object]] | None,
    code: int,
) -> None:
    assert called(tmp_path, monkeypatch, one=([MET], 0), other=(results, code)) == 1
    assert capsys.readouterr().err == f"other failed: the end of {tmp_path}/out/other.txt says why\n"
    assert json.loads((tmp_path / "out/goals.json").read_text())["failed"] == ["other"]


def test_numbers_of_an_earlier_call_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert called(tmp_path, monkeypatch, one=([MET], 0)) == 0
    assert called(tmp_path, monkeypatch, one=(None, 0)) == 1
    assert json.loads((tmp_path / "out/goals.json").read_text())["results"] == []
