"""What really happened: an LH5 table beside every DAQ file and a YAML file for every run.

LH5 is HDF5 with the attribute ``datatype``; the few types used here are written directly, so that the same truth gives
the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import IntEnum
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from gebox.experiment import Experiment
from gebox.experiment.model import DaqFile
from gebox.physics.decays import COMPARED
from gebox.resolution import noise_by_rise
from gebox.signals import light
from gebox.writing import appearing, write_yaml

TABLE = "truth"


class Kind(IntEnum):
    """What a hit of a germanium detector was."""

    SINGLE = 0
    MULTI = 1
    SURFACE = 2
    PULSER = 3
    FORCED = 4
    PILE_UP = 5
    DISCHARGE = 6
    BURST = 7
    NEGATIVE = 8
    PRE_TRIGGER = 9
    MUON = 10
    ALPHA = 11
    LIGHT = 12


class Record:
    """Collects the truth of one file, event by event."""

    def __init__(self) -> None:
        self.scalars: dict[str, list[float]] = {}
        self.vectors: dict[str, list[list[float]]] = {}

    def __len__(self) -> int:
        """The number of events so far."""
        return len(next(iter(self.scalars.values()), []))

    def event(self, **values: float | Sequence[float]) -> None:
        """Add one event: numbers become columns, sequences become vectors of vectors."""
        for name, value in values.items():
            if isinstance(value, (int, float)):
                self.scalars.setdefault(name, []).append(value)
            else:
                self.vectors.setdefault(name, []).append(list(value))

    def write(self, path: Path) -> None:
        """Write the table, whole or not at all."""
        with appearing(path) as temporary, h5py.File(temporary, "w", libver=("v108", "v108")) as file:
            table = file.create_group(TABLE)
            columns = [*self.scalars, *self.vectors]
            table.attrs["datatype"] = "table{" + ",".join(columns) + "}"
            for name, numbers in self.scalars.items():
                _array(table, name, np.array(numbers, _type(name)), UNITS.get(name))
            for name, vectors in self.vectors.items():
                _vectors(table, name, vectors)


UNITS = {
    "timestamp": "s",
    "time_in_file": "s",
    "argon_energy": "keV",
    "hit_energy": "keV",
    "hit_charge": "keV",
    "hit_drift_time": "ns",
    "hit_current": "1/us",
    "hit_start": "ns",
    "hit_second_charge": "keV",
    "hit_second_start": "ns",
    "site_energy": "keV",
    "site_x": "mm",
    "site_y": "mm",
    "site_z": "mm",
}

_WHOLE = {"eventnumber", "source", "photoelectrons", "photoelectrons_rawid", "site_rawid"}
_WHOLE |= {"hit_rawid", "hit_kind", "hit_saturated"}


def _type(name: str) -> type[np.generic]:
    if name in _WHOLE:
        return np.int32
    return np.float64 if name in {"timestamp", "time_in_file"} else np.float32


def _array(group: h5py.Group, name: str, values: NDArray[Any], unit: str | None) -> None:
    data = group.create_dataset(name, data=values, compression="gzip", shuffle=True, track_times=False)
    data.attrs["datatype"] = "array<1>{real}"
    if unit:
        data.attrs["units"] = unit


def _vectors(group: h5py.Group, name: str, vectors: list[list[float]]) -> None:
    inner = group.create_group(name)
    inner.attrs["datatype"] = "array<1>{array<1>{real}}"
    lengths = np.cumsum([len(vector) for vector in vectors], dtype=np.uint32)
    flat = np.array([value for vector in vectors for value in vector], _type(name))
    _array(inner, "cumulative_length", lengths, None)
    _array(inner, "flattened_data", flat, UNITS.get(name))


def file_path(folder: Path, file: DaqFile) -> Path:
    """Where the table of a DAQ file is."""
    return folder / f"{file.stem}-truth.lh5"


def run_path(folder: Path, period: str, run: str) -> Path:
    """Where the YAML of a run is."""
    return folder / f"l200-{period}-{run}-truth.yaml"


def write_run(
    experiment: Experiment, folder: Path, run: tuple[str, str], noise: dict[str, float], counts: dict[str, Any]
) -> None:
    """Write every true constant of a run.

    Parameters
    ----------
    run
        Period and run.
    noise
        FWHM in keV of the electronic noise behind the trapezoid of :mod:`gebox.resolution`, by detector.
    counts
        What :func:`gebox.summary.summarise` counted, by detector.
    """
    period, name = run
    files = experiment.runs()[run]
    detectors = {}
    for detector in experiment.layout.detectors:
        true = experiment.constants(detector, files[0])
        detectors[detector.name] = {
            "rawid": detector.address.rawid,
            "processable": detector.processable,
            **asdict(true),
            "calibration": counts.get(detector.name, {}),
            "resolution": _resolution(noise[detector.name], true.fano, COMPARED[experiment.source])
            | {"noise_by_rise": noise_by_rise(true)},
        }
    content = {
        "seed": experiment.seed,
        "period": period,
        "run": name,
        "source": experiment.source,
        "lines": list(COMPARED[experiment.source]),
        "files": [file.key for file in files],
        "crosstalk": [asdict(pair) for pair in experiment.layout.crosstalk],
        "detectors": detectors,
        "sipms": {a.name: _sipm(a.address.rawid) for a in experiment.layout.auxiliaries if a.system == "spms"},
    }
    write_yaml(run_path(folder, *run), content, comment="True constants; energies in keV, times in ns.")


def _sipm(rawid: int) -> dict[str, float]:
    """Constants of a SiPM; ``step`` is the largest difference of means of 8 samples, 2 apart, in a single pulse.

    ``noise`` is the full width at half maximum of such differences in traces without pulses.
    """
    return {
        "rawid": rawid,
        "single": light.SINGLE,
        "step": round(light.step(8, 2), 4),
        "spread": light.SPREAD,
        "noise": round(light.noise_of_step(8), 4),
        "dark_rate": light.DARK_HZ,
        "crosstalk": light.CROSSTALK,
        "afterpulse": light.AFTERPULSE,
    }


def _resolution(noise: float, fano: float, lines: Sequence[float]) -> dict[str, Any]:
    """FWHM = sqrt(a + b E), without the effect of charge trapping."""
    b = 8.0 * np.log(2.0) * fano
    values = {f"fwhm_{line}": float(np.sqrt(noise**2 + b * line)) for line in sorted({*lines, 2039.061})}
    return {"a": noise**2, "b": float(b), **{name.split(".")[0]: value for name, value in values.items()}}
