"""Settings of the energy calibration, checked while planning; no numpy here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from dataflow.metadata.settings import StepSettings

Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(min_length=1)]


class LineSettings(StepSettings):
    """A gamma line: an entry of the table of sources, or of ``lines`` in ``ecal_config``.

    Attributes
    ----------
    energy
        In keV.
    uncertainty
        Standard uncertainty of the energy in keV.
    intensity
        Photons per 100 decays, where it is known.
    name
        The energy under which parameter files know the line, where readers expect another rounding.
    calibrates
        Whether it is used; else it is only told from its neighbours.
    tail
        Whether the peak has the tail of incomplete charge that strong lines show.
    broad
        Whether it is wider than the resolution, so that it does not belong to the resolution curve.
    below, above
        Widths of the fitted window on both sides in keV; by default they follow from the energy and the neighbours.
    """

    energy: Positive
    uncertainty: Annotated[float, Field(ge=0)] = 0.0
    intensity: Positive | None = None
    name: Positive | None = None
    calibrates: bool = True
    tail: bool = True
    broad: bool = False
    below: Positive | None = None
    above: Positive | None = None


class Nuclide(StepSettings):
    """A source in the table.

    Attributes
    ----------
    evaluation
        Where energies and intensities are from.
    reference_energy
        Where the resolution is stated, in keV; by default 2039.061 keV.
    lines
        Its lines.
    """

    evaluation: str = ""
    reference_energy: Positive | None = None
    lines: Annotated[tuple[LineSettings, ...], Field(min_length=1)]


class Sources(StepSettings):
    """Lines by nuclide: the input ``sources``."""

    model_config = ConfigDict(extra="allow")

    EXTRA: ClassVar[Any] = Nuclide

    __pydantic_extra__: dict[str, Nuclide] = Field(init=False)

    @property
    def nuclides(self) -> Mapping[str, Nuclide]:
        """By name."""
        return self.__pydantic_extra__


class CopySettings(StepSettings):
    """A calibration that is taken over for another quantity.

    Attributes
    ----------
    copy_param
        The calibrated energy whose operation is copied: ``cuspEmax_ctc_cal``.
    old_input_param
        The quantity in its expression.
    new_input_param
        What stands in its place.
    """

    copy_param: Name
    old_input_param: Name
    new_input_param: Name


UNUSED: dict[str, str] = {
    "cal_energy_params": "calibrated energies end in _cal",
    "debug_mode": "the log has a level of its own",
    "n_events": "all events are used: lines with many are fitted in bins",
    "p_val": "a bad fit is a warning, and its errors grow",
    "plot_options": "figures have one fixed form",
    "tail_weight": "a tail is there if the likelihood of strong lines asks for it",
    "use_all_peaks": "all lines are used",
    "use_log_pdf": "the fit decides",
}


class SpectrumSettings(StepSettings):
    """How the lines in a spectrum are used, be it that of a run or of a partition.

    Attributes
    ----------
    energy_params
        Energy estimators to calibrate; names that end in ``_ctc`` are corrected for charge trapping.
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
        Degree of the calibration polynomial: 0 factor, 1 with offset, 2 parabola.
    threshold
        Amplitudes up to here are left out.
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
    threshold: Annotated[float, Field(ge=0)] = 0.0
    quality_sigmas: Positive = 20.0
    copy_calibration: Mapping[str, CopySettings] = Field(default_factory=dict)
    extra_blocks: Mapping[str, Any] | tuple[Mapping[str, Any], ...] = ()

    @property
    def gains(self) -> tuple[float, float] | None:
        """Between which gains the lines are looked for, None for all."""
        return None

    @property
    def extra_operations(self) -> dict[str, Any]:
        """The operations of ``extra_blocks`` by name."""
        blocks = self.extra_blocks
        parts = blocks if isinstance(blocks, tuple) else (blocks,)
        return {name: operation for part in parts for name, operation in part.items()}

    @property
    def sources(self) -> tuple[str, ...]:
        """The nuclides."""
        return (self.source,) if isinstance(self.source, str) else self.source


class Settings(SpectrumSettings):
    """What ``ecal_config`` says.

    Attributes
    ----------
    expected_gain
        Two gains in keV per unit of the estimator between which the calibration is looked for. With it one line is
        enough; without it one line identifies nothing.
    monitoring_parameters
        Columns of dsp of which mode and standard deviation are noted.
    cut_param
        The flag of ``par_hit_qc`` that selects events; without quality cuts of a detector, those with a quiet baseline,
        a start, and no saturation are taken.
    """

    energy_params: Annotated[tuple[Name, ...], Field(min_length=1)]
    expected_gain: tuple[Positive, Positive] | None = None
    monitoring_parameters: tuple[Name, ...] = ()
    cut_param: Name = "is_valid_cal"

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = UNUSED | {
        "bl_plot_options": "figures have one fixed form",
        "common_plots": "figures have one fixed form",
        "guess_offset": "the search needs no first guess",
    }

    @property
    def gains(self) -> tuple[float, float] | None:
        """As the user expects them."""
        return self.expected_gain


def plain_name(parameter: str) -> str:
    """The column of dsp that an estimator is made of."""
    return parameter.removesuffix("_ctc")


def estimator_name(parameter: str) -> str:
    """What an estimator is called after the correction for charge trapping."""
    plain = plain_name(parameter)
    return f"{plain}_ctc" if plain != parameter or "Emax" in plain or "Eftp" in plain else plain
