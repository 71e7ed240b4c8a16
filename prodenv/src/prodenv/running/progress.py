"""What Snakemake tells by its events: how many jobs of each step there are, run, are done, failed, and why."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prodenv.base.errors import UserError
from prodenv.base.tables import size_text

_UPDATED = " (update)"
"""What follows the name of an output that is there until the job replaces it."""
STEPS = re.compile(r"(tier|par|plt|validity)_\w+$")
"""The rules of a flow of ours that are steps."""
ANY = re.compile(r"(?!(all|total)$)")
"""The rules of other flows that are told of; the first is a target, the second Snakemake's word for the sum."""
KEPT, LAST = 60, 8
"""Printed lines that are remembered, and those that are told."""
LOCKED = "LockException"
INTERRUPTED = 130
"""The exit code of what a Ctrl-C has stopped."""
NOTHING = "Nothing to be done"
_GROUP = re.compile(r"group ended \((?P<log>.*?)\): (?P<said>.*)", re.DOTALL)
"""How our flow says what the cluster said of a group, with the cluster's log."""
_AGAIN = "run again with twice the memory"
"""How our flow says that a job, or a group, lacked memory."""
_FURTHER = "For further error details"
_OWN = re.compile(r"(?!its memory was too small).*status is: '(FAILED|COMPLETED)'")
"""What SLURM says of a job whose command failed by itself."""
_RECORD = re.compile(r"[0-9a-f]{32}\.json")
TOLD_AT_ONCE = "compiling the signal processors for this processor"
"""How a job begins the line that says why it, and those that wait for it, take longer than jobs do."""
CLOCKS = 60.0
"""Seconds by which the clocks of a cluster may differ."""
ERROR = re.compile(r"(^|\b)(Traceback|\w*(Error|Exception)\b|error:|fatal:)", re.IGNORECASE)
"""What a line says that tells of an error."""
_STOPPING = "Terminating processes on user request"
_STOPPED = re.compile(r"' (died with <Signals\.SIG(INT|TERM|HUP)|returned non-zero exit status 130)\b")
"""How Snakemake says that a job's command was ended by a signal that ends runs too; no event tells that."""


@dataclass(frozen=True)
class Learned:
    """What a job of a step took before: seconds of wall time, and threads."""

    seconds: float
    threads: int


@dataclass
class Count:
    """The jobs of one step.

    Attributes
    ----------
    total, done, failed
        How many there are, are done, and failed.
    running
        When each job began that runs now, by its number, seconds of the monotonic clock.
    began, ended
        When the first began and the last ended.
    seconds
        What the jobs that are done took together.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    running: dict[int, float] = field(default_factory=dict)
    began: float = 0.0
    ended: float = 0.0
    seconds: float = 0.0

    @property
    def ahead(self) -> int:
        """Jobs that have not ended."""
        return max(self.total - self.done - self.failed, 0)


@dataclass
class Failure:
    """A job that failed.

    Attributes
    ----------
    step
        Its step.
    output
        Its first output.
    log
        Its own log.
    stopped
        Whether a signal to the whole run stopped it.
    cluster, cluster_log
        What the cluster says of it, and the cluster's own log; empty for a job of this host.
    grouped
        Whether it failed as one of a group: others of the group may be done, or not tried.
    """

    step: str
    output: str = ""
    log: str = ""
    stopped: bool = False
    cluster: str = ""
    cluster_log: str = ""
    grouped: bool = False


class Progress:
    """Follows Snakemake: its events, and the end of what it prints.

    Parameters
    ----------
    cores
        Cores that it has; 0 where jobs wait for those of a cluster: nobody knows how long.
    rules
        The rules whose jobs are told of.
    """

    def __init__(self, cores: int = 1, rules: re.Pattern[str] = STEPS) -> None:
        self.steps: dict[str, Count] = {}
        self.failures: list[Failure] = []
        self.tail: deque[str] = deque(maxlen=KEPT)
        self.news: deque[str] = deque()
        self.in_turn = threading.Lock()
        """Held by whoever changes or draws it: events and what is printed come by two threads."""
        self.is_locked = False
        self.interrupted = False
        self.keeps_going = True
        self.nothing = False
        self.queue = ""
        self.began, self._since = time.monotonic(), time.time()
        self._cores, self._rules = cores, rules
        self.forks = ""
        """Where the process is to be had from which jobs are forked, for the next Snakemake."""
        self._learned: dict[str, Learned] = {}
        self.refused: UserError | None = None
        """What is wrong with targets, configuration or metadata, as our flow says it."""
        self.detectors: Mapping[str, Any] | None = None
        """What our flow says of detectors after its last jobs: ``lines``, ``counted``, ``lost``."""
        self._jobs: dict[int, tuple[str, str]] = {}
        self._failed: set[int] = set()
        self._later: dict[str, int] = {}
        self._before: dict[str, int] = {}
        self._said: list[str] = []
        self._signalled = False
        self.again = 0
        self._group_said = "", ""

    @property
    def later(self) -> int:
        """How many jobs come after those that Snakemake knows of now."""
        return sum(self._later.values())

    def is_to_go_on(self, code: int, others: int = 0) -> bool:
        """Whether Snakemake, which has ended with a code, is to be started for the jobs that come after, or others."""
        ended_well = code == 0 or (code == 1 and self.keeps_going)
        return ended_well and self.later + others > 0 and not self.is_locked

    def begin(self) -> None:
        """Snakemake is started, perhaps once more: it numbers its jobs anew, and knows only those still to be made."""
        self._jobs.clear()
        self._failed.clear()
        self._later = {}
        self.refused = self.detectors = None
        self._before = {step: count.done + count.failed for step, count in self.steps.items()}
        for count in self.steps.values():
            count.running.clear()

    def hear(self, line: str) -> None:
        """Take the next line that is printed; it is told where there is no event to tell of.

        What a person should know while jobs run is put into ``news``, for the display to tell.
        """
        self.tail.append(line)
        if line.startswith(TOLD_AT_ONCE):
            self.news.append(line)
        if line.startswith("error: "):
            self._said = [line]
        elif self._said and line.startswith("hint: ") and len(self._said) < 2:
            self._said.append(line)

    def feed(self, line: str) -> None:
        """Take the next event, a line of JSON as ``snakemake_logger_plugin_dataprod`` writes it."""
        event = json.loads(line)
        handler = getattr(self, f"_on_{event['event']}", None)
        if handler:
            handler(event)
        if "text" in event:
            self._text(event["text"], event.get("exception", ""))

    def _on_run_info(self, event: Mapping[str, Any]) -> None:
        now = {step: int(number) for step, number in event["stats"].items() if self._rules.match(step)}
        for step in {*now, *self._later}:
            counts = (self._before, now, self._later)
            self._count(step).total = sum(count.get(step, 0) for count in counts)

    def _on_portion(self, event: Mapping[str, Any]) -> None:
        self._later = dict(event["later"])

    def _on_forks(self, event: Mapping[str, Any]) -> None:
        self.forks = event["socket"]

    def _on_took(self, event: Mapping[str, Any]) -> None:
        """What jobs took before, by step, for the time that is left."""
        self._learned |= {step: Learned(*took) for step, took in event["steps"].items()}

    def _on_reading(self, event: Mapping[str, Any]) -> None:
        size, files = size_text(event["bytes"]), event["files"]
        what = "1 new DAQ file ({}) to identify it" if files == 1 else f"{files} new DAQ files ({{}}) to identify them"
        self.news.append(f"reading {what.format(size)}")

    def _on_refused(self, event: Mapping[str, Any]) -> None:
        self.refused = UserError(event["message"], hint=event["hint"])

    def _on_detectors(self, event: Mapping[str, Any]) -> None:
        self.detectors = event

    def _on_start(self, event: Mapping[str, Any]) -> None:
        self.keeps_going = bool(event["keeps_going"])

    def _on_job_info(self, event: Mapping[str, Any]) -> None:
        step = event["rule_name"]
        if self._rules.match(step):
            self._jobs[event["jobid"]] = step, _name(event)
            count = self._count(step)
            count.running[event["jobid"]] = time.monotonic()
            count.began = count.began or time.monotonic()

    def _on_job_finished(self, event: Mapping[str, Any]) -> None:
        step, _ = self._jobs.get(event["job_id"], ("", ""))
        if step:
            count, now = self._count(step), time.monotonic()
            count.seconds += now - count.running.pop(event["job_id"], now)
            count.done += 1
            count.ended = now

    def _on_job_error(self, event: Mapping[str, Any]) -> None:
        step = event["rule_name"]
        if event["jobid"] in self._failed:  # Snakemake 9.9 tells it twice
            return
        self._failed.add(event["jobid"])
        log, cluster_log = (*event.get("log", ()), "", "")[:2]
        grouped = bool(event.get("indent"))
        said, cluster_log = self._group_said if grouped else (event.get("rule_msg", ""), cluster_log)
        stopped = self.interrupted or self._signalled
        failure = Failure(step, _output(event), log, stopped, _of_cluster(said), cluster_log, grouped)
        self.failures.append(failure)
        count = self._count(step)
        count.running.pop(event["jobid"], None)
        count.failed += not self.interrupted
        self._signalled = False

    def open_ones(self, cycle: Path) -> list[Failure]:
        """The jobs of groups that failed of which no failure of their own is known: they are done, or not tried."""
        return [each for each in self.failures if each.grouped and not self._failed_itself(each, cycle)]

    def _failed_itself(self, failure: Failure, cycle: Path) -> bool:
        file = failure_file(cycle / failure.output)
        return file.is_file() and file.stat().st_mtime > self._since - CLOCKS

    def settled(self, open_ones: Sequence[Failure], cycle: Path) -> int:
        """How many jobs are done or have failed by themselves."""
        return self.done + self.failed - sum(not self._is_made(each, cycle) for each in open_ones)

    def take_back(self, open_ones: Iterable[Failure], cycle: Path) -> None:
        """Jobs of groups are done, or are tried again: they did not fail."""
        for each in open_ones:
            self.failures.remove(each)
            self._count(each.step).failed -= 1
            self._count(each.step).done += self._is_made(each, cycle)

    def _is_made(self, failure: Failure, cycle: Path) -> bool:
        return any(record.stat().st_mtime > self._since for record in records_of(cycle / failure.output))

    def _text(self, text: str, exception: str) -> None:
        self.again += text.startswith(_AGAIN)
        if group := _GROUP.match(text):
            self._group_said = group["said"], group["log"]
        self.is_locked = self.is_locked or exception == LOCKED
        self.nothing = self.nothing or text.startswith(NOTHING)
        self._signalled = self._signalled or _STOPPED.search(text) is not None
        if text.startswith(_STOPPING):
            self._interrupt()

    def _interrupt(self) -> None:
        """Jobs that were stopped by a signal are not failures once it is known that the run was interrupted."""
        if not self.interrupted:
            self.interrupted = True
            for failure in self.failures:
                self.steps[failure.step].failed -= failure.stopped

    def _count(self, step: str) -> Count:
        return self.steps.setdefault(step, Count())

    @property
    def total(self) -> int:
        """All jobs."""
        return sum(count.total for count in self.steps.values())

    @property
    def done(self) -> int:
        """Jobs that are done."""
        return sum(count.done for count in self.steps.values())

    @property
    def failed(self) -> int:
        """Jobs that failed."""
        return sum(count.failed for count in self.steps.values())

    def now(self) -> list[str]:
        """What runs now: step and file of each job, the longest running first."""
        running = [(began, number) for count in self.steps.values() for number, began in count.running.items()]
        return [" ".join(self._jobs[number]) for _, number in sorted(running)]

    def remaining(self) -> float | None:
        """Seconds that are left; None as long as nothing is known of some step, and on a cluster."""
        if not self._cores:
            return None
        seconds = 0.0
        for step, count in self.steps.items():
            each = self._each(step, count)
            if count.ahead and each is None:
                return None
            running = sum(min(time.monotonic() - began, each or 0) for began in count.running.values())
            share = min(self._learned[step].threads if step in self._learned else 1, self._cores) / self._cores
            seconds += max(count.ahead * (each or 0) - running, 0) * share
        return seconds

    def _each(self, step: str, count: Count) -> float | None:
        """What a job of a step takes: as in this run, else as learned before."""
        if count.done:
            return count.seconds / count.done
        return self._learned[step].seconds if step in self._learned else None

    def last_words(self, cycle: Path, code: int) -> Iterator[str]:
        """What to tell at the end: nothing if all is well, else the first real error and where to read on."""
        if code == INTERRUPTED:
            yield from self._about([failure for failure in self.failures if not failure.stopped], cycle)
            yield "interrupted; the next run continues from here"
        elif code == 0:
            if self.nothing:
                yield nothing_to_do((self.detectors or {}).get("undrawn", 0))
        elif self.failures:
            yield from self._about(self.failures, cycle)
        else:
            yield from self._said or self.tail

    def closing(self, seconds: float, detectors: str) -> str:
        """The last line of a run: jobs, time, and what became of detectors; empty where there was no job."""
        if not self.total:
            return detectors and f"but {detectors}"
        jobs = f"{self.total} job{'s' if self.total > 1 else ''}"
        jobs = f"{self.done} of {jobs}" if self.done < self.total else jobs
        failed = f", {self.failed} failed" if self.failed else ""
        failed += f", {self.again} times again with more memory" if self.again else ""
        return f"{jobs} done{failed} in {_duration(seconds)}" + (f"; {detectors}" if detectors else "")

    def _about(self, failures: Sequence[Failure], cycle: Path) -> Iterator[str]:
        """The first of some failures, if there are any."""
        if not failures:
            return
        failure = failures[0]
        name = Path(failure.output).name or "a job"
        others = len(failures) - 1
        more = f" (and {others} more job{'s' if others > 1 else ''} failed)" if others else ""
        yield f"error: {failure.step} failed to make {name}{more}"
        yield from (f"  {line}" for line in _reason(failure, cycle, self.tail) or list(self.tail)[-LAST:])
        if log := _log_of(failure, cycle):
            yield f"log: {log}"


def nothing_to_do(undrawn: int) -> str:
    """That a run makes nothing: because all is there, but for figures that it cannot draw."""
    return f"nothing to be done: everything {'else ' if undrawn else ''}is there and up to date"


def _reason(failure: Failure, cycle: Path, tail: Iterable[str]) -> list[str]:
    """Why a job failed: as it wrote down itself, unless the cluster ended it; else the end of its log."""
    if failure.cluster and not _OWN.match(failure.cluster):
        log = last_lines(cycle / failure.cluster_log if failure.cluster_log else None)
        return [failure.cluster, *log]
    said = recorded_failure(cycle / failure.output) if failure.output else []
    said = said or last_lines(cycle / failure.log if failure.log else None)
    if not any(ERROR.search(line) for line in said):  # the programs of other flows may print it instead
        said = printed_error(tail) or said
    return said or last_lines(cycle / failure.cluster_log if failure.cluster_log else None)


def _log_of(failure: Failure, cycle: Path) -> Path | None:
    """The log to read on in: that of the job, or, where it has none, that of the cluster."""
    own, of_cluster = (cycle / log if log else None for log in (failure.log, failure.cluster_log))
    return of_cluster if of_cluster and not (own and own.is_file()) and of_cluster.is_file() else own


def _of_cluster(message: str) -> str:
    """What the cluster says of a job, in a line."""
    return next(iter(message.partition(_FURTHER)[0].strip().splitlines()), "")


def _output(event: Mapping[str, Any]) -> str:
    return str(next(iter(event.get("output", ())), "")).removesuffix(_UPDATED)


def _name(event: Mapping[str, Any]) -> str:
    """The file that a job makes, without what its step says already."""
    stem = Path(_output(event)).name.partition(".")[0]
    return stem.removesuffix(f"-{event['rule_name']}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def printed_error(lines: Iterable[str], number: int = LAST) -> list[str]:
    """The end of the last traceback among printed lines, nothing if there is none."""
    kept = list(lines)
    begin = next((at for at in reversed(range(len(kept))) if kept[at].startswith("Traceback")), None)
    if begin is None:
        return []
    after = range(begin + 1, len(kept))
    end = next((at for at in after if kept[at] and not kept[at][0].isspace()), len(kept) - 1)
    return kept[max(begin, end + 1 - number) : end + 1]


def failure_file(output: Path) -> Path:
    """Where the job of an output writes down its failure."""
    return output.parent / ".lineage" / f"{output.name}.failed.json"


def recorded_failure(output: Path) -> list[str]:
    """What the job of an output wrote down about its failure, line by line; nothing if it could not."""
    try:
        record = json.loads(failure_file(output).read_text(encoding="utf-8"))
        return str(record["error"]).splitlines()
    except (OSError, ValueError, KeyError, TypeError):
        return []


def records_of(output: Path) -> list[Path]:
    """The files in which jobs have written down how they made an output."""
    folder, length = output.parent / ".lineage", len(output.name) + 1
    return [path for path in folder.glob(f"{output.name}.*.json") if _RECORD.fullmatch(path.name[length:])]


def last_lines(log: Path | None, number: int = LAST) -> list[str]:
    """The end of a log, nothing if it is not there."""
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-number:] if log else []
    except OSError:
        return []
