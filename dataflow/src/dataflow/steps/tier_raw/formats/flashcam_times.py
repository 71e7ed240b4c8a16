"""Dead, live and run times of the traces of FlashCam events, as the ``fcio`` package derives them, in compiled code.

The rules are those of ``FCIOHeaderExt.update`` and ``DeadIntervalBuffer`` of ``fcio``: dead intervals wait in a ring
for the first event after their end. Where ``fcio`` raises an error, the walk ends before the event.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow.physics.compiled.jit import compiled

TIMES, OFFSETS, DEAD, KIND, TRACES, FIRST = 0, 10, 20, 30, 33, 34
"""Of the numbers of an event; see :mod:`.flashcam_records`."""
ENABLED, DEADTIME, INTERVAL = range(3)
"""What lasts of each trace, in nanoseconds: when its trigger was enabled, dead since then, dead before this event."""
WRITE, READ, FILL = range(3)
"""Of the ring of each trace."""
RING = 2048
"""Dead intervals that may wait: as many as the hardware can hold events."""
UNIX, DEAD_TIME, LIFE_TIME, RUN_TIME = range(4)
"""Times of a trace in seconds."""
SECOND, TICK, MICROSECOND = 1_000_000_000, 4, 1000
"""In nanoseconds."""
PER_CARD = 11
"""Type of events whose cards trigger by themselves: each has its own dead intervals."""
MOST = (1 << 31) - 1
"""``fcio`` turns ticks and microseconds into nanoseconds in 32 bits."""


@compiled
def is_before(now: Any, first: Any, number: Any, ring: Any, ends: Any) -> Any:
    """Whether the next dead interval of some traces is over; three nanoseconds of overlap are allowed."""
    for trace in range(first, first + number):
        if ring[FILL, trace] == 0:
            return False
        if now - ends[trace, ring[READ, trace]] > -4:
            return True
    return False


@compiled
def put(begin: Any, end: Any, first: Any, number: Any, ring: Any, begins: Any, ends: Any) -> Any:
    """Put a dead interval into the rings of its traces, if it is new; whether there is room."""
    for trace in range(first, first + number):
        if ring[FILL, trace] >= RING:
            return False
        at = ring[WRITE, trace]
        if end > ends[trace, at]:
            at = (at + 1) % RING
            begins[trace, at], ends[trace, at] = begin, end
            ring[WRITE, trace] = at
            ring[FILL, trace] += 1
    return True


@compiled
def take(low: Any, high: Any, first: Any, number: Any, times: Any, ring: Any, begins: Any, ends: Any) -> Any:
    """Add the next dead interval to the dead times; whether it is that of all traces of the event, or one for all."""
    if number != high - low and number != 1:  # noqa: PLR1714 - compiled
        return False
    for trace in range(first, first + number):
        if ring[FILL, trace] == 0:
            return False
    for trace in range(low, high):
        source = first if number == 1 else first + trace - low
        at = ring[READ, source]
        times[INTERVAL, trace] = ends[source, at] - begins[source, at]
        times[DEADTIME, trace] += times[INTERVAL, trace]
    for trace in range(first, first + number):
        ring[READ, trace] = (ring[READ, trace] + 1) % RING
        ring[FILL, trace] -= 1
    return True


@compiled
def enable(begin: Any, end: Any, low: Any, high: Any, start: Any, times: Any) -> Any:
    """Note when the triggers of some traces were enabled, as long as that of one is not known."""
    known = True
    for trace in range(low, high):
        known = known and times[ENABLED, trace] != -1
    if not known and begin == 0 and end >= 0:
        times[ENABLED, low:high] = end if end > 0 else start


@compiled
def possible(event: Any, traces: Any) -> Any:
    """Whether the numbers of an event are such as ``fcio`` computes with."""
    first, number = np.int64(event[DEAD + 5]), np.int64(event[DEAD + 6])
    ticks = TICK * abs(np.int64(event[TIMES + 2]))
    offsets = MICROSECOND * max(abs(np.int64(event[OFFSETS + 1])), abs(np.int64(event[OFFSETS + 6])))
    return first >= 0 and number >= 0 and first + number <= traces and ticks <= MOST and offsets <= MOST


@compiled
def follow(event: Any, now: Any, traces: Any, times: Any, ring: Any, begins: Any, ends: Any) -> Any:
    """Follow the dead times up to an event; whether it is possible."""
    if not possible(event, traces):
        return False
    first, number = np.int64(event[DEAD + 5]), np.int64(event[DEAD + 6])
    low, high = np.int64(0), np.int64(traces)
    if event[KIND] == PER_CARD:
        low, high = first, first + number
    begin = SECOND * np.int64(event[DEAD]) + TICK * np.int64(event[DEAD + 1])
    end = SECOND * np.int64(event[DEAD + 2]) + TICK * np.int64(event[DEAD + 3])
    start = SECOND * np.int64(event[OFFSETS + 5]) + MICROSECOND * np.int64(event[OFFSETS + 6])
    enable(begin, end, low, high, start, times)
    if begin > 0 and not put(begin, end, first, number, ring, begins, ends):
        return False
    times[INTERVAL, low:high] = 0
    while is_before(now, first, number, ring, ends):
        if not take(low, high, first, number, times, ring, begins, ends):
            return False
    return True


@compiled
def account(
    events: Any, count: Any, channels: Any, external: Any, traces: Any,
    times: Any, ring: Any, begins: Any, ends: Any, seconds: Any, intervals: Any,
) -> Any:  # fmt: skip
    """Times of all traces of some events.

    Parameters
    ----------
    events, count, channels
        Numbers of the events, how many they are, numbers of their traces; see :func:`.flashcam_records.index`.
    external
        Whether the clock is an external one (``gps`` in the configuration).
    traces
        Traces of a whole event.
    times, ring, begins, ends
        What lasts of each trace: int64 (3, traces); int64 (3, traces); int64 (traces, :data:`RING`) both.
    seconds, intervals
        Filled for each trace of an event: float64 (4, traces of the block), in seconds; int64, in nanoseconds.

    Returns
    -------
    count
        Events that are possible, up to the first that is not.
    """
    for number in range(count):
        event = events[number]
        now = SECOND * np.int64(event[TIMES + 1]) + TICK * np.int64(event[TIMES + 2])
        if not follow(event, now, traces, times, ring, begins, ends):
            return number
        unix = now + SECOND * np.int64(event[OFFSETS + 2])
        if not external:
            unix = now + SECOND * np.int64(event[OFFSETS]) + MICROSECOND * np.int64(event[OFFSETS + 1])
        for row in range(event[FIRST], event[FIRST] + event[TRACES]):
            trace = channels[row]
            run = now - times[ENABLED, trace]
            seconds[UNIX, row] = unix / SECOND
            seconds[DEAD_TIME, row] = times[DEADTIME, trace] / SECOND
            seconds[LIFE_TIME, row] = (run - times[DEADTIME, trace]) / SECOND
            seconds[RUN_TIME, row] = run / SECOND
            intervals[row] = times[INTERVAL, trace]
    return count
