"""``dataprod find``."""

from __future__ import annotations

from .conftest import KEYS, Box, place

CAL, PHY, NEXT = KEYS


def test_keys_and_files_are_found_by_pattern_and_condition(box: Box) -> None:
    tree = box.cycle()
    assert box.ok("find", "cycles/v01").split() == list(KEYS)
    assert box.ok("find", "cycles/v01", "p03-r00*-cal").split() == [CAL, NEXT]
    assert box.ok("find", "cycles/v01", "--where", "datatype == 'phy'").split() == [PHY]
    (path,) = box.ok("find", "cycles/v01", "r001", "--tier", "hit").splitlines()
    assert path == str(place(tree, "tier", "hit", NEXT))


def test_missing_files_are_found(box: Box) -> None:
    place(box.cycle(), "tier", "dsp", PHY).unlink()
    (entry,) = box.json("find", "cycles/v01", "--tier", "dsp", "--missing")
    assert (entry["key"], entry["run"]) == (PHY, "r000")
    assert box.ok("find", "cycles/v01", "--tier", "skm", "--missing").endswith("l200-p03-r000-phy-tier_skm.lh5\n")


def test_nothing_found_ends_with_1_and_slips_with_2(box: Box) -> None:
    box.cycle()
    hit = ["--tier", "hit"]
    for words in (["r007"], ["r007", *hit], ["r007", *hit, "--missing"], ["--where", "run == 'r007'"]):
        done = box.dataprod("find", "cycles/v01", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert "r007" in done.stderr and "l200-p03-r000-cal, l200-p03-r000-phy, l200-p03-r001-cal" in done.stderr
    done = box.dataprod("find", "cycles/v01", *hit, "--missing", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (1, "[]\n", "no hit file is missing\n")
    wrong = (["--where", "perid == 'p03'"], ["--where", "open('x')"], ["p03-r0[0"])
    for words in (["--tier", "hti"], ["--missing"], *wrong):
        done = box.dataprod("find", "cycles/v01", *words)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert "hint: " in done.stderr
