"""Looking whether a DAQ file is whole takes no memory that grows with the file."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dataflow.steps.tier_raw.daqfile import LET_GO, check_whole
from dataflow.steps.tier_raw.formats import flashcam

MEGABYTE = 1_000_000


def mapped() -> int:
    """The bytes of files that are in the memory of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssFile:"))


def longer(path: Path, target: Path, size: int) -> int:
    """A FlashCam file of at least so many bytes: the records of one again and again; returns the bytes."""
    data = path.read_bytes()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as of:
        _, begin = flashcam.frames_at(of, flashcam.BEGIN)
    with target.open("wb") as file:
        file.write(data[:begin])
        while file.tell() < size:
            file.write(data[begin:])
        return file.tell()


def test_pages_of_a_file_are_let_go(gebox_data: Path, tmp_path: Path) -> None:
    source = max(gebox_data.rglob("*-cal-*.fcio"), key=lambda path: path.stat().st_size)
    size = longer(source, tmp_path / "long.fcio", 6 * LET_GO)
    before, most = mapped(), 0

    def watched(data: mmap.mmap) -> Iterator[int]:
        nonlocal most
        for number, end in enumerate(flashcam.records(data)):
            if number % 1000 == 0:
                most = max(most, mapped() - before)
            yield end

    end, broken = check_whole(tmp_path / "long.fcio", replace(flashcam.FORM, records=watched))
    assert (end, broken) == (size, "")
    assert LET_GO / 4 < most < 2 * LET_GO + 10 * MEGABYTE < size
