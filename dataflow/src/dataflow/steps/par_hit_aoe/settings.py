"""Settings of the A/E calibration, checked while planning; no numpy here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from dataflow.metadata.settings import Nowhere, Place, StepSettings

Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(min_length=1)]

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


class ParameterSet(StepSettings):
    """One classifier.

    Attributes
    ----------
    current_param
        The column of dsp with the maximum of the current.
    energy_param
        The column of dsp with the energy, uncalibrated, by which it is divided.
    dt_param
        The column of dsp with the drift time.
    dt_corr
        Whether A/E is corrected for its slope over the drift time.
    compt_bands_width
        Width in keV of the bands in the Compton continuum in which A/E is fitted; they grow where events are few.
    high_cut_val
        The classifier above which an event is cut as a surface event.
    suffix
        What follows the names of the columns in hit: ``AoE_Classifier_suffix``.
    """

    current_param: Name = "A_max"
    energy_param: Name = "cuspEmax"
    dt_param: Name = "dt_eff"
    dt_corr: bool = False
    compt_bands_width: Positive = 20.0
    high_cut_val: Positive = 3.0
    suffix: str = ""

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = UNUSED

    def named(self, name: str) -> str:
        """The name of a column in hit."""
        return f"{name}_{self.suffix}" if self.suffix else name


class Settings(ParameterSet):
    """What ``aoecal_config`` says.

    Attributes
    ----------
    run_aoe
        Whether there is a calibration of A/E at all.
    cal_energy_param
        The calibrated energy of ``par_hit_ecal`` by which bands and peaks are selected.
    cut_field
        The flag of ``par_hit_qc`` that selects events; without quality cuts of a detector, those with a quiet baseline,
        a start, and no saturation are taken.
    threshold
        Energies in keV up to here are left out.
    params
        Several classifiers by label, each with a suffix of its own, instead of the one that the entries above describe.
    """

    run_aoe: bool = True
    cal_energy_param: Name = "cuspEmax_ctc_cal"
    cut_field: Name = "is_valid_cal"
    threshold: Annotated[float, Field(ge=0)] = 800.0
    params: Mapping[str, ParameterSet] = Field(default_factory=dict)

    @property
    def sets(self) -> Mapping[str, ParameterSet]:
        """The classifiers by label; the only one has none."""
        return self.params or {"": self}

    @classmethod
    def read(cls, config: Mapping[str, Any], name: str = "", place: Place | None = None) -> Settings:
        """Settings whose classifiers have different names.

        Raises
        ------
        UserError
            If two have the same suffix, or as the base class says.
        """
        found = super().read(config, name, place)
        seen: dict[str, str] = {}
        for label, one in found.params.items():
            if one.suffix in seen:
                message = f"{name}.params: {seen[one.suffix]} and {label} have the same suffix {one.suffix!r}"
                where = place or Nowhere()
                raise where.error(message, "params", label, hint="give each set a suffix of its own")
            seen[one.suffix] = label
        return found
