"""Rates of events of a cycle by run, from what the records say of its files: no file of events is opened."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from prodenv.cycles.outputs import Contents

EVENTS, SELECTED = "events", "selected events"


@dataclass
class Counts:
    """What was seen in a run.

    Attributes
    ----------
    seconds
        How long was measured: for each file from its first event to its last, together.
    numbers
        Counts by what was counted: :data:`EVENTS`, :data:`SELECTED` (those in skm), and names of detectors.
    """

    seconds: float = 0.0
    numbers: Counter[str] = field(default_factory=Counter)

    def rate(self, name: str) -> tuple[float, float]:
        """Rate of something and its statistical uncertainty, per second; that of no count is that of one."""
        count = self.numbers[name]
        return count / self.seconds, math.sqrt(max(count, 1)) / self.seconds


def rates(contents: Contents) -> Mapping[str, Counts]:
    """Counts by run, of the runs whose events have times."""
    found: dict[str, Counts] = {}
    for run, counted in contents.ask("rates"):
        counts = found.setdefault(run, Counts())
        if "from" in counted:
            counts.seconds += counted["to"] - counted["from"]
            counts.numbers[EVENTS] += counted["events"]
            counts.numbers.update(counted.get("detectors", {}))
        elif counted:
            counts.numbers[SELECTED] += counted["events"]
    return {run: counts for run, counts in found.items() if counts.seconds > 0}
