"""Decay constants as the collaboration's dashboard draws them: ``pz/slope_data`` and ``pz/waveforms_data``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .result import DecayConstants

BINS = 100
NEAR = 4.0
"""Half of the inset's range, in standard deviations."""


def plot_data(result: DecayConstants) -> dict[str, Any]:
    """Decay constants of single tails in ns, and the superpulse with one and with two exponentials through it."""
    taus, tau = result.taus[np.isfinite(result.taus)], result.single.value
    spread = 1.4826 * float(np.median(np.abs(taus - tau)))
    slopes = _histogram(taus, *np.quantile(taus, (0.01, 0.99)))
    near = _histogram(taus, tau - NEAR * spread, tau + NEAR * spread)
    found: dict[str, Any] = {"slope_data": slopes | {"mode": tau, "stdev": spread, "unit": "ns", "inset": near}}
    pulse = result.superpulse
    if pulse is not None:
        waveforms = [each for each in (pulse.heights, pulse.single, pulse.double) if len(each)]
        step = float(pulse.times[1] - pulse.times[0])
        labels = ["superpulse", "one decay constant", "two decay constants"][: len(waveforms)]
        found["waveforms_data"] = {
            "waveforms": np.stack(waveforms), "samples": pulse.times / step, "times": pulse.times, "labels": labels,
        }  # fmt: skip
    return {"pz": found}


def _histogram(values: Any, low: float, high: float) -> dict[str, Any]:
    counts, edges = np.histogram(values, BINS, (low, max(high, np.nextafter(low, np.inf))))
    return {"edges": edges, "counts": counts}
