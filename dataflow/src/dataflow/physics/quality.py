"""Which events are good by the quality cuts of a detector, where there are any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed

from .operations import Columns, Operations, columns_below, value_of

Mask = NDArray[np.bool_]


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
