"""Settings of the late-charge calibration, checked while planning; no numpy here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from dataflow.physics.pulseshape.settings import ClassifierSettings, EventSettings, Name

UNUSED: Mapping[str, str] = {
    "cdf": "a normal distribution",
    "debug_mode": "the log has a level of its own",
    "final_cut_field": "events are selected by cut_field",
    "plot_options": "figures have one fixed form",
    "use_log_pdf": "the fit decides",
}


class ParameterSet(ClassifierSettings):
    """One classifier.

    Attributes
    ----------
    lq_param
        The column of dsp with the late charge.
    """

    lq_param: Name = "lq80"

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = UNUSED


class Settings(ParameterSet, EventSettings):
    """What ``lqcal_config`` says.

    Attributes
    ----------
    run_lq
        Whether there is a calibration of late charge at all.
    """

    run_lq: bool = True
    params: Mapping[str, ParameterSet] = Field(default_factory=dict)

    @property
    def sets(self) -> Mapping[str, ParameterSet]:
        """The classifiers by label; the only one has none."""
        return self.params or {"": self}
