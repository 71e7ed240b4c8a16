"""What a run's files hold, counted from the truth: triggers and lines of each germanium detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from gebox.experiment import Experiment
from gebox.experiment.model import DaqFile, Detector
from gebox.metadata.datasets import ignored
from gebox.physics.decays import COMPARED
from gebox.truth import TABLE, Kind, file_path

Values = NDArray[Any]

CLEAN = (Kind.SINGLE, Kind.MULTI)
"""Hits that end up in a peak."""
COLUMNS = ("rawid", "kind", "energy", "charge", "drift_time", "current")
TL208, DEP = 2614.511, 1592.511
SURVIVAL = (DEP, 1620.5, TL208)
"""Lines of 228Th, in keV, of which it is told what a cut on the true A/E leaves."""
QBB, HALF_QBB = 2039.061, 35.0
"""The same for a range without lines."""
ACCEPTANCE = 0.9
"""What the cut leaves of the double-escape peak."""
LEAST_DEP = 10
"""Hits of the double-escape peak below which no cut follows from it."""


def vectors(table: h5py.Group, name: str) -> NDArray[Any]:
    """All values of a vector column, one after another."""
    return np.asarray(table[name]["flattened_data"][:])


def lengths(table: h5py.Group, name: str) -> NDArray[np.int64]:
    """How many values each event has in a vector column."""
    ends = table[name]["cumulative_length"][:].astype(np.int64)
    return np.asarray(np.diff(ends, prepend=0), np.int64)


def summarise(experiment: Experiment, truth: Path, files: list[DaqFile]) -> dict[str, Any]:
    """Counts and widths by detector over the calibration files of a run that have been written and are not ignored."""
    left_out = {key for keys in ignored(experiment).values() for key in keys}
    paths = [file_path(truth, file) for file in files if file.datatype == "cal" and file.key not in left_out]
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in COLUMNS}
    for path in paths:
        if path.is_file():
            with h5py.File(path, "r") as file:
                for name, found in columns.items():
                    found.append(vectors(file[TABLE], f"hit_{name}"))
    if not columns["rawid"]:
        return {}
    joined = {name: np.concatenate(found) for name, found in columns.items()}
    lines = COMPARED[experiment.source]
    return {detector.name: _detector(detector, joined, lines) for detector in experiment.layout.detectors}


def survival(kind: Values, energy: Values, charge: Values, current: Values) -> dict[float, dict[str, float]]:
    """What a cut on the true A/E, the highest current per charge, leaves at 90 % of the double-escape peak.

    Parameters
    ----------
    kind, energy, charge, current
        Of the hits of a detector, shape (hits,), as in the truth; energies in keV.

    Returns
    -------
    dict
        By energy in keV ``counts``, ``sf`` and ``sf_err`` in percent; the error is that of the counts and of the cut.
        Empty where the peak has fewer than :data:`LEAST_DEP` hits.
    """
    clean = np.isin(kind, CLEAN)
    masks = {line: clean & (np.abs(energy - line) < 0.01) for line in SURVIVAL}
    masks[QBB] = (clean | (kind == Kind.SURFACE)) & (np.abs(charge - QBB) < HALF_QBB)
    reference = current[masks[DEP]]
    if len(reference) < LEAST_DEP:
        return {}
    cut_error = np.sqrt(ACCEPTANCE * (1 - ACCEPTANCE) / len(reference))
    parts = 1 - ACCEPTANCE + np.array([0.0, -cut_error, cut_error])
    cut, low, high = np.quantile(reference, np.clip(parts, 0, 1))
    return {line: _survived(current[mask], cut, low, high) for line, mask in masks.items() if mask.any()}


def _survived(current: Values, cut: float, low: float, high: float) -> dict[str, float]:
    kept, most, least = (float(np.mean(current >= each)) for each in (cut, low, high))
    counted = np.sqrt(max(kept * (1 - kept), 1 / len(current)) / len(current))
    error = float(np.hypot(counted, (most - least) / 2))
    return {"counts": len(current), "sf": 100 * kept, "sf_err": 100 * error}


def without_trapping(charge: Values, drift: Values) -> float | None:
    """FWHM of charges whose linear dependence on the drift time is taken out, shape (hits,) each; None for few."""
    if len(charge) < 4:
        return None
    slope, offset = np.polyfit(drift - drift.mean(), charge, 1)
    rest = charge - offset - slope * (drift - drift.mean())
    return float(np.sqrt(8 * np.log(2) * np.sum(rest**2) / (len(rest) - 2)))


def _detector(detector: Detector, columns: dict[str, NDArray[Any]], lines: tuple[float, ...]) -> dict[str, Any]:
    mine = columns["rawid"] == detector.address.rawid
    kind = columns["kind"][mine]
    entry: dict[str, Any] = {
        "traces": int(mine.sum()),
        "pulser": int((kind == Kind.PULSER).sum()),
        "forced": int((kind == Kind.FORCED).sum()),
    }
    clean = np.isin(kind, CLEAN)
    for line in lines:
        peak = clean & (np.abs(columns["energy"][mine] - line) < 0.01)
        charges, drifts = (columns[name][mine][peak].astype(float) for name in ("charge", "drift_time"))
        width = float(np.sqrt(8 * np.log(2)) * charges.std(ddof=1)) if len(charges) > 2 else None
        corrected = without_trapping(charges, drifts)
        counts = {"counts": int(peak.sum()), "charge_fwhm": width, "charge_fwhm_corrected": corrected}
        entry[f"line_{int(line)}"] = counts
    if TL208 in lines:
        entry["survival"] = survival(kind, *(columns[name][mine] for name in ("energy", "charge", "current")))
    return entry
