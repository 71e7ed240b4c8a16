"""Late charge of the detectors of a run: reads dsp and the calibrations before it, hands on operations for hit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.bydetector import Made, calibrate_detectors
from dataflow.keys.channel import Channel
from dataflow.physics.curves import Curve
from dataflow.physics.dsprows import dsp_rows
from dataflow.physics.operations import Columns, Operations, value_of
from dataflow.physics.pulseshape.energies import columns_of_events, events_of, operations_of, widths_of
from dataflow.physics.quality import flag_of, passing, quality_columns, quality_of
from dataflow.plan.job import Job

from .calibrate import calibrate
from .report import LATE_CHARGE, entry
from .result import Result
from .settings import ParameterSet, Settings

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

BOTH = "AoE_Double_Sided_Cut"
"""Both cuts on A/E; of several classifiers that without a suffix."""


def build(job: Job, threads: int = 1) -> None:
    """Calibrate the late charge of all detectors of a run.

    Parameters
    ----------
    job
        Inputs ``dsp``, ``masks``, ``qc``, ``ecal`` and ``aoe`` (what the steps before found), outputs ``par`` and
        ``plt``; ``lqcal_config`` is read for each detector.
    threads
        Worker processes over detectors.
    """
    channels = {channel.name: channel for channel in job.channels}
    settings = {name: job.config.settings("lqcal_config", Settings, channel) for name, channel in channels.items()}
    rows = dsp_rows(job)
    quality, ecal, aoe = (job.pars(role) for role in ("qc", "ecal", "aoe"))

    def work(channel: Channel) -> Made:
        own = settings[channel.name]
        return LATE_CHARGE.calibrated(channel, ecal.get(channel.name), lambda: make(channel.name, own), run=own.run_lq)

    def make(name: str, own: Settings) -> Made:
        from .figure import draw
        from .plotdata import plot_data

        flag_of(own.cut_field, quality.get(name), asked="cut_field" in own.model_fields_set)
        before = (operations_of(ecal[name], own, name), quality_of(quality.get(name)), quality_of(aoe.get(name)))
        operations = {each: operation for found in before for each, operation in found.items()}
        data = rows.read(name, wanted_columns(operations, own))
        found = calibrate_sets(data, rows.accepted[name], operations, widths_of(ecal[name], own, name), own)
        made, first = entry(found, own, job.key.timestamp), next(iter(found.values()))
        return Made(made, lambda: draw(name, str(job.key), first), lambda: plot_data(found))

    calibrate_detectors(job, list(channels.values()), work, threads)


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
    energies, good = events_of(data, accepted, operations, settings)
    both = passing(BOTH, operations, data)
    aoe = None if both is None else both[good]
    return {label: _one(data, energies, good, widths, one, aoe) for label, one in settings.sets.items()}


def _one(
    data: Mapping[str, NDArray[Any]], energies: Floats, good: Mask, widths: Curve, one: ParameterSet, aoe: Mask | None
) -> Result:
    late, amplitudes, drift = (
        np.asarray(value_of(name, {}, data)[good], dtype=np.float64)
        for name in (one.lq_param, one.energy_param, one.dt_param)
    )
    return calibrate(energies[good], late, amplitudes, drift, widths, aoe)
