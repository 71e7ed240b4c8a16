"""A/E of the detectors of a run: reads dsp and the energy calibration, hands on operations for hit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.keys.channel import Channel
from dataflow.physics.curves import Curve
from dataflow.physics.dsprows import dsp_rows
from dataflow.physics.operations import Columns, Operations, value_of
from dataflow.physics.pulseshape.energies import columns_of_events, events_of, operations_of, widths_of
from dataflow.physics.quality import flag_of, quality_of
from dataflow.plan.job import Job

from .calibrate import calibrate
from .report import AOE, entry
from .result import Result
from .settings import ParameterSet, Settings

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

TIME = "timestamp"


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
        own = settings[channel.name]
        return AOE.calibrated(channel, ecal.get(channel.name), lambda: make(channel.name, own), run=own.run_aoe)

    def make(name: str, own: Settings) -> Made:
        from .figure import draw
        from .plotdata import plot_data

        flag_of(own.cut_field, quality.get(name), asked="cut_field" in own.model_fields_set)
        operations = {**operations_of(ecal[name], own, name), **quality_of(quality.get(name))}
        data = rows.read(name, wanted_columns(operations, own))
        found = calibrate_sets(data, rows.accepted[name], operations, widths_of(ecal[name], own, name), own)
        made = entry(found, own, job.key.timestamp)
        return Made(made, lambda: draw(name, str(job.key), found), lambda: plot_data(found))

    calibrate_detectors(job, list(channels.values()), work, threads)


def wanted_columns(operations: Operations, settings: Settings) -> set[str]:
    """The columns of dsp that are needed."""
    names = columns_of_events(settings, operations)
    for one in settings.sets.values():
        names |= {one.current_param, one.energy_param, one.dt_param, TIME}
    return names


def _column(data: Columns, name: str) -> Floats:
    return np.asarray(value_of(name, {}, data), dtype=np.float64)


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
    energies, good = events_of(data, accepted, operations, settings)
    return {label: _one(data, energies, good, widths, one) for label, one in settings.sets.items()}


def _one(data: Columns, energies: Floats, good: Mask, widths: Curve, one: ParameterSet) -> Result:
    drift = _column(data, one.dt_param)[good] if one.dt_corr or one.dt_param in data else None
    stamps = _column(data, TIME)[good] if TIME in data else None
    current, amplitudes = _column(data, one.current_param)[good], _column(data, one.energy_param)[good]
    return calibrate(energies[good], current, amplitudes, drift, widths, one, stamps)
