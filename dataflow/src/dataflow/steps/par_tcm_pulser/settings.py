"""Settings of the masks."""

from __future__ import annotations

from pydantic import Field

from dataflow.metadata.settings import StepSettings


class PulserSettings(StepSettings):
    """What ``pulser_config`` says.

    Attributes
    ----------
    pulser_multiplicity_threshold
        Where no channel of a file tells pulser events, events with more germanium detectors than this are taken for
        them; null: none are.
    recovery_time
        Milliseconds after a discharge in which a detector recovers.
    """

    pulser_multiplicity_threshold: int | None = Field(None, ge=1)
    recovery_time: float = Field(10.0, ge=0)
