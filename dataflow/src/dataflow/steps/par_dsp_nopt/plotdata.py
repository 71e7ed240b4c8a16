"""Noise scans as the collaboration's dashboard draws them: ``noise_optimisation/nopt/<filter>`` and ``…/fft``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .result import Result, Scan


def plot_data(result: Result) -> dict[str, Any]:
    """Noise in ADC counts by filter time in µs, and the power spectrum in ADC²/MHz."""
    scans = {scan.filter: {"optimization_data": _scan(scan)} for scan in result.scans}
    return {"noise_optimisation": {"nopt": scans | {"fft": {"frequency": result.frequency, "psd": result.density}}}}


def _scan(scan: Scan) -> dict[str, Any]:
    grid = np.linspace(scan.times[0], scan.times[-1], 10 * len(scan.times))
    return {
        "par": scan.times, "fom": scan.noises, "fom_err": scan.errors,
        "spline_x": grid, "spline_y": np.interp(grid, scan.times, scan.noises),
        "best_par": scan.best, "best_par_err": scan.error, "best_val": scan.noise,
    }  # fmt: skip
