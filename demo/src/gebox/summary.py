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

CLEAN = (Kind.SINGLE, Kind.MULTI)
"""Hits that end up in a peak."""


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
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in ("rawid", "kind", "energy", "charge")}
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
        charges = columns["charge"][mine][peak].astype(float)
        width = float(np.sqrt(8 * np.log(2)) * charges.std(ddof=1)) if len(charges) > 2 else None
        entry[f"line_{int(line)}"] = {"counts": int(peak.sum()), "charge_fwhm": width}
    return entry
