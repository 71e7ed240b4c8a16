"""Records of a FlashCam file, found by compiled code: where each event is, its numbers, and where its traces are.

The layout is that of the FCIO library, which the ``fcio`` package ships. Only events of the usual form are taken; at
any other record the walk stops and says why, so that ``fcio`` and legend-daq2lh5 read it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow.physics.compiled.jit import compiled

EVENT, SPARSE = 3, 6
CALIBRATION, STATUS, RECONSTRUCTED = 2, 4, 5
WORDS = 10
"""Numbers that each of the three lists of an event has at most."""
TIMES, OFFSETS, DEAD = 0, WORDS, 2 * WORDS
"""Where the lists begin among the numbers of an event."""
KIND, DEADS, PACKET, TRACES, FIRST = range(3 * WORDS, 3 * WORDS + 5)
"""What stands behind them: type; numbers in the dead region; number of the record; traces, and the first of them."""
NUMBERS = FIRST + 1
LEAST_TIMES, LEAST_OFFSETS, LEAST_DEAD = 4, 7, 5
"""Numbers that columns are made of: with fewer, those of another event would stand there."""
END, MORE, ASIDE, ODD = range(4)
"""Why a walk stops: the file ends; more bytes are needed; a record that changes no event; one of any other form."""
COUNT, RECORD = 0, 1
"""What lasts from event to event: traces of the last one, number of its record."""


@compiled
def word(data: Any, place: Any) -> Any:
    """The signed 32-bit number at a byte."""
    low = np.uint32(data[place]) | np.uint32(data[place + 1]) << np.uint32(8)
    high = np.uint32(data[place + 2]) | np.uint32(data[place + 3]) << np.uint32(8)
    return np.int32(low | high << np.uint32(16))


@compiled
def frames(data: Any, place: Any, size: Any, starts: Any, lengths: Any) -> Any:
    """Frames of the record whose tag ends at `place`: how many, where the next record begins, whether it is in sight.

    What is beyond the places for frames is counted.
    """
    found = 0
    while place + 4 <= size:
        length = word(data, place)
        if length < 0:
            return found, place, True
        if place + 4 + length > size:
            return found, place, False
        if found < len(starts):
            starts[found], lengths[found] = place + 4, length
        found, place = found + 1, place + 4 + length
    return found, place, False


@compiled
def skim(data: Any, place: Any, highest: Any, begins: Any) -> Any:
    """Where whole records begin that are followed by another tag: how many, and the byte after the last of them.

    It ends where there is no place for more, or a tag is above `highest`, or the data end.
    """
    count, starts, lengths = 0, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    while count < len(begins) and place + 4 <= len(data) and 0 < -word(data, place) <= highest:
        _, after, seen = frames(data, place + 4, len(data), starts, lengths)
        if not seen or -word(data, after) > highest:
            break
        begins[count] = place
        count, place = count + 1, after
    return count, place


@compiled
def list_of(data: Any, start: Any, length: Any, least: Any, target: Any) -> Any:
    """Copy one of the lists of an event; whether its length is a usual one."""
    if length % 4 or length < 4 * least or length > 4 * WORDS:
        return False
    for number in range(length // 4):
        target[number] = word(data, start + 4 * number)
    return True


@compiled
def lists(data: Any, starts: Any, lengths: Any, dead: Any, numbers: Any) -> Any:
    """Copy the numbers of an event whose dead region is in the frame `dead`; whether all have usual lengths."""
    return (
        lengths[0] == 4
        and lengths[1] == 4
        and list_of(data, starts[2], lengths[2], LEAST_OFFSETS, numbers[OFFSETS:])
        and list_of(data, starts[3], lengths[3], LEAST_TIMES, numbers[TIMES:])
        and list_of(data, starts[dead], lengths[dead], LEAST_DEAD, numbers[DEAD:])
    )


@compiled
def whole(starts: Any, lengths: Any, traces: Any, width: Any, numbers: Any, listed: Any, last: Any, places: Any) -> Any:
    """Where the traces of an event of all traces are; whether it has all of them."""
    if lengths[4] != traces * width:
        return False
    if last[COUNT] != traces:  # a sparse event of all traces leaves its order, as in the library
        last[COUNT] = traces
        for row in range(traces):
            listed[row] = row
    numbers[DEAD + 5], numbers[DEAD + 6] = 0, traces
    for row in range(traces):
        places[row] = starts[4] + listed[row] * width
    return True


@compiled
def sparse(
    data: Any, found: Any, starts: Any, lengths: Any, traces: Any, width: Any, listed: Any, last: Any, places: Any
) -> Any:
    """Where the traces of an event of some traces are; whether each is there once, and whole."""
    count = word(data, starts[5]) if lengths[5] == 4 else -1
    if count < 0 or count > traces or count != found - 7 or lengths[6] != 2 * count:
        return False
    last[COUNT] = count
    for row in range(count):
        at = starts[6] + 2 * row
        number = np.int64(data[at]) | np.int64(data[at + 1]) << 8
        if number >= traces or lengths[7 + row] != width:
            return False
        for before in range(row):
            if listed[before] == number:
                return False
        listed[row], places[row] = number, starts[7 + row]
    return True


@compiled
def usual(
    data: Any, tag: Any, found: Any, starts: Any, lengths: Any, traces: Any, width: Any,
    numbers: Any, listed: Any, last: Any, places: Any,
) -> Any:  # fmt: skip
    """Find the numbers and traces of a record; whether it is an event of the usual form."""
    if tag == EVENT and found == 6:
        good = lists(data, starts, lengths, 5, numbers)
        return good and whole(starts, lengths, traces, width, numbers, listed, last, places)
    if tag == SPARSE and 7 <= found <= 7 + traces:
        good = lists(data, starts, lengths, 4, numbers)
        return good and sparse(data, found, starts, lengths, traces, width, listed, last, places)
    return False


@compiled
def keep(data: Any, tag: Any, starts: Any, lengths: Any, numbers: Any, last: Any, first: Any, event: Any) -> None:
    """Keep the numbers of an event."""
    event[: 3 * WORDS] = numbers
    event[KIND] = word(data, starts[0])
    event[DEADS] = lengths[5 if tag == EVENT else 4] // 4
    event[PACKET], event[TRACES], event[FIRST] = last[RECORD], last[COUNT], first


@compiled
def index(
    data: Any, place: Any, size: Any, ends: Any, quiet: Any, skip: Any, traces: Any, samples: Any,
    starts: Any, lengths: Any, numbers: Any, listed: Any, last: Any, events: Any, places: Any, channels: Any,
) -> Any:  # fmt: skip
    """Find the events of a block.

    Parameters
    ----------
    data, place, size, ends
        Bytes; the first to look at; how many there are; whether the file ends with them.
    quiet, skip
        Whether status records are passed over; whether the first record is, which else would end the walk.
    traces, samples
        Traces of a whole event; samples of a trace.
    starts, lengths
        Places for the frames of a record.
    numbers, listed, last
        What lasts from event to event: the numbers; the traces; :data:`COUNT` and :data:`RECORD`.
    events, places, channels
        For each event its numbers, shape (events, :data:`NUMBERS`); for each trace the byte at which it begins, and
        its number. Events end where there is no place for more.

    Returns
    -------
    events, place, why
        How many were found; the byte after the last of them; why there are no more.
    """
    count, first, width = 0, 0, 2 * (2 + samples)
    while count < len(events) and first + traces <= len(places):
        if place + 4 > size:
            return count, place, (END if place == size else ODD) if ends else MORE
        tag = -word(data, place)
        found, after, seen = frames(data, place + 4, size, starts, lengths)
        if not seen and not ends:
            return count, place, MORE
        if not seen and after != size:
            return count, place, ODD  # the file breaks off
        if tag in (CALIBRATION, STATUS, RECONSTRUCTED):
            if not skip and not (quiet and tag == STATUS):
                return count, place, ASIDE
            last[RECORD] += 1
            place, skip = after, False
            continue
        if not usual(data, tag, found, starts, lengths, traces, width, numbers, listed, last, places[first:]):
            return count, place, ODD
        last[RECORD] += 1
        keep(data, tag, starts, lengths, numbers, last, first, events[count])
        channels[first : first + last[COUNT]] = listed[: last[COUNT]]
        first, count, place = first + last[COUNT], count + 1, after
    return count, place, MORE


@compiled
def gather(
    data: Any, begins: Any, ends: Any, records: Any, traces: Any, samples: Any,
    starts: Any, lengths: Any, numbers: Any, listed: Any, last: Any, events: Any, places: Any, channels: Any,
) -> Any:  # fmt: skip
    """Find the events in records that stand apart, in packets of another form.

    Parameters
    ----------
    data, begins, ends, records
        Bytes; of each packet that which its record begins at, and that after its end; the numbers of the records.
    traces, samples, starts, lengths, numbers, listed, last, events, places, channels
        As for :func:`index`; there must be places for all.

    Returns
    -------
    events
        How many were found, up to the first that has not the usual form. A record must fill its packet but for less
        than one word.
    """
    first, width = 0, 2 * (2 + samples)
    for number in range(len(begins)):
        tag = -word(data, begins[number])
        found, after, seen = frames(data, begins[number] + 4, ends[number], starts, lengths)
        if seen or ends[number] - after >= 4:
            return number
        if not usual(data, tag, found, starts, lengths, traces, width, numbers, listed, last, places[first:]):
            return number
        last[RECORD] = records[number]
        keep(data, tag, starts, lengths, numbers, last, first, events[number])
        channels[first : first + last[COUNT]] = listed[: last[COUNT]]
        first += last[COUNT]
    return len(begins)
