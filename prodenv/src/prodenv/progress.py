"""What Snakemake says, understood: how many jobs of each step there are, run, are done, failed, and why."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_ENTRY = re.compile(r"(\S+)\s+(\d+)$")
_RULE = re.compile(r"(?:local)?(?:rule|checkpoint) (\S+):$")
_FINISHED = re.compile(r"Finished jobid: (\d+) \(Rule: (.+)\)$")
_FAILED = re.compile(r"Error in rule (\S+):$")
_LINE = re.compile(r"    (\w+): (.*)$")
_LOG = " (check log file(s) for error details)"
_UPDATED = " (update)"
"""What follows the name of an output that is there until the job replaces it."""
STEPS = re.compile(r"(tier|par|validity)_\w+$")
KEPT = 60
LOCKED = "LockException"
INTERRUPTED = 130
"""The exit code of what a Ctrl-C has stopped."""
_STOPPING = "Terminating processes on user request"
_STOPPED = re.compile(r"' (died with <Signals\.SIG(INT|TERM|HUP)|returned non-zero exit status 130)\b")
"""How Snakemake says that a job's command was ended by a signal that ends runs too."""


@dataclass
class Count:
    """The jobs of one step.

    Attributes
    ----------
    total, done, failed
        How many there are, are done, and failed.
    running
        Job numbers that run now.
    began, ended
        When the first began and the last ended, seconds of the monotonic clock.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    running: set[str] = field(default_factory=set)
    began: float = 0.0
    ended: float = 0.0


@dataclass
class Failure:
    """A job that failed: its step, its first output and its log; whether a signal to the whole run stopped it."""

    step: str
    output: str = ""
    log: str = ""
    said: tuple[str, ...] = ()
    stopped: bool = False


class Progress:
    """Follows the output of Snakemake, line by line."""

    def __init__(self) -> None:
        self.steps: dict[str, Count] = {}
        self.failures: list[Failure] = []
        self.tail: deque[str] = deque(maxlen=KEPT)
        self.is_locked = False
        self.interrupted = False
        self.nothing = False
        self._in_table = False
        self._block = ""
        self._step = ""
        self._said: list[str] = []
        self._signalled = False

    def feed(self, line: str) -> None:
        """Take the next line."""
        self.tail.append(line)
        if line.startswith("Job stats:"):
            self._in_table = True
        elif self._in_table:
            self._table(line)
        elif match := _RULE.match(line):
            self._block, self._step = "job" if STEPS.match(match[1]) else "", match[1]
        elif match := _FINISHED.match(line):
            if STEPS.match(match[2]):
                self._finished(match[1], match[2])
        elif match := _FAILED.match(line):
            self._failed(match[1])
        elif self._block and (match := _LINE.match(line)):
            self._item(match[1], match[2])
        else:
            self._other(line)

    def _table(self, line: str) -> None:
        match = _ENTRY.match(line)
        if match and STEPS.match(match[1]):
            self.steps[match[1]] = Count(int(match[2]))
        elif match and match[1] == "total":
            self._in_table = False

    def _item(self, name: str, value: str) -> None:
        if self._block == "job" and name == "jobid":
            count = self.steps.setdefault(self._step, Count())
            count.running.add(value)
            count.began = count.began or time.monotonic()
        elif self._block == "failure":
            failure = self.failures[-1]
            if name == "jobid":
                self.steps.setdefault(failure.step, Count()).running.discard(value)
            elif name == "output":
                failure.output = value.split(", ")[0].removesuffix(_UPDATED)
            elif name == "log":
                failure.log = value.removesuffix(_LOG).split(", ")[0]

    def _finished(self, number: str, step: str) -> None:
        count = self.steps.setdefault(step, Count())
        count.running.discard(number)
        count.done += 1
        count.ended = time.monotonic()

    def _failed(self, step: str) -> None:
        self._block = "failure"
        self.failures.append(Failure(step, said=tuple(self._said), stopped=self.interrupted or self._signalled))
        self.steps.setdefault(step, Count()).failed += not self.interrupted
        self._said, self._signalled = [], False

    def _interrupt(self) -> None:
        """Jobs that were stopped by a signal are not failures once it is known that the run was interrupted."""
        if not self.interrupted:
            self.interrupted = True
            for failure in self.failures:
                self.steps[failure.step].failed -= failure.stopped

    def _other(self, line: str) -> None:
        self._block = ""
        self.is_locked = self.is_locked or line.startswith(LOCKED)
        self.nothing = self.nothing or line.startswith("Nothing to be done")
        self._signalled = self._signalled or _STOPPED.search(line) is not None
        if _STOPPING in line:  # jobs write into the same line
            self._interrupt()
        elif line.startswith("error: "):
            self._said = [line]
        elif self._said and line.startswith(("hint: ", "log: ")) and len(self._said) < 3:
            self._said.append(line)

    def last_words(self, cycle: Path, code: int) -> Iterator[str]:
        """What to tell at the end: nothing if all is well, else the first real error and where to read on."""
        if code == INTERRUPTED:
            yield from self._about([failure for failure in self.failures if not failure.stopped], cycle)
            yield "interrupted; the next run goes on from here"
        elif code == 0:
            if self.nothing:
                yield "nothing to be done: everything is there and as the configuration asks for"
        elif self.failures:
            yield from self._about(self.failures, cycle)
        else:
            yield from self._said or self.tail

    def _about(self, failures: Sequence[Failure], cycle: Path) -> Iterator[str]:
        """The first of some failures, if there are any."""
        if not failures:
            return
        failure = failures[0]
        name = Path(failure.output).name or "a job"
        others = len(failures) - 1
        more = f" (and {others} more job{'s' if others > 1 else ''} failed)" if others else ""
        yield f"error: {failure.step} failed to make {name}{more}"
        said = [line for line in failure.said if not line.startswith("log: ")]
        yield from (f"  {line}" for line in said or last_lines(cycle / failure.log if failure.log else None))
        if failure.log:
            yield f"log: {cycle / failure.log}"


def last_lines(log: Path | None, number: int = 8) -> list[str]:
    """The end of a log, nothing if it is not there."""
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-number:] if log else []
    except OSError:
        return []
