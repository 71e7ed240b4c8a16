"""Which jobs of a cluster may be tried again: those that ended because their memory was too small, and no others."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from contextlib import suppress
from pathlib import Path

_STATE = re.compile(r"\bOUT_OF_MEMORY\b|memory usage exceeded|exceeded .*memory limit", re.IGNORECASE)
"""How an executor says that memory was too small: SLURM's state, HTCondor's reason to hold a job."""
_DAEMON = re.compile(
    r"^(?:slurmstepd|srun)\S*: .*(?:exceeded (?:job |step )?memory limit|oom.kill|out of memory)", re.I | re.M
)
"""How SLURM's own daemon says it in the log of a job, where the state is only that a command failed."""
AGAIN, LACKED = "run again with twice the memory", "its memory was too small"
"""How a further attempt and a failure are told; ``dataprod run`` knows them by these words."""
LAST = 65536
"""Bytes of a log that are read."""


class Attempts:
    """Remembers how jobs ended."""

    def __init__(self) -> None:
        self._short: set[Hashable] = set()

    def end(self, job: Hashable, message: str, logs: Iterable[str | Path]) -> bool:
        """A job has failed: the executor's message, and its logs. Returns whether its memory was too small."""
        self._short.discard(job)
        if _STATE.search(message) or any(_DAEMON.search(_end_of(Path(log))) for log in logs):
            self._short.add(job)
        return job in self._short

    def lacked_memory(self, job: Hashable) -> bool:
        """Whether a job's last attempt ended because its memory was too small."""
        return job in self._short


def _end_of(log: Path) -> str:
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST))
        return file.read().decode("utf-8", errors="replace")
    return ""
