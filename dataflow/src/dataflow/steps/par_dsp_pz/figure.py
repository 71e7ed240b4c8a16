"""The figure of a decay constant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from dataflow.jobs.pages import new_page

if TYPE_CHECKING:
    from .build import DecayConstant


def draw(detector: str, key: str, result: DecayConstant) -> Figure:
    """The distribution of the single tails' decay constants, with the result."""
    figure = new_page(f"{detector}  decay constant  {key}")
    axes = figure.subplots()
    half = max(8 * np.median(np.abs(result.taus - result.tau)), 1.0)
    inside = result.taus[np.abs(result.taus - result.tau) < half]
    axes.hist(inside / 1000, bins=80, histtype="step", color="C0")
    axes.axvline(result.tau / 1000, color="C3", label=f"{result.tau / 1000:.2f} ± {result.error / 1000:.2f} µs")
    axes.set(xlabel="decay constant of the tail [µs]", ylabel="events", title=f"{result.events} tails")
    axes.legend()
    return figure
