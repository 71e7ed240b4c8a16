"""Settings of the selection of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dataflow.metadata.settings import StepSettings

Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(min_length=1)]

_CUTS = "events are selected by baseline, saturation and start; the cut on the baseline follows from the data"


class SelectionSettings(StepSettings):
    """What ``peak_config`` says.

    Attributes
    ----------
    run_selection
        Whether events are selected at all; without, filters are not optimised.
    source
        The nuclide of the source as the table ``sources`` names it, or a list of several.
    peaks
        Energies in keV of the lines; empty: all full-energy lines of the source that calibrate.
    kev_widths
        For each of the peaks, how far below and above it events are taken, in keV; empty: as far as the line is
        fitted.
    n_events
        Events of each line, at most; they are spread over the run.
    energy_param
        Column of raw by whose spectrum candidates are found. Where it is missing, or the lines do not stand out in it,
        the chain's trapezoid takes its place.
    energy_parameter
        The chain's energy by which events are selected.
    n_search
        Events to which the chain is applied where that is so, at most.
    quality_sigmas
        Width of the cut on the baseline in robust standard deviations.
    """

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {"cut_parameters": _CUTS, "final_cut_field": _CUTS}

    run_selection: bool = True
    source: Name | tuple[Name, ...] = "Th228"
    peaks: tuple[Positive, ...] = ()
    kev_widths: tuple[tuple[Positive, Positive], ...] = ()
    n_events: int = Field(2000, ge=1)
    energy_param: Name = "daqenergy"
    energy_parameter: Literal["trapTmax"] = "trapTmax"
    n_search: int = Field(20000, ge=1)
    quality_sigmas: Positive = 20.0

    @model_validator(mode="after")
    def _has_a_width_for_each(self) -> Self:
        if self.kev_widths and len(self.kev_widths) != len(self.peaks):
            raise ValueError(f"as many kev_widths as peaks, of which there are {len(self.peaks)}")
        return self
