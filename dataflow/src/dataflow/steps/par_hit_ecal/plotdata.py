"""The energy calibration as the collaboration's dashboard draws it: ``ecal/<energy>/…``, ``common``.

Curves and fits are drawn from the parameter file; here are the data that they go through: spectra of what is kept, cut
and of the pulser, the fitted ranges, and how lines, pulser and baseline behave in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.figures.plotdata import COMMON
from dataflow.physics import curves
from dataflow.physics.lines import TL208
from dataflow.physics.quality import select
from dataflow.physics.selection import MAD_TO_SIGMA, robust_limits

from .build import DRIFT, Columns, Floats, Mask, corrected
from .result import DetectorCalibration, EnergyCalibration
from .settings import Settings, plain_name

TIME, BASELINE = "timestamp", "baseline"
PLOTTED = {TIME, BASELINE, DRIFT}
"""Columns that are looked at besides those that are calibrated with."""
SPECTRUM = np.arange(0.0, 3000.5, 0.5)
SURVIVAL = np.arange(0.0, 3006.0, 6.0)
STEP = 180.0
"""Seconds of an average in time; longer where a run would have more than :data:`MOST_STEPS`."""
MOST_STEPS = 500
MAP = 100
"""Bins of a map, in each direction."""
NEAR = 10.0
"""Half of the range around a line or the pulser, in keV."""
BINS_A_SIGMA = 3


@dataclass(frozen=True)
class Events:
    """The events of a detector.

    Attributes
    ----------
    times
        In seconds since 1970, shape (events,); None where dsp has none.
    good, cut, pulser
        Which of them are used, are left out by the quality cuts, and are the pulser's; shape (events,).
    """

    times: Floats | None
    good: Mask
    cut: Mask
    pulser: Mask


def plot_data(
    found: DetectorCalibration,
    data: Columns,
    accepted: Mask,
    settings: Settings,
    trapping: Mapping[str, Any],
    passes: Mask | None = None,
) -> dict[str, Any]:
    """Of all estimators of a detector; arguments as for :func:`dataflow.steps.par_hit_ecal.build.calibrate`."""
    good, _ = select(data, accepted, settings.quality_sigmas, passes)
    times = np.asarray(data[TIME], dtype=np.float64) if TIME in data else None
    events = Events(times, good, accepted & ~good, ~accepted)
    ecal: dict[str, Any] = {}
    for result in found.results:
        amplitudes = corrected(data, plain_name(result.parameter), trapping)
        ecal[f"{result.parameter}_cal"] = of_estimator(result, amplitudes, events)
    shared: dict[str, Any] = {
        name: {key: each[key] for key in ("spectrum", "2614_stability", "pulser_stability") if key in each}
        for name, each in ecal.items()
    }
    if BASELINE in data:
        own, for_all = _baselines(np.asarray(data[BASELINE], dtype=np.float64), events)
        ecal, shared = ecal | own, shared | for_all
    return {"ecal": ecal, COMMON: shared}


def of_estimator(result: EnergyCalibration, amplitudes: Floats, events: Events) -> dict[str, Any]:
    """Spectra in keV, fitted ranges in the estimator's unit, and lines and pulser in time.

    Parameters
    ----------
    result
        The calibration.
    amplitudes
        In the estimator's unit, shape (events,).
    events
        Which they are.
    """
    energies = np.where(np.isfinite(amplitudes), curves.apply(result.curve, amplitudes), -1.0)
    masks = {"counts": events.good, "cut_counts": events.cut, "pulser_counts": events.pulser}
    counts = {name: np.histogram(energies[mask], SPECTRUM)[0] for name, mask in masks.items()}
    survived, cut = (np.histogram(energies[mask], SURVIVAL)[0] for mask in (events.good, events.cut))
    fraction = np.where(survived + cut > 0, 100.0 * survived / np.maximum(survived + cut, 1), np.nan)
    found: dict[str, Any] = {
        "spectrum": {"bins": _centres(SPECTRUM), **counts},
        "survival_frac": {"bins": _centres(SURVIVAL), "sf": fraction},
        "peak_hists": {fit.line.key: _range(fit, result.scale, amplitudes[events.good]) for fit in result.fits},
    }
    lines = {"2614": (TL208, events.good), "583": (583.19, events.good)}
    if events.pulser.any():
        lines["pulser"] = (float(np.median(energies[events.pulser])), events.pulser)
    for name, (centre, mask) in lines.items():
        near = mask & (np.abs(energies - centre) < NEAR)
        if events.times is not None and near.any():
            found[f"{name}_stability"] = in_time(events.times, energies, near, "energy")
            if name != "583":
                found[f"{name}_timemap_data"] = _map(events.times[near], energies[near])
    return found


def _range(fit: Any, scale: float, amplitudes: Floats) -> dict[str, Any]:
    low, high = (edge / scale for edge in fit.window)
    bins = int(np.clip((high - low) * scale / fit.parameters["sigma"] * BINS_A_SIGMA, 40, 400))
    counts, edges = np.histogram(amplitudes, bins, (low, high))
    return {"edges": edges, "counts": counts}


def in_time(times: Floats, values: Floats, mask: Mask, name: str) -> dict[str, NDArray[Any]]:
    """Medians over :data:`STEP` seconds with their spread (standard deviation over the root of the number)."""
    edges = time_edges(times)
    place = np.searchsorted(edges, times[mask], side="right") - 1
    order = np.argsort(place, kind="stable")
    steps, begins = np.unique(place[order], return_index=True)
    found = []
    for step, own in zip(steps, np.split(values[mask][order], begins[1:]), strict=True):
        middle = float(np.median(own))
        spread = MAD_TO_SIGMA * float(np.median(np.abs(own - middle))) / np.sqrt(len(own))
        found.append((0.5 * (edges[step] + edges[min(step + 1, len(edges) - 1)]), middle, spread))
    columns = np.array(found).T
    return {"time": columns[0], name: columns[1], "spread": columns[2]}


def time_edges(times: Floats) -> Floats:
    """Steps through the times of a run, which may have gaps."""
    first, last = float(times.min()), float(times.max())
    step = max(STEP, (last - first) / MOST_STEPS)
    return first + step * np.arange(int((last - first) / step) + 2)


def _map(times: Floats, values: Floats) -> dict[str, Any]:
    limits = robust_limits(values, 10.0)
    low, high = max(float(values.min()), limits.low), min(float(values.max()), limits.high)
    ranges = ((float(times.min()), float(times.max()) + 1.0), (low, max(high, low + 1e-3)))
    counts, time, value = np.histogram2d(times, values, MAP, ranges)
    return {"counts": counts, "time_edges": time, "value_edges": value}


def _baselines(values: Floats, events: Events) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is of the detector alone, and what is kept for all together."""
    chosen = values[events.good]
    if len(chosen) == 0:
        return {}, {}
    middle = float(np.median(chosen))
    counts, edges = np.histogram(chosen - middle, np.arange(-500.0, 500.5, 1.0))
    shared: dict[str, Any] = {"baseline_spectrum": {"bins": _centres(edges), "bl_array": counts}}
    if events.times is None:
        return {}, shared
    shared["baseline_stability"] = in_time(events.times, values, events.good, "baseline")
    return {"baseline_timemap_data": _map(events.times[events.good], chosen)}, shared


def _centres(edges: Floats) -> Floats:
    return np.asarray(0.5 * (edges[1:] + edges[:-1]))
