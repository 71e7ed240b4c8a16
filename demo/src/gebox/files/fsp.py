"""Software triggers in FlashCam streams: the records of LEGEND-200's stream processor (FSP), before those that they
belong to.

The layout follows the open library libfsp by MPIK, whose sources the Python package `fcio` ships: structures as a
64-bit compiler lays them out, one or more of them a frame. Three algorithms look at each event: the hardware
multiplicity (HWM: how many FPGA energies are above a threshold), the windowed peak sum of the light sensors (WPS), and
channel thresholds (CT), which nothing is configured for here.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FSP_CONFIG: Final = 8
FSP_EVENT: Final = 9
FSP_STATUS: Final = 10
TRACE_INDEX: Final = 1
"""Form of a list of traces: places in the stream's trace map."""
LABEL_BYTES: Final = 8
STEP: Final = 10
"""Samples over which the peak sum looks for the step of a photo-electron."""


@dataclass(frozen=True)
class Trigger:
    """What a stream's software trigger is set to.

    Parameters
    ----------
    germanium, light
        Traces of the hardware multiplicity and of the peak sum, as places in the trace map of `traces` entries.
    names
        Labels of all traces, at most seven letters.
    energy
        Threshold of an FPGA energy in counts, and how many must be above it.
    single, gain
        Threshold of a single peak in photo-electrons, and counts a photo-electron.
    total
        Threshold of the sum in photo-electrons.
    """

    traces: int
    germanium: tuple[int, ...]
    light: tuple[int, ...]
    names: tuple[str, ...]
    energy: int = 100
    multiplicity: int = 1
    single: float = 0.5
    gain: float = 50.0
    total: float = 7.0


@dataclass(frozen=True)
class Seen:
    """What the software trigger sees in an event; places are samples."""

    hardware: int = 0
    largest: int = 0
    smallest: int = 0
    above: int = 0
    light_sum: float = 0.0
    light_at: int = 0
    light_channels: int = 0
    peak: float = 0.0
    peak_at: int = 0


@dataclass(frozen=True)
class Counts:
    """Events since the beginning and since the last status, and times in seconds."""

    start: float
    now: float
    since: float
    events: int
    new: int


def observe(trigger: Trigger, channels: Sequence[int], rows: NDArray[np.uint16]) -> Seen:
    """Look at an event.

    Parameters
    ----------
    channels
        Place in the trace map of each trace.
    rows
        uint16 of shape (traces, 2 + samples): baseline and energy of the FPGA, samples.
    """
    energies = [int(rows[row, 1]) for row, trace in enumerate(channels) if trace in trigger.germanium]
    fired = [energy for energy in energies if energy > 0]
    peaks = [_peak(rows[row, 2:], trigger.gain) for row, trace in enumerate(channels) if trace in trigger.light]
    kept = [(height, place) for height, place in peaks if height >= trigger.single]
    height, place = max(kept, default=(0.0, 0))
    return Seen(
        hardware=len(fired),
        largest=max(fired, default=0),
        smallest=min(fired, default=0),
        above=sum(energy > trigger.energy for energy in energies),
        light_sum=sum(value for value, _ in kept),
        light_at=place,
        light_channels=len(kept),
        peak=height,
        peak_at=place,
    )


def _peak(trace: NDArray[np.uint16], gain: float) -> tuple[float, int]:
    """The largest step of a trace in photo-electrons, and where it begins."""
    steps = trace[STEP:].astype(np.float64) - trace[:-STEP]
    place = int(np.argmax(steps))
    return float(np.float32(steps[place] / gain)), place


def config_frames(trigger: Trigger) -> list[bytes]:
    """The frames of the configuration, written before that of the stream."""
    hardware, light = len(trigger.germanium), len(trigger.light)
    head = [_ints(trigger.multiplicity), _ints(*[0] * hardware), _ints(0)]
    head += [_floats(0.0), _floats(trigger.total), _floats(0.0), _floats(*[0.0] * hardware)]
    head += [_flags(hwm=1, wps=1), *_time(0, 30_000), *_time(0, 30_000), bytes(8), bytes(8), bytes(8), b""]
    head += [_ints(64), *_time(1, 0)]
    head += [*_tracemap(trigger, trigger.germanium), struct.pack(f"<{hardware}H", *[trigger.energy] * hardware)]
    head += [*_tracemap(trigger, ()), b""]
    sums = [_ints(1), _ints(64), _ints(0), _ints(0), _floats(trigger.total)]
    sums += [_floats(*[trigger.gain] * light), _floats(*[trigger.single] * light), _floats(*[0.0] * light)]
    sums += [_ints(*[STEP] * light), _ints(0), _ints(0), *(_ints(*[0] * light) for _ in range(4))]
    return head + _tracemap(trigger, trigger.light) + sums


def event_frames(trigger: Trigger, seen: Seen) -> list[bytes]:
    """The frames that stand before an event."""
    hwm, wps = seen.above >= trigger.multiplicity, seen.light_sum >= trigger.total
    processed = struct.pack("<2B6x B7x 8x 8x", hwm, seen.hardware > 0, wps)
    return [
        _flags(hwm=hwm, wps=wps, write=1),
        processed,
        _ints(0),
        struct.pack("<i2Hi", seen.hardware, seen.largest, seen.smallest, seen.above),
        struct.pack("<f2ifi", seen.light_sum, seen.light_at, seen.light_channels, seen.peak, seen.peak_at),
        *[b""] * 6,
    ]


def status_frames(counts: Counts) -> list[bytes]:
    """The frame that stands before a status; all events are written."""
    runtime, rate = counts.now - counts.start, counts.new / counts.since if counts.since else 0.0
    mean = counts.events / runtime if runtime else 0.0
    times = (counts.start, counts.now, counts.since, runtime)
    numbers = (counts.events, counts.events, 0, counts.new, counts.new, 0)
    return [struct.pack("<4d6i7d", *times, *numbers, counts.since, rate, rate, 0.0, mean, mean, 0.0)]


def _flags(*, hwm: bool | int, wps: bool | int, write: int = 0) -> bytes:
    """Why an event is kept: flags of the event (none), flags of the triggers, and whether it is written."""
    return struct.pack("<8x 2B B5x I4x", hwm, 0, wps, write)


def _tracemap(trigger: Trigger, mapped: Sequence[int]) -> list[bytes]:
    """The traces of an algorithm: their places, and for each trace of the stream its place among them."""
    enabled = [mapped.index(trace) if trace in mapped else -1 for trace in range(trigger.traces)] if mapped else []
    labels = b"".join(trigger.names[trace].encode()[: LABEL_BYTES - 1].ljust(LABEL_BYTES, b"\0") for trace in mapped)
    return [_ints(TRACE_INDEX), _ints(*mapped), _ints(*enabled), labels]


def _time(seconds: int, nanoseconds: int) -> list[bytes]:
    return [struct.pack("<q", seconds), struct.pack("<q", nanoseconds)]


def _ints(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


def _floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)
