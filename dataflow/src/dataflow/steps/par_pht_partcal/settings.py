"""Settings of the energy calibration of a partition, checked while planning; no numpy here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from dataflow.steps.par_hit_ecal.settings import UNUSED, SpectrumSettings, estimator_name

ALIGNED = (0.9, 1.1)
"""Between which gains the lines are looked for: the runs are calibrated already, so that one line is enough."""


class PartitionSettings(SpectrumSettings):
    """What ``pars_pht_partcal_config`` says.

    Attributes
    ----------
    energy_params
        Energy estimators to calibrate, with or without ``_ctc`` and ``_cal``; without any, all that the runs have.
    deg
        Degree of the polynomial that corrects the energies of the runs: 0 factor, 1 with offset, 2 parabola.
    threshold
        Energies in keV, as the runs have them, up to here are left out.
    """

    threshold: Annotated[float, Field(ge=0)] = 50.0

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = UNUSED | {
        "final_cut_field": "events are selected by baseline, saturation and start",
        "pulser_multiplicity_threshold": "events with a pulser channel are left out",
    }

    @property
    def gains(self) -> tuple[float, float]:
        """Those of runs that are calibrated already."""
        return ALIGNED

    @property
    def estimators(self) -> tuple[str, ...]:
        """The estimators as the parameters of the runs call them."""
        return tuple(estimator_name(name.removesuffix("_cal")) for name in self.energy_params)
