"""What the scan of the filter times gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scan:
    """The noise of one filter.

    Attributes
    ----------
    filter, time
        Names in the parameter file: ``cusp``, ``sigma``.
    best, error
        The time of least noise, in microseconds; its error is that of the minimum in resampled traces.
    noise, noise_error
        Equivalent noise at the scanned time next to it: standard deviation in ADC counts of the pulse height.
    times, noises, errors
        The scan, shape (times,), in microseconds and ADC counts.
    edge
        Which end of the scan the minimum lies at, empty if within.
    """

    filter: str
    time: str
    best: float
    error: float
    noise: float
    noise_error: float
    times: Floats = field(repr=False)
    noises: Floats = field(repr=False)
    errors: Floats = field(repr=False)
    edge: str = ""


@dataclass(frozen=True)
class Result:
    """The filters of a detector.

    Attributes
    ----------
    scans
        One by filter.
    flat
        Flat top in microseconds.
    traces, rejected
        Quiet traces that were used, and others.
    frequency, density
        Mean power spectrum of the traces, shape (frequencies,), in MHz and ADC² / MHz.
    """

    scans: tuple[Scan, ...]
    flat: float
    traces: int
    rejected: int
    frequency: Floats = field(repr=False)
    density: Floats = field(repr=False)

    @property
    def warnings(self) -> list[str]:
        """What is to be known about it."""
        return [
            f"the noise of {scan.filter} is least at the {scan.edge} of the scan, {scan.best:g} us"
            for scan in self.scans
            if scan.edge
        ]

    def entry(self) -> dict[str, Any]:
        """The detector's entry in the parameter file: for the chain, and as the published flow writes it."""
        found: dict[str, Any] = {
            scan.filter: {scan.time: _us(scan.best), "flat": f"{self.flat:g}*us"} for scan in self.scans
        }
        found["nopt_pars"] = {scan.filter: _published(scan) for scan in self.scans} | {"n_events": self.traces}
        return found | ({"warnings": self.warnings} if self.warnings else {})


def _published(scan: Scan) -> Mapping[str, Any]:
    return {
        scan.time: _us(scan.best),
        f"{scan.time}_err": _us(scan.error),
        "noise": round(scan.noise, 4),
        "noise_err": round(scan.noise_error, 4),
    }


def _us(value: float) -> str:
    """Three decimals: a rise time that is a whole number of samples (96 ns) remains one."""
    return f"{value:.3f}*us"
