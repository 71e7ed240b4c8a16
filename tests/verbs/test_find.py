"""``dataprod find``."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ..control.conftest import CLEAN
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


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("line", ["find", "find --json", "find p99", "find --tier hti", "show", "list", "status"])
def test_output_that_nobody_reads_to_its_end_is_no_error(box: Box, line: str, both: bool) -> None:
    box.cycle()
    words = line.split()
    command = [sys.executable, str(box.env.root / "bin/dataprod"), words[0]]
    command += [*([] if line == "list" else ["cycles/v01"]), *words[1:]]
    reader, writer = os.pipe()
    os.close(reader)
    where = {"stdout": writer, "stderr": writer if both else subprocess.PIPE}
    environ = CLEAN | {"HOME": str(box.env.root.parent)}
    done = subprocess.run(command, cwd=box.env.root, env=environ, text=True, check=False, timeout=60, **where)
    os.close(writer)
    told = line in ("find p99", "find --tier hti") and not both
    assert done.returncode == (141 if not told else 1 if "p99" in words else 2)
    assert both or bool(done.stderr) == told
    assert "ipe" not in (done.stderr or "")
