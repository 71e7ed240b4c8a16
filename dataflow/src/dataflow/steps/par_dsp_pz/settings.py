"""Settings of the decay constant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from dataflow.metadata.settings import StepSettings

_ONE = "one decay constant is derived, from the slope of the tail"
_COLUMNS = "the columns of the chain that is shipped are used"


class PzSettings(StepSettings):
    """What ``tau_config`` says.

    Attributes
    ----------
    n_events
        Waveforms that are looked at, at most.
    threshold
        Least amplitude in ADC counts; 0 takes a part of the highest ones.
    threshold_fraction
        That part.
    least
        Tails below which there is no result.
    """

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {
        "run_tau": "the decay constant is always derived; an override sets another one",
        "mode": _ONE,
        "wf_field": _COLUMNS,
        "wf_pz_field": _COLUMNS,
        "slope_param": _COLUMNS,
        "final_slope_param": _COLUMNS,
        "norm_param": _COLUMNS,
        "cut_parameters": "cuts on the baseline follow from the data",
        "percent_tau1_fit": _ONE,
        "percent_tau2_fit": _ONE,
        "offset_from_wf_max": _ONE,
        "superpulse_bl_idx": _ONE,
        "superpulse_window_width": _ONE,
        "plot_options": "figures are always the same",
        "debug_mode": "reasons are always in the log",
    }

    n_events: int = Field(5000, ge=1)
    threshold: float = Field(0, ge=0)
    threshold_fraction: float = Field(0.2, gt=0, lt=1)
    least: int = Field(20, ge=2)
