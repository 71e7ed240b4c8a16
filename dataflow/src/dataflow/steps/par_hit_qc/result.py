"""What the quality cuts of a detector are, and what they leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Levels:
    """A cut on the classifier (quantity - mode) / width.

    Attributes
    ----------
    quantity
        A column of dsp, or an expression of columns.
    mode, width
        Of the quantity, in its unit.
    low, high
        Levels in units of the width; None for a side without one.
    inside
        Whether the flag is true between them.
    source
        ``cal`` or ``fft``: the events that it follows from.
    """

    quantity: str
    mode: float
    width: float
    low: float | None
    high: float | None
    inside: bool
    source: str = "cal"


@dataclass(frozen=True)
class Survival:
    """Events for which a flag is true.

    Attributes
    ----------
    passed, events
        Numbers.
    """

    passed: int
    events: int

    @property
    def fraction(self) -> float:
        """Of 1; NaN without events."""
        return self.passed / self.events if self.events else float("nan")

    @property
    def error(self) -> float:
        """Standard deviation of the fraction's distribution for a flat prior: not 0 where none or all pass."""
        k, n = self.passed, self.events
        return float(np.sqrt((k + 1) * (n - k + 1) / ((n + 2) ** 2 * (n + 3)))) if n else float("nan")


@dataclass(frozen=True)
class Result:
    """The quality cuts of a detector.

    Attributes
    ----------
    operations
        For hit, in order.
    levels
        Of the cuts with a classifier, by name.
    left_out
        Cuts that could not be derived, with the reason.
    cal, fft
        Survival by name of the flag; empty without such events.
    cal_events, fft_events
        On how many events it is stated.
    removed
        Events that do not count, by reason.
    cal_values, fft_values
        Classifiers by name of the cut, shape (events,).
    """

    operations: Mapping[str, Mapping[str, Any]]
    levels: Mapping[str, Levels]
    left_out: Mapping[str, str]
    cal: Mapping[str, Survival]
    fft: Mapping[str, Survival]
    cal_events: int
    fft_events: int
    removed: Mapping[str, int]
    cal_values: Mapping[str, Floats] = field(repr=False, default_factory=dict)
    fft_values: Mapping[str, Floats] = field(repr=False, default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """What a user of these cuts must know."""
        return [f"no quality cut {name}: {reason}" for name, reason in self.left_out.items()]
