"""Runs one job: read its ticket, find the step's module, report what goes wrong.

A job without a ticket, started by hand for example, is planned here.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from dataflow.base.errors import SentenceError, UserError
from dataflow.plan.job import Job
from dataflow.plan.ticket import Ticket, read_ticket, ticket_of

from . import compiled, fast
from .counts import counts_of
from .deadline import deadline, timeout_of
from .errors import of_the_machine
from .joblog import open_log
from .record import kept, recorded
from .shares import share_of

log = logging.getLogger(__name__)

SERIAL = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")
"""A job uses the processes that it was given, not hidden threads on top of them."""
IN_ONE_PIECE = frozenset(
    {"steps.tier_raw.build", "steps.tier_tcm.build", "steps.tier_evt.build", "steps.tier_skm.build"}
)
"""Modules whose steps are not spread over channels: their timeout is that of the job."""


class Builder(Protocol):
    """What the module of a step offers: makes the job's outputs with some worker processes."""

    def __call__(self, job: Job, threads: int) -> None: ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job that the command line names; returns the exit code."""
    options = parser().parse_args(arguments)
    for name in SERIAL:
        os.environ[name] = "1"
    signal.signal(signal.SIGTERM, _terminate)
    try:
        ticket = _ticket(options)
    except UserError as error:
        print(error.render(), file=sys.stderr)
        return 2
    job = ticket.job
    try:
        handler = open_log(job.log, f"{options.step} {options.key} {options.share}".rstrip())
    except OSError as error:
        print(f"error: the log {job.log} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    try:
        return _report(lambda: _done(ticket, options.share, options.threads), job)
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _done(ticket: Ticket, share: str, threads: int) -> None:
    """Do a job, or a share of it."""
    if share:
        kept(ticket, share_of(share), threads, lambda: run(ticket.job, threads))
    else:
        recorded(ticket, threads, lambda: _made(ticket.job, threads))


def _ticket(options: argparse.Namespace) -> Ticket:
    """The ticket that was written for this job, or one that is planned now; a share has a log of its own."""
    found = _planned(options)
    if not options.share:
        return found
    log_file = found.job.log.with_name(f"{found.job.log.stem}-{found.lineage}-{share_of(options.share)}.log")
    return replace(found, job=replace(found.job, log=log_file))


def _planned(options: argparse.Namespace) -> Ticket:
    if options.ticket and options.ticket.is_file():
        ticket = read_ticket(options.ticket)
        if options.lineage in ("", ticket.lineage):
            return ticket
    from dataflow.plan import open_cycle  # a third of the start of a job, and most have a ticket

    return ticket_of(open_cycle(options.config), options.step, options.key)


def _made(job: Job, threads: int) -> dict[str, Any]:
    """Make the outputs of a job; returns what is to be recorded about them."""
    run(job, threads)
    counts = counts_of(job)
    return {"counts": counts} if counts else {}


def run(job: Job, threads: int = 1) -> None:
    """Make the outputs of a job.

    Raises
    ------
    UserError
        If the configuration is wrong.
    WorkFailed
        If the data or the machine does not allow it.
    """
    start = time.monotonic()
    limit = timeout_of(job)
    compiled.choose(bool(job.setup.options.get("compiled_chains", True)))
    fast.choose(bool(job.setup.options.get("fast_tiers", True)))
    compiled.prepare()
    with deadline(limit if job.module in IN_ONE_PIECE else None, f"{job.step} of {job.unit}"):
        builder_of(job)(job, threads)
    log.info("done in %.2f s", time.monotonic() - start)


def builder_of(job: Job) -> Builder:
    """The function that does a job: ``build`` of the module of its step."""
    return importlib.import_module(f"dataflow.{job.module}").build  # type: ignore[no-any-return]


def parser() -> argparse.ArgumentParser:
    """The options of a job."""
    made = argparse.ArgumentParser(prog="python -m dataflow.jobs", description="Run one job of a production cycle.")
    made.add_argument("step", help="name of the step, for example tier_dsp")
    made.add_argument("--config", type=Path, required=True, help="config file of the cycle")
    made.add_argument("--key", required=True, help="key of the DAQ file, or of the first file of the run")
    made.add_argument("--ticket", type=Path, help="file with all that the job must know; without it, it is planned")
    made.add_argument("--lineage", default="", help="the lineage that is wanted; a ticket with another one is not used")
    made.add_argument(
        "--share", default="", help="do this share of the detectors only, for example 2-of-4, and keep it"
    )
    made.add_argument("--threads", type=int, default=1, help="number of worker processes (default: 1)")
    return made


def _report(work: Callable[[], None], job: Job) -> int:
    try:
        work()
    except SentenceError as error:
        log.error("%s", error.render(), exc_info=log.isEnabledFor(logging.DEBUG))
        print(f"{error.render()}\nlog: {job.log}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    except Exception as error:
        if sentence := of_the_machine(error):
            log.exception("%s", sentence.render())
            print(f"{sentence.render()}\nlog: {job.log}", file=sys.stderr)
            return 1
        log.exception("internal error in %s of %s", job.step, job.unit)
        print(
            f"error: {job.step} of {job.unit} failed because of an error in the program\nlog: {job.log}",
            file=sys.stderr,
        )
        return 1
    return 0


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)
