"""What the parameter file says of an energy calibration; the form is that of the published flow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from dataflow.physics import curves
from dataflow.physics.curves import Curve
from dataflow.physics.linefit import LineFit
from dataflow.physics.lines import QBB

from .build import DRIFT, trapping_factor
from .result import DetectorCalibration, EnergyCalibration
from .settings import CopySettings, Settings, SpectrumSettings

WINDOWS = {"fep": (2604.0, 2624.0), "sep": (2095.0, 2115.0), "dep": (1587.0, 1597.0)}
"""Ranges in keV in which upstream counts the 2614.5 keV line and its escape peaks."""
ENERGIES = ("mu", "sigma", "tau", "x_lo", "x_hi")
"""Parameters of a line that are energies: files hold them in the unit of the estimator."""
MODULE = "pygama.pargen.energy_cal"
"""Where the published flow has the functions of the resolution curves, by name."""


def entry(found: DetectorCalibration, settings: Settings, trapping: Mapping[str, Any]) -> dict[str, Any]:
    """What the parameter file says of a detector."""
    results = {f"{result.parameter}_cal": report(result) for result in found.results}
    monitored = {name: {"mode": spread.mode, "stdev": spread.stdev} for name, spread in found.monitored.items()}
    content: dict[str, Any] = {
        "pars": {"operations": operations(found, settings, trapping)},
        "results": {"ecal": results | {"monitoring_parameters": monitored}},
    }
    if found.failed:
        content["results"]["ecal_failed"] = dict(found.failed)
    if found.left_out:
        content["results"]["ecal_left_out"] = dict(found.left_out)
    return content | ({"warnings": found.warnings} if found.warnings else {})


def operations(found: DetectorCalibration, settings: Settings, trapping: Mapping[str, Any]) -> dict[str, Any]:
    """The expressions that hit evaluates, in order."""
    made: dict[str, Any] = {}
    if found.cut is not None:
        column, limit = found.cut
        made["is_valid_baseline"] = {"expression": f"{column} < a", "parameters": {"a": limit}}
    for result in found.results:
        plain = result.parameter.removesuffix("_ctc")
        if plain != result.parameter:
            factor = trapping_factor(trapping, plain)
            made[result.parameter] = {"expression": f"{plain} * (1 + {DRIFT} * a)", "parameters": {"a": factor}}
        expression = re.sub(r"\bx\b", result.parameter, result.curve.expression)
        made[f"{result.parameter}_cal"] = {"expression": expression, "parameters": result.curve.parameters}
    return with_copies(made, settings)


def with_copies(made: dict[str, Any], settings: SpectrumSettings) -> dict[str, Any]:
    """Operations, and after them the copied calibrations and the additional operations that the settings name."""
    copies = {
        name: _copied(made[copied.copy_param], copied)
        for name, copied in settings.copy_calibration.items()
        if copied.copy_param in made
    }
    return made | copies | settings.extra_operations


def _copied(operation: Mapping[str, Any], copied: CopySettings) -> dict[str, Any]:
    pattern = rf"\b{re.escape(copied.old_input_param)}\b"
    expression = re.sub(pattern, copied.new_input_param, operation["expression"])
    return {"expression": expression, "parameters": dict(operation["parameters"])}


def report(result: EnergyCalibration) -> dict[str, Any]:
    """The results of one estimator."""
    found: dict[str, Any] = {}
    for prefix, energies in (("total", result.before_cuts), ("pass", result.energies)):
        for name, (low, high) in WINDOWS.items():
            found[f"{prefix}_{name}"] = int(np.count_nonzero((energies > low) & (energies < high)))
    found["calibration"] = {
        "parameters": result.curve.parameters,
        "uncertainties": result.curve.errors,
        "chi_square": [result.curve.chi2, result.curve.ndf],
        "p_value": result.curve.p_value,
    }
    found["eres_linear"] = _width_report(result.resolution, result.reference_energy, "FWHMLinear")
    found["eres_quadratic"] = _width_report(result.resolution_quadratic, result.reference_energy, "FWHMQuadratic")
    found["fitted_peaks"] = [fit.line.key for fit in result.fits]
    found["pk_fits"] = {fit.line.key: _line_report(fit, result) for fit in result.fits}
    found["lines_left_out"] = {none.line.key: none.reason for none in result.left_out}
    return found


def _width_report(curve: Curve | None, energy: float, function: str) -> dict[str, Any]:
    if curve is None:
        return {}
    width, error = curves.width_at(curve, energy)
    name = "Qbb" if abs(energy - QBB) < 0.5 else "reference"
    return {
        "function": function,
        "module": MODULE,
        "expression": curve.expression,
        "parameters": curve.parameters,
        "uncertainties": curve.errors,
        "cov": curve.covariance,
        "csqr": [curve.chi2, curve.ndf],
        "p_val": curve.p_value,
        "interp_energy_in_kev": energy,
        f"{name}_fwhm_in_kev": width,
        f"{name}_fwhm_err_in_kev": error,
    }


def _line_report(fit: LineFit, result: EnergyCalibration) -> dict[str, Any]:
    """A line: parameters and position in the estimator's unit, as the published flow writes them, and in keV."""
    position = float(curves.apply(result.curve, np.array([fit.position / result.scale]))[0])
    low, high = fit.window
    return {
        "function": fit.function,
        "validity": True,
        "parameters": _uncalibrated({"x_lo": low, "x_hi": high, **fit.parameters}, result.scale),
        "uncertainties": _uncalibrated(fit.errors, result.scale),
        "range": [edge / result.scale for edge in fit.window],
        "chi_square": [fit.chi2, fit.ndf],
        "p_value": fit.p_value,
        "position": fit.position / result.scale,
        "position_uncertainty": fit.position_error / result.scale,
        "position_in_kev": position,
        "position_err_in_kev": fit.position_error * result.slope,
        "fwhm_in_kev": fit.fwhm * result.slope,
        "fwhm_err_in_kev": fit.fwhm_error * result.slope,
        "n_sig": fit.counts,
        "n_sig_err": fit.counts_error,
        **({"tail_from": list(fit.tail_from)} if fit.tail_from else {}),
    }


def _uncalibrated(values: Mapping[str, float], scale: float) -> dict[str, float]:
    return {name: value / scale if name in ENERGIES else value for name, value in values.items()}
