"""Detectors that are not in the files, or not as they should be, and why: from the records alone, many files fast."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dataflow.registry.steps import REGISTRY

if TYPE_CHECKING:
    from dataflow.keys.key import Key
    from dataflow.provenance.records import Records

    from .cycle import Cycle
    from .job import Unit

FAILED, MISSING, DEGRADED, WARNING = "failed", "missing", "degraded", "warning"
STATES = (FAILED, MISSING, DEGRADED, WARNING)
"""What can be the matter with a detector, the worst first."""
LOST = frozenset({FAILED, MISSING})
"""States in which something is not in the files that should be."""
SHOWN = 10
RUNS_SHOWN, STEPS_SHOWN = 3, 4
_ORDER = {name: number for number, name in enumerate(REGISTRY.by_name)}
Place = tuple[str, str, str]
"""An output: its step, its run, its path."""


@dataclass(frozen=True)
class Trouble:
    """What is the matter with one detector for one reason.

    Attributes
    ----------
    detector
        Its name; empty for what concerns all.
    state
        The worst of :data:`STATES` in the files concerned.
    step
        Where the first cause is.
    reason
        That cause.
    then
        What came of it in a later step; may be empty.
    steps
        The steps whose outputs are concerned, in their order.
    runs
        The runs of those outputs.
    files
        How many outputs.
    """

    detector: str
    state: str
    step: str
    reason: str
    then: str
    steps: tuple[str, ...]
    runs: tuple[str, ...]
    files: int

    @property
    def is_lost(self) -> bool:
        """Whether the detector is not in files where it should be."""
        return self.state in LOST

    def sentence(self) -> str:
        """One line for people."""
        who = self.detector or "all detectors"
        lost = {FAILED: f"failed in {self.step}", MISSING: "is missing", DEGRADED: f"is degraded by {self.step}"}
        what = lost.get(self.state, f"in {self.step}")
        then = f" (then {self.then})" if self.then else ""
        return f"{who} {what}: {self.reason}{then} [{_few(self.runs)}: {_few(self.steps, STEPS_SHOWN)}]"

    def plain(self) -> dict[str, Any]:
        """As values for scripts."""
        found = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return found | {"sentence": self.sentence(), "line": self.line()}

    def line(self) -> str:
        """The sentence with how bad it is."""
        return f"{WARNING if self.state in (DEGRADED, WARNING) else 'error'}: {self.sentence()}"


def troubles(records: Records, outputs: Iterable[Place]) -> list[Trouble]:
    """What the records of some outputs say of detectors, joined by detector and cause, the worst first.

    Parameters
    ----------
    records
        The records; notes of one content are read once.
    outputs
        The outputs to look at: step, run and path of each.
    """
    found: dict[tuple[str, str, str], list[tuple[str, str, str, str]]] = {}
    for (step, run, _), (path, files) in _by_content(records, outputs).items():
        for detector, state, cause, reason, then in _entries(records.notes(path), step):
            found.setdefault((detector, cause, reason), []).extend([(state, step, run, then)] * files)
    made = (_trouble(*place, places) for place, places in found.items())
    return sorted(made, key=lambda each: (STATES.index(each.state), each.detector, each.step, each.reason))


def troubles_of(cycle: Cycle, jobs: Iterable[tuple[str, Key | Unit]], records: Records | None = None) -> list[Trouble]:
    """What the records of the outputs of some jobs say, and of all that these need."""
    ahead = list(dict.fromkeys((step, cycle.unit(step, unit)) for step, unit in jobs))
    seen, places = set(ahead), []
    while ahead:
        step, unit = ahead.pop()
        places.append((step, run_of(unit), cycle.output_text(step, unit)))
        if cycle.is_made(step, unit):
            new = [need for need in cycle.needs(step, unit) if need not in seen]
            seen.update(new)
            ahead += new
    return troubles(records or cycle.lineages.records, places)


def run_of(unit: Unit) -> str:
    """What the files of a unit are together, for people: ``l200-p03-r000-cal``, or the name of a partition."""
    return unit.name if unit.group else unit.key.series


def sentences(found: Sequence[Trouble], more: str, most: int = SHOWN) -> Iterator[str]:
    """Lines for people: each trouble, as many as fit, and where the rest is."""
    for each in found[:most]:
        yield each.line()
    if len(found) > most:
        yield f"and {len(found) - most} more: {more}"


def counted(found: Iterable[Trouble]) -> str:
    """How many detectors failed or are missing, in words; empty if none."""
    names: dict[str, set[str]] = {}
    for each in found:
        names.setdefault(each.state, set()).add(each.detector)
    words = {FAILED: "failed", MISSING: "missing", DEGRADED: "degraded", WARNING: "with warnings"}
    parts = []
    told: set[str] = set()
    for state in STATES:
        mine = names.get(state, set()) - told
        told |= mine
        if mine:
            who = "all detectors" if "" in mine else f"{len(mine)} detector{'s' if len(mine) > 1 else ''}"
            parts.append(f"{who} {words[state]}")
    return ", ".join(parts)


def _by_content(records: Records, outputs: Iterable[Place]) -> dict[Place, tuple[str, int]]:
    """One of the outputs for each step, run and content of notes, and how many there are."""
    found: dict[Place, tuple[str, int]] = {}
    for step, run, path in outputs:
        digest = records.noted(path)
        if digest:
            first, files = found.get((step, run, digest), (path, 0))
            found[step, run, digest] = first, files + 1
    return found


def _entries(notes: Mapping[str, Any], step: str) -> Iterator[tuple[str, str, str, str, str]]:
    """Detector, state, step of the cause, reason and consequence of all that notes say."""
    for name, entry in dict(notes.get("channels", {})).items():
        yield name, entry["state"], entry["step"], entry["reason"], entry.get("then", "")
    for name, said in dict(notes.get("warnings", {})).items():
        for sentence in said:
            yield name, WARNING, step, sentence, ""


def _trouble(detector: str, cause: str, reason: str, places: Sequence[tuple[str, str, str, str]]) -> Trouble:
    states, steps, runs, thens = ({place[number] for place in places} for number in range(4))
    return Trouble(
        detector,
        min(states, key=STATES.index),
        cause,
        reason,
        _short(min(filter(None, thens), key=lambda then: (_place(then.partition(":")[0]), then), default=""), reason),
        tuple(sorted(steps, key=_place)),
        tuple(sorted(runs)),
        len(places),
    )


def _short(then: str, reason: str) -> str:
    """What came of it, without the cause that is told before it."""
    return re.sub(rf": (?:\w+: )?{re.escape(reason)}$", "", then) if reason else then


def _place(step: str) -> tuple[int, str]:
    """Where a step stands in the registry; others come last."""
    return _ORDER.get(step, len(_ORDER)), step


def _few(names: Sequence[str], most: int = RUNS_SHOWN) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
