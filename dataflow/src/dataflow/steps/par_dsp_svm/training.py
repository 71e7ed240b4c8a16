"""Labelled traces from an LH5 file: as shapes, or as traces whose shapes the chain makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from lgdo import WaveformTable
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.jobs.lh5files import open_input
from dataflow.physics.chains import made_by, run_chain

SHAPES, TRACES = "ml_train/dsp", "ml_train/raw"
"""Tables with shapes, as the published flow reads them, and with traces."""
SHAPE, LABEL, NAMES = "dwt_norm", "dc_label", "label_names"
NS = {"ns": 1.0, "us": 1e3}


@dataclass(frozen=True)
class Sample:
    """Labelled shapes.

    Attributes
    ----------
    shapes
        Shape (traces, features).
    labels
        Shape (traces,).
    names
        What labels mean; not all need have a name.
    period
        Of the features in ns; NaN if the file does not tell.
    left_out
        Traces without a shape: flat, or not finite.
    """

    shapes: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    names: Mapping[int, str] = field(default_factory=dict)
    period: float = np.nan
    left_out: int = 0

    def name(self, label: int) -> str:
        """The name of a label."""
        return self.names.get(label, f"label_{label}")


def read_sample(path: Path, chain: Mapping[str, Any]) -> Sample:
    """The labelled traces of a file.

    Parameters
    ----------
    path
        With the table ``ml_train/dsp`` (columns ``dwt_norm`` and ``dc_label``) or ``ml_train/raw`` (the traces as in a
        raw file, and ``dc_label``). The attribute ``label_names`` of the labels names them: ``0:normal,5:pile_up``.
    chain
        What makes shapes of traces.

    Raises
    ------
    WorkFailed
        If it has no such table or columns, or labels are no whole numbers.
    """
    with open_input(path, locking=False) as file:
        table = next((name for name in (SHAPES, TRACES) if f"{name}/{LABEL}" in file), "")
        if not table:
            raise WorkFailed(f"{path} has no {LABEL} in {SHAPES} or {TRACES}")
        labels, names = np.asarray(file[table][LABEL][()]), _names(file[table][LABEL])
        shapes, period = _shapes(file, path) if table == SHAPES else (None, np.nan)
    if shapes is None:
        shapes, period = shapes_of(path, TRACES, chain, range(len(labels)))
    whole = labels.astype(np.int64)
    if len(whole) != len(shapes) or not np.array_equal(whole, labels):
        raise WorkFailed(f"{path}: {len(shapes)} traces have {len(labels)} labels, which must be whole numbers")
    known = np.isfinite(shapes).all(axis=1)
    return Sample(shapes[known], whole[known], names, period, int(np.count_nonzero(~known)))


def shapes_of(
    path: Path, table: str, chain: Mapping[str, Any], rows: range, adc_bits: int | None = None
) -> tuple[NDArray[np.float32], float]:
    """The shapes of traces of a raw table, shape (rows, features), and the period of the features in ns.

    Raises
    ------
    WorkFailed
        If the chain makes no shapes.
    """
    if SHAPE not in made_by(chain):
        raise WorkFailed(f"the processing chain of pars_dsp_svm has no {SHAPE}")
    needed = {**chain, "outputs": [SHAPE]}  # labelled traces need not have the other columns of a raw table
    found = run_chain(path, table, needed, {}, rows=rows, adc_bits=adc_bits)[SHAPE]
    if not isinstance(found, WaveformTable):  # of a chain that gives its shapes no times
        return np.asarray(found.nda, np.float32), np.nan
    unit = str(found.dt.attrs.get("units", "ns"))
    return np.asarray(found.values.nda, np.float32), float(found.dt.nda[0]) * NS[unit]


def _shapes(file: h5py.File, path: Path) -> tuple[NDArray[np.float32], float]:
    """Shapes as an array, or as the values of waveforms, which tell their period."""
    node = file[SHAPES].get(SHAPE)
    values = node.get("values") if isinstance(node, h5py.Group) else node
    if not isinstance(values, h5py.Dataset) or values.ndim != 2:
        raise WorkFailed(f"{path} has no array {SHAPE} of one row a trace in {SHAPES}")
    period = np.nan
    if isinstance(node, h5py.Group) and isinstance(node.get("dt"), h5py.Dataset):
        period = float(node["dt"][0]) * NS.get(str(node["dt"].attrs.get("units", "ns")), np.nan)
    return np.asarray(values[()], np.float32), period


def _names(labels: h5py.Dataset) -> dict[int, str]:
    pairs = (part.partition(":") for part in str(labels.attrs.get(NAMES, "")).split(",") if ":" in part)
    return {int(number): name.strip() for number, _, name in pairs}
