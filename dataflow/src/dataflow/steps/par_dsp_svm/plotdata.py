"""What of a machine has a name of its own in the data of the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .result import Result


def plot_data(result: Result) -> dict[str, Any]:
    """Labels and names, traces by true and found label, mean shapes of the classes, and the labels of the run."""
    trained = result.trained
    classes = trained.model.classes
    return {
        "svm": {
            "labels": classes,
            "names": np.array([trained.name(label) for label in classes]),
            "true_labels": trained.rows,
            "confusion": trained.confusion,
            "shapes": np.array(
                [trained.sample.shapes[trained.sample.labels == label].mean(axis=0) for label in classes]
            ),
            "run": result.counts,
        }
    }
