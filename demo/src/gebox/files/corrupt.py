"""Damaged copies of DAQ files, for tests of everything that reads them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gebox.drawn import number
from gebox.errors import UserError
from gebox.files import fcio
from gebox.writing import appearing


def truncate(source: Path, target: Path, amount: int, seed: int) -> None:
    """Leave out the last `amount` bytes; for 0 a random part of the second half."""
    size = source.stat().st_size
    lost = amount or 1 + number(seed, f"{source.name}/truncate") % max(size // 2, 1)
    _copy(source, target)
    with target.open("r+b") as file:
        file.truncate(max(size - lost, 0))


def flip(source: Path, target: Path, amount: int, seed: int) -> None:
    """Flip `amount` random bits (at least one)."""
    _copy(source, target)
    size = source.stat().st_size
    with target.open("r+b") as file:
        for index in range(max(amount, 1)):
            place = number(seed, f"{source.name}/flip/{index}") % (8 * size)
            file.seek(place // 8)
            byte = file.read(1)[0] ^ 1 << place % 8
            file.seek(place // 8)
            file.write(bytes([byte]))


def drop(source: Path, target: Path, amount: int, seed: int) -> None:
    """Leave out `amount` random event or status records (at least one) of a FlashCam file."""
    found = [tag for tag, _ in fcio.records(source)]
    candidates = [index for index, tag in enumerate(found) if tag != fcio.CONFIG]
    chosen = sorted(candidates, key=lambda index: number(seed, f"{source.name}/drop/{index}"))[: max(amount, 1)]
    with target.open("wb") as file:
        file.write(fcio.beginning())
        for index, (tag, frames) in enumerate(fcio.records(source)):
            if index not in chosen:
                file.write(fcio.encoded(tag, frames))


WAYS: Final[dict[str, Callable[[Path, Path, int, int], None]]] = {"truncate": truncate, "flip": flip, "drop": drop}


def corrupt(source: Path, target: Path, *, how: str, amount: int = 0, seed: int = 1) -> None:
    """Write a damaged copy of a DAQ file.

    Parameters
    ----------
    how
        ``truncate`` (bytes), ``flip`` (bits) or ``drop`` (records, FlashCam files only).
    amount
        How many; 0 leaves it to the way of damaging.

    Raises
    ------
    UserError
        When the file is not there, the way is unknown or the copy would replace the original.
    """
    if how not in WAYS:
        raise UserError(f"there is no way {how!r} of damaging a file; there are {', '.join(WAYS)}")
    if not source.is_file():
        raise UserError(f"there is no file {source}")
    if target.exists() and target.samefile(source):
        raise UserError(f"the damaged copy would replace {source}", hint="give another name")
    with appearing(target) as temporary:
        try:
            WAYS[how](source, temporary, amount, seed)
        except ValueError as error:
            raise UserError(f"{source} is no whole FlashCam file: {error}") from error


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
