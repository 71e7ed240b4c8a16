"""Settings of the A/E calibration, checked while planning; no numpy here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from dataflow.physics.pulseshape.settings import ClassifierSettings, EventSettings, Name

Positive = Annotated[float, Field(gt=0)]

UNUSED: Mapping[str, str] = {
    "debug_mode": "the log has a level of its own",
    "dep_correct": "the published flow does not use it either",
    "dt_cut": "no cut on the drift time: the flags in hit would not know of it",
    "final_cut_field": "events are selected by cut_field",
    "mean_func": "the mean is a straight line in the energy",
    "override_dict": "parameters set by hand stand in the overrides of the metadata",
    "pdf": "a band is a Gaussian with an exponential tail to lower A/E, and a constant",
    "plot_options": "figures have one fixed form",
    "sigma_func": "the width is sqrt(a + (b/E)**c) with c = 2",
    "use_log_pdf": "the fit decides",
}


class ParameterSet(ClassifierSettings):
    """One classifier.

    Attributes
    ----------
    current_param
        The column of dsp with the maximum of the current.
    dt_corr
        Whether A/E is corrected for its slope over the drift time.
    compt_bands_width
        Width in keV of the bands in the Compton continuum in which A/E is fitted; they grow where events are few.
    high_cut_val
        The classifier above which an event is cut as a surface event.
    """

    current_param: Name = "A_max"
    dt_corr: bool = False
    compt_bands_width: Positive = 20.0
    high_cut_val: Positive = 3.0

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = UNUSED


class Settings(ParameterSet, EventSettings):
    """What ``aoecal_config`` says.

    Attributes
    ----------
    run_aoe
        Whether there is a calibration of A/E at all.
    """

    run_aoe: bool = True
    params: Mapping[str, ParameterSet] = Field(default_factory=dict)

    @property
    def sets(self) -> Mapping[str, ParameterSet]:
        """The classifiers by label; the only one has none."""
        return self.params or {"": self}
