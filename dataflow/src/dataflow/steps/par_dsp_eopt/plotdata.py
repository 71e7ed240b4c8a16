"""Scans of filters as the collaboration's dashboard looks for them: ``<filter>_optimisation/data``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .result import Correction, Result
from .scan import Scan

NAMES = {"etrap": "trap"}


def plot_data(result: Result) -> dict[str, Any]:
    """Widths in keV at the reference energy by filter time in µs, and positions in keV by drift time in ns."""
    found: dict[str, Any] = {
        f"{NAMES.get(scan.filter, scan.filter)}_optimisation": {"data": _scan(scan)} for scan in result.scans
    }
    return found | {"trapping": {each.estimator: _drift(each) for each in result.corrections}}


def _scan(scan: Scan) -> dict[str, Any]:
    """The scan by our names, and by those of pygama's optimiser, whose prediction and samples it is at once.

    All times were tried: there is no acquisition function, which is 0.
    """
    return {
        "par": scan.times, "fom": scan.widths, "fom_err": scan.errors,
        "best_par": scan.best, "best_par_err": scan.error,
        "grid": scan.times, "mean": scan.widths, "std": scan.errors, "acq": np.zeros(len(scan.times)),
        "samples_x": scan.times[:, None], "samples_y": scan.widths,
        "optimal_x": np.array([scan.best]), "y_min": scan.lowest[0], "labels": {"0": f"{scan.time} [µs]"},
    }  # fmt: skip


def _drift(each: Correction) -> dict[str, Any]:
    return {
        "dt_eff": each.drift, "position": each.positions, "position_corrected": each.corrected,
        "position_err": each.errors, "line": each.line,
    }  # fmt: skip
