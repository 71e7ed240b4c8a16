"""How long `dataprod run` of a big cycle takes until its first job works, and where nothing is to be done.

    python benchmarks/run_start.py [--files N] [--runs N] [--detectors N] [--calls N] [--target TARGET] [--folder DIR]

The cycle is that of plan_scale.py: 100 detectors, 100 runs, 10,000 DAQ files, 50 changes of channel maps, statuses and
configuration, groupings of 20 detectors' own. First nothing is there: measured is from the command `dataprod run -j 2
TARGET` to the first line in the log of a job, which is written when it is about to work; then the run is interrupted.
Then all outputs and records are written down, empty, and measured is the whole command, which makes nothing. Printed of
each call are the seconds by the clock; those of the processor of the command and all processes that it started; the
largest process; and the memory of all together, shared pages counted once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "dataflow/src"), str(Path(__file__).resolve().parent)]

import plan_scale  # noqa: E402
import status_scale  # noqa: E402
from goals import MEGABYTES, SECONDS, Result, add_option, save  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
LOOK, WEIGH = 0.02, 1.0
"""Seconds between two looks at the logs, and at the memory, which takes the system some time."""
MOST = 300.0
"""Seconds after which a call has failed."""
NEW, FIRST, NOTHING = "first work, chains are new", "first work", "nothing to be done"
"""What is measured: of a cycle the first call, later ones, and calls when all is made."""
GOAL, MEMORY = 10.0, 500.0


def main() -> None:
    made = plan_scale.parser()
    made.description = __doc__
    made.add_argument("--calls", type=int, default=3)
    made.add_argument("--target", default="all-l200-evt.gen")
    made.add_argument("--only", choices=("start", "nothing"), help="measure one of the two")
    add_option(made)
    options = made.parse_args()
    found: list[tuple[str, Call]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder) / "cycle"
        plan_scale.make(root, options.files, options.runs, options.detectors)
        install(root)
        if options.only != "nothing":
            for number in range(options.calls):
                name = FIRST if number else NEW
                found.append((name, measure(root, options.target, is_to_begin=True)))
                print(f"{name:36s} {found[-1][1]}", flush=True)
        if options.only != "start":
            print(f"{status_scale.produce(root)} outputs", flush=True)
            for _ in range(options.calls):
                found.append((NOTHING, measure(root, options.target, is_to_begin=False)))
                print(f"{NOTHING:36s} {found[-1][1]}", flush=True)
    save(options.json, results(found, options.files), calls=[{"what": name, **asdict(each)} for name, each in found])


def results(found: Sequence[tuple[str, Call]], files: int) -> list[Result]:
    """What has a goal: of several calls the shortest, and the most memory."""
    kinds = {name: [call for kind, call in found if kind == name] for name in dict(found)}
    walls = [
        Result(5, f"{name}, {files:,} files", min(c.wall for c in calls), GOAL, SECONDS)
        for name, calls in kinds.items()
    ]
    memory = [
        Result(5, f"{name}, {files:,} files", max(c.together for c in calls), MEMORY, MEGABYTES)
        for name, calls in kinds.items()
    ]
    return [*walls, *memory]


def install(root: Path) -> None:
    """The flow of this checkout, and the software of the developers, which has all that jobs need."""
    (root / "dataflow").symlink_to(REPOSITORY / "dataflow")
    install = root / "software/python/install"
    install.parent.mkdir(parents=True)
    install.symlink_to(REPOSITORY / "tools/dev")


@dataclass
class Weighed:
    """What some processes took at most, looked at from time to time.

    Attributes
    ----------
    one, together
        Megabytes of the largest process, and of all at a time.
    seconds
        Of the processor, by process.
    """

    one: float = 0.0
    together: float = 0.0
    seconds: dict[int, float] = field(default_factory=dict)

    def look(self, parent: int) -> None:
        """Look at a process and all below it."""
        sizes = []
        for pid in family(parent):
            try:
                place = Path(f"/proc/{pid}")
                words = (place / "stat").read_text().rpartition(")")[2].split()
                memory = dict(line.split(":") for line in (place / "smaps_rollup").read_text().splitlines()[1:])
            except (OSError, ValueError):
                continue
            self.seconds[pid] = (int(words[11]) + int(words[12])) / TICKS
            sizes.append((int(memory["Pss"].split()[0]) / 1024, int(memory["Rss"].split()[0]) / 1024))
        self.together = max(self.together, sum(pss for pss, _ in sizes))
        self.one = max([self.one, *(rss for _, rss in sizes)])


def family(parent: int) -> list[int]:
    """A process and all below it, by the system's list of children."""
    found = [parent]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                continue
    return found


@dataclass(frozen=True)
class Call:
    """What a call of ``dataprod run`` took: seconds by the clock and of processors, megabytes."""

    wall: float
    cpu: float
    largest: float
    together: float

    def __str__(self) -> str:
        return (
            f"{self.wall:6.2f} s, {self.cpu:6.2f} s of the processor, largest process {self.largest:4.0f} MB, "
            f"all together {self.together:4.0f} MB"
        )


def measure(root: Path, target: str, *, is_to_begin: bool) -> Call:
    """Call `dataprod run` and end it when a job works, or wait for its end."""
    logs = root / "generated/tmp/log"
    for log in logs.rglob("*.log"):
        log.unlink()
    words = [str(REPOSITORY / "bin/dataprod"), "run", str(root), target, "-j", "2"]
    begin, weighed = time.perf_counter(), Weighed()
    with tempfile.TemporaryFile("w+") as said:
        run = subprocess.Popen(words, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
        over = threading.Event()
        weighing = threading.Thread(target=weigh, args=(weighed, run.pid, over))
        weighing.start()
        while run.poll() is None and time.perf_counter() - begin < MOST and not (is_to_begin and works(logs)):
            time.sleep(LOOK)
        seconds = time.perf_counter() - begin
        over.set()
        weighing.join()
        has_ended = run.poll() is not None
        if not has_ended:
            run.send_signal(signal.SIGINT)
        code = run.wait()
        if has_ended is is_to_begin or (has_ended and code != 0):
            said.seek(0)
            sys.exit(f"the run did not do what was expected, exit code {code}:\n{said.read()[-3000:]}")
    return Call(seconds, sum(weighed.seconds.values()), weighed.one, weighed.together)


def weigh(weighed: Weighed, parent: int, over: threading.Event) -> None:
    """Look at processes until the event comes."""
    while not over.is_set():
        weighed.look(parent)
        over.wait(WEIGH)
    weighed.look(parent)


def works(logs: Path) -> bool:
    """Whether a job has written into its log."""
    return any(log.stat().st_size for log in logs.glob("*/*.log"))


if __name__ == "__main__":
    main()
