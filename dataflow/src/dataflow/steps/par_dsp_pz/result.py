"""What the tails of a detector's pulses give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Value:
    """A number and its error."""

    value: float
    error: float


@dataclass(frozen=True)
class TwoPoles:
    """Two decay constants.

    Attributes
    ----------
    tau1, tau2
        The longer and the shorter in ns: medians of the single tails' values.
    fraction
        The part of a pulse that decays with the shorter one.
    superpulse
        The same three by a fit of the median of all tails: ``(tau1, tau2, fraction)``.
    tau1s, tau2s
        The single tails' values, for the figure, in ns.
    """

    tau1: Value
    tau2: Value
    fraction: Value
    superpulse: tuple[float, float, float]
    tau1s: Floats = field(repr=False)
    tau2s: Floats = field(repr=False)


@dataclass(frozen=True)
class Superpulse:
    """The median tail, in units of its mean, and what is left of it after a fit.

    Attributes
    ----------
    times
        From half of the pulse's height, in ns, shape (bins,).
    heights
        Shape (bins,).
    single
        The best single exponential, shape (bins,).
    double
        The best sum of two, shape (bins,); empty where there is none.
    """

    times: Floats = field(repr=False)
    heights: Floats = field(repr=False)
    single: Floats = field(repr=False)
    double: Floats = field(repr=False)


@dataclass(frozen=True)
class DecayConstants:
    """The decay constants of a detector.

    Attributes
    ----------
    single
        The only one that there is, in ns, or the one that comes nearest to two.
    events
        Tails that it was derived from.
    taus
        The single events' values, for the figure, in ns.
    two
        Both, where there are two.
    superpulse
        None where the chain does not give traces, or the tails are too short.
    source
        Datatype of the data: ``pzc`` or ``cal``.
    warnings
        What is to be known.
    """

    single: Value
    events: int
    taus: Floats = field(repr=False)
    two: TwoPoles | None = None
    superpulse: Superpulse | None = None
    source: str = ""
    warnings: tuple[str, ...] = ()

    def from_data(self, datatype: str, reasons: Sequence[str]) -> DecayConstants:
        """The same, with the data that it comes from, and why it does not come from others."""
        return replace(self, source=datatype, warnings=(*reasons, *self.warnings))

    def entry(self) -> dict[str, Any]:
        """The detector's entry in the parameter file; ``db.pz`` of the processing chains."""
        found: dict[str, Any] = {"tau1": _ns(self.single.value), "tau1_err": _ns(self.single.error)}
        if self.two is not None:
            tau1, tau2, fraction = self.two.superpulse
            found = {
                "tau1": _ns(self.two.tau1.value),
                "tau1_err": _ns(self.two.tau1.error),
                "tau2": _ns(self.two.tau2.value),
                "tau2_err": _ns(self.two.tau2.error),
                "frac": round(self.two.fraction.value, 7),
                "frac_err": round(self.two.fraction.error, 7),
                "superpulse": {"tau1": _ns(tau1), "tau2": _ns(tau2), "frac": round(fraction, 7)},
                "single": found,
            }
        found |= {"n_events": self.events} | ({"datatype": self.source} if self.source else {})
        return {"pz": found} | ({"warnings": list(self.warnings)} if self.warnings else {})


def _ns(value: float) -> str:
    return f"{value:.1f}*ns"
