"""A/E as the collaboration's dashboard draws it: ``aoe/<set>/spectrum_data``, ``classifier_data``, bands and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.physics.pulseshape.survival import DEP, ENERGIES, PERCENT, Survival, in_percent, sweep

from .calibrate import REFERENCE, sigma_at
from .cut import ACCEPTANCE
from .result import BandFit, Result

SPECTRUM = np.arange(700.0, 3001.0, 5.0)
MAP_ENERGIES, CLASSIFIERS = np.linspace(700, 3000, 231), np.linspace(-20, 10, 151)
WIDE = 20.0
"""Width in keV of the bins of the survival over energy."""
CUTS = np.linspace(-8.0, 2.0, 41)
"""Cuts in standard deviations for which survival is drawn."""
DRIFT_RANGES = (REFERENCE, (DEP - 10.0, DEP + 10.0), (2604.5, 2624.5))
"""Energies in keV whose A/E is drawn over the drift time."""
RATIOS = np.linspace(0.9, 1.1, 101)
DRIFT_BINS = 100
NO_CURVE = "none"
"""The cut is that of the counts: no function goes through the survival."""


def plot_data(found: Mapping[str, Result]) -> dict[str, Any]:
    """By set, the only one without a name; energies in keV, A/E relative to its mean, classifier in sigma."""
    made = {name: _of_set(result) for name, result in found.items()}
    return {"aoe": made.get("", made)}


def _of_set(result: Result) -> dict[str, Any]:
    low = result.classifier > result.cut
    both = low & (result.classifier < result.high)
    counts, *_ = np.histogram2d(result.energies, result.classifier, (MAP_ENERGIES, CLASSIFIERS))
    energies = np.array([band.energy for band in result.bands])
    mean = {"energy": energies, "mean": _column(result, "mean"), "mean_err": _column(result, "mean_error")}
    sigma = {"sigma": _column(result, "sigma"), "sigma_err": _column(result, "sigma_error")}
    ratio = 1 + result.classifier * sigma_at(result.sigma, result.energies)
    return {
        "spectrum_data": {
            "edges": SPECTRUM,
            "before": np.histogram(result.energies, SPECTRUM)[0],
            "low_cut": np.histogram(result.energies[low], SPECTRUM)[0],
            "double_cut": np.histogram(result.energies[both], SPECTRUM)[0],
            "rejected": np.histogram(result.energies[~both], SPECTRUM)[0],
        },
        "sf_v_energy_data": survival_data(result.energies, both),
        "classifier_data": {"counts": counts, "x_edges": MAP_ENERGIES, "y_edges": CLASSIFIERS},
        "plot_dt_dep_data": _over_drift_time(result, ratio) or None,
        "compt_bands_uncorrected_data": {_name(band): _histogram(band) for band in (result.time, *result.bands)},
        "compt_bands_corrected_data": {_name(band): _in_band(result.energies, ratio, band) for band in result.bands},
        "mean_fit_data": mean | sigma,
        "sigma_fit_data": mean | sigma,
        **_sweeps(result),
    }


def _sweeps(result: Result) -> dict[str, Any]:
    """Survival of lines over the cut, and of the double-escape peak by which the cut was chosen."""
    peaks = {line: curve(sweep(result.energies, result.classifier, line, result.widths, CUTS)) for line in ENERGIES}
    chosen = {"function": NO_CURVE, "pars": {}, "low_cut": result.cut, "dep_acc": ACCEPTANCE}
    return {
        "cut_fit_data": peaks[DEP] | chosen,
        "survival_fractions_data": {"low_cut": result.cut, "peaks": peaks},
    }


def curve(found: Sequence[Survival], cuts: Any = CUTS) -> dict[str, Any]:
    """Survival in percent by cut; NaN where there is nothing to count."""
    percent = [in_percent(each) for each in found]
    values = {name: np.array([each[name] for each in percent], dtype=float) for name in ("sf", "sf_err")}
    return {"cut_vals": cuts} | values


def _over_drift_time(result: Result, ratio: Any) -> dict[str, Any]:
    """A/E without its dependence on the energy over the drift time in ns, by range of energies."""
    known = np.isfinite(result.drift) & (result.drift > 0) if len(result.drift) else np.zeros(len(ratio), bool)
    if not known.any():
        return {}
    times = np.linspace(0.0, float(np.quantile(result.drift[known], 0.999)), DRIFT_BINS + 1)
    made = {}
    for low, high in DRIFT_RANGES:
        inside = known & (result.energies > low) & (result.energies < high)
        counts, *_ = np.histogram2d(ratio[inside], result.drift[inside], (RATIOS, times))
        made[f"{low:g}-{high:g} keV"] = {"counts": counts, "x_edges": RATIOS, "y_edges": times}
    return made


def _column(result: Result, name: str) -> Any:
    return np.array([getattr(band, name) for band in result.bands])


def survival_data(energies: Any, kept: Any) -> dict[str, Any]:
    """The part of the events that a cut keeps, in percent, over the energy."""
    edges = np.arange(SPECTRUM[0], SPECTRUM[-1] + WIDE, WIDE)
    before, after = (np.histogram(values, edges)[0] for values in (energies, energies[kept]))
    return {"edges": edges, "sf": PERCENT * after / np.maximum(before, 1)}


def _name(band: BandFit) -> str:
    return f"{band.low:g}_{band.high:g}"


def _histogram(band: BandFit) -> dict[str, Any]:
    return {"edges": band.edges, "counts": band.counts}


def _in_band(energies: Any, ratio: Any, band: BandFit) -> dict[str, Any]:
    inside = (energies > band.low) & (energies < band.high)
    return {"edges": RATIOS, "counts": np.histogram(ratio[inside], RATIOS)[0]}
