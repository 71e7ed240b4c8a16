"""What a selection found, and how the steps that use it read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataflow.physics.lines import QBB, Line

from .select import Candidates, Selected

ENTRY = "evtsel"


def failed_entry(reason: str) -> dict[str, Any]:
    """What the parameter file says of a detector without events: no failure, as later steps have other parameters."""
    return {ENTRY: {"failed": reason}}


@dataclass(frozen=True)
class Result:
    """Events of lines.

    Attributes
    ----------
    column
        The energy by which candidates were found.
    lines
        The lines.
    candidates, selected
        What was found.
    rejected
        Candidates that did not pass the cuts of quality.
    reference
        Where the resolution is stated, in keV.
    """

    column: str
    lines: tuple[Line, ...]
    candidates: Candidates
    selected: Selected
    rejected: int
    reference: float = QBB

    def entry(self) -> dict[str, Any]:
        """The detector's entry in the parameter file."""
        counts = self.selected.counts(self.lines)
        return {
            ENTRY: {
                "energy_param": self.column,
                "kev_per_adc": float(f"{self.selected.scale:.6g}"),
                "reference_energy": self.reference,
                "n_rejected": self.rejected,
                "lines": {line.key: self._line(line, counts[line.key]) for line in self.lines},
            }
        }

    def _line(self, line: Line, events: int) -> dict[str, Any]:
        neighbours = {"neighbours": [list(each) for each in line.neighbours]} if line.neighbours else {}
        return {
            "energy": line.energy,
            "below": round(line.below, 3),
            "above": round(line.above, 3),
            "tail": line.full_energy,
            "n_candidates": self.candidates.found[line.key],
            "n_events": events,
        } | neighbours


def lines_of(entry: Mapping[str, Any]) -> tuple[Line, ...]:
    """The lines of an entry in the parameter file, with the windows in which events were selected."""
    found = (entry.get(ENTRY) or {}).get("lines") or {}
    return tuple(
        Line(
            float(each["energy"]),
            float(each["below"]),
            float(each["above"]),
            full_energy=bool(each["tail"]),
            neighbours=tuple((float(distance), float(share)) for distance, share in each.get("neighbours", ())),
            name=float(name),
        )
        for name, each in found.items()
    )


def reason_of(entry: Mapping[str, Any] | None) -> str:
    """Why a detector has no events; empty if it has."""
    return str(((entry or {}).get(ENTRY) or {}).get("failed") or "")
