"""The labels of a support vector machine beside the truth, class by class.

What is demanded: that good pulses are kept; that discharges, negative pulses and traces without a pulse are rejected,
and called so; the same of most of the pulses that another one comes after, or before but in the trace, where that has
the part of the first that labelled traces have. Bursts are shorter than what the machine sees, of earlier pulses there
may be no more than a slope: they are shown, and nothing is demanded of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions that dsp uses
import numpy as np

from gebox.demand import Demand, Floats, Mask, Pulses, counted, name_of
from gebox.experiment.model import Detector
from gebox.labels import NAMES, NORMAL, label_for, visible
from gebox.summary import CLEAN
from gebox.truth import Kind

COLUMN = "svm_label"
KEPT, CALLED = "svm", "svm label"
"""Names of what is compared: whether a pulse gets the label of good ones, and whether it gets that of its class."""
GOOD = (*CLEAN, Kind.SURFACE)
PLAIN = (Kind.DISCHARGE, Kind.NEGATIVE, Kind.FORCED)
"""Classes that cannot be taken for another one."""
GOOD_KEPT, BAD_KEPT, CALLED_SO = 0.99, 0.01, 0.99
OTHER_KEPT, OTHER_CALLED_SO = 0.1, 0.75
"""Of pulses with another one in the trace."""
TAU = 300e3
"""ns: about the decay constants of the simulation, which matters for what comes before the trace alone."""


def labels_of(dsp: Path, detectors: Sequence[Detector]) -> dict[str, Floats]:
    """The labels in a dsp file, by detector that has some."""
    if not dsp.is_file():
        return {}
    with h5py.File(dsp) as file:
        tables = {each.name: file.get(f"ch{each.address.rawid:07d}/dsp") for each in detectors}
        found = {name: table[COLUMN][:] for name, table in tables.items() if table is not None and COLUMN in table}
    return {name: labels for name, labels in found.items() if np.isfinite(labels).any()}


def demands(one: Pulses, *, trained: bool) -> Iterable[Demand]:
    """What is demanded of the labels of a detector in a run.

    Parameters
    ----------
    trained
        Whether there is to be a machine; without, labels are compared where there are some.
    """
    total = len(one.true["kind"])
    labels = np.full(total, np.nan) if one.labels is None else one.labels
    if one.labels is None and not trained:
        return
    every = np.ones(total, dtype=bool)
    yield counted(KEPT, "labelled", np.isfinite(labels), every, least=1.0)
    good = labels == NAMES.index(NORMAL)
    for kind in GOOD:
        yield counted(KEPT, name_of(kind), good, one.of_kind(kind), least=GOOD_KEPT)
    for kind in PLAIN:
        yield counted(KEPT, name_of(kind), good, one.of_kind(kind), most=BAD_KEPT)
        yield counted(CALLED, name_of(kind), _called(labels, kind), one.of_kind(kind), least=CALLED_SO)
    for kind in (Kind.PILE_UP, Kind.PRE_TRIGGER):
        seen = one.of_kind(kind) & _seen(one)
        yield counted(KEPT, f"{name_of(kind)}, in the trace", good, seen, most=OTHER_KEPT)
        yield counted(CALLED, f"{name_of(kind)}, in the trace", _called(labels, kind), seen, least=OTHER_CALLED_SO)
        yield counted(KEPT, f"{name_of(kind)}, others", good, one.of_kind(kind) & ~seen)
    yield counted(KEPT, name_of(Kind.BURST), good, one.of_kind(Kind.BURST))


def _called(labels: Floats, kind: Kind) -> Mask:
    return np.asarray(labels == label_for(kind))


def _seen(one: Pulses) -> Mask:
    """Which pulses have another one in the trace, of the size that labelled traces have."""
    start = one.true["second_start"]
    return visible(one.true["charge"], one.true["second_charge"], start, TAU) & (start >= 0)
