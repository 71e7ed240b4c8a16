"""What labelled traces are called, and which defects can be seen in them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gebox.truth import Kind

NORMAL = "normal"
NAMES = (NORMAL, "pile_up", "pre_trigger", "discharge", "burst", "negative", "noise")
"""Of the labels 0, 1, …"""
KINDS: Mapping[Kind, str] = {
    Kind.SINGLE: NORMAL,
    Kind.MULTI: NORMAL,
    Kind.SURFACE: NORMAL,
    Kind.PILE_UP: "pile_up",
    Kind.PRE_TRIGGER: "pre_trigger",
    Kind.DISCHARGE: "discharge",
    Kind.BURST: "burst",
    Kind.NEGATIVE: "negative",
    Kind.FORCED: "noise",
}
VISIBLE_KEV, VISIBLE_PART = 10.0, 0.05
"""What another pulse has in the trace at least, in keV and as a part of the first one; less is not labelled."""


def label_for(kind: Kind) -> int | None:
    """The label of a class of pulses; None for those that have none."""
    return NAMES.index(KINDS[kind]) if kind in KINDS else None


def visible(charge: ArrayLike, second: ArrayLike, start: ArrayLike, tau: float) -> NDArray[np.bool_]:
    """Whether another pulse can be seen beside the first one.

    Parameters
    ----------
    charge, second
        Of the first pulse and of the other one, in keV.
    start
        Of the other pulse, in ns from the beginning of the trace: before it the pulse has begun to decay.
    tau
        Decay constant in ns.
    """
    left = np.asarray(second) * np.exp(np.minimum(start, 0.0) / tau)
    return np.asarray(left >= np.maximum(VISIBLE_KEV, VISIBLE_PART * np.asarray(charge)))
