"""Packets of ORCA files, found by compiled code; their layout is that in :mod:`.orca`."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow.physics.compiled.jit import compiled

END, MORE, ASIDE, ODD, UNKNOWN = 0, 1, 2, 3, 5
"""Why a walk stops: as in :mod:`.flashcam_records`, and an event of a stream that is not known yet."""
HEAD = 3
"""Words that say what a packet is: data id and length; then length and stream, or form and place of a trace."""


@compiled
def word(data: Any, place: Any) -> Any:
    """The unsigned 32-bit number at a byte."""
    low = np.int64(data[place]) | np.int64(data[place + 1]) << 8
    return low | np.int64(data[place + 2]) << 16 | np.int64(data[place + 3]) << 24


@compiled
def length_of(data: Any, place: Any) -> Any:
    """Words of the packet at a byte; 0 if that is impossible."""
    head = word(data, place)
    if head >> 31:
        return 1
    if head & 0x3FFFF:
        return head & 0x3FFFF
    words = word(data, place + 4)
    return words if words > 1 else 0


@compiled
def identity(data: Any, place: Any) -> Any:
    """What kind of packet it is, where the first word has it."""
    head = word(data, place)
    return head & (0xFC000000 if head >> 31 else 0xFFFC0000)


@compiled
def place_of(value: Any, among: Any) -> Any:
    """Where a number stands in an array, minus one for nowhere."""
    for number in range(len(among)):
        if among[number] == value:
            return number
    return -1


@compiled
def survey(
    data: Any, place: Any, size: Any, ends: Any, kinds: Any, streams: Any, shift: Any, spans: Any, owners: Any
) -> Any:  # fmt: skip
    """Find the packets of a block.

    Parameters
    ----------
    data, place, size, ends
        Bytes; the first to look at; how many there are; whether the file ends with them.
    kinds
        The data id of events, and those of packets that nobody wants; int64.
    streams, shift
        Numbers of the streams that are known, int64; the bit of the third word at which that of an event begins.
    spans, owners
        For each packet the byte at which it begins, and that after its end, int64 (packets, 2); the place of the stream
        whose event it is, minus one for none, int64.

    Returns
    -------
    packets, place, why
        How many were passed; the byte after the last of them; why there are no more.
    """
    passed = 0
    while passed < len(spans):
        if place + 4 * HEAD > size:
            return passed, place, (END if place == size else ASIDE) if ends else MORE
        words, kind = length_of(data, place), place_of(identity(data, place), kinds)
        end = place + 4 * words
        if words == 0 or (ends and end > size):
            return passed, place, ODD
        if end > size:
            return passed, place, MORE
        if kind < 0:
            return passed, place, ASIDE
        owners[passed] = -1
        if kind == 0:
            if words <= HEAD:
                return passed, place, ODD
            owners[passed] = place_of(word(data, place + 8) >> shift, streams)
            if owners[passed] < 0:
                return passed, place, UNKNOWN
        spans[passed, 0], spans[passed, 1] = place, end
        passed, place = passed + 1, end
    return passed, place, MORE


@compiled
def skim(data: Any, place: Any, ends: Any) -> Any:
    """Where whole packets end: how many, up to one that is not whole in the data, or the places for ends are filled."""
    found = 0
    while found < len(ends) and place + 4 * 2 <= len(data):
        words = length_of(data, place)
        place += 4 * words
        if words == 0 or place > len(data):
            break
        ends[found] = place
        found += 1
    return found
