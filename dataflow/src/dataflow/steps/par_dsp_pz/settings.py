"""Settings of the decay constants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from dataflow.metadata.settings import StepSettings

_TAIL = "the whole tail is fitted, in bins"
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
    mode
        ``single`` or ``double``: how many decay constants; ``auto`` finds two where the tails show two, beyond doubt.
    offset
        How long after half of a pulse's height the fit of two begins, in microseconds.
    """

    NOT_USED_HERE: ClassVar[Mapping[str, str]] = {
        "run_tau": "the decay constant is always derived; an override sets another one",
        "wf_field": _COLUMNS,
        "wf_pz_field": _COLUMNS,
        "slope_param": _COLUMNS,
        "final_slope_param": _COLUMNS,
        "norm_param": _COLUMNS,
        "cut_parameters": "cuts on the baseline follow from the data",
        "percent_tau1_fit": _TAIL,
        "percent_tau2_fit": _TAIL,
        "offset_from_wf_max": _TAIL,
        "superpulse_bl_idx": "the baseline is that of the chain",
        "superpulse_window_width": "pulses are aligned at half of their height",
        "plot_options": "figures are always the same",
        "debug_mode": "reasons are always in the log",
    }

    n_events: int = Field(5000, ge=1)
    threshold: float = Field(0, ge=0)
    threshold_fraction: float = Field(0.2, gt=0, lt=1)
    least: int = Field(20, ge=2)
    mode: Literal["auto", "single", "double"] = "auto"
    offset: float = Field(2.0, ge=0)
