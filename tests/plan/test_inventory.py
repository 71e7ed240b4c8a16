"""Which data files are found, and which refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dataflow.base.errors import UserError
from dataflow.keys.daqforms import foreign_names
from dataflow.keys.inventory import left_out_note, scan
from dataflow.keys.scheme import L200

KEY = "l200-p03-r001-cal-20230317T211819Z"
FORMS = {"fcio": "fcio", "orca": "orca", "BIN": "compass", "bin": "compass", "llama": "llama"}


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize("extension", [*FORMS, "fcio.gz", "fcio.bz2", "orca.gz", "orca.bz2", "BIN.gz"])
def test_daq_files_are_known_by_their_extensions(tmp_path: Path, extension: str) -> None:
    make(tmp_path, f"daq/cal/p03/r001/{KEY}.{extension}")
    found = scan(tmp_path / "daq", tmp_path / "raw", L200)
    (key, path), *rest = found.daq.items()
    assert (str(key), path.name, rest) == (KEY, f"{KEY}.{extension}", [])
    assert found.formats == {key: FORMS[extension.partition(".")[0]]}


def test_raw_files_count_where_the_daq_file_is_gone(tmp_path: Path) -> None:
    other = "l200-p03-r001-phy-20230318T015140Z"
    make(tmp_path, f"daq/{KEY}.fcio", f"raw/{KEY}-tier_raw.lh5", f"raw/phy/{other}-tier_raw.lh5", "raw/notes.lh5")
    found = scan(tmp_path / "daq", tmp_path / "raw", L200)
    assert [str(key) for key in found.daq] == [KEY]
    assert [str(key) for key in found.raw] == [other]


def test_without_a_daq_folder_only_raw_files_count(tmp_path: Path) -> None:
    make(tmp_path, f"daq/{KEY}.fcio")
    assert not scan(None, tmp_path / "raw", L200).daq


@pytest.mark.parametrize("second", [f"cal/{KEY}.orca.bz2", f"elsewhere/{KEY}.fcio"])
def test_two_daq_files_for_one_key_are_both_named(tmp_path: Path, second: str) -> None:
    make(tmp_path, f"cal/{KEY}.fcio", second)
    with pytest.raises(UserError) as caught:
        scan(tmp_path, tmp_path / "raw", L200)
    assert str(tmp_path / f"cal/{KEY}.fcio") in str(caught.value) and str(tmp_path / second) in str(caught.value)


def test_a_daq_file_that_names_no_key_is_refused(tmp_path: Path) -> None:
    make(tmp_path, f"cal/{KEY}.fcio", "cal/th228.fcio", "cal/test.orca.gz")
    with pytest.raises(UserError, match=r"test\.orca\.gz \(and 1 more\) names no key") as caught:
        scan(tmp_path, tmp_path / "raw", L200)
    assert "l200-p03-r001-cal-20230317T211819Z.fcio" in caught.value.hint


def test_a_brace_in_a_path_is_refused_because_snakemake_takes_it_for_a_pattern(tmp_path: Path) -> None:
    make(tmp_path, f"cal {{x}}/{KEY}.fcio")
    with pytest.raises(UserError, match=f"DAQ file .*{KEY}.fcio has a brace in it"):
        scan(tmp_path, tmp_path / "raw", L200)


def test_other_and_hidden_files_are_left_alone(tmp_path: Path) -> None:
    make(tmp_path, "readme.txt", "cal/notes.lh5", f"cal/.{KEY}.fcio.part", ".trash/th228.fcio", f"cal/{KEY}.fcio.md5")
    assert scan(tmp_path, tmp_path / "raw", L200).daq == {}


def test_files_of_no_known_form_are_named(tmp_path: Path) -> None:
    make(tmp_path, f"cal/{KEY}.fcio", "readme.txt", *(f"cal/{KEY}.dat{number}" for number in range(4)))
    found = scan(tmp_path, tmp_path / "raw", L200)
    assert len(found.left_out) == 5
    note = left_out_note(found, tmp_path)
    assert note.startswith(f"5 files in {tmp_path} left out, since their form is unknown: cal/{KEY}.dat0, cal/")
    assert note.endswith(", and 2 more")
    assert not left_out_note(scan(tmp_path / "cal/nothing", tmp_path / "raw", L200), tmp_path)


def test_another_package_may_bring_a_form(tmp_path: Path) -> None:
    """It declares the ending of its files; nothing of it is imported while planning."""
    make(tmp_path, f"daq/{KEY}.struck", f"daq/{KEY}.other")
    assert scan(tmp_path / "daq", tmp_path / "raw", L200).daq == {}
    package = tmp_path / "python/lib/python3.11/site-packages/struck-1.0.dist-info"
    package.mkdir(parents=True)
    declared = "[console_scripts]\nrun = struck:main\n[dataprod.daq_formats]\nstruck = struck.absent:FORM\n"
    (package / "entry_points.txt").write_text(declared)
    names = foreign_names(tmp_path / "python")
    assert names == ("struck",)
    found = scan(tmp_path / "daq", tmp_path / "raw", L200, names)
    assert [(str(key), path.name) for key, path in found.daq.items()] == [(KEY, f"{KEY}.struck")]
    assert [path.suffix for path in found.left_out] == [".other"]


def test_a_link_to_a_parent_folder_ends_somewhere(tmp_path: Path) -> None:
    make(tmp_path, "daq/notes.txt")
    (tmp_path / "daq/again").symlink_to(tmp_path / "daq")
    assert scan(tmp_path / "daq", tmp_path / "raw", L200).daq == {}


def test_ten_thousand_files_are_found_in_well_under_a_second(tmp_path: Path) -> None:
    for run in range(100):
        folder = tmp_path / f"phy/p03/r{run:03d}"
        folder.mkdir(parents=True)
        for file in range(100):
            time_of = f"2023{run // 28 + 1:02d}{run % 28 + 1:02d}T{file // 60:02d}{file % 60:02d}00Z"
            (folder / f"l200-p03-r{run:03d}-phy-{time_of}.fcio").touch()
    begin = time.process_time()
    found = scan(tmp_path, tmp_path / "raw", L200)
    taken = time.process_time() - begin
    assert len(found.daq) == 10_000
    assert taken < 1.5
