"""Shapes of traces, and the support vector machine that labels them: what chains compute, and the same for training.

A shape is what E. León et al., arXiv:2410.14701, give to their machine: the approximation of the trace by Haar
wavelets, above the baseline, as a part of its largest value. The machine is that of C.-C. Chang and C.-J. Lin, ACM
Trans. Intell. Syst. Technol. 2 (2011) 27, with the kernel exp(-gamma |x - y|²). It is kept as arrays, and evaluated
here: dspeed's own processor unpickles a model, which runs whatever code the file holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[Any]
Floats = NDArray[np.float64]

SAME_PERIOD = 1e-3
"""Relative difference of sampling periods that are the same."""
ARRAYS = ("vectors", "dual_coef", "n_support", "intercept", "classes", "mean", "scale")
"""What is kept of a model as arrays; the rest is ``gamma``."""
SIGNATURE, TYPES = "(n),(v,m),(d,v),(c),(p),(c),(m),(m),(),()->()", ("fdddddddff->f",)
"""Of :func:`svm_label` in a chain."""


@dataclass(frozen=True)
class Model:
    """A support vector machine, in the arrays of :class:`sklearn.svm.SVC`.

    Attributes
    ----------
    vectors
        Support vectors by class, standardised, shape (vectors, features).
    dual_coef
        Their coefficients in the decisions against the other classes, shape (classes - 1, vectors).
    n_support
        Support vectors of each class, shape (classes,).
    intercept
        Of each decision, shape (pairs of classes,).
    classes
        Labels, ascending, shape (classes,).
    mean, scale
        What is subtracted from features, and what they are then divided by, shape (features,).
    gamma
        Of the kernel exp(-gamma |x - y|²).
    """

    vectors: Floats
    dual_coef: Floats
    n_support: NDArray[np.int64]
    intercept: Floats
    classes: NDArray[np.int64]
    mean: Floats
    scale: Floats
    gamma: float

    @classmethod
    def of(cls, arrays: Mapping[str, ArrayLike], gamma: float) -> Self:
        """A model of arrays of any type of numbers."""
        whole = ("n_support", "classes")
        found: dict[str, Any] = {
            name: np.asarray(arrays[name], np.int64 if name in whole else np.float64) for name in ARRAYS
        }
        return cls(**found, gamma=float(gamma))

    def arrays(self) -> dict[str, Numbers]:
        """The arrays by name."""
        return {name: getattr(self, name) for name in ARRAYS}

    def decisions(self, shapes: Numbers) -> Floats:
        """The decisions between each two classes; positive for the first of them, of only two classes for the second.

        Parameters
        ----------
        shapes
            Shape (traces, features).

        Returns
        -------
        decisions
            Shape (traces, pairs of classes), pairs in the order (0, 1), (0, 2), … (1, 2), …
        """
        scaled = (np.asarray(shapes, np.float64) - self.mean) / self.scale
        squares = (scaled**2).sum(axis=1)[:, None] + self._squares - 2 * scaled @ self.vectors.T
        kernel = np.exp(-self.gamma * np.maximum(squares, 0))
        return np.asarray(kernel @ self._coefficients.T + self.intercept)

    def labels(self, shapes: Numbers) -> NDArray[np.int64]:
        """The class that most decisions are for, the first of several; shape (traces,)."""
        decisions, count = self.decisions(shapes), len(self.classes)
        if count == 2:
            return np.asarray(self.classes[(decisions[:, 0] >= 0).astype(int)])
        votes = np.zeros((len(decisions), count), dtype=np.int64)
        for pair, (one, other) in enumerate(combinations(range(count), 2)):
            is_first = decisions[:, pair] > 0
            votes[:, one] += is_first
            votes[:, other] += ~is_first
        return np.asarray(self.classes[np.argmax(votes, axis=1)])

    @cached_property
    def _squares(self) -> Floats:
        return np.asarray((self.vectors**2).sum(axis=1))

    @cached_property
    def _coefficients(self) -> Floats:
        """The coefficients of all vectors in each decision, shape (pairs of classes, vectors)."""
        pairs = list(combinations(range(len(self.classes)), 2))
        ends = np.cumsum(self.n_support)
        parts = [slice(end - count, end) for end, count in zip(ends, self.n_support, strict=True)]
        found = np.zeros((len(pairs), self.vectors.shape[0]))
        for pair, (one, other) in enumerate(pairs):
            found[pair, parts[one]] = self.dual_coef[other - 1, parts[one]]
            found[pair, parts[other]] = self.dual_coef[one, parts[other]]
        return found


def shape_of(traces: Numbers, baseline: ArrayLike, out: Numbers) -> None:
    """The shapes of traces.

    Parameters
    ----------
    traces
        Shape (traces, samples).
    baseline
        Their baselines, shape (traces,).
    out
        Shape (traces, features): means of 2ⁿ samples above the baseline, as a part of the largest distance from it.
        The last sample counts twice where the number is odd (``symmetric`` of PyWavelets). A trace that is flat, or
        not finite, gives NaN.
    """
    above = traces - np.asarray(baseline, traces.dtype if traces.dtype.kind == "f" else np.float32)[..., None]
    features = out.shape[1]
    while above.shape[1] > features:
        if above.shape[1] % 2:
            above = np.concatenate([above, above[:, -1:]], axis=1)
        above = (above[:, 0::2] + above[:, 1::2]) / 2
    if above.shape[1] != features:
        raise ValueError(f"{traces.shape[1]} samples give no {features} features")
    largest = np.abs(above).max(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        out[...] = np.where((largest > 0) & np.isfinite(largest), above / largest, np.nan)


def svm_label(
    shapes: Numbers,
    vectors: Numbers,
    dual_coef: Numbers,
    n_support: Numbers,
    intercept: Numbers,
    classes: Numbers,
    mean: Numbers,
    scale: Numbers,
    gamma: ArrayLike,
    ratio: ArrayLike,
    out: Numbers,
) -> None:
    """The labels of shapes; NaN where there is no model, none for such traces, or no shape.

    Parameters
    ----------
    shapes
        Shape (traces, features).
    vectors, dual_coef, n_support, intercept, classes, mean, scale, gamma
        As in :class:`Model`.
    ratio
        Sampling period that the model is for, as a part of that of the traces.
    out
        Shape (traces,).
    """
    out[...] = np.nan
    if vectors.shape[1] != shapes.shape[1] or np.any(np.abs(np.asarray(ratio) - 1) > SAME_PERIOD):
        return
    values = vectors, dual_coef, n_support, intercept, classes, mean, scale
    model = _model_of(values, float(np.max(gamma)))
    known = np.isfinite(shapes).all(axis=1)
    out[known] = model.labels(shapes[known])


_LAST: list[tuple[tuple[Numbers, ...], float, Model]] = []
"""The arrays of the last model: a chain hands over the same ones for each block of traces."""


def _model_of(values: tuple[Numbers, ...], gamma: float) -> Model:
    """The model of some arrays, made once for the same ones."""
    for arrays, of_gamma, model in _LAST:
        if of_gamma == gamma and all(one is other for one, other in zip(arrays, values, strict=True)):
            return model
    _LAST[:] = [(values, gamma, Model.of(dict(zip(ARRAYS, values, strict=True)), gamma))]
    return _LAST[0][2]
