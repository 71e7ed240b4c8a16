"""Settings of the energy calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from dataflow.plan.settings import StepSettings

_FITS = "each line has one model, and a fit is judged by its residuals"
_FIGURES = "figures are always the same"


class Settings(StepSettings):
    """What ``ecal_config`` says.

    Attributes
    ----------
    energy_params
        Energy estimators to calibrate.
    deg
        Degree of the calibration polynomial: 0 factor, 1 with offset, 2 parabola.
    threshold
        Amplitudes up to here are left out.
    quality_sigmas
        Width of the cut on the baseline in robust standard deviations.
    excluded_lines
        Energies in keV of lines that are not used.
    """

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {
        "cal_energy_params": "a calibrated energy is called as the estimator, with _cal",
        "cut_param": "cuts follow from the data",
        "guess_offset": "the first guess is a factor",
        "tail_weight": _FITS,
        "n_events": "all events are used",
        "p_val": _FITS,
        "use_all_peaks": "all lines that stand out are used",
        "use_log_pdf": _FITS,
        "copy_calibration": "an operation of hit_config does it",
        "extra_blocks": "operations are in hit_config",
        "monitoring_parameters": "nothing of the kind is written",
        "plot_options": _FIGURES,
        "bl_plot_options": _FIGURES,
        "common_plots": _FIGURES,
        "debug_mode": "reasons are always in the log",
    }

    energy_params: tuple[str, ...] = Field(min_length=1)
    deg: int = Field(1, ge=0, le=2)
    threshold: float = Field(0, ge=0)
    quality_sigmas: float = Field(20, gt=0)
    excluded_lines: tuple[float, ...] = ()
