"""A/E of the detectors of a run: reads dsp and the energy calibration, hands on operations for hit."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.pages import text_page
from dataflow.jobs.policy import failure_of
from dataflow.keys.channel import Channel
from dataflow.physics.curves import Curve
from dataflow.physics.dsprows import dsp_rows
from dataflow.physics.operations import columns_below, value_of
from dataflow.physics.quality import QUALITY, flag_of, passing, quality_columns, quality_of, select
from dataflow.plan.job import Job

from .calibrate import calibrate
from .report import entry, failed_entry, left_out_entry
from .result import Result
from .settings import ParameterSet, Settings
from .step import LOW_AOE

log = logging.getLogger(__name__)

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Columns = Mapping[str, NDArray[Any]]
Operations = Mapping[str, Mapping[str, Any]]

QUALITY_SIGMAS = 20.0
TIME = "timestamp"


class Calibrated(Protocol):
    """Settings that name a calibrated energy."""

    @property
    def cal_energy_param(self) -> str:
        """Its name in hit."""


def build(job: Job, threads: int = 1) -> None:
    """Calibrate A/E of all detectors of a run.

    Parameters
    ----------
    job
        Inputs ``dsp``, ``masks``, ``qc`` and ``ecal`` (what ``par_hit_qc`` and ``par_hit_ecal`` found), outputs ``par``
        and ``plt``; ``aoecal_config`` is read for each detector.
    threads
        Worker processes over detectors.
    """
    channels = {channel.name: channel for channel in job.channels}
    settings = {name: job.config.settings("aoecal_config", Settings, channel) for name, channel in channels.items()}
    rows = dsp_rows(job)
    quality, ecal = job.pars("qc"), job.pars("ecal")

    def work(channel: Channel) -> Made:
        from .figure import draw
        from .plotdata import plot_data

        name, own = channel.name, settings[channel.name]
        if not own.run_aoe:
            return Made({"results": {"aoe": {}}}, lambda: text_page(f"{name}: no A/E", "run_aoe is false"))
        if channel.lacks(LOW_AOE):
            reason = f"its status says psd.status.{LOW_AOE}: missing"
            return Made(left_out_entry(reason), lambda: text_page(f"{name}: no A/E", f"{name} has no A/E: {reason}"))
        if why := failure_of(ecal.get(name)):
            raise WorkFailed(f"{name} has no calibrated energy: {why}")
        calibrated = ecal[name]
        try:
            flag_of(own.cut_field, quality.get(name), asked="cut_field" in own.model_fields_set)
            operations = {**operations_of(calibrated, own, name), **quality_of(quality.get(name))}
            data = rows.read(name, wanted_columns(operations, own))
            found = calibrate_sets(data, rows.accepted[name], operations, widths_of(calibrated, own, name), own)
        except WorkFailed as error:
            # energies are there: the detector has not failed, and hit is whole but for the classifier
            reason = error.message
            return Made(failed_entry(reason), lambda: text_page(f"{name}: no A/E", f"{name} has no A/E: {reason}"))
        made = entry(found, own, job.key.timestamp)
        return Made(made, lambda: draw(name, str(job.key), found), lambda: plot_data(found))

    calibrate_detectors(job, list(channels.values()), work, threads)


def operations_of(calibrated: Mapping[str, Any], settings: Calibrated, name: str) -> Operations:
    """The operations of the energy calibration.

    Raises
    ------
    WorkFailed
        If it did not calibrate the energy that is asked for; the reason is given where there is one.
    """
    operations: Operations = (calibrated.get("pars") or {}).get("operations") or {}
    wanted = settings.cal_energy_param
    if wanted not in operations:
        failed = (calibrated.get("results") or {}).get("ecal_failed") or {}
        reason = failed.get(wanted.removesuffix("_cal"))
        raise WorkFailed(f"{name} has no calibrated energy {wanted}" + (f": {reason}" if reason else ""))
    return operations


def widths_of(calibrated: Mapping[str, Any], settings: Calibrated, name: str) -> Curve:
    """The resolution curve of the calibrated energy.

    Raises
    ------
    WorkFailed
        If there is none.
    """
    results = (calibrated.get("results") or {}).get("ecal") or {}
    linear = (results.get(settings.cal_energy_param) or {}).get("eres_linear") or {}
    if not linear.get("parameters"):
        raise WorkFailed(f"{name} has no resolution curve of {settings.cal_energy_param}")
    parameters, errors = linear["parameters"], linear["uncertainties"]
    return Curve(linear["expression"], parameters, errors, np.array(linear["cov"]), *linear["csqr"])


def wanted_columns(operations: Operations, settings: Settings) -> set[str]:
    """The columns of dsp that are needed."""
    names = {*QUALITY, *columns_below(settings.cal_energy_param, operations)}
    names |= quality_columns(settings.cut_field, operations)
    for one in settings.sets.values():
        names |= {one.current_param, one.energy_param, one.dt_param, TIME}
    return names


def _column(data: Columns, name: str) -> Floats:
    if name not in data:
        raise WorkFailed(f"dsp has no column {name}")
    return np.asarray(data[name], dtype=np.float64)


def calibrate_sets(
    data: Columns, accepted: Mask, operations: Operations, widths: Curve, settings: Settings
) -> dict[str, Result]:
    """Calibrate the classifiers of one detector, by label.

    Parameters
    ----------
    data
        Columns of dsp, shape (events,) each.
    accepted
        Which events may be used (no pulser), shape (events,).
    operations
        Of the energy calibration and the quality cuts.
    widths
        FWHM of lines over the energy.
    settings
        How.

    Raises
    ------
    WorkFailed
        If one cannot be calibrated.
    """
    energies = np.asarray(value_of(settings.cal_energy_param, operations, data), dtype=np.float64)
    good, _ = select(data, accepted, QUALITY_SIGMAS, passing(settings.cut_field, operations, data))
    good &= energies > settings.threshold
    return {label: _one(data, energies, good, widths, one) for label, one in settings.sets.items()}


def _one(data: Columns, energies: Floats, good: Mask, widths: Curve, one: ParameterSet) -> Result:
    drift = _column(data, one.dt_param)[good] if one.dt_corr or one.dt_param in data else None
    stamps = _column(data, TIME)[good] if TIME in data else None
    current, amplitudes = _column(data, one.current_param)[good], _column(data, one.energy_param)[good]
    return calibrate(energies[good], current, amplitudes, drift, widths, one, stamps)
