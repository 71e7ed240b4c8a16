"""Which events are good: by the quality cuts of a detector; without such cuts by baseline, start and saturation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed

from .operations import Columns, Operations, columns_below, value_of
from .selection import robust_limits

Mask = NDArray[np.bool_]

BASELINES = ("pz_bl_std", "bl_std")
"""Scatter of the baseline, after the pole-zero correction where there is one: large where a tail bends or it swings."""
SATURATED = ("n_sat_lo", "n_sat_hi")
START = "tp_0_est"
QUALITY = (*BASELINES, *SATURATED, START)


def quality_of(found: Mapping[str, Any] | None) -> Operations:
    """The operations of the quality cuts that ``par_hit_qc`` found for a detector; empty where it failed."""
    operations: Operations = ((found or {}).get("pars") or {}).get("operations") or {}
    return operations


def flag_of(flag: str, found: Mapping[str, Any] | None, *, asked: bool) -> str:
    """The flag by which events are selected; empty where the quality cuts of a detector could not be derived.

    Parameters
    ----------
    flag
        As it is configured.
    found
        What ``par_hit_qc`` says of the detector.
    asked
        Whether the configuration names it, instead of the default.

    Raises
    ------
    WorkFailed
        If it was asked for, and the quality cuts are there without it.
    """
    operations = quality_of(found)
    left_out = ((found or {}).get("results") or {}).get("qc_left_out") or {}
    if flag not in operations and operations and asked and flag not in left_out:
        raise WorkFailed(f"the quality cuts have no flag {flag}: they have {', '.join(operations)}")
    return flag if flag in operations else ""


def quality_columns(flag: str, operations: Operations) -> set[str]:
    """The columns of dsp that a flag needs; none if there is no such flag."""
    return set(columns_below(flag, operations)) if flag in operations else set()


def passing(flag: str, operations: Operations, data: Columns) -> Mask | None:
    """Events for which a flag is true, shape (events,); None where the quality cuts do not have it.

    Raises
    ------
    WorkFailed
        If dsp lacks a column.
    """
    return value_of(flag, operations, data).astype(bool) if flag in operations else None


def select(data: Columns, accepted: Mask, sigmas: float, passes: Mask | None) -> tuple[Mask, tuple[str, float] | None]:
    """Events that the quality cuts leave, or without such cuts those of :func:`clean`."""
    return clean(data, accepted, sigmas) if passes is None else (accepted & passes, None)


def clean(data: Columns, accepted: Mask, sigmas: float) -> tuple[Mask, tuple[str, float] | None]:
    """Events with a quiet baseline, a start, and no saturation, as far as dsp has these columns.

    Returns
    -------
    good, cut
        Shape (events,); column and upper limit of the cut on the baseline, which follows from the data.
    """
    good = accepted.copy()
    for name in SATURATED:
        good &= data[name] == 0 if name in data else True
    good &= np.isfinite(data[START]) if START in data else True
    column = next((name for name in BASELINES if name in data), None)
    if column is None:
        return good, None
    limit = robust_limits(data[column][accepted], sigmas).high
    return good & (data[column] < limit), (column, limit)
