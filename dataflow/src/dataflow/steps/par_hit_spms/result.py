"""What the calibration of a SiPM gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comb:
    """The fit of the peaks of one, two, … photo-electrons.

    Attributes
    ----------
    gain, gain_err
        Height of a photo-electron in ADC counts.
    width, width_err
        Standard deviation of one photo-electron beyond the noise, in ADC counts.
    noise
        Standard deviation of a height without it, in ADC counts.
    areas
        Pulses in each peak, shape (peaks,).
    flat
        Pulses between the peaks.
    p_value
        Probability of a worse fit, None without degrees of freedom.
    scale
        Factor on the errors where the fit is bad.
    counts, edges, expected
        The spectrum that was fitted: shapes (bins,), (bins + 1,), (bins,).
    """

    gain: float
    gain_err: float
    width: float
    width_err: float
    noise: float
    areas: Floats
    flat: float
    p_value: float | None
    scale: float
    counts: Floats = field(repr=False)
    edges: Floats = field(repr=False)
    expected: Floats = field(repr=False)

    def sigma(self, number: int) -> float:
        """Standard deviation of a peak."""
        return float(np.hypot(self.noise, np.sqrt(number) * self.width))


@dataclass(frozen=True)
class Result:
    """A SiPM in a run.

    Attributes
    ----------
    comb
        The peaks.
    dark_rate, dark_rate_err
        In Hz.
    cross_talk, cross_talk_err
        Share of dark pulses of more than one photo-electron; None without dark pulses.
    pulses, dark, traces
        How many pulses were fitted, how many were dark, and of how many traces.
    lifetime
        In which a dark pulse could be, in seconds.
    times
        Of all isolated pulses in microseconds of the trace, shape (pulses,).
    valid_from
        Threshold of valid pulses in photo-electrons.
    warnings
        What is to be known about it.
    """

    comb: Comb
    dark_rate: float
    dark_rate_err: float
    cross_talk: float | None
    cross_talk_err: float | None
    pulses: int
    dark: int
    traces: int
    lifetime: float
    valid_from: float
    times: Floats = field(repr=False)
    warnings: tuple[str, ...] = ()

    def entry(self) -> dict[str, Any]:
        """The detector's entry in the parameter file: operations for hit, and what they come from."""
        comb = self.comb
        operations = {
            "energy_in_pe": {"expression": "energies * a", "parameters": {"a": round(1.0 / comb.gain, 9)}},
            "is_valid_hit": {"expression": "energy_in_pe > a", "parameters": {"a": self.valid_from}},
        }
        results: dict[str, Any] = {
            "gain": round(comb.gain, 4),
            "gain_err": round(comb.gain_err, 4),
            "width": round(comb.width, 4),
            "width_err": round(comb.width_err, 4),
            "dark_rate": round(self.dark_rate, 3),
            "dark_rate_err": round(self.dark_rate_err, 3),
        }
        if self.cross_talk is not None and self.cross_talk_err is not None:
            results |= {"cross_talk": round(self.cross_talk, 5), "cross_talk_err": round(self.cross_talk_err, 5)}
        results |= {"n_pulses": self.pulses, "n_dark": self.dark, "n_traces": self.traces}
        results |= {"lifetime": round(self.lifetime, 9), "p_value": comb.p_value}
        found: dict[str, Any] = {"pars": {"operations": operations}, "results": {"spms": results}}
        return found | ({"warnings": list(self.warnings)} if self.warnings else {})
