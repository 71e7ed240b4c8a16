"""What the verbs that plan share: what they ask for, and how they say how long it takes."""

from __future__ import annotations

import os
from pathlib import Path

from prodenv.cycles.find import CycleFolder
from prodenv.cycles.flow import flow_folder
from prodenv.cycles.published import is_published


def targets_of(cycle: CycleFolder, words: list[str]) -> list[str]:
    """Targets; those that are paths, from here or from the cycle's folder, as the cycle's Snakefile has them.

    Ours has them relative to the cycle, those of the published form have them absolute.
    """
    found, absolute = [], is_published(flow_folder(cycle) or cycle.root)
    for word in words:
        path = Path(os.path.abspath(word))  # noqa: PTH100 - links stay as the user gave them
        inside = "/" in word and path.is_relative_to(cycle.root)
        if absolute:
            found.append(str(path if inside else cycle.root / word) if "/" in word else word)
        else:
            found.append(str(path.relative_to(cycle.root)) if inside else word)
    return found


def cores(wanted: int) -> int:
    """The number of cores to use."""
    return wanted or len(os.sched_getaffinity(0))


def duration(seconds: float) -> str:
    """A time for reading: ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
