"""Energy calibration: lines of 228Th found and fitted, calibration and resolution curve for each energy estimator."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.lh5files import read_many, rows_by_file
from dataflow.plan.errors import UserError
from dataflow.plan.model import Channel, Job

from . import curves
from .bydetector import Made, calibrate_detectors
from .curves import Curve
from .linefit import LineFit, fit_line
from .lines import TH228, TL208, Line
from .pulser import pulser_rows
from .scale import find_scale
from .selection import robust_limits

log = logging.getLogger(__name__)

Floats = NDArray[np.floating[Any]]
Columns = Mapping[str, NDArray[Any]]

BASELINE = "pz_bl_std"
"""Scatter of the baseline after the pole-zero correction: large where a tail bends or the baseline swings."""
DRIFT = "dt_eff"
QUALITY = (BASELINE, "n_sat_lo", "n_sat_hi", "tp_0_est")
WINDOWS = {"fep": (2604.0, 2624.0), "sep": (2095.0, 2115.0), "dep": (1587.0, 1597.0)}
"""Ranges in keV in which upstream counts the 2614.5 keV line and its escape peaks."""
PATIENCE = 4.0
"""How far from its place, in keV, the first guess may put a line."""


@dataclass(frozen=True)
class Settings:
    """What ``ecal_config`` says.

    Attributes
    ----------
    energy_params
        Energy estimators to calibrate.
    degree
        Of the calibration polynomial: 0 factor, 1 with offset, 2 parabola.
    threshold
        Amplitudes up to here are left out.
    lines
        The lines of the source.
    quality_sigmas
        Width of the cut on the baseline in robust standard deviations.
    """

    energy_params: tuple[str, ...]
    degree: int = 1
    threshold: float = 0.0
    lines: tuple[Line, ...] = TH228
    quality_sigmas: float = 20.0

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Settings:
        """From the configuration; names are upstream's.

        Raises
        ------
        UserError
            If there is no energy estimator.
        """
        if not config.get("energy_params"):
            raise UserError("ecal_config has no energy_params", hint="name the energies of dsp to calibrate")
        return cls(
            tuple(config["energy_params"]),
            int(config.get("deg", 1)),
            float(config.get("threshold", 0)),
            tuple(line for line in TH228 if line.energy not in config.get("excluded_lines", ())),
            float(config.get("quality_sigmas", 20)),
        )


@dataclass(frozen=True)
class EnergyCalibration:
    """The calibration of one energy estimator.

    Attributes
    ----------
    parameter
        Name of the estimator (uncalibrated).
    curve
        From its unit to keV.
    fits
        The fitted lines, in the guess's keV.
    scale
        The guess: keV per unit.
    resolution, resolution_quadratic
        Width curves, None where there are too few lines.
    energies
        Calibrated energies of the selected events, shape (events,), keV.
    """

    parameter: str
    curve: Curve
    fits: tuple[LineFit, ...]
    scale: float
    resolution: Curve | None
    resolution_quadratic: Curve | None
    energies: Floats = field(repr=False)

    @property
    def slope(self) -> float:
        """Factor from the fits' unit to keV."""
        return self.curve.parameters["b"] / self.scale


def build(job: Job, threads: int = 1) -> None:
    """Calibrate the energies of all detectors of a run.

    Parameters
    ----------
    job
        Inputs ``dsp``, ``tcm`` and ``par_dsp``, outputs ``par`` and ``plt``; ``ecal_config`` is read for each detector.
    threads
        Worker processes over detectors.
    """
    channels = {channel.name: channel for channel in job.channels}
    settings = {
        name: Settings.read(job.config.read("ecal_config", channel) or {}) for name, channel in channels.items()
    }
    estimators = sorted({name for one in settings.values() for name in one.energy_params})
    tables = {name: job.tables_in("dsp", channel) for name, channel in channels.items()}
    data = read_many(job.inputs["dsp"], tables, (*estimators, *QUALITY, DRIFT))
    pulsers = pulser_rows(job, rows_by_file(job.inputs["dsp"], tables))
    trapping = {name: (pars or {}).get("ctc_params") or {} for name, pars in job.pars("par_dsp").items()}

    def work(channel: Channel) -> Made:
        from dataflow.views.ecal import draw

        name = channel.name
        if len(data[name][DRIFT]) == 0:
            raise WorkFailed(f"{name} has no events in this run")
        results, limit = calibrate(data[name], ~pulsers[name], settings[name], trapping.get(name, {}))
        return Made(entry(results, limit, trapping.get(name, {})), lambda: draw(name, str(job.key), results))

    calibrate_detectors(job, list(channels.values()), work, threads)


def calibrate(
    data: Columns, accepted: NDArray[np.bool_], settings: Settings, trapping: Mapping[str, Any]
) -> tuple[list[EnergyCalibration], float]:
    """Calibrate the estimators of one detector.

    Parameters
    ----------
    data
        Columns of dsp, shape (events,) each.
    accepted
        Which events may be used (no pulser), shape (events,).
    settings
        How.
    trapping
        Charge-trapping corrections of the estimators (``ctc_params`` of the dsp parameters).

    Returns
    -------
    calibrations, limit
        One for each estimator, and the cut on the baseline that was derived.

    Raises
    ------
    WorkFailed
        If the lines are not found for any estimator.
    """
    good, limit = clean(data, accepted, settings.quality_sigmas)
    results = []
    reasons = []
    for parameter in settings.energy_params:
        try:
            results.append(
                calibrate_one(corrected(data, parameter, trapping)[good], corrected_name(parameter), settings)
            )
        except WorkFailed as error:
            reasons.append(f"{parameter}: {error.message}")
            log.warning("%s cannot be calibrated: %s", parameter, error.message)
    if not results:
        raise WorkFailed("; ".join(reasons))
    return results, limit


def calibrate_one(amplitudes: Floats, name: str, settings: Settings) -> EnergyCalibration:
    """Find and fit the lines in one spectrum, and both curves.

    Parameters
    ----------
    amplitudes
        Uncalibrated energies of selected events, shape (events,).
    name
        Name of the estimator.
    settings
        How.
    """
    amplitudes = np.asarray(amplitudes, dtype=np.float64)
    amplitudes = amplitudes[np.isfinite(amplitudes) & (amplitudes > settings.threshold)]
    scale = find_scale(amplitudes, settings.lines)
    fits = fit_lines(amplitudes * scale, settings.lines)
    positions = np.array([fit.position for fit in fits]) / scale
    errors = np.array([fit.position_error for fit in fits]) / scale
    energies = np.array([fit.line.energy for fit in fits])
    curve = curves.calibration(positions, errors, energies, settings.degree)
    slope = curve.parameters["b"] / scale
    return EnergyCalibration(
        name,
        curve,
        tuple(fits),
        scale,
        curves.resolution(fits, slope),
        curves.resolution(fits, slope, quadratic=True),
        curves.apply(curve, amplitudes),
    )


def fit_lines(energies: Floats, lines: Sequence[Line]) -> list[LineFit]:
    """Fit the lines that stand out; the strongest tells the others where to be looked for.

    Raises
    ------
    WorkFailed
        If there is none.
    """
    strongest = next((fit for line in lines if line.energy == TL208 and (fit := fit_line(energies, line))), None)
    stretch = strongest.position / TL208 - 1 if strongest else 0.0
    fits = [strongest] if strongest else []
    for line in lines:
        if line.energy == TL208:
            continue
        fit = fit_line(energies, line, shift=stretch * line.energy)
        if fit and abs(fit.position - line.energy * (1 + stretch)) < PATIENCE:
            fits.append(fit)
    if not fits:
        raise WorkFailed("no line could be fitted")
    return sorted(fits, key=lambda fit: fit.line.energy)


def clean(data: Columns, accepted: NDArray[np.bool_], sigmas: float) -> tuple[NDArray[np.bool_], float]:
    """Events with a quiet baseline, a start, and no saturation; the limit follows from the data."""
    limit = robust_limits(data[BASELINE][accepted], sigmas).high
    good = accepted & (data["n_sat_hi"] == 0) & (data["n_sat_lo"] == 0) & np.isfinite(data["tp_0_est"])
    return good & (data[BASELINE] < limit), limit


def corrected_name(parameter: str) -> str:
    """What an estimator is called after the correction for charge trapping."""
    return f"{parameter}_ctc" if "Emax" in parameter or "Eftp" in parameter else parameter


def corrected(data: Columns, parameter: str, trapping: Mapping[str, Any]) -> Floats:
    """An estimator times (1 + a · effective drift time), with the factor that dsp's parameters give, 0 without."""
    values = np.asarray(data[parameter], dtype=np.float64)
    factor = trapping_factor(trapping, parameter)
    return values * (1 + factor * np.nan_to_num(data[DRIFT])) if factor else values


def trapping_factor(trapping: Mapping[str, Any], parameter: str) -> float:
    """The correction's factor a, per ns."""
    return float((trapping.get(f"{parameter}_ctc") or {}).get("parameters", {}).get("a", 0))


def entry(results: Sequence[EnergyCalibration], limit: float, trapping: Mapping[str, Any]) -> dict[str, Any]:
    """What the parameter file says of a detector; the form is upstream's."""
    operations: dict[str, Any] = {
        "is_valid_baseline": {
            "expression": f"{BASELINE} < a",
            "parameters": {"a": limit},
        }
    }
    for result in results:
        plain = result.parameter.removesuffix("_ctc")
        if plain != result.parameter:
            factor = trapping_factor(trapping, plain)
            operations[result.parameter] = {"expression": f"{plain} * (1 + {DRIFT} * a)", "parameters": {"a": factor}}
        expression = result.curve.expression.replace("x", result.parameter)
        operations[f"{result.parameter}_cal"] = {"expression": expression, "parameters": result.curve.parameters}
    found = {f"{result.parameter}_cal": report(result) for result in results}
    return {"pars": {"operations": operations}, "results": {"ecal": found}}


def report(result: EnergyCalibration) -> dict[str, Any]:
    """The results of one estimator in upstream's form."""
    found: dict[str, Any] = {}
    for name, (low, high) in WINDOWS.items():
        found[f"total_{name}"] = int(np.count_nonzero((result.energies > low) & (result.energies < high)))
    found["calibration"] = {
        "parameters": result.curve.parameters,
        "uncertainties": result.curve.errors,
        "chi_square": [result.curve.chi2, result.curve.ndf],
    }
    found["eres_linear"] = _width_report(result.resolution)
    found["eres_quadratic"] = _width_report(result.resolution_quadratic)
    found["fitted_peaks"] = [fit.line.energy for fit in result.fits]
    found["pk_fits"] = {fit.line.energy: _line_report(fit, result) for fit in result.fits}
    return found


def _width_report(curve: Curve | None) -> dict[str, Any]:
    if curve is None:
        return {}
    width, error = curves.width_at(curve, curves.QBB)
    return {
        "expression": curve.expression,
        "parameters": curve.parameters,
        "uncertainties": curve.errors,
        "cov": curve.covariance,
        "csqr": [curve.chi2, curve.ndf],
        "interp_energy_in_kev": {"Qbb": curves.QBB},
        "Qbb_fwhm_in_kev": width,
        "Qbb_fwhm_err_in_kev": error,
    }


def _line_report(fit: LineFit, result: EnergyCalibration) -> dict[str, Any]:
    position = float(curves.apply(result.curve, np.array([fit.position / result.scale]))[0])
    return {
        "function": fit.function,
        "parameters": dict(fit.parameters),
        "uncertainties": dict(fit.errors),
        "range": list(fit.window),
        "position": position,
        "position_uncertainty": fit.position_error * result.slope,
        "position_uncalibrated": fit.position / result.scale,
        "position_uncalibrated_uncertainty": fit.position_error / result.scale,
        "fwhm_in_kev": fit.fwhm * result.slope,
        "fwhm_err_in_kev": fit.fwhm_error * result.slope,
        "n_sig": fit.counts,
        "n_sig_err": fit.counts_error,
    }
