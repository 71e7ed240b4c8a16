"""Damaged files are damaged as asked, and the original stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gebox.errors import UserError
from gebox.files import fcio
from gebox.files.corrupt import corrupt


@pytest.fixture
def whole(simulated: Path) -> Path:
    """A simulated file."""
    return sorted((simulated / "daq").rglob("*.fcio"))[0]


def test_truncating_leaves_out_the_end(whole: Path, tmp_path: Path) -> None:
    corrupt(whole, tmp_path / "cut.fcio", how="truncate", amount=1000)
    assert (tmp_path / "cut.fcio").read_bytes() == whole.read_bytes()[:-1000]


def test_flipping_changes_as_many_bits_as_asked(whole: Path, tmp_path: Path) -> None:
    corrupt(whole, tmp_path / "flipped.fcio", how="flip", amount=5)
    one = np.frombuffer(whole.read_bytes(), np.uint8)
    two = np.frombuffer((tmp_path / "flipped.fcio").read_bytes(), np.uint8)
    assert int(np.unpackbits(one ^ two).sum()) == 5


def test_dropping_leaves_out_whole_records(whole: Path, tmp_path: Path) -> None:
    corrupt(whole, tmp_path / "dropped.fcio", how="drop", amount=3)
    before = [b"".join(frames) for _, frames in fcio.records(whole)]
    after = [b"".join(frames) for _, frames in fcio.records(tmp_path / "dropped.fcio")]
    assert len(before) - len(after) == 3
    assert set(after) <= set(before)


@pytest.mark.parametrize("how", ["truncate", "flip", "drop"])
def test_the_seed_decides(whole: Path, tmp_path: Path, how: str) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        corrupt(whole, tmp_path / name, how=how, seed=seed)
    one, two, three = ((tmp_path / name).read_bytes() for name in "abc")
    assert one == two != three


def test_the_original_cannot_be_replaced(whole: Path) -> None:
    with pytest.raises(UserError, match="would replace"):
        corrupt(whole, whole, how="flip")


def test_records_of_something_else_cannot_be_dropped(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(UserError, match="no whole FlashCam file"):
        corrupt(tmp_path / "text", tmp_path / "out", how="drop")
    assert not (tmp_path / "out").exists()
