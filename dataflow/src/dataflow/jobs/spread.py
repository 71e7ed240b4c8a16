"""Channels are items of a job: spread over forked workers, each outcome kept, a failing one no crash."""

from __future__ import annotations

import errno
import logging
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.context import ForkContext, ForkProcess
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from dataflow.base.errors import SentenceError

from .deadline import deadline
from .errors import WorkFailed, is_full_disk, of_the_machine
from .lostwrites import no_lost_writes
from .orphans import end_with

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of one item.

    Attributes
    ----------
    item
        Name of the item, a channel for example.
    value
        The result, None if it failed.
    reason
        Why it failed, in a sentence; empty if all is well.
    trace
        The traceback of the failure, for the log.
    seconds
        How long it took.
    machine
        What the machine does not allow; None where the failure is of the item itself.
    """

    item: str
    value: T | None
    reason: str = ""
    trace: str = ""
    seconds: float = 0.0
    machine: WorkFailed | OSError | None = None

    @property
    def failed(self) -> bool:
        """Whether there is no result."""
        return bool(self.reason)


def spread(
    function: Callable[[str], T], items: Sequence[str], threads: int, timeout: float | None = None
) -> Iterator[Outcome[T]]:
    """Run a function on each item with some worker processes.

    The workers are forked, so what is loaded and compiled here is loaded and compiled there, and what the function
    closes over is not copied. Outcomes come in the order of the items, whatever finishes first.

    Parameters
    ----------
    function
        Takes the name of an item; what it returns must be small or in files.
    items
        Names.
    threads
        Number of processes; with one, all is done here.
    timeout
        Seconds after which an item has failed. None for no limit.

    Raises
    ------
    WorkFailed
        If a worker dies, or what is missing is memory or a right to read or write: that says nothing of the item.
    OSError
        If the disk is full.
    """
    if timeout is None and (threads <= 1 or len(items) <= 1):
        yield from (_checked(_guarded(function, item)) for item in items)
        return
    global _FUNCTION, _TIMEOUT
    _FUNCTION, _TIMEOUT = function, timeout
    context = _Context()
    workers = max(min(threads, len(items)), 1)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=end_with, initargs=(os.getpid(),))
    try:
        futures = [pool.submit(_in_worker, item) for item in items]
        for item, future in zip(items, futures, strict=True):
            yield _checked(_result(item, future, context.workers))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Context(ForkContext):
    """Forks workers and remembers them: a pool forgets those that it had when one dies."""

    def __init__(self) -> None:
        self.workers: list[BaseProcess] = []

    def Process(self, *arguments: Any, **options: Any) -> ForkProcess:  # type: ignore[override]  # noqa: N802
        """A new process, as :class:`~concurrent.futures.ProcessPoolExecutor` asks its context for one."""
        self.workers.append(worker := ForkProcess(*arguments, **options))
        return worker


_FUNCTION: Callable[[str], object] | None = None
"""What the workers of this process run: inherited by fork, as closures cannot be sent."""
_TIMEOUT: float | None = None
"""The seconds that they have for each item."""


def _in_worker(item: str) -> Outcome[object]:
    assert _FUNCTION is not None  # noqa: S101 - set before the fork
    return _guarded(_FUNCTION, item, _TIMEOUT)


def _result(item: str, future: Future[Outcome[object]], workers: Sequence[BaseProcess]) -> Outcome[T]:
    try:
        return future.result()  # type: ignore[return-value]
    except BrokenProcessPool as error:
        number = _deadly_signal(workers)
        by = f" by {signal.Signals(number).name}" if number in set(signal.Signals) else ""
        raise WorkFailed(f"a worker process died{by} while {item} was due", hint=_cause(number)) from error


def _deadly_signal(workers: Sequence[BaseProcess]) -> int:
    """The signal that ended the first worker, 0 if none did; those that the pool itself ended had SIGTERM."""
    # the pool only says that it is broken, and ends the other workers by SIGTERM: the first signal that is another one
    # is the cause
    for worker in workers:
        worker.join(1.0)
    codes = [-(worker.exitcode or 0) for worker in workers]
    return next((code for code in codes if code > 0 and code != signal.SIGTERM), max([0, *codes]))


def _cause(number: int) -> str:
    if number in CRASHES:
        return (
            "compiled code crashed: damaged compiled code of numba, or made for another type of processor; run "
            "dataprod-install-sw again, which compiles anew, and report it if it happens again"
        )
    hung = "" if _TIMEOUT is None else f", or because it hung for {_TIMEOUT:g} s"
    return f"it was killed, most likely because memory ran out{hung}: use fewer threads, or more memory, and run again"


CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)
"""Signals by which a program ends that does what it must not."""


def _guarded(function: Callable[[str], T], item: str, timeout: float | None = None) -> Outcome[T]:
    start = time.monotonic()
    try:
        with no_lost_writes(), deadline(timeout, item):
            value = function(item)
    except Exception as error:  # noqa: BLE001 - a failing channel is a result, recorded with its reason
        seconds, machine = time.monotonic() - start, _of_the_machine(error, item)
        return Outcome(item, None, reason_of(error), traceback.format_exc(), seconds, machine)
    return Outcome(item, value, seconds=time.monotonic() - start)


def _of_the_machine(error: Exception, item: str) -> WorkFailed | OSError | None:
    """What the machine does not allow, as a worker can send it."""
    if is_full_disk(error):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    found = of_the_machine(error)
    return WorkFailed(f"{item}: {found.message}", hint=found.hint) if found else None


def _checked(outcome: Outcome[T]) -> Outcome[T]:
    if outcome.machine:
        log.info("%s", outcome.trace)
        raise outcome.machine
    if outcome.failed:
        log.warning("%s failed: %s", outcome.item, outcome.reason)
        log.info("%s", outcome.trace)
    return outcome


def reason_of(error: BaseException) -> str:
    """One line that says what went wrong."""
    text = " ".join(str(error).split()) or type(error).__name__
    return error.message if isinstance(error, SentenceError) else f"{type(error).__name__}: {text}"
