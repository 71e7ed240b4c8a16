"""Late charge as the collaboration's dashboard draws it: ``lq/<set>/spectrum_data``, ``classifier_data`` and so on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dataflow.steps.par_hit_aoe.plotdata import ENERGIES, SPECTRUM, survival_data

from .result import Result

CLASSIFIERS = np.linspace(-10, 20, 151)


def plot_data(found: Mapping[str, Result]) -> dict[str, Any]:
    """By set, the only one without a name; energies in keV, classifier in standard deviations, drift times in ns."""
    made = {name: _of_set(result) for name, result in found.items()}
    return {"lq": made.get("", made)}


def _of_set(result: Result) -> dict[str, Any]:
    kept = result.classifier < result.cut
    counts, *_ = np.histogram2d(result.energies, result.classifier, (ENERGIES, CLASSIFIERS))
    line = result.line
    return {
        "spectrum_data": {
            "edges": SPECTRUM,
            "before": np.histogram(result.energies, SPECTRUM)[0],
            "low_cut": np.histogram(result.energies[kept], SPECTRUM)[0],
            "rejected": np.histogram(result.energies[~kept], SPECTRUM)[0],
        },
        "sf_v_energy_data": survival_data(result.energies, kept),
        "classifier_data": {"counts": counts, "x_edges": ENERGIES, "y_edges": CLASSIFIERS},
        "drift_time_data": {
            "drift_time": line.times,
            "lq": line.values,
            "dt_range": np.array([line.times.min(), line.times.max()]),
            "lq_range": np.array([line.values.min(), line.values.max()]),
        },
        "cut_fit_data": {
            "edges": result.after.edges,
            "counts": result.after.on - result.after.ratio * result.after.off,
        },
    }
