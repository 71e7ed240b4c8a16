"""What drawing takes of the calibrations: seconds of processors for figures, beside those for all else, step by step.

    python benchmarks/figures.py [CYCLE]

Without a cycle, it is that of ``benchmarks/par_chain.py``: the demo's two calibration runs. What is missing of the
calibrations is made. Then each job is forked from a process in which all that it needs is loaded, as in a production,
and is done once more, into a folder that is removed. Figures are all that would not be there without them: to write
what they show, and the jobs that draw them, which nothing waits for.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [str(ROOT / part / "src") for part in ("dataflow", "demo", "prodenv")]
sys.path[:0] = SOURCES

from goals import SHARE, Result, add_option, save  # noqa: E402
from par_chain import CORES, jobs, simulated, timed  # noqa: E402

from dataflow.jobs import bydetector, runner  # noqa: E402
from dataflow.jobs.figures import plotdata  # noqa: E402
from dataflow.jobs.forkserver.loading import Loading, Planned  # noqa: E402
from dataflow.plan.job import Job  # noqa: E402
from dataflow.registry.step import DATA, FIGURES  # noqa: E402

HALF = 0.5
WRITING = {plotdata: ("write", "join", "of_detector")}
"""The functions of a calibration that are called for figures only, beside those of the step."""


def main() -> int:
    """Print a line a step; returns 1 if drawing takes more than half."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cycle", type=Path, nargs="?", help="a cycle with DAQ files (default: a simulated one)")
    add_option(parser)
    options = parser.parse_args()
    cycle = (options.cycle or simulated(ROOT / "build/par_chain")).resolve()
    for name in runner.SERIAL:
        os.environ[name] = "1"
    os.chdir(cycle)
    with_figures = [
        job
        for job in made(cycle)
        if job.step.startswith("plt_") or (job.step.startswith("par_") and DATA in job.outputs)
    ]
    load(with_figures)
    every, inside, apart = 0.0, 0.0, 0.0
    for job in with_figures:
        total, figures = measured(job)
        every += total
        if job.step.startswith("plt_"):
            figures = total
            apart += total
        else:
            inside += figures
        print(f"{job.step:16s} {job.unit!s:40s} figures {figures:5.2f} s of {total:5.2f} s")
    share = (inside + apart) / every
    results = [Result(4, "share of figures in the calibrations", share, HALF, SHARE)]
    save(options.json, results, inside=inside, apart=apart, all=every)
    print(f"figures: {inside + apart:.1f} s of {every:.1f} s of processors, {share:.0%} (goal: less than half)")
    print(f"of these, {inside:.1f} s in calibrations, which others wait for, and {apart:.1f} s in jobs of their own")
    return int(share > HALF)


def writes_figures(job: Job) -> bool:
    """Whether a job writes what figures show, or draws them."""
    return DATA in job.outputs or job.module == FIGURES


def made(cycle: Path) -> list[Job]:
    """The jobs of the calibrations, and those that they need, after all that is missing is made."""
    found = jobs(cycle)
    for job in found:
        if not all(path.exists() for path in job.outputs.values()):
            timed(cycle, job, CORES)
    return found


def load(planned: list[Job]) -> None:
    """Load what jobs need, as the process from which they are forked does."""
    counts = Counter((job.step, job.module) for job in planned)
    loading = Loading([Planned(step, module, number) for (step, module), number in counts.items()])
    while loading.more():
        pass


def measured(job: Job) -> tuple[float, float]:
    """Seconds of processors of a job, and those of them for figures."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd() / "generated/tmp") as name,
        tempfile.NamedTemporaryFile("r") as noted,
    ):
        outputs = {role: Path(name) / path.name for role, path in job.outputs.items()}
        child = os.fork()
        if not child:
            note_drawing(Path(noted.name))
            runner.run(replace(job, outputs=outputs), 1)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            raise RuntimeError(f"{job.step} of {job.unit} failed")
        figures = sum(map(float, noted))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, figures


def note_drawing(file: Path) -> None:
    """Let all functions for figures note what they take in a file: workers are processes of their own."""

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **named: Any) -> Any:
            begin = time.process_time()
            try:
                return function(*args, **named)
            finally:
                with file.open("a") as out:
                    out.write(f"{time.process_time() - begin}\n")

        return noted

    for module, names in WRITING.items():
        for name in names:
            setattr(module, name, noting(getattr(module, name)))
    original = bydetector.Made.__init__

    def with_noted(self: Any, *args: Any, **named: Any) -> None:
        original(self, *args, **named)
        for name in ("draw", "plot_data"):
            if getattr(self, name):
                object.__setattr__(self, name, noting(getattr(self, name)))

    setattr(bydetector.Made, "__init__", with_noted)  # noqa: B010 - mypy allows no assignment to it


if __name__ == "__main__":
    sys.exit(main())
