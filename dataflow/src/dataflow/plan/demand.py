"""What a job needs on a cluster: learned from those of its step that are done, with a margin.

A cluster ends a job that takes more than it asked for, and lets one wait that asks for much. As long as few jobs of a
step are done, what the step declares (:class:`~dataflow.registry.step.Resources`) holds besides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dataflow.registry.step import Resources

AROUND = 400
"""MB for the two Snakemakes that are around a job on its node, of which 120 each were measured, and for srun."""
MARGIN = 1.5
"""How much more memory is asked for than the largest that was seen."""
ENOUGH = 4
"""Finished jobs from which on what the step declares does not count any more."""
SLOWER, START = 4.0, 30
"""How many times the longest time that was seen is asked for, and minutes besides: a node of a processor of its own
compiles first."""
TOGETHER, MOST = 300.0, 50
"""Seconds of work that make it worth to be scheduled, and how many jobs are put together at most."""
LONG, MOST_SHARES = 1800.0, 16
"""Seconds of a job from which on its detectors are done by several, and how many these are at most."""


@dataclass(frozen=True)
class Seen:
    """What finished jobs of a step took at most.

    Attributes
    ----------
    jobs
        How many were looked at.
    seconds
        Of wall time.
    memory_mb
        Of its largest process.
    """

    jobs: int
    seconds: float
    memory_mb: int


def seen(records: Iterable[Mapping[str, Any]]) -> Seen:
    """The most that some records tell."""
    found = list(records)
    seconds, memory = max(map(seconds_of, found)), max(int(record.get("peak_memory_mb", 0)) for record in found)
    shares = [record["shares"] for record in found if record.get("shares")]
    return Seen(len(found), seconds, max([memory, *(int(share["peak_memory_mb"]) for share in shares)]))


def seconds_of(record: Mapping[str, Any]) -> float:
    """Wall time of a job by its record, in seconds, with all shares of it that others did."""
    return float(record["seconds"]) + float((record.get("shares") or {}).get("seconds", 0))


@dataclass(frozen=True)
class Demand:
    """What to ask for, for a job of a step.

    Parameters
    ----------
    declared
        What the step says that it needs.
    seen
        What was seen of it, None if nothing was.
    """

    declared: Resources
    seen: Seen | None = None

    def memory(self, threads: int, attempt: int = 1) -> int:
        """Memory in MB.

        Parameters
        ----------
        threads
            Worker processes of the job; each may become as large as the largest that was seen.
        attempt
            Each further attempt gets twice as much.
        """
        return (self._memory(threads) + AROUND) << (attempt - 1)

    def _memory(self, threads: int) -> int:
        if self.seen is None or not self.seen.memory_mb:
            return self.declared.mem_mb
        learned = math.ceil(MARGIN * self.seen.memory_mb * (threads + 1 if threads > 1 else 1))
        return learned if self.seen.jobs >= ENOUGH else max(learned, self.declared.mem_mb)

    def minutes(self, shares: int = 1) -> int | None:
        """The time limit in minutes; None as long as nothing is known: then the profile decides.

        Parameters
        ----------
        shares
            Of so many shares, each and their putting together.
        """
        return None if self.seen is None else START + math.ceil(SLOWER * self.seen.seconds / shares / 60)

    @property
    def shares(self) -> int:
        """How many of the cluster's jobs do the detectors of one."""
        if self.seen is None or self.declared.threads == 1:
            return 1
        return min(MOST_SHARES, math.ceil(self.seen.seconds / LONG) or 1)

    @property
    def together(self) -> int:
        """How many jobs make one of the cluster's."""
        if self.seen is None or self.seen.jobs < ENOUGH:
            return 1
        return min(MOST, max(1, int(TOGETHER / max(self.seen.seconds, 1.0))))
