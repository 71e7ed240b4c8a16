"""How long ``dataprod status`` takes for a cycle with 20,000 outputs, all of them there.

    python benchmarks/status_scale.py [--files N] [--runs N] [--detectors N] [--folder DIR]

With ``--files 19500`` there are 100,000 outputs, which takes half a minute and 430 MB. Outputs and records are empty
but for what is looked at. Printed are the seconds of calls, each a process of its own: with all there, after all of one
run was taken away, and after a change by which all is to be made again; each time without the plan that the last look
kept (``first``, as after a change of the metadata), and with it (``again``). Answers of both are compared. The very
first may find that the flow was not compiled yet.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dataflow/src"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from goals import SECONDS, Result, add_option, save
from plan_scale import make, parser, write

from dataflow.plan import open_cycle
from dataflow.plan.keptplan import FILE
from dataflow.plan.survey import Survey, all_jobs
from dataflow.provenance.records import record_file

SOURCES = [str(Path(__file__).resolve().parents[1] / part / "src") for part in ("prodenv", "dataflow")]
CALLS = 3
GOAL, FEWEST = 2.0, 100_000
"""Seconds, for so many outputs or more."""


def main() -> None:
    made = parser()
    made.set_defaults(files=4000)
    add_option(made)
    options = made.parse_args()
    found: dict[str, dict[str, list[float]]] = {changed: {"first": [], "again": []} for changed in CHANGES}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder) / "cycle"
        make(root, options.files, options.runs, options.detectors)
        (root / "dataflow").symlink_to(Path(__file__).resolve().parents[1] / "dataflow")
        outputs = produce(root)
        print(f"{outputs} outputs")
        for changed, change in CHANGES.items():
            change(root)
            for _ in range(CALLS):
                (root / "generated/tmp" / FILE).unlink(missing_ok=True)
                told = []
                for when, seconds in found[changed].items():
                    wall, cpu, answer = measure(root)
                    seconds.append(wall)
                    told.append(answer)
                    print(f"dataprod status, {changed}, {when}: {wall:.2f} s, {cpu:.2f} s of the processor")
                if told[0] != told[1]:
                    raise SystemExit(f"the answers differ:\n{told[0]}\n{told[1]}")
    results = [
        Result(5, f"status of {outputs:,} outputs, {when}", min(found["all there"][when]), GOAL, SECONDS)
        for when in ("first", "again")
    ]
    save(options.json, results if outputs >= FEWEST else [], outputs=outputs, seconds=found)


def produce(root: Path) -> int:
    """Make all outputs with their records; returns how many."""
    cycle = open_cycle(root / "config.json")
    survey, made = Survey(cycle), 0
    for step, key in list(all_jobs(cycle)):
        lineage = cycle.lineage(step, key)
        for output in map(Path, survey.outputs(step, key)):
            record = record_file(output, lineage)
            record.parent.mkdir(parents=True, exist_ok=True)
            output.touch()
            record.write_text(json.dumps({"lineage": lineage, "seconds": 1.0, "threads": 1}))
            made += 1
    cycle.lineages.identities.save()
    return made


def take_away(root: Path) -> None:
    """Take away all outputs of one run."""
    for folder in (root / "generated/tier").glob("[!d]*/*/p03/r000"):
        shutil.rmtree(folder)


def configure(root: Path) -> None:
    """Give the tables of raw another name, by which each raw file, and all that is made of it, is to be made again."""
    setup = {"paths": {}, "table_format": {"raw": "ch{ch}/raw"}}
    write(root / "config.json", json.dumps({"setups": {"l200": setup}}))


CHANGES: dict[str, Callable[[Path], object]] = {
    "all there": lambda root: None,
    "one run missing": take_away,
    "all stale": configure,
}


def measure(root: Path) -> tuple[float, float, str]:
    """Seconds of a call, by the clock and of the processor, and what it says."""
    begin, before = time.perf_counter(), processor()
    words = [sys.executable, "-c", f"import sys; sys.path[:0] = {SOURCES!r}\n{CALL}", str(root)]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    told = subprocess.run(words, check=True, stdout=subprocess.PIPE, env=environ).stdout
    return time.perf_counter() - begin, processor() - before, told.decode()


def processor() -> float:
    """Seconds of the processor that finished children have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


CALL = """
from prodenv.cli.main import main
sys.exit(main(["status", *sys.argv[1:]]))
"""

if __name__ == "__main__":
    main()
