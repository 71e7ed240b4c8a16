"""Packets of ORCA files with one FlashCam trace each, as before 2024, found and put into columns by compiled code.

The layout is that in ``daq2lh5.orca.orca_flashcam``: the second word has the lengths of the two headers, in words, and
the samples; the third one where the trace comes from. After the first header stand seven offsets of the clocks, five
numbers of the dead region, number and time of the event; the second header ends with what the FPGA found.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dataflow.physics.compiled.jit import compiled

INTEGERS = (
    *("mu_offset_sec", "mu_offset_usec", "to_master_sec", "delta_mu_usec", "abs_delta_mu_usec"),
    *("to_start_sec", "to_start_usec"),
    *("dr_start_pps", "dr_start_ticks", "dr_stop_pps", "dr_stop_ticks", "dr_maxticks"),
    *("eventnumber", "ts_pps", "ts_ticks", "ts_maxticks"),
    *("numtraces", "packet_id"),
)
"""Columns of 32 bits: those in the bytes, in their order, and others."""
SHORTS = ("dr_ch_idx", "dr_ch_len", "channel", "board_id", "baseline", "daqenergy")
OCTETS = ("event_type", "fcid", "fc_input", "crate", "slot")
SECONDS = ("timestamp", "runtime", "deadtime", "lifetime")
INTERVAL = "deadinterval_nsec"
NUMBERS = 16
"""Words between the headers that are looked at."""
MASTER, DRIFT, MICROSECONDS = 2, 4, 1
START_PPS, START_TICKS, STOP_PPS, STOP_TICKS, MAXIMUM = range(7, 12)
PPS, TICKS, LARGEST = 13, 14, 15
"""Of them."""
SLOT = 22
"""The bit of the third word at which slot and crate begin."""
SLOTS = 1024
"""Numbers that they may have together."""
OWNER, AT, TRACE, KIND, PLACE, BOARD, INPUT, CHANNEL, PACKET = range(9)
"""What is found of a packet: its buffer, minus one for none; the bytes of the numbers and the trace; the rest."""
FOUND = 9
LIMIT = 1 << 31


@compiled
def signed(data: Any, place: Any) -> Any:
    """The signed 32-bit number at a byte."""
    low = np.uint32(data[place]) | np.uint32(data[place + 1]) << np.uint32(8)
    high = np.uint32(data[place + 2]) | np.uint32(data[place + 3]) << np.uint32(8)
    return np.int64(np.int32(low | high << np.uint32(16)))


@compiled
def unsigned(data: Any, place: Any) -> Any:
    """The unsigned 32-bit number at a byte."""
    return signed(data, place) & 0xFFFFFFFF


@compiled
def calculable(data: Any, at: Any) -> Any:
    """Whether no difference of times is too large for 32 bits, in which legend-daq2lh5 takes it."""
    seconds = signed(data, at + 4 * STOP_PPS) - signed(data, at + 4 * START_PPS)
    ticks = signed(data, at + 4 * STOP_TICKS) - signed(data, at + 4 * START_TICKS)
    last = signed(data, at + 4 * LARGEST) + 1
    return -LIMIT <= seconds < LIMIT and -LIMIT <= ticks < LIMIT and last < LIMIT


@compiled
def agrees(of_channel: Any, channel: Any, key: Any) -> Any:
    """Whether the configuration, if there is one, has a channel where the trace says that it comes from."""
    return len(of_channel) == 0 or (channel < len(of_channel) and of_channel[channel] == key)


@compiled
def look(
    data: Any, spans: Any, packets: Any, bits: Any, cards: Any, boards: Any, owners: Any, keys: Any, of_channel: Any,
    samples: Any, found: Any,
) -> Any:  # fmt: skip
    """Find what some packets hold.

    Parameters
    ----------
    data, spans, packets
        Bytes; of each packet that at which it begins, and that after its end; the numbers of the packets.
    bits
        The bits in which inputs end and begin: the channel stands below.
    cards, boards
        The number of the card by crate and slot as they stand in the third word, int64 (:data:`SLOTS`); its board.
    owners, keys
        By card and input, int64 (cards, inputs): the buffer, minus one for none; the key.
    of_channel
        The key of each channel, as the configuration has it; empty without one.
    samples
        Of a trace that is wanted.
    found
        Place for what is found: int64 (packets, :data:`FOUND`).

    Returns
    -------
    packets, drift
        How many were found, up to the first that has another form; the largest deviation of the clocks in those that
        are wanted, in microseconds.
    """
    largest = np.int64(-LIMIT)
    for number in range(len(spans)):
        begin, words = spans[number, 0], (spans[number, 1] - spans[number, 0]) // 4
        second, third = unsigned(data, begin + 4), unsigned(data, begin + 8)
        head, length = second >> 28, (second >> 28) + (second >> 22 & 0x3F)
        channel, entry = third & ((1 << bits[0]) - 1), third >> bits[0] & ((1 << bits[1] - bits[0]) - 1)
        here, told = cards[third >> SLOT], third >> 10 & 0xFF0
        board = boards[here]
        if told != board and told != board << 4 & 0xFFF:  # some versions of ORCA shift it
            return number, largest
        if not agrees(of_channel, channel, keys[here, entry]):
            return number, largest
        owner, at = owners[here, entry], begin + 4 * head
        if owner >= 0:
            if second >> 6 & 0xFFFF != samples or head + NUMBERS > words or 4 * length + 2 * samples > 4 * words:
                return number, largest
            if length < 1 or not calculable(data, at):
                return number, largest
            largest = max(largest, signed(data, at + 4 * DRIFT))
        row = found[number]
        row[OWNER], row[AT], row[TRACE], row[KIND] = owner, at, begin + 4 * length, second & 0x1F
        row[PLACE], row[BOARD], row[INPUT], row[CHANNEL] = third >> SLOT, board, entry, channel
        row[PACKET] = packets[number]
    return len(spans), largest


@compiled
def times(data: Any, at: Any, drift: Any, row: Any, seconds: Any) -> None:
    """Fill the times of a row."""
    tick = np.float64(unsigned(data, at + 4 * TICKS)) / np.float64(signed(data, at + 4 * LARGEST) + 1)
    runtime = np.float64(unsigned(data, at + 4 * PPS)) + tick
    if drift == 0:
        offset = np.float64(signed(data, at)) + np.float64(signed(data, at + 4 * MICROSECONDS)) * 1e-6
    else:
        offset = np.float64(signed(data, at + 4 * MASTER))
    dead_ticks = np.float64(signed(data, at + 4 * STOP_TICKS) - signed(data, at + 4 * START_TICKS))
    dead_seconds = np.float64(signed(data, at + 4 * STOP_PPS) - signed(data, at + 4 * START_PPS))
    seconds[0, row], seconds[1, row] = runtime + offset, runtime
    seconds[2, row] = dead_seconds + dead_ticks / np.float64(signed(data, at + 4 * MAXIMUM))


@compiled
def put(
    data: Any, found: Any, at: Any, count: Any, stream: Any, adcs: Any, drift: Any,
    rows: Any, safe: Any, integers: Any, shorts: Any, octets: Any, seconds: Any, traces: Any,
) -> Any:  # fmt: skip
    """Fill rows until a buffer is full.

    Parameters
    ----------
    data, found
        As for :func:`look`.
    at, count
        The first packet, and that after the last.
    stream, adcs, drift
        Number of the listener; of its channels; the deviation of the clocks that is allowed, 0 without a common clock.
    rows, safe
        Rows in each buffer; rows from which one is full.
    integers, shorts, octets, seconds, traces
        The columns of all buffers: (buffers, columns, rows) of int32, uint16, uint8, float64; uint8 (buffers, rows,
        bytes of a trace). Other columns are zeros.

    Returns
    -------
    at, full
        The packet to go on with; whether a buffer is full.
    """
    while at < count:
        packet = found[at]
        at += 1
        owner = packet[OWNER]
        if owner < 0:
            continue
        row, first, place = rows[owner], packet[AT], packet[PLACE]
        for number in range(NUMBERS):
            integers[owner, number, row] = signed(data, first + 4 * number)
        integers[owner, NUMBERS, row], integers[owner, NUMBERS + 1, row] = 1, packet[PACKET]
        fpga = unsigned(data, packet[TRACE] - 4)
        shorts[owner, 1, row], shorts[owner, 2, row], shorts[owner, 3, row] = adcs, packet[CHANNEL], packet[BOARD]
        shorts[owner, 4, row], shorts[owner, 5, row] = fpga & 0xFFFF, fpga >> 16
        octets[owner, 0, row], octets[owner, 1, row], octets[owner, 2, row] = packet[KIND], stream, packet[INPUT]
        octets[owner, 3, row], octets[owner, 4, row] = place >> 5, place & 0x1F
        times(data, first, drift, row, seconds[owner])
        target = traces[owner, row]
        source = data[packet[TRACE] : packet[TRACE] + len(target)]
        for sample in range(len(target)):  # much faster than an assignment of the whole
            target[sample] = source[sample]
        rows[owner] += 1
        if rows[owner] > safe:
            return at, True
    return at, False
