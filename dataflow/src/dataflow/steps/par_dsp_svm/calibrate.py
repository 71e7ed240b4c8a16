"""Training and judging of the machine: arrays in, arrays and counts out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.svm import Model

from .result import Trained
from .settings import SvmSettings
from .training import Sample

CACHE_MB = 500
"""What the training may keep in memory."""


def calibrate(sample: Sample, test: Sample | None, settings: SvmSettings) -> Trained:
    """Train the machine, and count what it makes of traces that it has not seen.

    Parameters
    ----------
    sample
        The labelled traces.
    test
        Others, None to take parts of the sample in turn.
    settings
        How.

    Raises
    ------
    WorkFailed
        If there are too few traces or classes, or the others are of another form.
    """
    classes, counts = np.unique(sample.labels, return_counts=True)
    _check(sample, classes, counts, settings)
    if test is not None and test.shapes.shape[1] != sample.shapes.shape[1]:
        raise WorkFailed(
            f"traces of the test data have {test.shapes.shape[1]} features, of the training {sample.shapes.shape[1]}"
        )
    model = trained(sample, settings)
    true, found = (test.labels, model.labels(test.shapes)) if test is not None else _unseen(sample, settings)
    rows = np.union1d(classes, true)
    return Trained(
        model=model,
        sample=sample,
        rows=rows,
        confusion=table_of(true, found, rows, classes),
        good=settings.good,
        independent=test is not None,
        events=counts,
    )


def _check(sample: Sample, classes: NDArray[np.int64], counts: NDArray[np.int64], settings: SvmSettings) -> None:
    if len(classes) < 2:
        raise WorkFailed(f"the training data have {len(classes)} classes, at least two are needed")
    if counts.min() < settings.folds:
        name = sample.name(int(classes[np.argmin(counts)]))
        raise WorkFailed(f"the training data have {counts.min()} traces of {name}, {settings.folds} are needed")
    if missing := sorted(set(settings.good) - set(classes.tolist())):
        raise WorkFailed(f"no trace of the training data has the label {missing[0]}, which is good")


def trained(sample: Sample, settings: SvmSettings) -> Model:
    """The machine that a sample gives."""
    from sklearn.svm import SVC

    shapes = sample.shapes.astype(np.float64)
    mean, scale = np.zeros(shapes.shape[1]), np.ones(shapes.shape[1])
    if settings.standardise:
        mean, spread = shapes.mean(axis=0), shapes.std(axis=0)
        scale = np.where(spread > 0, spread, 1.0)
    machine = SVC(
        C=settings.C, gamma=settings.gamma, kernel=settings.kernel, class_weight=settings.class_weight,
        cache_size=CACHE_MB, decision_function_shape="ovo",
    ).fit((shapes - mean) / scale, sample.labels)  # fmt: skip
    arrays = {
        "vectors": machine.support_vectors_, "dual_coef": machine.dual_coef_, "n_support": machine.n_support_,
        "intercept": machine.intercept_, "classes": machine.classes_, "mean": mean, "scale": scale,
    }  # fmt: skip
    return Model.of(arrays, settings.gamma)


def _unseen(sample: Sample, settings: SvmSettings) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True and found labels of all traces, each found by a machine that was trained without the trace."""
    from sklearn.model_selection import StratifiedKFold

    parts = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.random_state)
    found = np.empty_like(sample.labels)
    for seen, unseen in parts.split(sample.shapes, sample.labels):
        part = Sample(sample.shapes[seen], sample.labels[seen], sample.names)
        found[unseen] = trained(part, settings).labels(sample.shapes[unseen])
    return sample.labels, found


def table_of(
    true: NDArray[np.int64], found: NDArray[np.int64], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many traces of each true label got each label, shape (rows, columns)."""
    pairs = np.searchsorted(rows, true) * len(columns) + np.searchsorted(columns, found)
    return np.bincount(pairs, minlength=len(rows) * len(columns)).reshape(len(rows), len(columns))
