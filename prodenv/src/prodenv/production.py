"""Running a production: Snakemake as a child, its progress drawn, the first real error at the end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from prodenv import holder
from prodenv.cycles import CycleFolder
from prodenv.display import display
from prodenv.errors import WorkFailed
from prodenv.flow import flow_folder, source_of
from prodenv.progress import INTERRUPTED, Progress
from prodenv.setups import setup_of, snakefile_in
from prodenv.snakemake import environment

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that interrupt Snakemake; the last one comes when a connection breaks, and is ignored under ``nohup``."""
AFTER_END = 2.0
"""Seconds in which the end of the output is awaited once Snakemake is gone; jobs that outlive it hold the pipe."""


def produce(config: Path, targets: list[str], jobs: int, *, extra: Sequence[str] = ()) -> int:
    """Make targets of a cycle.

    Parameters
    ----------
    config
        Configuration file of the cycle.
    targets
        Words of the target grammar, or output files.
    jobs
        Cores to use.
    extra
        More options for Snakemake, for example ``--workflow-profile``.

    Returns
    -------
    int
        0 done or nothing to do, 1 a job failed, 2 something is wrong with the targets or the configuration,
        130 interrupted.

    Raises
    ------
    WorkFailed
        If the cycle is being worked on by a process that lives.
    """
    config = Path(os.path.abspath(config))  # noqa: PTH100 - links stay: a cycle has the name it was given
    cycle = config.parent
    with holder.taken(cycle):
        code, progress = _watched(command(config, targets, jobs, extra), cycle)
    if progress.is_locked:
        holder.refuse_living(cycle)
        raise WorkFailed(f"{cycle} is locked by a Snakemake that was started meanwhile", hint="wait until it is done")
    for line in progress.last_words(cycle, code):
        sys.stderr.write(line + "\n")
    return code


def command(config: Path, targets: Sequence[str], jobs: int, extra: Sequence[str] = ()) -> list[str]:
    """The command line of Snakemake for some targets of a cycle."""
    snakefile = snakefile_in(config.parent / "dataflow")
    words = [*engine(config), "--snakefile", str(snakefile), "--configfile", str(config)]
    return [*words, f"--cores={jobs}", *extra, "--", *targets]


def engine(config: Path) -> list[str]:
    """Snakemake: that of the tools; a flow that is not ours may have installed its own, whose modules it imports."""
    cycle = CycleFolder(config.parent, config)
    if source_of(cycle) is None and flow_folder(cycle) is not None:
        own = setup_of(cycle).path("install") / "bin" / "snakemake"
        if os.access(own, os.X_OK):
            return [str(own)]
    return [sys.executable, "-I", "-m", "snakemake"]


def _watched(words: Sequence[str], cycle: Path) -> tuple[int, Progress]:
    """Run Snakemake to its end, whatever comes."""
    progress = Progress()
    with display(progress) as draw, _child(words, cycle) as child:
        reading = threading.Thread(target=_read, args=(child, progress, draw), daemon=True)
        reading.start()
        code = child.wait()
        reading.join(AFTER_END)
        if child.stdout and not reading.is_alive():
            child.stdout.close()
    if code == -signal.SIGINT or progress.interrupted:
        return INTERRUPTED, progress
    return (1 if code < 0 else code), progress


def _read(child: subprocess.Popen[str], progress: Progress, draw: Callable[[], None]) -> None:
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    with contextlib.suppress(BrokenPipeError):  # nobody looks any more; Snakemake must be heard to its end
        for line in child.stdout:
            progress.feed(line.rstrip("\n"))
            draw()
    for line in child.stdout:
        progress.feed(line.rstrip("\n"))


@contextlib.contextmanager
def _child(words: Sequence[str], cycle: Path) -> Iterator[subprocess.Popen[str]]:
    """Snakemake in a session of its own, so that it alone decides what a Ctrl-C means; it is told of signals."""
    bound = [sys.executable, "-I", str(Path(__file__).with_name("bound.py")), str(os.getpid())]
    child = subprocess.Popen(
        [*bound, *words], cwd=cycle, env=environment(os.environ),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
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
