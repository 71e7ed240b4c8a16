"""What a selection found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dataflow.physics.lines import Line

from .select import Candidates, Selected


def failed_entry(reason: str) -> dict[str, Any]:
    """What the parameter file says of a detector without events: no failure, as later steps have other parameters."""
    return {"evtsel": {"failed": reason}}


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
    """

    column: str
    lines: tuple[Line, ...]
    candidates: Candidates
    selected: Selected
    rejected: int

    def entry(self) -> dict[str, Any]:
        """The detector's entry in the parameter file."""
        return {
            "evtsel": {
                "energy_param": self.column,
                "kev_per_adc": float(f"{self.selected.scale:.6g}"),
                "n_events": self.selected.counts(self.lines),
                "n_candidates": dict(self.candidates.found),
                "n_rejected": self.rejected,
            }
        }
