"""How time and memory of jobs grow with the events of a file, and how a production gains by a second core.

    python benchmarks/scaling.py [--events 10000 100000] [--folder DIR] [--cores [--scale 6] [--rounds 2]]

A calibration file of the simulated experiment with each number of events, and of it raw, tcm, dsp, hit and evt, without
calibrations. Each job is a process of its own, with one worker; printed are the seconds of the processors and the
highest memory, as the records beside the outputs say. A million events take 9 GB of DAQ file and 5 GB of raw.
``--cores`` instead makes the production of production.py on one core and on two, in turns; medians are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [str(ROOT / part / "src") for part in ("dataflow", "demo", "prodenv")]
sys.path[:0] = [*SOURCES, str(ROOT / "benchmarks")]

import h5py  # noqa: E402
from goals import add_option, ratio, save  # noqa: E402

from dataflow.plan import open_cycle  # noqa: E402
from dataflow.provenance.records import FOLDER  # noqa: E402

KEY = "l200-p03-r000-cal-20240301T080000Z"
STEPS = ("tier_raw", "tier_tcm", "tier_dsp", "tier_hit", "tier_evt")
SETUP = {"paths": {"tier": "$_/generated/tier"}, "allow_none_par": True}
GOAL = 1.8
Record = Mapping[str, Any]


def main() -> int:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where files are made (default: the system's temporary folder)")
    parser.add_argument("--cores", action="store_true", help="measure a production on one core and on two")
    parser.add_argument("--scale", type=float, default=6.0, help="of the events of that production (default: 6)")
    parser.add_argument("--rounds", type=int, default=2, help="how often it is made on one and on two (default: 2)")
    add_option(parser)
    options = parser.parse_args()
    if options.cores:
        return by_cores(options.scale, options.rounds, options.json)
    found = {}
    for events in options.events:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            cycle = simulated(Path(folder) / "cycle", events)
            found[events] = {step: made(cycle, step) for step in STEPS}
            print(f"{events} events made", file=sys.stderr)
    report(found)
    save(options.json, [], events={events: dict(records) for events, records in found.items()})
    return 0


def simulated(cycle: Path, events: int) -> Path:
    """A cycle with one calibration file of so many events."""
    from gebox.acquisition import record
    from gebox.experiment import build
    from gebox.metadata.tree import write_tree

    experiment = build(seed=1)
    write_tree(experiment, cycle / "inputs")
    (cycle / "config.json").write_text(json.dumps({"setups": {"l200": SETUP}}))
    file = next(each for each in experiment.files if each.key == KEY)
    path = cycle / f"generated/tier/daq/cal/p03/r000/{KEY}.fcio"
    path.parent.mkdir(parents=True)
    with path.open("wb") as stream:
        record(experiment, replace(file, events=events), stream)
    return cycle


def made(cycle: Path, step: str) -> Record:
    """Do a job, the calibrations aside; returns what its record says."""
    job = open_cycle(cycle / "config.json").job(step, KEY)
    for path in (each for paths in job.inputs.values() for each in paths if not each.exists()):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".lh5":
            h5py.File(path, "w").close()
        else:
            path.write_text("{}\n")
    words = ["-m", "dataflow.jobs", step, "--config", str(cycle / "config.json"), "--key", KEY]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(SOURCES)}
    subprocess.run([sys.executable, *words], env=environ, check=True)
    output = job.outputs["tier"]
    found = [json.loads(path.read_text()) for path in (output.parent / FOLDER).glob(f"{output.name}.*.json")]
    return next(each for each in found if "cpu_seconds" in each)


def report(found: Mapping[int, Mapping[str, Record]]) -> None:
    """Print a line a step."""
    print("processor seconds, MB:", *(f"{events:>16,d}" for events in found), "µs an event more")
    for step in STEPS:
        records = [each[step] for each in found.values()]
        numbers = [f"{each['cpu_seconds']:8.2f}{each['peak_memory_mb']:8d}" for each in records]
        print(f"{step:22s}", *numbers, f"{slope(list(found), records):10.1f}")


def slope(events: Sequence[int], records: Sequence[Record]) -> float:
    """Microseconds of the processors that an event more takes, between the last two numbers of events."""
    if len(events) < 2:
        return float("nan")
    seconds = records[-1]["cpu_seconds"] - records[-2]["cpu_seconds"]
    return float(1e6 * seconds / (events[-1] - events[-2]))


def by_cores(scale: float, rounds: int, file: Path | None) -> int:
    """A production on one core and on two, in turns; 1 if the second one gains too little.

    On one core means all of it: Snakemake, and what jobs are forked from, stay on the same core, too.
    """
    import production

    production.adopt()
    cycle = production.prepared(ROOT / "build/production" / f"scale-{scale:g}", scale)
    production.ours(cycle, 2)  # compiles
    usable = sorted(os.sched_getaffinity(0))
    found: dict[int, list[production.Seconds]] = {1: [], 2: []}
    for cores in (1, 2) * rounds:
        os.sched_setaffinity(0, usable[:cores])
        found[cores].append(production.ours(cycle, cores))
        last = found[cores][-1]
        busy = last.cpu / last.wall / cores
        print(f"{cores} cores: {last.wall:6.1f} s, {last.cpu:6.1f} s of processors, busy {busy:.0%}", flush=True)
    one, two = (median(each.wall for each in found[cores]) for cores in (1, 2))
    seconds = {cores: [asdict(each) for each in some] for cores, some in found.items()}
    save(file, [ratio(7, "production on two cores", two, one, GOAL)], seconds=seconds)
    print(f"the second core: {one / two:.2f} times as fast (goal {GOAL})")
    return int(one / two < GOAL)


if __name__ == "__main__":
    sys.exit(main())
