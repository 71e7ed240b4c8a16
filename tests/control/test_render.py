"""Tables on terminals of any width."""

from __future__ import annotations

import pytest

from prodenv.base.tables import coloured, print_table

STEPS = ("raw", "tcm", "par_dsp_pz", "par_dsp", "dsp", "par_hit_ecal", "par_hit_aoe", "par_hit", "hit", "evt", "skm")
RUNS = tuple(f"l200-p{period:02d}-r00{run}-cal" for period in (3, 12) for run in range(3))
BAD = "9/12 (2 failed, 1 stale)"


@pytest.fixture
def status(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> dict[int, list[str]]:
    """The lines of a table of runs, by the width of the terminal."""
    found = {}
    for width in (40, 60, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "dumb")
        print_table(("run", *STEPS), [(run, *("12" for _ in STEPS[1:]), coloured(BAD, "red")) for run in RUNS])
        found[width] = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    return found


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_names_are_never_broken(status: dict[int, list[str]], width: int) -> None:
    lines = status[width]
    assert max(map(len, lines)) <= width
    words = {word for line in lines for word in line.split()}
    assert words - {"─" * len(line.strip()) for line in lines} == {"run", *STEPS, *RUNS, "12", *BAD.split()}


def test_a_narrow_terminal_gets_the_table_in_parts(status: dict[int, list[str]]) -> None:
    heads = {width: [line.split() for line in lines if line.split()[0] == "run"] for width, lines in status.items()}
    assert heads[200] == [["run", *STEPS]]
    for width in (40, 60, 80):
        assert len(heads[width]) > 1
        assert [name for head in heads[width] for name in head[1:]] == list(STEPS)
    assert len(heads[80]) < len(heads[60]) < len(heads[40])


@pytest.mark.parametrize("width", [5, 20, 60])
def test_nothing_is_lost_however_narrow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    name, text = "cycles/" + "x" * 70, "q" * 100 + " [bold]z"
    print_table(("cycle", "size", "finding"), [(name, "12.3 GB", text)], right="size")
    shown = capsys.readouterr().out
    assert shown.count("q") == 100
    assert shown.count("x") >= 70
    assert "z" in shown and "[" in shown
    if width == 60:
        assert "12.3 GB" in shown


def test_tables_without_rows_or_other_columns_are_tables(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("run", "files"), [])
    print_table(("run",), [("r000",)], title="runs")
    assert capsys.readouterr().out.split() == ["run", "files", "─" * 11, "runs", "run", "────", "r000"]
