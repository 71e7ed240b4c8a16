"""Running a production: Snakemake as a child, its progress drawn, the first real error at the end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from prodenv.base.errors import WorkFailed
from prodenv.base.files import write_text
from prodenv.base.places import ROOT
from prodenv.cycles import lock as holder
from prodenv.cycles.find import CycleFolder, cycle_at
from prodenv.cycles.flow import flow_folder, source_of, unknown
from prodenv.cycles.setups import snakefile_in

from .cluster import SLURM, Profile, cancel_leftovers, in_words, options, queue
from .display import display
from .forks import Forks
from .progress import ANY, INTERRUPTED, STEPS, Progress
from .snakemake import engine, environment

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that interrupt Snakemake; the last one comes when a connection breaks, and is ignored under ``nohup``."""
PLUGINS = ROOT / "prodenv" / "src"
"""Where a Snakemake that is not that of the tools finds our logger."""
LOGGER, EVENTS = "dataprod", "DATAPROD_EVENTS"
"""Name and variable of ``snakemake_logger_plugin_dataprod``, which is imported by Snakemake alone."""
PORTION, FAILED = "DATAPROD_PORTION", "DATAPROD_FAILED"
"""Variables by which our flow is told how many jobs it may take at a time, and which outputs failed in this run."""
JOBS_AT_A_TIME, FIRST_JOBS = 2000, 500
"""Jobs of one start of Snakemake, which plans some 300 a second, and of the first one, so that work begins soon."""
FAILED_FILE = Path(".snakemake") / "failed.txt"
"""The outputs that failed in this run, in the cycle."""
AFTER_END = 2.0
"""Seconds in which the end of the output is awaited once Snakemake is gone; jobs that outlive it hold the pipe."""


QUEUE_EVERY = 5.0
"""Seconds between two looks at a cluster's queue."""


@dataclass(frozen=True)
class Way:
    """How jobs are run.

    Parameters
    ----------
    jobs
        Cores to use, or jobs of a cluster at a time; 0 for what the profile says.
    profile
        Options for Snakemake; None for those that it finds by itself.
    extra
        More options for Snakemake, which come last.
    """

    jobs: int
    profile: Profile | None = None
    extra: tuple[str, ...] = ()

    @property
    def is_remote(self) -> bool:
        """Whether jobs run elsewhere."""
        return self.profile is not None and self.profile.is_remote

    @property
    def is_slurm(self) -> bool:
        """Whether jobs are those of SLURM."""
        return self.profile is not None and self.profile.executor == SLURM

    @property
    def is_to_be_divided(self) -> bool:
        """Whether Snakemake is started for some thousand jobs at a time; the user's options may not allow it."""
        return not self.extra and (self.profile is None or self.is_remote)

    def options(self, cycle: Path) -> list[str]:
        """The options for Snakemake."""
        own = options(self.profile, cycle, self.jobs) if self.profile else []
        return [*own, *([] if self.is_remote else [f"--cores={self.jobs}"])]


def tell(lines: Iterable[str]) -> None:
    """Say something on the terminal, without empty lines."""
    for line in filter(None, lines):
        sys.stderr.write(line + "\n")


def produce(
    cycle: CycleFolder,
    targets: list[str],
    way: Way,
) -> tuple[int, Progress]:
    """Make targets of a cycle.

    Parameters
    ----------
    cycle
        The cycle.
    targets
        Words of the target grammar, or output files.
    way
        How many cores or jobs, a profile, more options.

    Returns
    -------
    code
        0 done or nothing to do, 1 a job failed, 2 something is wrong with the targets or the configuration,
        130 interrupted.
    progress
        What there was to do, and what came of it.

    Raises
    ------
    WorkFailed
        If the cycle is being worked on by a process that lives.
    """
    root, words, ours = cycle.root, command(cycle, targets, way), source_of(cycle) is not None
    progress = Progress(0 if way.is_remote else way.jobs, STEPS if ours else ANY)
    with holder.taken(root):
        if way.is_slurm:
            cancel_leftovers(root)
        with display(progress) as draw, _queue_shown(way, root, progress, draw), Forks() as forks:
            lasting = None if way.is_remote else forks
            if ours and way.is_to_be_divided:
                code = _in_portions(words, root, progress, draw, lasting)
            elif ours:
                code = _watched(words, root, progress, draw, {}, lasting)
            else:
                code = _watched(words, root, progress, draw, {"PYTHONPATH": str(PLUGINS)})
    if progress.is_locked:
        holder.refuse_living(root)
        raise WorkFailed(f"{root} is locked by a Snakemake that was started meanwhile", hint="wait until it is done")
    return 1 if code < 0 else code, progress


def command(cycle: CycleFolder, targets: Sequence[str], way: Way, *, logger: str = LOGGER) -> list[str]:
    """The command line of Snakemake for some targets of a cycle."""
    flow = flow_folder(cycle)
    if flow is None:
        raise unknown(cycle)
    words = [*engine(cycle), "--snakefile", str(_snakefile(cycle, flow, way)), "--configfile", str(cycle.config)]
    more = [*(["--logger", logger] if logger else []), *way.options(cycle.root), *way.extra]
    return [*words, *more, "--", *targets]


def _snakefile(cycle: CycleFolder, flow: Path, way: Way) -> Path:
    """That of the flow, or that which a profile of another flow names, whose raw files have one of their own."""
    named = way.profile.snakefile if way.profile and source_of(cycle) is None else ""
    return cycle.root / named if named and (cycle.root / named).is_file() else snakefile_in(flow)


@contextlib.contextmanager
def _queue_shown(way: Way, cycle: Path, progress: Progress, draw: Callable[[], None]) -> Iterator[None]:
    """Keep the progress told of the queue, where there is one."""
    if not way.is_slurm:
        yield
        return
    over = threading.Event()

    def look() -> None:
        while not over.wait(QUEUE_EVERY):
            with contextlib.suppress(WorkFailed):  # the run goes on, and so does what was said last
                progress.queue = in_words(queue(cycle))
            with contextlib.suppress(BrokenPipeError):  # nobody looks at the terminal any more
                draw()

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()
        progress.queue = ""


def _in_portions(
    words: Sequence[str], cycle: Path, progress: Progress, draw: Callable[[], None], forks: Forks | None
) -> int:
    """Run Snakemake for some thousand jobs at a time, until nothing is left that can be made.

    Its time and memory grow with the jobs that it plans.
    """
    failed, before, some_failed = cycle / FAILED_FILE, (0, 0), False
    jobs = FIRST_JOBS
    try:
        while True:
            write_text(failed, "".join(f"{failure.output}\n" for failure in progress.failures))
            asked = {PORTION: os.environ.get(PORTION, str(jobs)), FAILED: str(failed)}
            code = _watched(words, cycle, progress, draw, asked, forks)
            jobs = JOBS_AT_A_TIME
            open_ones = progress.open_ones(cycle)
            now = progress.later, progress.settled(open_ones, cycle)
            is_stuck = now[0] == before[0] and (not open_ones or now[1] == before[1])
            if is_stuck or not progress.is_to_go_on(code, len(open_ones)):
                return code or int(some_failed)
            progress.take_back(open_ones, cycle)
            some_failed = some_failed or bool(progress.failures) or (code == 1 and not open_ones)
            before = now
    finally:
        failed.unlink(missing_ok=True)


def _watched(
    words: Sequence[str],
    cycle: Path,
    progress: Progress,
    draw: Callable[[], None],
    asked: Mapping[str, str],
    forks: Forks | None = None,
) -> int:
    """Run Snakemake to its end, whatever comes; the code is that of the signal where one has ended it."""
    progress.begin()
    reader, writer = os.pipe()
    with os.fdopen(reader, encoding="utf-8") as events:
        more = forks.environ(progress.forks) if forks else {}
        with _child(words, cycle, writer, {**asked, **more}, [forks.file] if forks else []) as child:
            threads = [
                threading.Thread(target=_read, args=(child, progress, draw), daemon=True),
                threading.Thread(target=_follow, args=(events, progress, draw), daemon=True),
            ]
            for thread in threads:
                thread.start()
            code = child.wait()
            for thread in threads:
                thread.join(AFTER_END)
        if child.stdout and not threads[0].is_alive():
            child.stdout.close()
    if code == -signal.SIGINT or progress.interrupted:
        return INTERRUPTED
    return code


def _read(child: subprocess.Popen[str], progress: Progress, draw: Callable[[], None]) -> None:
    """Hear what Snakemake and its jobs print, to the end."""
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    for line in child.stdout:
        with progress.in_turn:
            progress.hear(line.rstrip("\n"))
            if progress.news:  # no event may come before it is out of date
                with contextlib.suppress(BrokenPipeError):
                    draw()


def _follow(events: Iterable[str], progress: Progress, draw: Callable[[], None]) -> None:
    """Take Snakemake's events, to the end: it must not wait for a full pipe."""
    listening = iter(events)
    with contextlib.suppress(BrokenPipeError):  # nobody looks at the terminal any more
        for line in listening:
            with progress.in_turn:
                progress.feed(line)
                draw()
    for line in listening:
        with progress.in_turn:
            progress.feed(line)


@contextlib.contextmanager
def _child(
    words: Sequence[str], cycle: Path, events: int, asked: Mapping[str, str], files: Sequence[int]
) -> Iterator[subprocess.Popen[str]]:
    """Snakemake in a session of its own, so that it alone decides what a Ctrl-C means; it is told of signals."""
    bound = [sys.executable, "-I", str(Path(__file__).with_name("bound.py")), str(os.getpid())]
    around = environment(os.environ, cycle_at(cycle))
    try:
        child = subprocess.Popen(
            [*bound, *words], cwd=cycle, env={**around, EVENTS: str(events), **asked},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", start_new_session=True, pass_fds=(events, *files),
        )  # fmt: skip
    finally:
        os.close(events)
    holder.record(cycle, child.pid)

    def tell(_signal: int, _frame: FrameType | None) -> None:
        os.killpg(child.pid, signal.SIGINT)

    wanted = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, tell) for number in wanted}
    try:
        yield child
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGINT)
            child.wait()
        holder.forget(cycle, child.pid)
