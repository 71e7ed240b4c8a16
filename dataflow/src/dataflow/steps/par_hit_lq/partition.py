"""Late charge of the runs of a partition together, and that of the double-escape peak in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.curves import Curve

from .calibrate import calibrate, fit_peak
from .result import PeakFit, Result

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

SHIFTED = 4.0
"""Standard deviations between the mean of a run and that of all from which on it is a warning."""


@dataclass(frozen=True)
class Events:
    """The selected events of a run, as :func:`.calibrate.calibrate` takes them; shape (events,) each."""

    energies: Floats
    late: Floats
    amplitudes: Floats
    drift: Floats
    aoe: Mask | None

    def calibrated(self, widths: Curve) -> Result:
        """The calibration of these events.

        Raises
        ------
        WorkFailed
            As :func:`.calibrate.calibrate`.
        """
        return calibrate(self.energies, self.late, self.amplitudes, self.drift, widths, self.aoe)

    def peak(self) -> PeakFit | str:
        """Late charge over energy in the double-escape peak, or why it cannot be fitted."""
        there = (self.amplitudes > 0) & np.isfinite(self.late) & np.isfinite(self.energies)
        try:
            return fit_peak(self.late[there] / self.amplitudes[there], self.energies[there])
        except WorkFailed as error:
            return error.message


def joined(parts: Sequence[Events]) -> Events:
    """The events of several runs; without the cuts on A/E where one of them has none."""
    energies, late, amplitudes, drift = (
        np.concatenate([getattr(each, name) for each in parts]) for name in ("energies", "late", "amplitudes", "drift")
    )
    aoe = [each.aoe for each in parts if each.aoe is not None]
    return Events(energies, late, amplitudes, drift, np.concatenate(aoe) if len(aoe) == len(parts) else None)


def shifted(peaks: Mapping[str, PeakFit | str], whole: PeakFit) -> list[str]:
    """Sentences about the runs whose late charge is not that of all."""
    found = []
    for run, peak in peaks.items():
        if isinstance(peak, PeakFit) and abs(peak.mean - whole.mean) > SHIFTED * peak.mean_error:
            change = 100 * (peak.mean / whole.mean - 1)
            found.append(f"late charge of the double-escape peak in {run} is {change:+.1f} % from that of all runs")
    return found
