"""Labelled traces: what a machine is trained with that labels traces by their shapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from gebox.errors import UserError
from gebox.experiment import Experiment
from gebox.experiment.layouts import SAMPLING_NS
from gebox.happenings import Hit
from gebox.labels import NAMES, NORMAL, label_for, visible
from gebox.metadata.tree import samples
from gebox.readout import Triggered, events
from gebox.signals import defects
from gebox.truth import Kind
from gebox.writing import appearing

TABLE = "ml_train/raw"
SECOND = (Kind.PILE_UP, Kind.PRE_TRIGGER)
"""Classes with another pulse."""
SIZES = {"training": (1, 1000, 200), "test": (2, 500, 100)}
"""Of the files that the metadata name: which sample, how many good traces, and how many of each defect."""
SHARE = 0.1
"""Of each defect."""
MOST_EVENTS = 200_000
BETWEEN = 0.5
"""Seconds between two events, so that forced triggers, which come by the clock, are as frequent as each defect."""


def label_of(hit: Hit, tau: float) -> int | None:
    """The label of a trace, None if it has none or if what is wrong with it cannot be seen.

    Parameters
    ----------
    tau
        Decay constant in ns.
    """
    if hit.kind in SECOND and not visible(hit.charge, hit.second_charge, hit.second_start, tau):
        return None
    return label_for(hit.kind)


def write_samples(experiment: Experiment, metadata: Path) -> list[Path]:
    """Write the labelled traces that the metadata name and that are not there yet; the files that were written."""
    if not experiment.training:
        return []
    missing = {use: path for use, path in samples(metadata).items() if not path.is_file()}
    for use, path in missing.items():
        sample, good, each = SIZES[use]
        write_training(experiment, path, good, each, sample=sample)
    return list(missing.values())


def write_training(
    experiment: Experiment, path: Path, good: int = 2000, each: int = 250, *, sample: int = 1
) -> dict[str, int]:
    """Write an LH5 file with traces of all detectors and their labels.

    Parameters
    ----------
    path
        The file. Its table ``ml_train/raw`` has the columns ``waveform``, as raw files have it, and ``dc_label`` with
        the attribute ``label_names``.
    good, each
        How many traces are good, and how many have each defect, or no pulse.
    sample
        Another number gives other traces. None is one of the experiment's DAQ files.

    Returns
    -------
    counts
        By name of the label.

    Raises
    ------
    UserError
        If there is no calibration, or these are no numbers of traces.
    """
    if min(good, each) < 0 or not good + each:
        raise UserError(f"{good} good traces and {each} of each defect are no numbers of traces")
    wanted = {number: good if name == NORMAL else each for number, name in enumerate(NAMES)}
    labels, traces = [], []
    for label, row in _labelled(experiment, f"training {sample}"):
        if wanted[label]:
            wanted[label] -= 1
            labels.append(label)
            traces.append(row)
        if not any(wanted.values()):
            break
    _write(path, np.array(traces), np.array(labels, dtype=np.int32))
    return {name: labels.count(number) for number, name in enumerate(NAMES)}


def _labelled(experiment: Experiment, stream: str) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    """Labels and traces of a calibration with many defects, without end for what a training needs."""
    file = next((file for file in experiment.files if file.datatype == "cal"), None)
    if file is None:
        raise UserError("this experiment has no calibration", hint="labelled traces are those of one")
    long = replace(file, events=MOST_EVENTS, duration=round(BETWEEN * MOST_EVENTS))
    taus = [experiment.constants(detector, file).tau for detector in experiment.layout.detectors]
    rows = [experiment.layout.tracemap.index(detector.address) for detector in experiment.layout.detectors]
    shares = dict.fromkeys(defects.SHARES, SHARE)
    for triggered in islice(events(experiment, long, stream=stream, shares=shares), MOST_EVENTS):
        yield from _of_event(triggered, taus, rows)


def _of_event(triggered: Triggered, taus: list[float], rows: list[int]) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    for hit in triggered.happening.hits:
        label, row = label_of(hit, taus[hit.detector]), rows[hit.detector]
        if label is not None and row in triggered.channels:
            yield label, triggered.rows[row, 4:].copy()


def _write(path: Path, traces: NDArray[np.uint16], labels: NDArray[np.int32]) -> None:
    with appearing(path) as temporary, h5py.File(temporary, "w", libver=("v108", "v108")) as file:
        file.create_group("ml_train").attrs["datatype"] = "struct{raw}"
        table = file.create_group(TABLE)
        table.attrs["datatype"] = "table{waveform,dc_label}"
        _array(table, "dc_label", labels, label_names=",".join(f"{n}:{name}" for n, name in enumerate(NAMES)))
        wave = table.create_group("waveform")
        wave.attrs["datatype"] = "table{t0,dt,values}"
        _array(wave, "t0", np.zeros(len(labels)), units="ns")
        _array(wave, "dt", np.full(len(labels), float(SAMPLING_NS)), units="ns")
        _array(wave, "values", traces, datatype="array_of_equalsized_arrays<1,1>{real}")


def _array(group: h5py.Group, name: str, values: NDArray[Any], **attributes: str) -> None:
    data = group.create_dataset(name, data=values, compression="gzip", shuffle=True, track_times=False)
    data.attrs.update({"datatype": "array<1>{real}"} | attributes)
