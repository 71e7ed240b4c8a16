"""A/E of the detectors of a run, or of a partition: reads dsp and energy calibration, hands on operations for hit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.keys.channel import Channel
from dataflow.physics.curves import Curve
from dataflow.physics.operations import Columns, Operations, value_of
from dataflow.physics.pulseshape.energies import columns_of_events, events_of, operations_of, widths_of
from dataflow.physics.pulseshape.runs import ENERGIES, RunData, calibrated_runs, energies_of, runs_of
from dataflow.physics.quality import flag_of, quality_of
from dataflow.plan.job import Job

from .partition import Events, calibrate_runs
from .report import AOE, entry, entry_of_runs
from .result import Result
from .settings import ParameterSet, Settings
from .step import CONFIGS

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

TIME = "timestamp"


def build(job: Job, threads: int = 1) -> None:
    """Calibrate A/E of all detectors of a run, or of the runs of a partition together.

    Parameters
    ----------
    job
        Inputs ``dsp``, ``masks``, ``qc`` and ``ecal`` (the quality cuts and the energy calibration), outputs ``par``
        and ``data``; ``aoecal_config``, for a partition ``par_pht_aoecal_config``, is read for each detector.
    threads
        Worker processes over detectors.
    """
    channels = {channel.name: channel for channel in job.channels}
    config = CONFIGS[job.config.rule]
    settings = {name: job.config.settings(config, Settings, channel) for name, channel in channels.items()}
    runs = runs_of(job, "qc", ENERGIES)

    def work(channel: Channel) -> Made:
        name, own = channel.name, settings[channel.name]
        return AOE.calibrated(channel, energies_of(runs, name), lambda: make(name, own), run=own.run_aoe)

    def make(name: str, own: Settings) -> Made:
        from .figure import draw
        from .plotdata import plot_data

        used = calibrated_runs(runs, name)
        events = {run: events_in(each, name, own) for run, each in used.items()}
        widths = widths_of(energies_of(runs, name) or {}, own, name)
        if job.runs:
            found = {
                label: calibrate_runs({run: sets[label] for run, sets in events.items()}, widths, one)
                for label, one in own.sets.items()
            }
            made = entry_of_runs(found, own, {run: each.timestamp for run, each in used.items()})
        else:
            (sets,) = events.values()
            found = {label: sets[label].calibrated(widths, one) for label, one in own.sets.items()}
            made = entry(found, own, job.key.timestamp)
        return Made(made, lambda: draw(name, job.unit.name, found), lambda: plot_data(found))

    calibrate_detectors(job, list(channels.values()), work, threads)


def events_in(run: RunData, name: str, settings: Settings) -> dict[str, Events]:
    """The events of a detector in a run, by label of the classifier; read here, by the worker that needs them.

    Raises
    ------
    WorkFailed
        If the energy or the flag that is asked for is not there.
    """
    quality, ecal = (run.pars[role].get(name) for role in ("qc", ENERGIES))
    flag_of(settings.cut_field, quality, asked="cut_field" in settings.model_fields_set)
    operations = {**operations_of(ecal or {}, settings, name), **quality_of(quality)}
    data = run.rows.read(name, wanted_columns(operations, settings))
    return events_by_set(data, run.rows.accepted[name], operations, settings)


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
    events = events_by_set(data, accepted, operations, settings)
    return {label: events[label].calibrated(widths, one) for label, one in settings.sets.items()}


def events_by_set(data: Columns, accepted: Mask, operations: Operations, settings: Settings) -> dict[str, Events]:
    """The selected events, by label of the classifier.

    Raises
    ------
    WorkFailed
        If dsp lacks a column.
    """
    energies, good = events_of(data, accepted, operations, settings)
    return {label: _events(data, energies, good, one) for label, one in settings.sets.items()}


def _events(data: Columns, energies: Floats, good: Mask, one: ParameterSet) -> Events:
    drift = _column(data, one.dt_param)[good] if one.dt_corr or one.dt_param in data else None
    stamps = _column(data, TIME)[good] if TIME in data else None
    current, amplitudes = _column(data, one.current_param)[good], _column(data, one.energy_param)[good]
    return Events(energies[good], current, amplitudes, drift, stamps)
