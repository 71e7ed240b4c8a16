"""A/E as the collaboration's dashboard draws it: ``aoe/<set>/spectrum_data``, ``classifier_data``, bands and curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .result import BandFit, Result

SPECTRUM = np.arange(700.0, 3001.0, 5.0)
ENERGIES, CLASSIFIERS = np.linspace(700, 3000, 231), np.linspace(-20, 10, 151)
WIDE = 20.0
"""Width in keV of the bins of the survival over energy."""


def plot_data(found: Mapping[str, Result]) -> dict[str, Any]:
    """By set, the only one without a name; energies in keV, A/E relative to its mean, classifier in sigma."""
    made = {name: _of_set(result) for name, result in found.items()}
    return {"aoe": made.get("", made)}


def _of_set(result: Result) -> dict[str, Any]:
    low = result.classifier > result.cut
    both = low & (result.classifier < result.high)
    counts, *_ = np.histogram2d(result.energies, result.classifier, (ENERGIES, CLASSIFIERS))
    energies = np.array([band.energy for band in result.bands])
    mean = {"energy": energies, "mean": _column(result, "mean"), "mean_err": _column(result, "mean_error")}
    sigma = {"sigma": _column(result, "sigma"), "sigma_err": _column(result, "sigma_error")}
    return {
        "spectrum_data": {
            "edges": SPECTRUM,
            "before": np.histogram(result.energies, SPECTRUM)[0],
            "low_cut": np.histogram(result.energies[low], SPECTRUM)[0],
            "double_cut": np.histogram(result.energies[both], SPECTRUM)[0],
            "rejected": np.histogram(result.energies[~both], SPECTRUM)[0],
        },
        "sf_v_energy_data": survival_data(result.energies, both),
        "classifier_data": {"counts": counts, "x_edges": ENERGIES, "y_edges": CLASSIFIERS},
        "compt_bands_uncorrected_data": {_name(band): _histogram(band) for band in (result.time, *result.bands)},
        "mean_fit_data": mean | sigma,
        "sigma_fit_data": mean | sigma,
    }


def _column(result: Result, name: str) -> Any:
    return np.array([getattr(band, name) for band in result.bands])


def survival_data(energies: Any, kept: Any) -> dict[str, Any]:
    """The part of the events that a cut keeps, in percent, over the energy."""
    edges = np.arange(SPECTRUM[0], SPECTRUM[-1] + WIDE, WIDE)
    before, after = (np.histogram(values, edges)[0] for values in (energies, energies[kept]))
    return {"edges": edges, "sf": 100.0 * after / np.maximum(before, 1)}


def _name(band: BandFit) -> str:
    return f"{band.low:g}_{band.high:g}"


def _histogram(band: BandFit) -> dict[str, Any]:
    return {"edges": band.edges, "counts": band.counts}
