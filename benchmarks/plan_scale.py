"""How long a big cycle takes to plan: 100 detectors, 100 runs, 10,000 DAQ files, all tiers.

    python benchmarks/plan_scale.py [--files N] [--runs N] [--detectors N] [--folder DIR]

The metadata change 50 times, and 20 detectors have groupings of their own. The files are empty; the plan never opens
them. Printed are the seconds of each part by the clock, and those of the
processor, which count where the machine does other things too.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dataflow/src"))

from dataflow.plan.workflow import Workflow

BEGIN = datetime(2023, 3, 1, tzinfo=UTC)
T = TypeVar("T")


def main() -> None:
    options = parser().parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder) / "cycle"
        make(root, options.files, options.runs, options.detectors)
        measure(root)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--files", type=int, default=10_000)
    made.add_argument("--runs", type=int, default=100)
    made.add_argument("--detectors", type=int, default=100)
    made.add_argument("--folder", type=Path, help="where to make the cycle")
    return made


def measure(root: Path) -> None:
    """Plan the cycle step by step and print how long each takes."""
    gc.disable()  # as dataflow.plan does
    flow = timed("configuration", lambda: Workflow(root / "config.json"))
    keys = timed("files found", lambda: flow.cycle.keys)
    (target,) = timed("target planned and checked", lambda: flow.targets(["all-l200-evt.gen"]))
    files = timed("outputs listed", lambda: flow.files(target))
    jobs = sorted(flow.cycle.planned, key=str)
    timed("lineages", lambda: [flow.cycle.lineage(step, key) for step, key in jobs])
    timed("what has no effect", flow.ignored)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(keys)} files, {len(files)} outputs, {len(jobs)} jobs, {memory:.0f} MB")


def timed(name: str, work: Callable[[], T]) -> T:
    """Do some work and print how long it took."""
    begin, processor = time.perf_counter(), time.process_time()
    result = work()
    print(f"{name:30s} {time.perf_counter() - begin:7.2f} s {time.process_time() - processor:7.2f} s of the processor")
    return result


def make(root: Path, files: int, runs: int, detectors: int) -> None:
    """A cycle of empty DAQ files: each run begins with a fifth of calibration, physics follows."""
    per_run = max(files // runs, 2)
    pause = timedelta(hours=min(1, 168 / per_run))  # a run takes a week, the next one begins after it
    for run in range(runs):
        for file in range(per_run):
            datatype = "cal" if file < max(per_run // 5, 1) else "phy"
            period, number = f"p{run // 20 + 3:02d}", f"r{run % 20:03d}"
            moment = BEGIN + timedelta(days=7 * run) + file * pause
            name = f"l200-{period}-{number}-{datatype}-{moment:%Y%m%dT%H%M%SZ}.fcio"
            write(root / "generated/tier/daq" / datatype / period / number / name)
    write(root / "config.json", json.dumps({"setups": {"l200": {"paths": {}}}}))
    metadata(root / "inputs", runs, detectors)


def metadata(inputs: Path, runs: int, detectors: int) -> None:
    """Channel maps, statuses and configurations by detector that change every other run, and groupings of runs.

    Each change concerns one more detector: from then on it is read by another channel, is only good for vetoes, and has
    the chain of its neighbour.
    """
    names = [f"V{number:05d}A" for number in range(detectors)]
    starts = [(BEGIN + timedelta(days=7 * run)).strftime("%Y%m%dT%H%M%SZ") for run in range(0, runs, 2)]
    channels = {n: {"name": n, "system": "geds", "daq": {"rawid": 1_104_000 + i}} for i, n in enumerate(names)}
    statuses = {name: {"processable": True, "usability": "on"} for name in names}
    chains = {name: f"$_/{name}.json" for name in names}
    folders = ("hardware/configuration/channelmaps", "datasets/statuses", "dataprod/config")
    for number, start in enumerate(starts):
        name, neighbour = names[number % detectors], names[(number + 1) % detectors]
        if number:
            channels[name]["daq"] = {"rawid": 1_105_000 + number}
            statuses[name]["usability"] = "ac"
            chains[name] = f"$_/{neighbour}.json"
        rules = {"snakemake_rules": {"tier_dsp": {"inputs": {"processing_chain": chains}}}}
        for folder, content in zip(folders, (channels, statuses, rules), strict=True):
            write(inputs / folder / f"from_{start}.json", json.dumps(content))
    entries = [{"valid_from": start, "mode": "reset", "apply": [f"from_{start}.json"]} for start in starts]
    for folder in folders:
        write(inputs / folder / "validity.json", json.dumps(entries))
    groups = {name: grouped(f"own{name}", runs, 10) for name in names[:20]}
    write(inputs / "datasets/cal_groupings.yaml", json.dumps({"default": grouped("calgroup", runs, 20), **groups}))
    for name in names:
        write(
            inputs / "dataprod/config" / f"{name}.json",
            json.dumps({"processors": {f"p{n}": f"baseline + {n}" for n in range(60)}}),
        )


def grouped(name: str, runs: int, together: int) -> dict[str, dict[str, list[str]]]:
    """Partitions of so many runs each, none longer than a period."""
    found: dict[str, dict[str, list[str]]] = {}
    for run in range(runs):
        period, number = divmod(run, 20)
        group = found.setdefault(f"{name}{run // together:03d}a", {})
        group.setdefault(f"p{period + 3:02d}", []).append(f"r{number:03d}")
    return found


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
