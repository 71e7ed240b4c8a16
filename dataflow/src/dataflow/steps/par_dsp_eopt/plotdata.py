"""Scans of filters as the collaboration's dashboard looks for them: ``<filter>_optimisation/data``."""

from __future__ import annotations

from typing import Any

from .result import Correction, Result


def plot_data(result: Result) -> dict[str, Any]:
    """Widths in keV at the reference energy by filter time in µs, and positions in keV by drift time in ns."""
    names = {"etrap": "trap"}
    found: dict[str, Any] = {
        f"{names.get(scan.filter, scan.filter)}_optimisation": {
            "data": {
                "par": scan.times, "fom": scan.widths, "fom_err": scan.errors,
                "best_par": scan.best, "best_par_err": scan.error,
            }
        }
        for scan in result.scans
    }  # fmt: skip
    return found | {"trapping": {each.estimator: _drift(each) for each in result.corrections}}


def _drift(each: Correction) -> dict[str, Any]:
    return {
        "dt_eff": each.drift, "position": each.positions, "position_corrected": each.corrected,
        "position_err": each.errors, "line": each.line,
    }  # fmt: skip
