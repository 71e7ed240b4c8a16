"""What cuts have kept of the pulses of a class, beside what they are to keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gebox.truth import Kind

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Demand:
    """How many pulses of a class a cut has kept, and which share of them it is to keep; NaN where nothing is demanded.

    `error` is that of the demanded share, where it is no number by definition.
    """

    cut: str
    pulses: str
    kept: int
    total: int
    least: float = math.nan
    most: float = math.nan
    error: float = 0.0

    @property
    def share(self) -> float:
        """The part that was kept."""
        return self.kept / self.total if self.total else math.nan

    @property
    def excess(self) -> float:
        """Standard deviations by which the share is beyond what is demanded; 0 within, or where nothing is demanded."""
        below, above = self.least - self.share, self.share - self.most
        beyond = max((each for each in (below, above) if each > 0), default=0.0)
        if not beyond or not self.total:
            return 0.0
        bound = self.least if below > 0 else self.most
        counted = math.sqrt(max(bound * (1 - bound), 1 / self.total) / self.total)
        return beyond / math.hypot(counted, self.error)

    @property
    def words(self) -> str:
        """What is demanded, in words."""
        if math.isnan(self.least) and math.isnan(self.most):
            return ""
        if math.isnan(self.most):
            return f"at least {100 * self.least:.4g} %"
        if math.isnan(self.least):
            return f"at most {100 * self.most:.4g} %"
        half = 100 * math.hypot((self.most - self.least) / 2, self.error)
        return f"{50 * (self.least + self.most):.1f} +- {half:.1f} %"


@dataclass(frozen=True)
class Pulses:
    """The pulses of a detector in the calibrations of a run, with what the truth and hit know; shape (pulses,) each.

    `labels` are those of a support vector machine, None if there is none.
    """

    run: str
    detector: str
    true: Mapping[str, NDArray[Any]]
    flags: Mapping[str, Mask]
    labels: Floats | None = None

    def of_kind(self, *kinds: Kind) -> Mask:
        """Which are of a class."""
        return np.isin(self.true["kind"], kinds)


def name_of(kind: Kind) -> str:
    """What a class of pulses is called."""
    return {Kind.SINGLE: "single-site", Kind.MULTI: "multi-site"}.get(kind, kind.name.lower().replace("_", "-"))


def counted(cut: str, pulses: str, kept: Mask, chosen: Mask, **demanded: float) -> Demand:
    """How many of the chosen pulses a cut has kept."""
    return Demand(cut, pulses, int(np.count_nonzero(kept & chosen)), int(np.count_nonzero(chosen)), **demanded)


def together(found: Iterable[list[Demand]]) -> list[Demand]:
    """The demands of all detectors and runs as one: sums of counts, and what is demanded weighted by them."""
    groups: dict[tuple[str, str], list[Demand]] = {}
    for each in (demand for one in found for demand in one):
        groups.setdefault((each.cut, each.pulses), []).append(each)
    return [_sum(each) for each in groups.values()]


def _sum(parts: list[Demand]) -> Demand:
    total = sum(each.total for each in parts)

    def weighted(value: Callable[[Demand], float]) -> float:
        return sum(each.total * value(each) for each in parts if each.total) / total if total else math.nan

    error = math.sqrt(sum((each.total * each.error) ** 2 for each in parts)) / max(total, 1)
    least, most = weighted(lambda each: each.least), weighted(lambda each: each.most)
    return Demand(parts[0].cut, parts[0].pulses, sum(each.kept for each in parts), total, least, most, error)
