"""What the launcher of Snakemake adds and changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodenv.base.errors import UserError
from prodenv.running.snakemake import arguments, main, refuse_frozen

TIER = "generated/tier/raw/cal/p01/r000/x-tier_raw.lh5"


@pytest.fixture
def cycle(tmp_path: Path) -> Path:
    folder = tmp_path / "my cycle"
    (folder / "dataflow").mkdir(parents=True)
    (folder / "dataflow" / "Snakefile").touch()
    (folder / "config.json").touch()
    (folder / "generated/tier/raw").mkdir(parents=True)
    return folder


def added(cycle: Path) -> list[str]:
    return [f"--snakefile={cycle}/dataflow/Snakefile", f"--configfile={cycle}/config.json"]


@pytest.mark.parametrize("below", [".", "generated", "generated/tier/raw", "dataflow"])
def test_inside_a_cycle_nothing_need_be_said(below: str, cycle: Path) -> None:
    assert arguments(["-j", "2", "all-l200-dsp.gen"], cycle / below) == [*added(cycle), "-j", "2", "all-l200-dsp.gen"]


def test_yaml_configuration_is_found_too(cycle: Path) -> None:
    (cycle / "config.json").rename(cycle / "config.yaml")
    assert f"--configfile={cycle}/config.yaml" in arguments([], cycle)


def test_outside_of_a_cycle_everything_passes_unchanged(tmp_path: Path) -> None:
    words = ["-j1", "--snakefile", "other/Snakefile", "target", "a/b"]
    assert arguments(words, tmp_path) == words


@pytest.mark.parametrize("form", [["--configfile", "{}"], ["--configfile={}"], ["--configfiles", "{}"]])
def test_the_cycle_is_the_one_of_the_configfile(form: list[str], cycle: Path, tmp_path: Path) -> None:
    words = [word.format(cycle / "config.json") for word in form]
    target = str(cycle / TIER)
    assert arguments(["-j1", *words, "-n", target], tmp_path) == [added(cycle)[0], "-j1", *words, "-n", TIER]


def test_the_published_command_line_passes_unchanged(cycle: Path) -> None:
    words = [
        "--snakefile",
        f"{cycle}/dataflow/Snakefile",
        "-j",
        "20",
        f"--configfile={cycle}/config.json",
        "all-B00000B-co_HS5_top_dlt-tier2.gen",
    ]
    assert arguments(words, Path("/")) == words


def test_a_snakefile_of_a_cycle_is_enough(cycle: Path) -> None:
    words = ["-s", f"{cycle}/dataflow/Snakefile", "-j1", "x.gen"]
    assert arguments(words, Path("/")) == [added(cycle)[1], *words]


@pytest.mark.parametrize(("here", "written"), [(".", TIER), ("generated/tier", "raw/x.lh5"), (".", f"./{TIER}")])
def test_paths_inside_the_cycle_become_relative_to_it(here: str, written: str, cycle: Path) -> None:
    expected = TIER if written.endswith(TIER) else "generated/tier/raw/x.lh5"
    assert arguments([written], cycle / here)[-1] == expected


def test_absolute_paths_by_way_of_a_link_become_relative(cycle: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(cycle)
    assert arguments([str(link / TIER)], cycle)[-1] == TIER
    assert arguments([str(cycle / TIER)], link)[-1] == TIER


@pytest.mark.parametrize("option", ["--report", "--directory", "-d", "--profile", "--workflow-profile"])
def test_paths_that_are_values_of_options_stay(option: str, cycle: Path) -> None:
    value = str(cycle / "generated/out")
    assert arguments([option, value, "x.gen"], cycle)[2:] == [option, value, "x.gen"]
    assert arguments([f"{option}={value}"], cycle)[2:] == [f"{option}={value}"]


def test_paths_outside_stay(cycle: Path) -> None:
    assert arguments(["/data/raw/x.lh5"], cycle)[-1] == "/data/raw/x.lh5"


@pytest.fixture
def frozen(cycle: Path) -> Path:
    (cycle / "frozen").mkdir()
    (cycle / "frozen/frozen.json").write_text("{}")
    return cycle


@pytest.mark.parametrize(
    "words",
    [
        "-j1 x.gen",
        "-j1 -- -n",
        "-kj2",
        "-c1 --config a=-n",
        "-Un x.gen",
        "--unlock",
        "--touch",
        "-q all -F",
        "--nolock",
    ],
)
def test_a_frozen_cycle_gets_no_jobs(words: str, frozen: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is frozen: no jobs"):
        refuse_frozen(words.split(), frozen / "generated")
    refuse_frozen(words.split(), tmp_path)
    with pytest.raises(UserError, match=r"is frozen: no jobs"):
        refuse_frozen([f"--configfile={frozen}/config.json", *words.split()], tmp_path)
    (frozen / "frozen/frozen.json").unlink()
    refuse_frozen(words.split(), frozen)


@pytest.mark.parametrize("words", ["-n", "-j1 --dry-run x.gen", "-np x.gen", "-kn", "--list", "--dag=dot", "--summary"])
def test_a_frozen_cycle_can_be_looked_at(words: str, frozen: Path) -> None:
    refuse_frozen(words.split(), frozen)


def test_the_refusal_is_a_sentence(
    frozen: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(frozen)
    with pytest.raises(SystemExit) as ended:
        main(["-j1", "x.gen"])
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert text.startswith(f"error: {frozen} is frozen: no jobs; -n shows what they would be\nhint: ")
