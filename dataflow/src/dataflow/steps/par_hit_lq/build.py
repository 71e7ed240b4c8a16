"""Late charge of the detectors of a run, or of a partition: reads dsp, hands on operations for hit."""

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
from dataflow.physics.quality import flag_of, passing, quality_columns, quality_of
from dataflow.plan.job import Job

from .partition import Events, joined
from .report import LATE_CHARGE, entry, entry_of_runs
from .result import Result
from .settings import ParameterSet, Settings
from .step import CONFIG

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

BOTH = "AoE_Double_Sided_Cut"
"""Both cuts on A/E; of several classifiers that without a suffix."""


def build(job: Job, threads: int = 1) -> None:
    """Calibrate the late charge of all detectors of a run, or of the runs of a partition together.

    Parameters
    ----------
    job
        Inputs ``dsp``, ``masks``, ``qc``, ``ecal`` and ``aoe`` (what the steps before found), outputs ``par`` and
        ``data``; ``lqcal_config`` is read for each detector.
    threads
        Worker processes over detectors.
    """
    channels = {channel.name: channel for channel in job.channels}
    settings = {name: job.config.settings(CONFIG, Settings, channel) for name, channel in channels.items()}
    runs = runs_of(job, "qc", ENERGIES, "aoe")

    def work(channel: Channel) -> Made:
        name, own = channel.name, settings[channel.name]
        return LATE_CHARGE.calibrated(channel, energies_of(runs, name), lambda: make(name, own), run=own.run_lq)

    def make(name: str, own: Settings) -> Made:
        from .figure import draw
        from .plotdata import plot_data

        used = calibrated_runs(runs, name)
        events = {run: events_in(each, name, own) for run, each in used.items()}
        widths = widths_of(energies_of(runs, name) or {}, own, name)
        found = {label: joined([sets[label] for sets in events.values()]).calibrated(widths) for label in own.sets}
        first = next(iter(found.values()))
        if job.runs:
            peaks = {label: {run: sets[label].peak() for run, sets in events.items()} for label in own.sets}
            made = entry_of_runs(found, own, peaks, {run: each.timestamp for run, each in used.items()})
        else:
            made = entry(found, own, job.key.timestamp)
        return Made(made, lambda: draw(name, job.unit.name, first), lambda: plot_data(found))

    calibrate_detectors(job, list(channels.values()), work, threads)


def events_in(run: RunData, name: str, settings: Settings) -> dict[str, Events]:
    """The events of a detector in a run, by label of the classifier; read here, by the worker that needs them.

    Raises
    ------
    WorkFailed
        If the energy or the flag that is asked for is not there.
    """
    quality, ecal, aoe = (run.pars[role].get(name) for role in ("qc", ENERGIES, "aoe"))
    flag_of(settings.cut_field, quality, asked="cut_field" in settings.model_fields_set)
    before = (operations_of(ecal or {}, settings, name), quality_of(quality), quality_of(aoe))
    operations = {each: operation for found in before for each, operation in found.items()}
    data = run.rows.read(name, wanted_columns(operations, settings))
    return events_by_set(data, run.rows.accepted[name], operations, settings)


def wanted_columns(operations: Operations, settings: Settings) -> set[str]:
    """The columns of dsp that are needed."""
    names = columns_of_events(settings, operations) | quality_columns(BOTH, operations)
    for one in settings.sets.values():
        names |= {one.lq_param, one.energy_param, one.dt_param}
    return names


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
        Of the quality cuts, the energy calibration, and A/E where there is one.
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
    return {label: each.calibrated(widths) for label, each in events.items()}


def events_by_set(data: Columns, accepted: Mask, operations: Operations, settings: Settings) -> dict[str, Events]:
    """The selected events, by label of the classifier.

    Raises
    ------
    WorkFailed
        If dsp lacks a column.
    """
    energies, good = events_of(data, accepted, operations, settings)
    both = passing(BOTH, operations, data)
    aoe = None if both is None else both[good]
    return {label: _events(data, energies, good, one, aoe) for label, one in settings.sets.items()}


def _events(data: Columns, energies: Floats, good: Mask, one: ParameterSet, aoe: Mask | None) -> Events:
    late, amplitudes, drift = (
        np.asarray(value_of(name, {}, data)[good], dtype=np.float64)
        for name in (one.lq_param, one.energy_param, one.dt_param)
    )
    return Events(energies[good], late, amplitudes, drift, aoe)
