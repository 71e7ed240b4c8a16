"""What the collaboration's dashboard takes of the data of figures, by section: the names it looks up without asking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAP = {"counts", "x_edges", "y_edges"}
HISTOGRAM = {"edges", "counts"}
BANDS = {"energy", "mean", "mean_err", "sigma", "sigma_err"}
SWEEP = {"cut_vals", "sf", "sf_err"}
TIMES = {"counts", "time_edges", "value_edges"}
TAKEN: Mapping[str, Mapping[str, set[str]]] = {
    "ecal": {
        "spectrum": {"bins", "counts", "cut_counts", "pulser_counts"},
        "survival_frac": {"bins", "sf"},
        "2614_stability": {"time", "energy", "spread"},
        "583_stability": {"time", "energy", "spread"},
        "2614_timemap_data": TIMES,
        "peak_hists/*": HISTOGRAM,
    },
    "aoe": {
        "spectrum_data": {"edges", "before", "low_cut", "double_cut", "rejected"},
        "sf_v_energy_data": {"edges", "sf"},
        "classifier_data": MAP,
        "plot_dt_dep_data/*": MAP,
        "compt_bands_uncorrected_data/*": HISTOGRAM,
        "compt_bands_corrected_data/*": HISTOGRAM,
        "mean_fit_data": BANDS,
        "sigma_fit_data": BANDS,
        "cut_fit_data": {*SWEEP, "function", "pars", "low_cut", "dep_acc"},
        "survival_fractions_data": {"low_cut", "peaks"},
        "survival_fractions_data/peaks/*": SWEEP,
    },
    "lq": {
        "spectrum_data": {"edges", "before", "after_cut", "rejected"},
        "sf_v_energy_data": {"edges", "sf"},
        "classifier_data": MAP,
        "cut_fit_data": HISTOGRAM,
        "drift_time_data": {*MAP, "dt_range", "lq_range"},
        "survival_fractions_data": {"cut_val", "peaks"},
        "survival_fractions_data/peaks/*": SWEEP,
    },
    "qc": {"*": {"edges", "counts", "cuts", "xlabel"}},
    "pz": {"slope_data": {"edges", "counts", "mode", "inset"}, "waveforms_data": {"waveforms", "samples"}},
    "optimisation": {
        "data": {"grid", "mean", "std", "acq", "samples_x", "samples_y", "optimal_x", "y_min", "labels"},
    },
    "nopt": {
        "*/optimization_data": {
            *("par", "fom", "fom_err", "spline_x", "spline_y", "best_val", "best_par", "best_par_err"),
        },
        "fft": {"frequency", "psd"},
    },
    "dplms": {"": {"coefficients"}},
}
"""``*`` stands for each of what there is, at least one."""


def absent(section: str, node: Mapping[str, Any]) -> list[str]:
    """What the dashboard would not find in a section of a detector, an open group or the mappings that make one."""
    found = []
    for place, names in TAKEN[section].items():
        groups = _at(node, [part for part in place.split("/") if part], section)
        found += [f"{where}/{name}" for where, group in groups.items() for name in sorted(names - set(group))]
        found += [] if groups else [f"{section}/{place}"]
    return found


def _at(node: Mapping[str, Any], parts: list[str], where: str) -> dict[str, Mapping[str, Any]]:
    if not parts:
        return {where: node}
    first, rest = parts[0], parts[1:]
    names = [name for name in node if hasattr(node[name], "keys")] if first == "*" else [first] * (first in node)
    found: dict[str, Mapping[str, Any]] = {}
    for name in names:
        found |= _at(node[name], rest, f"{where}/{name}")
    return found
