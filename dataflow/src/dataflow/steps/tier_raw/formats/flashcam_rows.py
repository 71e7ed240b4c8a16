"""Rows of the tables of FlashCam channels, filled by compiled code from events that have been found."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow.physics.compiled.jit import compiled

TIMES, OFFSETS, DEAD, KIND, DEADS, PACKET, TRACES, FIRST = 0, 10, 20, 30, 31, 32, 33, 34
"""Of the numbers of an event; see :mod:`.flashcam_records`."""
INTEGERS = (
    *("eventnumber", "ts_pps", "ts_ticks", "ts_maxticks"),
    *("mu_offset_sec", "mu_offset_usec", "to_master_sec", "delta_mu_usec", "abs_delta_mu_usec"),
    *("to_start_sec", "to_start_usec"),
    *("dr_start_pps", "dr_start_ticks", "dr_stop_pps", "dr_stop_ticks", "dr_maxticks"),
    *("event_type", "numtraces", "packet_id"),
)
"""Columns of 32 bits, in their order."""
SHORTS = ("dr_ch_idx", "dr_ch_len", "channel", "board_id", "fc_input", "fcid", "baseline", "daqenergy")
"""Columns of 16 bits."""
SECONDS = ("timestamp", "deadtime", "lifetime", "runtime")
"""Columns of seconds."""
INTERVAL = "deadinterval_nsec"
ADCS, PRECISION, LENGTH, BITS = range(4)
"""Of the configuration."""
SIXTEEN = 16
WITH_CARDS = 7
"""Numbers in the dead region from which it tells to which traces it belongs."""


@compiled
def energy(first: Any, second: Any, config: Any) -> Any:
    """The energy of the FPGA, or minus one where it has no place in its column."""
    if config[BITS] == SIXTEEN:
        return np.int64(second)
    value = np.float64(config[LENGTH]) / np.float64(config[PRECISION]) * np.float64(np.uint16(second - first))
    return np.int64(value) if 0 <= value < 65536 else np.int64(-1)


@compiled
def short(data: Any, place: Any) -> Any:
    """The unsigned 16-bit number at a byte."""
    return np.uint16(np.uint16(data[place]) | np.uint16(data[place + 1]) << np.uint16(8))


@compiled
def fits(data: Any, event: Any, places: Any, config: Any) -> Any:
    """Whether all energies of an event have a place in their column."""
    if config[BITS] != SIXTEEN:
        for row in range(event[FIRST], event[FIRST] + event[TRACES]):
            if energy(short(data, places[row]), short(data, places[row] + 2), config) < 0:
                return False
    return True


@compiled
def numbers_of(event: Any, config: Any, integers: Any, shorts: Any, row: Any) -> Any:
    """Fill the columns that the traces of an event share."""
    for number in range(4):
        integers[number, row] = event[TIMES + number]
    for number in range(7):
        integers[4 + number, row] = event[OFFSETS + number]
    for number in range(5):
        integers[11 + number, row] = event[DEAD + number]
    integers[16, row], integers[17, row], integers[18, row] = event[KIND], event[TRACES], event[PACKET]
    shorts[0, row] = event[DEAD + 5] if event[DEADS] >= WITH_CARDS else 0
    shorts[1, row] = event[DEAD + 6] if event[DEADS] >= WITH_CARDS else config[ADCS]


@compiled
def trace_of(data: Any, place: Any, config: Any, shorts: Any, samples: Any, row: Any) -> Any:
    """Fill the columns of a trace that stand in its bytes; `samples` are bytes, too."""
    first, second = short(data, place), short(data, place + 2)
    shorts[6, row], shorts[7, row] = first // config[PRECISION], energy(first, second, config)
    target = samples[row]
    source = data[place + 4 : place + 4 + len(target)]
    for at in range(len(target)):  # seven times as fast as an assignment of the whole
        target[at] = source[at]


@compiled
def fill(
    data: Any, events: Any, at: Any, count: Any, places: Any, channels: Any, seconds_of: Any, interval_of: Any,
    config: Any, cards: Any, owner: Any, rows: Any, safe: Any,
    integers: Any, shorts: Any, seconds: Any, intervals: Any, samples: Any,
) -> Any:  # fmt: skip
    """Fill rows until a buffer is full.

    Parameters
    ----------
    data, events, places, channels, seconds_of, interval_of
        Bytes, and what was found in them; see :func:`.flashcam_records.index` and :func:`.flashcam_times.account`.
    at, count
        The first event, and that after the last.
    config, cards
        :data:`ADCS` and others; for each trace channel, board, input and crate: uint16 (4, traces).
    owner, rows, safe
        The buffer of each trace, minus one for none; rows in each buffer; rows from which one is full.
    integers, shorts, seconds, intervals, samples
        The columns of all buffers: (buffers, columns, rows) of int32, uint16, float64; int64 (buffers, rows); uint8
        (buffers, rows, bytes of a trace).

    Returns
    -------
    at, full, odd
        The event to go on with; whether a buffer is full; whether that event has an energy that does not fit.
    """
    while at < count:
        event, full = events[at], False
        if not fits(data, event, places, config):
            return at, False, True
        for trace in range(event[FIRST], event[FIRST] + event[TRACES]):
            channel = channels[trace]
            buffer = owner[channel]
            if buffer >= 0:
                row = rows[buffer]
                numbers_of(event, config, integers[buffer], shorts[buffer], row)
                shorts[buffer, 2:6, row] = cards[:, channel]
                trace_of(data, places[trace], config, shorts[buffer], samples[buffer], row)
                for number in range(4):
                    seconds[buffer, number, row] = seconds_of[number, trace]
                intervals[buffer, row] = interval_of[trace]
                rows[buffer] += 1
                full = full or rows[buffer] > safe
        at += 1
        if full:
            return at, True, False
    return at, False, False
