"""What a job of the stand-in does, and the process from which jobs are forked; see :mod:`stand_in`."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from pathlib import Path

from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.notes import note
from dataflow.jobs.record import kept, recorded
from dataflow.jobs.shares import outcomes, share_of
from dataflow.jobs.stamp import replacing
from dataflow.plan.job import Job
from dataflow.plan.ticket import read_ticket


def main(words: list[str]) -> int:
    """Do what the ticket of the job asks for, and write it down as real jobs do; returns the exit code."""
    step, options = words[0], dict(zip(words[1::2], words[2::2], strict=True))
    share, threads = options.get("--share", ""), int(options["--threads"])
    ticket = read_ticket(Path(options["--ticket"]))
    job = ticket.job
    assert (ticket.lineage, str(job.unit)) == (options["--lineage"], options["--key"])
    for paths in job.inputs.values():
        for path in paths:
            assert path.is_file(), path
    with (job.setup.directory / "jobs.txt").open("a") as stream:
        print(step + "_share" * bool(share), job.key, threads, os.environ.get("FLAVOUR", ""), file=stream)
    if f"{step} {job.key}" == os.environ.get("FAILING"):
        print("error: made to fail", file=sys.stderr)
        return 1
    try:
        if share:
            kept(ticket, share_of(share), threads, lambda: work(job, step, spread=True))
        else:
            recorded(ticket, threads, lambda: work(job, step, spread=threads > 1))
    except WorkFailed as error:
        print(f"{error.render()}\nlog: {job.log}", file=sys.stderr)
        return 1
    return 0


def work(job: Job, step: str, *, spread: bool) -> None:
    """Write the outputs of a job, or do with it what the environment says."""
    if f"{step} {job.key}" == os.environ.get("LARGE"):
        block = b"x" * int(os.environ["BYTES"])
        time.sleep(3)  # SLURM looks at memory every second
        del block
    time.sleep(float(os.environ.get("SLOW", "0")))
    if f"{step} {job.key}" == os.environ.get("BROKEN"):
        raise WorkFailed("made to break")
    if step == os.environ.get("NOTED"):
        note("V02160A", "failed", step, "made to be noted")
    if spread:
        with tempfile.TemporaryDirectory() as folder:
            channels = [channel.name for channel in job.channels]
            list(outcomes(job, lambda name: {"name": name}, channels, 1, Path(folder)))
    for path in job.outputs.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        replacing(path)
        new = path.with_name(".new") if "RENAMED" in os.environ else path
        new.write_text(f"{step} {job.key}\n")
        new.replace(path)


class Everything:
    """All is loaded that jobs need, for each step; see :class:`dataflow.jobs.forkserver.loading.Loading`."""

    def is_current(self) -> bool:
        return True

    def require(self, _step: str) -> bool:
        return True

    def more(self) -> bool:
        return False


def serve(listener: int, life: int) -> None:
    """Fork jobs until `life` ends."""
    from dataflow.jobs.forkserver import child
    from dataflow.jobs.forkserver.server import Server

    child.run = main
    Server(socket.socket(fileno=listener), life, Everything()).serve()


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(*map(int, sys.argv[2:4]))
    else:
        assert sys.argv[1:3] == ["-m", "dataflow.jobs"], sys.argv
        sys.exit(main(sys.argv[3:]))
