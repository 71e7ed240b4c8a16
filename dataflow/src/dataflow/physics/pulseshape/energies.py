"""The calibrated energies of the events from which pulse-shape classifiers follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.curves import Curve
from dataflow.physics.operations import Columns, Operations, columns_below, value_of
from dataflow.physics.quality import QUALITY, Mask, passing, quality_columns, select

from .settings import EventSettings

Floats = NDArray[np.floating[Any]]

QUALITY_SIGMAS = 20.0
"""Width of the cut on the baseline, where there are no quality cuts, in robust standard deviations."""


def operations_of(calibrated: Mapping[str, Any], settings: EventSettings, name: str) -> Operations:
    """The operations of the energy calibration.

    Raises
    ------
    WorkFailed
        If it did not calibrate the energy that is asked for; the reason is given where there is one.
    """
    operations: Operations = (calibrated.get("pars") or {}).get("operations") or {}
    wanted = settings.cal_energy_param
    if wanted not in operations:
        results = calibrated.get("results") or {}
        failed = results.get("partition_ecal_failed") or results.get("ecal_failed") or {}
        reason = failed.get(wanted.removesuffix("_cal"))
        raise WorkFailed(f"{name} has no calibrated energy {wanted}" + (f": {reason}" if reason else ""))
    return operations


def widths_of(calibrated: Mapping[str, Any], settings: EventSettings, name: str) -> Curve:
    """The resolution curve of the calibrated energy, in a partition that of all its runs.

    Raises
    ------
    WorkFailed
        If there is none.
    """
    found = calibrated.get("results") or {}
    results = found.get("partition_ecal") or found.get("ecal") or {}
    linear = (results.get(settings.cal_energy_param) or {}).get("eres_linear") or {}
    if not linear.get("parameters"):
        raise WorkFailed(f"{name} has no resolution curve of {settings.cal_energy_param}")
    parameters, errors = linear["parameters"], linear["uncertainties"]
    return Curve(linear["expression"], parameters, errors, np.array(linear["cov"]), *linear["csqr"])


def columns_of_events(settings: EventSettings, operations: Operations) -> set[str]:
    """The columns of dsp that :func:`events_of` needs."""
    names = {*QUALITY, *columns_below(settings.cal_energy_param, operations)}
    return names | quality_columns(settings.cut_field, operations)


def events_of(data: Columns, accepted: Mask, operations: Operations, settings: EventSettings) -> tuple[Floats, Mask]:
    """Calibrated energies in keV, and which events are good and above the threshold; shape (events,).

    Parameters
    ----------
    data
        Columns of dsp, shape (events,) each.
    accepted
        Which events may be used (no pulser), shape (events,).
    operations
        Of the energy calibration and the quality cuts.
    settings
        Which energy, flag and threshold.

    Raises
    ------
    WorkFailed
        If dsp lacks a column.
    """
    energies = np.asarray(value_of(settings.cal_energy_param, operations, data), dtype=np.float64)
    good, _ = select(data, accepted, QUALITY_SIGMAS, passing(settings.cut_field, operations, data))
    return energies, good & (energies > settings.threshold)
