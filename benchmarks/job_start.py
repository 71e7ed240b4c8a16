"""How long a job takes from its command to its first work in a big cycle: forked, with a ticket, and planned anew.

    python benchmarks/job_start.py [--files N] [--runs N] [--detectors N] [--step STEP] [--folder DIR]

The cycle is that of plan_scale.py: 100 detectors, 100 runs, 10,000 DAQ files. Printed are seconds by the clock, best
of five: of bash, which Snakemake starts, Python and the imports of the step, or the program that asks for a fork,
and of what comes between them and the step's own work.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "dataflow/src"), str(Path(__file__).resolve().parent)]

import plan_scale  # noqa: E402
from goals import SECONDS, Result, add_option, save  # noqa: E402

from dataflow.jobs.forkserver.begin import FEWEST, asking, begin  # noqa: E402
from dataflow.plan import open_cycle  # noqa: E402
from dataflow.plan.ticket import Tickets  # noqa: E402

JOB = """\
import importlib, sys, time
from dataflow.jobs import runner
from dataflow.provenance.lineage import Files
def run(words):
    importlib.import_module(f"dataflow.{words[1]}")
    imported = time.time()
    ticket = runner._ticket(runner.parser().parse_args([words[0], *words[3:]]))
    ticket.made_by(Files(ticket.job.setup))
    print(imported - float(words[2]), time.time() - imported, ticket.file is not None)
    return 0
"""
ANEW = f"{JOB}run(sys.argv[2:])\n"
FORKED = f"""{JOB}
from dataflow.jobs.forkserver import __main__, child
child.run = run
sys.exit(__main__.main(sys.argv[1:]))
"""
REPEATS = 5
GOAL = 0.2
"""Seconds from Snakemake's decision to the first work."""


def main() -> None:
    made = plan_scale.parser()
    made.description = __doc__
    made.add_argument("--step", default="tier_raw", help="a step whose inputs are there (default: tier_raw)")
    add_option(made)
    options = made.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder) / "cycle"
        plan_scale.make(root, options.files, options.runs, options.detectors)
        found = measure(root, options.step)
    forked = Result(6, "start of a job, forked", sum(found["forked"]), GOAL, SECONDS)
    save(options.json, [forked], seconds=found)


def measure(root: Path, step: str) -> dict[str, tuple[float, float]]:
    """Start jobs of one step; seconds until all is imported, and then until the first work, by way of starting."""
    found = {}
    cycle = open_cycle(root / "config.json")
    unit = cycle.units.of(cycle.step(step))[-1]
    ticket = Tickets(cycle).write(cycle.step(step), unit)
    shared = sum(path.stat().st_size for path in (ticket.parents[1] / "shared").iterdir())
    module = cycle.step(step).module
    words = ["--config", str(root / "config.json"), "--key", str(unit)]
    print(f"{step} in a cycle of {len(cycle.keys)} files; ticket {ticket.stat().st_size / 1e3:.1f} kB, "
          f"shared with other jobs {shared / 1e3:.0f} kB")  # fmt: skip
    ticketed = [*words, "--ticket", str(ticket)]
    os.chdir(root)
    begin([sys.executable, "-c", FORKED], [(step, module)] * FEWEST, root / "forks.txt")
    own = [sys.executable, "-c", ANEW, "dataflow.jobs"]
    for name, command, last in (
        ("planned anew", own, words), ("with ticket", own, ticketed), ("forked", [*asking(), *own], ticketed)
    ):  # fmt: skip
        found[name] = imports, start = best([*command, step, module], last, is_ticket=last is ticketed)
        print(f"{name:15s} until all is imported {imports:6.3f} s, then until the first work {start:6.3f} s")
    return found


def best(command: list[str], words: list[str], *, is_ticket: bool) -> tuple[float, float]:
    """The shortest times of imports and of the start, of some processes."""
    environ = dict(os.environ) | {"PYTHONPATH": sys.path[0]}
    found = []
    for _ in range(REPEATS):
        shell = ["bash", "-c", f"set -euo pipefail; {shlex.join([*command, str(time.time()), *words])}"]
        text = subprocess.run(shell, env=environ, capture_output=True, text=True, check=True).stdout.split()
        assert text[2] == str(is_ticket)
        found.append((float(text[0]), float(text[1])))
    return min(one for one, _ in found), min(other for _, other in found)


if __name__ == "__main__":
    main()
