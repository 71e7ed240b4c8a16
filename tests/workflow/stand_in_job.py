"""What a job of the stand-in does; see :mod:`stand_in`."""

from __future__ import annotations

import os
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


def main() -> None:
    """Do what the ticket of the job asks for, and write it down as real jobs do."""
    assert sys.argv[1:3] == ["-m", "dataflow.jobs"], sys.argv
    step, options = sys.argv[3], dict(zip(sys.argv[4::2], sys.argv[5::2], strict=True))
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
        sys.exit("error: made to fail")
    try:
        if share:
            kept(ticket, share_of(share), threads, lambda: work(job, step, spread=True))
        else:
            recorded(ticket, threads, lambda: work(job, step, spread=threads > 1))
    except WorkFailed as error:
        sys.exit(f"{error.render()}\nlog: {job.log}")


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


if __name__ == "__main__":
    main()
