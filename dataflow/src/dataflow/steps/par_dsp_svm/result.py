"""What the training gives, and what it finds in a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.physics.svm import ARRAYS, Model
from dataflow.steps.par_hit_qc.result import Survival

from .training import Sample

PERCENT = 100.0
DIGITS = 4
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Trained:
    """A machine, and what it is worth.

    Attributes
    ----------
    model
        The machine, trained with the whole sample.
    sample
        The labelled traces.
    rows
        True labels, ascending, shape (rows,).
    confusion
        Traces by true label and found label, which is a class of the model, shape (rows, classes); none was seen in
        the training.
    good
        Labels of the traces that are to be kept.
    independent
        Whether the table comes from test data; else from cross-validation.
    events
        Traces of each class in the training, shape (classes,).
    """

    model: Model
    sample: Sample = field(repr=False)
    rows: Counts
    confusion: Counts
    good: tuple[int, ...]
    independent: bool
    events: Counts

    @property
    def kept(self) -> Survival:
        """Good traces that get a good label."""
        table = self.confusion[np.isin(self.rows, self.good)]
        return Survival(int(table[:, np.isin(self.model.classes, self.good)].sum()), int(table.sum()))

    @property
    def rejected(self) -> Survival:
        """Bad traces that get a bad label, whichever."""
        table = self.confusion[~np.isin(self.rows, self.good)]
        return Survival(int(table[:, ~np.isin(self.model.classes, self.good)].sum()), int(table.sum()))

    def name(self, label: int) -> str:
        """The name of a label."""
        return self.sample.name(int(label))


@dataclass(frozen=True)
class Result:
    """What a detector has.

    Attributes
    ----------
    trained
        The machine.
    period
        Of the features in ns; NaN if neither traces nor training data tell.
    shapes, labels
        Of the first traces of the run, shapes (traces, features) and (traces,).
    """

    trained: Trained
    period: float
    shapes: NDArray[np.float32] = field(repr=False)
    labels: Counts = field(repr=False)

    @property
    def counts(self) -> Counts:
        """Traces of the run by label, shape (classes,)."""
        return np.array([np.count_nonzero(self.labels == each) for each in self.trained.model.classes])

    def entry(self, where: Callable[[str], str]) -> dict[str, Any]:
        """The detector's entry in the parameter file.

        Parameters
        ----------
        where
            Gives what the chain reads an array of the model by.
        """
        model, trained = self.trained.model, self.trained
        svm: dict[str, Any] = {"period": f"{self.period:g}*ns"} if np.isfinite(self.period) else {}
        svm |= {"gamma": model.gamma} | {name: where(name) for name in ARRAYS}
        found: dict[str, Any] = {
            "judged_by": "test data" if trained.independent else "cross-validation",
            "n_training": {trained.name(label): int(n) for label, n in zip(model.classes, trained.events, strict=True)},
            "n_vectors": len(model.vectors),
            **_percent("good_kept", trained.kept),
            **_percent("bad_rejected", trained.rejected),
            "confusion": self._confusion(),
            "n_events": len(self.labels),
        }
        if len(self.labels):
            found["run"] = self._shares(self.counts)
        return {"svm": svm, "results": {"svm": found}}

    def _confusion(self) -> dict[str, dict[str, float]]:
        """In percent of the traces of a class: what they were labelled."""
        pairs = zip(self.trained.rows, self.trained.confusion, strict=True)
        return {self.trained.name(label): self._shares(counts) for label, counts in pairs}

    def _shares(self, counts: Counts) -> dict[str, float]:
        made: dict[str, float] = {}
        for label, count in zip(self.trained.model.classes, counts, strict=True):
            made |= _percent(self.trained.name(label), Survival(int(count), int(counts.sum())))
        return made


def _percent(name: str, share: Survival) -> Mapping[str, float]:
    values = PERCENT * share.fraction, PERCENT * share.error
    return dict(zip((name, f"{name}_err"), (round(value, DIGITS) for value in values), strict=True))
