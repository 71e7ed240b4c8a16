"""How long the calibrations of the demo's runs take, step by step, and what stands beside them.

    python benchmarks/par_chain.py [CYCLE] [--threads 2] [--kept]

Without a cycle, the demo's two calibration runs (4 detectors, 16,000 events each) and its physics are simulated below
``build/par_chain``. Each job is a process of its own with a ticket, as in a production; printed are the seconds of the
processors and of the clock of all jobs of a step. The chain of calibrations, without dsp, is to take no more than 60 s
on two cores: 120 s of processors, whoever else uses them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [str(ROOT / part / "src") for part in ("dataflow", "demo", "prodenv")]
sys.path[:0] = SOURCES

from dataflow.plan import open_cycle  # noqa: E402
from dataflow.plan.job import Job  # noqa: E402
from dataflow.plan.ticket import Tickets  # noqa: E402

GOAL = 60.0
CORES = 2
LAST = "par_hit"
Seconds = tuple[float, float]


def simulated(folder: Path, scale: float = 1.0, only: str = "") -> Path:
    """The demo's experiment, or of it the files whose keys contain a text; written once."""
    from gebox.experiment import build
    from gebox.metadata.tree import write_tree
    from gebox.simulate import remember_truth, simulate
    from gebox.training import write_samples
    from prodenv.commands.demo import ESCAPES

    if not (folder / "config.json").is_file():
        experiment = build(seed=1, scale=scale, escapes=float(ESCAPES), training=True)
        write_tree(experiment, folder / "inputs")
        write_samples(experiment, folder / "inputs")
        simulate(experiment, folder / "generated/tier/daq", folder / "truth", only=only, jobs=CORES)
        remember_truth(folder / "inputs", folder / "truth")
        setup = {"setups": {"l200": {"paths": {"tier": "$_/generated/tier"}}}}
        (folder / "config.json").write_text(json.dumps(setup))
    return folder


def jobs(cycle: Path, last: str = LAST) -> list[Job]:
    """The jobs of the last step in all calibration runs after those that they need."""
    opened, found = open_cycle(cycle / "config.json"), dict[tuple[str, str], Job]()

    def add(step: str, unit: object) -> None:
        if (step, str(unit)) not in found:
            for needed in opened.needs(step, unit):  # type: ignore[arg-type]
                add(*needed)
            found[step, str(unit)] = opened.job(step, unit)  # type: ignore[arg-type]

    for unit in opened.units.of(opened.step(last)):
        add(last, unit)
    for step in filter(lambda step: step.figures_of, opened.steps):
        for unit in opened.units.of(step):
            if (step.figures_of, str(unit)) in found:
                add(step.name, unit)
    return list(found.values())


def timed(cycle: Path, job: Job, threads: int) -> Seconds:
    """Seconds of the processors and of the clock of a job, whose ticket is written before."""
    opened = open_cycle(cycle / "config.json")
    ticket = Tickets(opened).write(opened.step(job.step), job.unit)
    words = ["-m", "dataflow.jobs", job.step, "--config", str(cycle / "config.json"), "--key", str(job.unit)]
    words += ["--ticket", str(ticket)]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(SOURCES), "OPENBLAS_NUM_THREADS": "1"}
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, *words, "--threads", str(threads)], env=environ, check=True)
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def report(found: dict[str, list[Seconds]]) -> float:
    """Print a line a step; the seconds of the processors that calibrations took."""
    total = 0.0
    for step, times in found.items():
        processors, clock = (sum(column) for column in zip(*times, strict=True))
        calibrates = step.startswith(("par_", "plt_"))
        total += processors * calibrates
        note = "" if calibrates else "  (beside the calibrations)"
        print(f"{step:16s} {len(times)} jobs  processors {processors:6.1f} s  clock {clock:6.1f} s{note}")
    print(f"calibrations: {total:.0f} s of processors, {total / CORES:.0f} s on {CORES} cores (goal {GOAL:.0f} s)")
    return total


def main() -> int:
    """Measure every job once; returns 1 if the calibrations take longer than they may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cycle", type=Path, nargs="?", help="a cycle with DAQ files (default: a simulated one)")
    parser.add_argument("--threads", type=int, default=CORES, help="of each job (default: 2)")
    parser.add_argument("--kept", action="store_true", help="make nothing but calibrations where it is there")
    options = parser.parse_args()
    cycle = (options.cycle or simulated(ROOT / "build/par_chain")).resolve()
    found: dict[str, list[Seconds]] = {}
    for job in jobs(cycle):
        if (
            options.kept
            and not job.step.startswith(("par_", "plt_"))
            and all(path.exists() for path in job.outputs.values())
        ):
            continue
        found.setdefault(job.step, []).append(timed(cycle, job, options.threads))
        print(job.step, job.unit, *(f"{each:.1f}" for each in found[job.step][-1]), file=sys.stderr)
    return int(report(found) > CORES * GOAL)


if __name__ == "__main__":
    sys.exit(main())
