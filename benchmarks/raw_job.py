"""From the DAQ file to the raw file: the raw step, and daq2lh5.build_raw into the same tables; CPU seconds.

    python benchmarks/raw_job.py [CYCLE] [--rounds 3]

Without a cycle, a calibration file of the demo is simulated below ``build/raw_job``. legend-daq2lh5 writes once with
its own settings of datasets (gzip), and once with ours. Each measurement is a process of its own, the sides in turns.
Printed are the seconds of the work alone, with everything imported, and those of a whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [str(ROOT / part / "src") for part in ("dataflow", "demo", "prodenv")]
sys.path[:0] = [*SOURCES, str(Path(__file__).resolve().parent)]

from par_chain import simulated  # noqa: E402

from dataflow.plan import open_cycle  # noqa: E402
from dataflow.plan.job import Job  # noqa: E402
from dataflow.plan.ticket import Tickets  # noqa: E402
from dataflow.steps.tier_raw.daqfile import open_daq  # noqa: E402
from dataflow.steps.tier_raw.rawspec import output_spec  # noqa: E402

STEP, FILE = "tier_raw", "p03-r000-cal-20240301T080000Z"
OURS, GZIP, SAME = "ours", "library, its settings", "library, our settings"
SIDES = (OURS, GZIP, SAME)
CALLS = 3
MAKE = {
    OURS: """
from pathlib import Path
from dataflow.jobs.runner import run
from dataflow.plan import open_cycle
job = open_cycle(Path(source)).job("tier_raw", target)
make = lambda: run(job)
""",
    GZIP: """
from daq2lh5.build_raw import build_raw
make = lambda: build_raw(source, out_spec=copy.deepcopy(spec), overwrite=True)
""",
    SAME: """
import hdf5plugin
from daq2lh5.build_raw import build_raw
from daq2lh5.fc.fc_event_decoder import fc_event_decoded_values as values
packing = hdf5plugin.Bitshuffle(cname="lz4")
chunks = {"compression": packing, "shuffle": False, "chunks": (64, samples)}
values["waveform"]["hdf5_settings"] = {"values": chunks}
settings = {"compression": hdf5plugin.Zstd(), "shuffle": True}
make = lambda: build_raw(source, out_spec=copy.deepcopy(spec), hdf5_settings=settings, overwrite=True)
""",
}
"""How each side makes the file; afterwards, ``make`` does so."""
BEFORE = """
import copy, json, sys, time
source, target, calls, samples = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
spec = json.loads(sys.argv[5])
"""
AFTER = """
found = []
for _ in range(calls):
    begin = time.process_time()
    make()
    found.append(time.process_time() - begin)
print(min(found))
"""


def main() -> int:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cycle", type=Path, nargs="?", help="a cycle with FlashCam files (default: a simulated one)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cycle = (options.cycle or simulated(ROOT / "build/raw_job", only=FILE)).resolve()
    opened = open_cycle(cycle / "config.json")
    job = opened.job(STEP, str(opened.units.of(opened.step(STEP))[0]))
    with tempfile.TemporaryDirectory() as folder:
        report(measured(cycle, job, Path(folder), options.rounds), job)
    return 0


def measured(cycle: Path, job: Job, folder: Path, rounds: int) -> Mapping[str, tuple[float, float]]:
    """The least CPU seconds of the work alone, and of a whole process, by side; the files are compared."""
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            target = folder / f"{SIDES.index(side)}.lh5"
            words = words_of(side, cycle, job, target)
            once = run(ticketed(cycle, job) if side == OURS else [*words[:4], "1", *words[5:]])[1]
            found[side].append((float(run(words)[0]), once))
            if side != OURS:
                compare(job.outputs["tier"], target)
    return {side: (min(one for one, _ in each), min(other for _, other in each)) for side, each in found.items()}


def words_of(side: str, cycle: Path, job: Job, target: Path) -> list[str]:
    """The command that makes the file some times and prints the CPU seconds of the fastest."""
    (source,) = job.inputs["daq"]
    daq = open_daq(source)
    spec = {
        decoder: {name: {**group, "out_stream": str(target)} for name, group in groups.items()}
        for decoder, groups in output_spec(job, daq).items()
    }
    first = (str(cycle / "config.json"), str(job.unit)) if side == OURS else (str(source), str(target))
    return ["-c", BEFORE + MAKE[side] + AFTER, *first, str(CALLS), str(daq.samples), json.dumps(spec)]


def ticketed(cycle: Path, job: Job) -> list[str]:
    """The command of the job as Snakemake starts it."""
    opened = open_cycle(cycle / "config.json")
    ticket = Tickets(opened).write(opened.step(STEP), job.unit)
    words = ["-m", "dataflow.jobs", STEP, "--config", str(cycle / "config.json"), "--key", str(job.unit)]
    return [*words, "--ticket", str(ticket)]


def run(words: list[str]) -> tuple[str, float]:
    """What a process prints, and its CPU seconds."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(SOURCES)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *words], env=environ, check=True, stdout=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout.strip() or "0", after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(ours: Path, theirs: Path) -> None:
    """Make sure that all tables of the library are in our file, with equal attributes, types and values."""
    import h5py
    import hdf5plugin  # noqa: F401 - reads what is compressed
    import numpy as np

    with h5py.File(ours) as one, h5py.File(theirs) as other:

        def look(name: str, node: h5py.Group | h5py.Dataset) -> None:
            if isinstance(node, h5py.Dataset):
                assert node.dtype == one[name].dtype, name
                np.testing.assert_array_equal(one[name][()], node[()], err_msg=name)
            attrs = dict(one[name].attrs)
            assert {key: attrs.get(key) for key in node.attrs} == dict(node.attrs), name

        other.visititems(look)


def report(times: Mapping[str, tuple[float, float]], job: Job) -> None:
    """Print the seconds of each side, and the ratios to ours."""
    (source,) = job.inputs["daq"]
    size = source.stat().st_size / 1e6
    print(f"{source.name}, {size:.0f} MB")
    print(f"{'':24s} {'work':>6s} {'MB/s':>6s} {'ratio':>6s} {'process':>8s} {'ratio':>6s}")
    for side, (inside, process) in times.items():
        ratios = inside / times[OURS][0], process / times[OURS][1]
        print(f"{side:24s} {inside:6.2f} {size / inside:6.0f} {ratios[0]:6.1f} {process:8.2f} {ratios[1]:6.1f}")
    print("tables, attributes, types and values are equal")


if __name__ == "__main__":
    sys.exit(main())
