"""How fast the simulated experiment is made: traces a second of one core, and memory.

    python benchmarks/simulation.py [--events 16000]

Prints one line a preset and datatype. The first run compiles before it measures.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo" / "src"))


class Counter:
    """A file that only counts what is written to it."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> int:
        """Count the bytes."""
        self.size += memoryview(data).nbytes
        return memoryview(data).nbytes


def measure(preset: str, datatype: str, events: int) -> str:
    """One line: traces, rates, memory."""
    from gebox.acquisition import record
    from gebox.experiment import build
    from gebox.simulate import warm_up

    experiment = build(preset=preset)
    warm_up(experiment)
    file = next(file for file in experiment.files if file.datatype == datatype)
    counter = Counter()
    begin = time.process_time()
    record(experiment, replace(file, events=events), counter)  # type: ignore[arg-type]
    seconds = time.process_time() - begin
    traces = counter.size / (2 * (4 + experiment.layout.samples))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate = f"{traces / seconds:7.0f} traces/s  {counter.size / seconds / 1e6:5.0f} MB/s"
    return f"{preset:6} {datatype}  {traces:7.0f} traces  {rate}  {memory:5.0f} MiB"


def main() -> int:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=16_000, help="calibration events (default: 16000)")
    options = parser.parse_args()
    for preset in ("small", "full"):
        for datatype, events in (("cal", options.events), ("phy", max(options.events // 20, 1))):
            print(measure(preset, datatype, events))
    return 0


if __name__ == "__main__":
    sys.exit(main())
