"""Energy calibration: lines of a source, calibration curve and resolution curve for each energy estimator."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dataflow.base.messages import grouped
from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.policy import failure_of
from dataflow.keys.channel import Channel
from dataflow.physics import curves, densities
from dataflow.physics.dsprows import dsp_rows
from dataflow.physics.linefit import NoLine
from dataflow.physics.lines import Source
from dataflow.physics.lineset import fit_lines
from dataflow.physics.quality import QUALITY, flag_of, passing, quality_columns, quality_of, select
from dataflow.physics.scale import find_scale
from dataflow.physics.selection import spread_of
from dataflow.plan.job import Job

from .result import DetectorCalibration, EnergyCalibration
from .settings import Settings, SpectrumSettings, estimator_name, plain_name
from .source import calibration_of

log = logging.getLogger(__name__)

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Columns = Mapping[str, NDArray[Any]]
Found = TypeVar("Found")

DRIFT = "dt_eff"
DPLMS = "dplmsEmax"
"""The estimator that needs a filter of its own."""


def build(job: Job, threads: int = 1) -> None:
    """Calibrate the energies of all detectors of a run.

    Parameters
    ----------
    job
        Inputs ``dsp``, ``masks``, ``par_dsp`` and ``qc`` (what ``par_hit_qc`` found), outputs ``par`` and ``data``;
        ``ecal_config`` and ``sources`` are read for each detector.
    threads
        Worker processes over detectors.
    """
    from .report import entry

    densities.load()
    channels = {channel.name: channel for channel in job.channels}
    settings = {name: calibration_of(job.config, channel) for name, channel in channels.items()}
    rows = dsp_rows(job)
    of_dsp = job.pars("par_dsp")
    trapping = {name: (pars or {}).get("ctc_params") or {} for name, pars in of_dsp.items()}

    quality = job.pars("qc")

    def work(channel: Channel) -> Made:
        from .figure import draw
        from .plotdata import PLOTTED, plot_data

        name, corrections = channel.name, trapping.get(channel.name, {})
        if rows.counts[name] == 0:
            raise WorkFailed(f"{name} has no events in this run")
        own, source = settings[name]
        cuts = quality_of(quality.get(name))
        flag = flag_of(own.cut_param, quality.get(name), asked="cut_param" in own.model_fields_set)
        data = rows.read(name, wanted_columns(own) | PLOTTED | quality_columns(flag, cuts))
        accepted, passes = rows.accepted[name], passing(flag, cuts, data)
        result = calibrate(data, accepted, own, source, corrections, not_made(of_dsp.get(name)), passes)
        return Made(
            entry(result, own, corrections),
            lambda: draw(name, str(job.key), result),
            lambda: plot_data(result, data, accepted, own, corrections, passes),
        )

    calibrate_detectors(job, list(channels.values()), work, threads)


def not_made(pars: Mapping[str, Any] | None) -> dict[str, str]:
    """The estimators of which dsp has no values because a filter has not been made, and why."""
    found = (pars or {}).get("dplms") or {}
    reason = found.get("not_made") or failure_of(pars)
    return {DPLMS: str(reason)} if reason and "coefficients" not in found else {}


def wanted_columns(settings: Settings) -> set[str]:
    """The columns of dsp that a detector's calibration looks for."""
    return {*map(plain_name, settings.energy_params), *QUALITY, DRIFT, *settings.monitoring_parameters}


def calibrate(
    data: Columns,
    accepted: Mask,
    settings: Settings,
    source: Source,
    trapping: Mapping[str, Any],
    without: Mapping[str, str] = MappingProxyType({}),
    passes: Mask | None = None,
) -> DetectorCalibration:
    """Calibrate the estimators of one detector.

    Parameters
    ----------
    data
        Columns of dsp, shape (events,) each.
    accepted
        Which events may be used (no pulser), shape (events,).
    settings
        How.
    source
        With which lines.
    trapping
        Charge-trapping corrections of the estimators (``ctc_params`` of the dsp parameters).
    without
        Estimators that dsp cannot have, and why: they are left out without a warning.
    passes
        Which events the quality cuts leave, shape (events,); None without such cuts.

    Raises
    ------
    WorkFailed
        If no estimator can be calibrated.
    """
    good, cut = select(data, accepted, settings.quality_sigmas, passes)

    def one(name: str) -> EnergyCalibration:
        amplitudes = corrected(data, plain_name(name), trapping)
        return calibrate_one(amplitudes[accepted], name, settings, source, good[accepted])

    names = list(map(estimator_name, settings.energy_params))
    left_out = {name: why for name in names if (why := _why_left_out(plain_name(name), data, without))}
    if len(left_out) == len(names):
        raise WorkFailed(grouped(left_out))
    results, failed = each_estimator([name for name in names if name not in left_out], one)
    monitored = {name: spread_of(data[name][accepted]) for name in settings.monitoring_parameters if name in data}
    absent = tuple(name for name in settings.monitoring_parameters if name not in data)
    return DetectorCalibration(results, failed, cut, monitored, absent, left_out)


def _why_left_out(parameter: str, data: Columns, without: Mapping[str, str]) -> str:
    """Why an estimator is left out though nothing is wrong; empty if it is not."""
    if parameter == DPLMS and DPLMS not in data:
        return f"dsp has no column {DPLMS}"
    return without.get(parameter, "")


def each_estimator(names: Iterable[str], one: Callable[[str], Found]) -> tuple[tuple[Found, ...], dict[str, str]]:
    """Calibrate estimators, each for itself; returns what was found, and why others cannot be calibrated.

    Raises
    ------
    WorkFailed
        If none can be.
    """
    results, failed = [], {}
    for name in names:
        try:
            results.append(one(name))
        except WorkFailed as error:
            failed[name] = error.message
            log.warning("%s cannot be calibrated: %s", name, error.message)
    if not results:
        raise WorkFailed(grouped(failed))
    return tuple(results), failed


def calibrate_one(
    amplitudes: Floats, name: str, settings: SpectrumSettings, source: Source, selected: Mask | None = None
) -> EnergyCalibration:
    """Find and fit the lines in one spectrum, and both curves.

    Parameters
    ----------
    amplitudes
        Uncalibrated energies, shape (events,).
    name
        Name of the estimator.
    settings
        How.
    source
        With which lines.
    selected
        Which events are good, shape (events,); None for all.

    Raises
    ------
    WorkFailed
        If the lines do not stand out, or do not identify anything.
    """
    amplitudes = np.asarray(amplitudes, dtype=np.float64)
    usable = np.isfinite(amplitudes) & (amplitudes > settings.threshold)
    kept = amplitudes[usable if selected is None else usable & selected]
    if len(kept) == 0:
        raise WorkFailed(f"none of {len(amplitudes)} events has an amplitude above {settings.threshold:g}")
    scale = find_scale(kept, source.lines, settings.gains)
    return calibrate_at(scale, kept, amplitudes[usable], name, settings, source)


def calibrate_at(
    scale: float, kept: Floats, usable: Floats, name: str, settings: SpectrumSettings, source: Source
) -> EnergyCalibration:
    """Fit the lines in one spectrum of which the scale is known, and both curves.

    Parameters
    ----------
    scale
        keV per unit, good to about a line's width.
    kept
        Uncalibrated energies of the selected events, shape (events,).
    usable
        Those of all events without the pulser, shape (events,).
    name
        Name of the estimator.
    settings
        How.
    source
        With which lines.

    Raises
    ------
    WorkFailed
        If no line can be fitted, or just one where no gain is expected.
    """
    fits, left_out = fit_lines(kept * scale, source.lines)
    if len(fits) < 2 and not settings.gains:
        raise WorkFailed(
            f"only the line of {fits[0].line.energy:g} keV can be fitted, and one line identifies nothing "
            f"({_reasons(left_out)})"
        )
    positions = np.array([fit.position for fit in fits]) / scale
    errors = np.array([np.hypot(fit.position_error, fit.line.uncertainty) for fit in fits]) / scale
    curve = curves.calibration(positions, errors, np.array([fit.line.energy for fit in fits]), settings.deg)
    slope = curve.parameters["b"] / scale
    return EnergyCalibration(
        name,
        curve,
        tuple(fits),
        scale,
        curves.resolution(fits, slope),
        curves.resolution(fits, slope, quadratic=True),
        curves.apply(curve, kept),
        tuple(left_out),
        source.reference_energy,
        curves.apply(curve, usable),
    )


def _reasons(left_out: Sequence[NoLine]) -> str:
    return "; ".join(f"{none.line.energy:g} keV: {none.reason}" for none in left_out)


def corrected(data: Columns, parameter: str, trapping: Mapping[str, Any]) -> Floats:
    """An estimator times (1 + a · effective drift time), with the factor that dsp's parameters give, 0 without.

    Raises
    ------
    WorkFailed
        If dsp does not have it.
    """
    factor = trapping_factor(trapping, parameter)
    for column in (parameter, DRIFT) if factor else (parameter,):
        if column not in data:
            raise WorkFailed(f"dsp has no column {column}")
    values = np.asarray(data[parameter], dtype=np.float64)
    return values * (1 + factor * np.nan_to_num(data[DRIFT])) if factor else values


def trapping_factor(trapping: Mapping[str, Any], parameter: str) -> float:
    """The correction's factor a, per ns."""
    return float((trapping.get(f"{parameter}_ctc") or {}).get("parameters", {}).get("a", 0))
