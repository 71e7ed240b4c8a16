"""When data is taken: periods, runs, files."""

from __future__ import annotations

import calendar
import math
import time
from dataclasses import dataclass

from gebox.experiment.model import DaqFile, Readout

EXPERIMENT = "l200"
HOUR = 3600


@dataclass(frozen=True)
class Block:
    """What is taken in one go: a datatype in a run, from a time on.

    Parameters
    ----------
    amount
        Physics events at scale 1 per germanium detector (calibration) or in all (else).
    rate
        Events a second, in the same unit.
    """

    datatype: str
    period: str
    run: str
    start: str
    amount: int
    rate: float
    readout: Readout
    threshold: float
    per_detector: bool = True


_LARGEST = 4000
"""Events of a file per detector (calibration)."""

_SMALL = (
    Block("cal", "p03", "r000", "20240301T080000Z", 8000, 1.6, "sparse", 150.0),
    Block("phy", "p03", "r000", "20240301T140000Z", 400, 0.12, "full", 25.0, per_detector=False),
    Block("cal", "p03", "r001", "20240308T080000Z", 8000, 1.6, "sparse", 150.0),
    Block("phy", "p03", "r001", "20240308T140000Z", 400, 0.12, "full", 25.0, per_detector=False),
)


def blocks(preset: str) -> tuple[Block, ...]:
    """The data taking of a preset."""
    if preset == "small":
        return _SMALL
    return _full()


def _full() -> tuple[Block, ...]:
    """Two periods, six calibration runs; the datatypes that hang on a calibration follow it on the same day."""
    found: list[Block] = []
    weeks = [("p03", "r000"), ("p03", "r001"), ("p03", "r002"), ("p04", "r000"), ("p04", "r001"), ("p04", "r002")]
    for week, (period, run) in enumerate(weeks):
        day = calendar.timegm((2024, 3, 1, 0, 0, 0)) + week * 7 * 24 * HOUR
        found.append(Block("cal", period, run, timestamp(day + 8 * HOUR), 8000, 1.6, "sparse", 150.0))
        found.append(Block("fft", period, run, timestamp(day + 12 * HOUR), 400, 1.0, "full", 0.0, per_detector=False))
        found.append(Block("pzc", period, run, timestamp(day + 13 * HOUR), 600, 1.6, "sparse", 1000.0))
        found.append(Block("phy", period, run, timestamp(day + 14 * HOUR), 800, 0.08, "full", 25.0, per_detector=False))
        found.append(Block("lar", period, run, timestamp(day + 23 * HOUR), 200, 0.5, "full", 0.0, per_detector=False))
    return tuple(found)


def timestamp(seconds: int) -> str:
    """A Unix time as it stands in names."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def seconds(stamp: str) -> int:
    """The Unix time of a timestamp."""
    return calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))


def files(
    block: Block, detectors: int, scale: float, threshold: float | None = None, escapes: float = 0.0
) -> list[DaqFile]:
    """The DAQ files of a block: at least two for a calibration, none longer than an hour.

    A threshold in keV that is given replaces that of calibrations; the share of chosen double escapes is theirs alone.
    """
    escapes = escapes if block.datatype == "cal" else 0.0
    least = threshold if threshold is not None and block.datatype == "cal" else block.threshold
    total = max(1, round(block.amount * scale)) if block.amount else 0
    count = max(2 if block.datatype == "cal" else 1, math.ceil(total / _LARGEST))
    found = []
    for index in range(count):
        events = total * (index + 1) // count - total * index // count
        duration = min(HOUR, max(300, math.ceil(events / block.rate)))
        start = seconds(block.start) + index * HOUR
        key = f"{EXPERIMENT}-{block.period}-{block.run}-{block.datatype}-{timestamp(start)}"
        factor = detectors if block.per_detector else 1
        place = (block.datatype, block.period, block.run)
        found.append(DaqFile(key, *place, start, duration, events * factor, block.readout, least, escapes))
    return found
