"""Settings that the pulse-shape classifiers share, checked while planning; no numpy here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field

from dataflow.metadata.settings import Nowhere, Place, StepSettings

Name = Annotated[str, Field(min_length=1)]


class ClassifierSettings(StepSettings):
    """One classifier.

    Attributes
    ----------
    energy_param
        The column of dsp with the energy, uncalibrated, by which it is divided.
    dt_param
        The column of dsp with the drift time.
    suffix
        What follows the names of the columns in hit: ``NAME_suffix``.
    """

    energy_param: Name = "cuspEmax"
    dt_param: Name = "dt_eff"
    suffix: str = ""

    def named(self, name: str) -> str:
        """The name of a column in hit."""
        return f"{name}_{self.suffix}" if self.suffix else name


class EventSettings(StepSettings):
    """From which events the classifiers of a detector follow, and which classifiers there are.

    Attributes
    ----------
    cal_energy_param
        The calibrated energy of ``par_hit_ecal`` by which ranges of energy are selected.
    cut_field
        The flag of ``par_hit_qc`` that selects events; without quality cuts of a detector, those with a quiet baseline,
        a start, and no saturation are taken.
    threshold
        Energies in keV up to here are left out.
    params
        Several classifiers by label, each with a suffix of its own, instead of the one that the other entries describe.
    """

    cal_energy_param: Name = "cuspEmax_ctc_cal"
    cut_field: Name = "is_valid_cal"
    threshold: Annotated[float, Field(ge=0)] = 800.0
    params: Mapping[str, ClassifierSettings] = Field(default_factory=dict)

    @classmethod
    def read(cls, config: Mapping[str, Any], name: str = "", place: Place | None = None) -> Self:
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
