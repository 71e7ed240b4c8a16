"""The noise of filtered SiPM traces from their parts without pulses."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.traces import parts_scatter

Floats = NDArray[np.float64]

PARTS = 32
"""Parts of a trace."""
QUIET = 1.5
"""A part has a pulse if it scatters more than that many lower quartiles of all parts."""
LEAST = 0.16
"""Standard deviation in ADC counts below which there is no noise but the steps of the digitizer."""
TO_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))


@dataclass(frozen=True)
class Noise:
    """The noise of a SiPM in a file.

    Attributes
    ----------
    fwhm, error
        Full width at half maximum in ADC counts; the error is that of the mean over traces.
    traces
        How many were looked at.
    quiet
        Share of their parts without pulse.
    by_trace
        The same of each trace's quiet parts, shape (traces,), NaN for one without.
    """

    fwhm: float
    error: float
    traces: int
    quiet: float
    by_trace: Floats = field(repr=False)

    def entry(self) -> dict[str, float | int]:
        """The entry in the parameter file; the first name is the published flow's."""
        return {
            "baseline_curr_fwhm": round(self.fwhm, 4),
            "baseline_curr_fwhm_err": round(self.error, 4),
            "n_events": self.traces,
            "quiet_fraction": round(self.quiet, 4),
        }


def noise_of(traces: Floats, lag: int, least: int) -> Noise:
    """The noise of filtered traces.

    Parameters
    ----------
    traces
        In ADC counts, shape (traces, samples).
    lag
        Samples that the filter takes to forget.
    least
        Traces that are needed.

    Raises
    ------
    WorkFailed
        If there are fewer, or no noise is seen.
    """
    if len(traces) < least:
        raise WorkFailed(f"{len(traces)} traces are too few for the noise, {least} are needed")
    scatter = parts_scatter(traces, PARTS, lag)
    quartile = float(np.quantile(scatter, 0.25))
    if not quartile > LEAST:
        raise WorkFailed("its traces have no noise: the channel is off, or saturated all the time")
    quiet = scatter < QUIET * quartile
    squares, counts = np.where(quiet, scatter**2, 0.0), quiet.sum(axis=1)
    sigma = float(np.sqrt(squares.sum() / counts.sum()))
    with np.errstate(invalid="ignore"):
        by_trace = np.sqrt(squares.sum(axis=1) / counts) * TO_FWHM
    known = by_trace[counts > 0]
    error = float(np.std(known) / np.sqrt(len(known)))
    return Noise(sigma * TO_FWHM, error, len(traces), float(quiet.mean()), by_trace)
