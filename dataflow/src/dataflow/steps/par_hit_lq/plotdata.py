"""Late charge as the collaboration's dashboard draws it: ``lq/<set>/spectrum_data``, ``classifier_data`` and so on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dataflow.physics.pulseshape.survival import ENERGIES, sweep
from dataflow.steps.par_hit_aoe.plotdata import MAP_ENERGIES, SPECTRUM, curve, survival_data

from .result import DriftLine, Result

CLASSIFIERS = np.linspace(-10, 20, 151)
CUTS = np.linspace(-2.0, 8.0, 41)
"""Cuts in standard deviations for which survival is drawn."""
MAP = 50
"""Bins of the map over the drift time, in each direction."""


def plot_data(found: Mapping[str, Result]) -> dict[str, Any]:
    """By set, the only one without a name; energies in keV, classifier in standard deviations, drift times in ns."""
    made = {name: _of_set(result) for name, result in found.items()}
    return {"lq": made.get("", made)}


def _of_set(result: Result) -> dict[str, Any]:
    kept = result.classifier < result.cut
    counts, *_ = np.histogram2d(result.energies, result.classifier, (MAP_ENERGIES, CLASSIFIERS))
    return {
        "spectrum_data": {
            "edges": SPECTRUM,
            "before": np.histogram(result.energies, SPECTRUM)[0],
            "after_cut": np.histogram(result.energies[kept], SPECTRUM)[0],
            "rejected": np.histogram(result.energies[~kept], SPECTRUM)[0],
        },
        "sf_v_energy_data": survival_data(result.energies, kept),
        "classifier_data": {"counts": counts, "x_edges": MAP_ENERGIES, "y_edges": CLASSIFIERS},
        "drift_time_data": _over_drift_time(result.line),
        "cut_fit_data": {
            "edges": result.after.edges,
            "counts": result.after.on - result.after.ratio * result.after.off,
        },
        "survival_fractions_data": {
            "cut_val": result.cut,
            "peaks": {line: _below(result, line) for line in ENERGIES},
        },
    }


def _below(result: Result, line: float) -> dict[str, Any]:
    """Survival of a line over the cut, below which events are kept."""
    return curve(sweep(result.energies, -result.classifier, line, result.widths, -CUTS), CUTS)


def _over_drift_time(line: DriftLine) -> dict[str, Any]:
    """The events through which the line goes, as a map with their ranges."""
    counts, times, values = np.histogram2d(line.times, line.values, MAP)
    return {
        "counts": counts,
        "x_edges": times,
        "y_edges": values,
        "dt_range": times[[0, -1]],
        "lq_range": values[[0, -1]],
    }
