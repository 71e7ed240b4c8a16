"""What the search for a DPLMS filter gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.physics.trapping import Trapping

from .synthesis import Weights

Floats = NDArray[np.float64]
ENERGY = "dplmsEmax"
DRIFT = "dt_eff"


@dataclass(frozen=True)
class Candidate:
    """One filter.

    Attributes
    ----------
    weights
        What it was made with.
    samples
        Its weights in the order of the samples, shape (length,).
    noise
        Standard deviation of the energy by noise alone, from the covariance, in ADC counts.
    spread
        Standard deviation of the energy by the time of collection alone, at the mean height, in ADC counts.
    tail
        Energy that an earlier pulse adds, as a part of its height where the filter begins.
    area
        Sum of the weights.
    trapping
        Correction of its energies; None if there were too few.
    fwhm, fwhm_error
        Of the line with that correction, in keV; NaN if it could not be fitted.
    p_value
        Of the fit; NaN without.
    reason
        Why it is not to be used, empty if it is good.
    """

    weights: Weights
    samples: Floats = field(repr=False)
    noise: float
    spread: float
    tail: float
    area: float
    trapping: Trapping | None = None
    fwhm: float = np.nan
    fwhm_error: float = np.nan
    p_value: float = np.nan
    reason: str = ""


@dataclass(frozen=True)
class Result:
    """The filter of a detector.

    Attributes
    ----------
    best
        The filter.
    candidates
        All that were tried.
    period
        Sampling period in ns.
    line
        Energy in keV of the line whose width decided.
    height
        Mean height of the pulses in ADC counts.
    noise, noise_error
        Standard deviation of the filter's output on the traces themselves, in ADC counts.
    traces, rejected
        Quiet traces that were used, and others.
    pulses
        How many gave the shape.
    reference
        Mean pulse of height 1, shape (length,).
    energies
        Of the line's pulses in keV, without and with the correction, shape (2, pulses).
    drift
        Their effective drift times in ns, shape (pulses,).
    frequency, density
        Mean power spectrum of the traces, in MHz and ADC² / MHz.
    warning
        What is to be known about it, empty if nothing.
    """

    best: Candidate
    candidates: tuple[Candidate, ...]
    period: float
    line: float
    height: float
    noise: float
    noise_error: float
    traces: int
    rejected: int
    pulses: int
    reference: Floats = field(repr=False)
    energies: Floats = field(repr=False)
    drift: Floats = field(repr=False)
    frequency: Floats = field(repr=False)
    density: Floats = field(repr=False)
    warning: str = ""

    @property
    def coefficients(self) -> NDArray[np.float32]:
        """The kernel that traces are convolved with: the filter backwards, shape (length,)."""
        return self.best.samples[::-1].astype(np.float32)

    def entry(self, where: str) -> dict[str, Any]:
        """The detector's entry in the parameter file, for the chain and as the published flow writes it.

        Parameters
        ----------
        where
            What the chain reads the coefficients by.
        """
        found: dict[str, Any] = {
            "dplms": {
                "length": len(self.best.samples),
                "period": f"{self.period:g}*ns",
                "coefficients": where,
                "dp_coeffs": dict(vars(self.best.weights)),
                "noise": round(self.noise, 5),
                "noise_err": round(self.noise_error, 5),
                "area": round(self.best.area, 9),
                "tail": round(self.best.tail, 9),
                "n_baselines": self.traces,
                "n_signals": self.pulses,
            }
        }
        if np.isfinite(self.best.fwhm):
            found["dplms"] |= {"fwhm": round(self.best.fwhm, 4), "fwhm_err": round(self.best.fwhm_error, 4)}
        if trapping := self.best.trapping:
            factor, error = (float(f"{value:.5e}") for value in (trapping.factor, trapping.error))
            found["dplms"]["ctc"] = {ENERGY: {"a": factor, "a_err": error}}
            operation = {"expression": f"{ENERGY}*(1+{DRIFT}*a)", "parameters": {"a": factor}}
            found["ctc_params"] = {f"{ENERGY}_ctc": operation}
        return found | ({"warnings": [self.warning]} if self.warning else {})
