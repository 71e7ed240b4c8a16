"""Which parameters hold: the calibrated ones, and over them what was set by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from .merge import merged_all


def parameters_that_hold(
    calibrated: Iterable[Mapping[str, Any]], overrides: Iterable[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The parameters by detector.

    Parameters
    ----------
    calibrated
        The content of the parameter files in the order in which they were made: later calibrations win.
    overrides
        The content of hand-made parameters in the order of their validity. They come last, because somebody who sets a
        value by hand knows why the calibrated one must not be used.

    Returns
    -------
    dict
        A copy, which a job may change.
    """
    return deepcopy(merged_all([*calibrated, *overrides]))
