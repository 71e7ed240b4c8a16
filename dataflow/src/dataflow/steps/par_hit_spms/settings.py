"""Settings of the photo-electron scale."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from dataflow.metadata.settings import StepSettings


class Settings(StepSettings):
    """What ``spms_config`` of ``pars_hit_spms`` says.

    Attributes
    ----------
    run_spms
        Whether the scale is sought at all; without, energies stay in ADC counts.
    isolation
        Microseconds before a pulse without another one, for it to be taken.
    dark_window
        Begin and end, in microseconds of the trace, of what comes before the trigger: there pulses are dark.
    least
        Pulses below which there is no result.
    most_peaks
        Photo-electrons whose peaks are fitted, at most.
    valid_from
        Photo-electrons above which a pulse is valid (``is_valid_hit``).
    """

    run_spms: bool = True
    isolation: float = Field(2.0, gt=0)
    dark_window: tuple[float, float] = (2.5, 25.0)
    least: int = Field(30, ge=10)
    most_peaks: int = Field(4, ge=1, le=8)
    valid_from: float = Field(0.5, ge=0)

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        if not self.isolation <= self.dark_window[0] < self.dark_window[1]:
            raise ValueError("a dark_window that begins after the isolation and ends after its begin")
        return self
