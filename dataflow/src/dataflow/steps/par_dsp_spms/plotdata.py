"""The noise of a SiPM as plain data: what the figure shows of it, and that of each trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calibrate import Noise


def plot_data(noise: Noise) -> dict[str, Any]:
    """Full width at half maximum with its error, that of each trace (NaN without a quiet part), and the quiet parts."""
    return {
        "spms": {
            "baseline_curr_fwhm": noise.fwhm,
            "baseline_curr_fwhm_err": noise.error,
            "fwhm_by_trace": noise.by_trace,
            "quiet_fraction": noise.quiet,
        }
    }
