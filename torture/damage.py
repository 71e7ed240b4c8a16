"""Ways in which a DAQ file comes out of a bad cable, a full disk or a lost block."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Final

BEGIN: Final = 4 + 64
"""Bytes of the protocol string in front of a FlashCam file's records."""


def pieces(data: bytes) -> tuple[bytes, list[bytes]]:
    """A FlashCam file as what it begins with, and its records, each as it stands in the file.

    Raises
    ------
    ValueError
        If it ends inside a record, or its structure is broken.
    """
    place, starts = BEGIN, []
    while place < len(data):
        if place + 4 > len(data):
            raise ValueError("it ends inside a word")
        (value,) = struct.unpack_from("<i", data, place)
        if value < 0:
            starts.append(place)
        place += 4 + max(value, 0)
    if place != len(data) or not starts or starts[0] != BEGIN:
        raise ValueError("it ends inside a frame, or does not begin with a record")
    return data[:BEGIN], [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]


def orca_pieces(data: bytes) -> tuple[bytes, list[bytes]]:
    """An ORCA file as its header record, and its other records."""
    place, found = 0, []
    while place < len(data):
        (head,) = struct.unpack_from("<I", data, place)
        words = 1 if head & 0x80000000 else head & 0x3FFFF
        if words == 0:  # an extended record: its length is in the second word
            (words,) = struct.unpack_from("<I", data, place + 4)
        length = 4 * words
        if length == 0 or place + length > len(data):
            raise ValueError("it ends inside a record")
        found.append(data[place : place + length])
        place += length
    return found[0], found[1:]


Pieces = Callable[[bytes], tuple[bytes, list[bytes]]]


def flip(data: bytes, draw: random.Random, _cut: Pieces) -> bytes:
    """One to twenty flipped bits anywhere."""
    return _flipped(data, draw, len(data))


def flip_head(data: bytes, draw: random.Random, _cut: Pieces) -> bytes:
    """Flipped bits where the configuration stands."""
    return _flipped(data, draw, min(len(data), 600))


def _flipped(data: bytes, draw: random.Random, end: int) -> bytes:
    made = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 20))):
        made[draw.randrange(end)] ^= 1 << draw.randrange(8)
    return bytes(made)


def flip_frame(data: bytes, draw: random.Random, cut: Pieces) -> bytes:
    """Flipped bits among the first words of a record: tags, lengths, counts, channel numbers."""
    begin, records = cut(data)
    chosen = draw.randrange(len(records))
    record = bytearray(records[chosen])
    record[draw.randrange(min(len(record), 200))] ^= 1 << draw.randrange(8)
    records[chosen] = bytes(record)
    return begin + b"".join(records)


def truncate(data: bytes, draw: random.Random, _cut: Pieces) -> bytes:
    """The end is missing."""
    return data[: draw.randrange(len(data))]


def lose_block(data: bytes, draw: random.Random, _cut: Pieces) -> bytes:
    """A block of the disk was never written: zeros."""
    length = draw.choice((512, 4096))
    place = draw.randrange(max(len(data) - length, 1)) // 512 * 512
    return data[:place] + bytes(len(data[place : place + length])) + data[place + length :]


def drop(data: bytes, draw: random.Random, cut: Pieces) -> bytes:
    """Some records are missing; now and then the configuration among them."""
    begin, records = cut(data)
    lost = set(draw.sample(range(draw.choice((0, 1, 1, 1)), len(records)), draw.randrange(1, 5)))
    return begin + b"".join(record for index, record in enumerate(records) if index not in lost)


def shuffle(data: bytes, draw: random.Random, cut: Pieces) -> bytes:
    """The records stand in another order; now and then the configuration too."""
    begin, records = cut(data)
    first = draw.choice((0, 1, 1, 1))
    rest = records[first:]
    draw.shuffle(rest)
    return begin + b"".join(records[:first] + rest)


def repeat(data: bytes, draw: random.Random, cut: Pieces) -> bytes:
    """A record is there twice, the second time somewhere else."""
    begin, records = cut(data)
    records.insert(draw.randrange(1, len(records) + 1), records[draw.randrange(len(records))])
    return begin + b"".join(records)


def append(data: bytes, draw: random.Random, _cut: Pieces) -> bytes:
    """Something else follows."""
    return data + draw.randbytes(draw.randrange(1, 5000))


WAYS: Final[tuple[Callable[[bytes, random.Random, Pieces], bytes], ...]] = (
    flip, flip_head, flip_frame, truncate, lose_block, drop, shuffle, repeat, append,
)  # fmt: skip
