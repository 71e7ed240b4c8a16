"""Settings of the energy calibration of a partition, checked while planning; no numpy here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from dataflow.metadata.settings import StepSettings
from dataflow.steps.par_hit_ecal.settings import (
    CopySettings,
    LineSettings,
    Name,
    Positive,
    Settings,
    estimator_name,
)

ALIGNED = (0.9, 1.1)
"""Between which gains the lines are looked for: the runs are calibrated already, so that one line is enough."""


class PartitionSettings(StepSettings):
    """What ``pars_pht_partcal_config`` says.

    Attributes
    ----------
    energy_params
        Energy estimators to calibrate, with or without ``_ctc`` and ``_cal``; without any, all that the runs have.
    source
        The nuclide of the source as the table ``sources`` names it, or a list of several.
    lines
        Energies in keV (or mappings with more) of the lines to use instead of all lines of the source; those that the
        source has are taken from the table.
    excluded_lines
        Energies in keV, to within 1 keV, of lines that are not used.
    reference_energy
        Where the resolution is stated, in keV; by default what the table says of the source, else 2039.061 keV.
    deg
        Degree of the polynomial that corrects the energies of the runs: 0 factor, 1 with offset, 2 parabola.
    threshold
        Energies in keV, as the runs have them, up to here are left out.
    quality_sigmas
        Width of the cut on the baseline in robust standard deviations.
    copy_calibration
        Calibrations for further quantities, by name of the calibrated quantity.
    extra_blocks
        Operations by name (or a list of such mappings) that are added to the parameters as they are.
    """

    energy_params: tuple[Name, ...] = ()
    source: Name | tuple[Name, ...] = "Th228"
    lines: tuple[Positive | LineSettings, ...] = ()
    excluded_lines: tuple[Positive, ...] = ()
    reference_energy: Positive | None = None
    deg: Literal[0, 1, 2] = 1
    threshold: Annotated[float, Field(ge=0)] = 50.0
    quality_sigmas: Positive = 20.0
    copy_calibration: Mapping[str, CopySettings] = Field(default_factory=dict)
    extra_blocks: Mapping[str, Any] | tuple[Mapping[str, Any], ...] = ()

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {
        **{
            name: text
            for name, text in Settings.NOT_USED_HERE.items()
            if name not in ("bl_plot_options", "common_plots", "cut_param", "guess_offset")
        },
        "final_cut_field": "events are selected by baseline, saturation and start",
        "pulser_multiplicity_threshold": "events with a pulser channel are left out",
    }

    @property
    def estimators(self) -> tuple[str, ...]:
        """The estimators as the parameters of the runs call them."""
        return tuple(estimator_name(name.removesuffix("_cal")) for name in self.energy_params)

    @property
    def of_spectrum(self) -> Settings:
        """The same as settings of the calibration of one spectrum."""
        return Settings(
            energy_params=self.energy_params or ("all",),
            source=self.source,
            lines=self.lines,
            excluded_lines=self.excluded_lines,
            reference_energy=self.reference_energy,
            expected_gain=ALIGNED,
            deg=self.deg,
            threshold=self.threshold,
            quality_sigmas=self.quality_sigmas,
            copy_calibration=self.copy_calibration,
            extra_blocks=self.extra_blocks,
        )
