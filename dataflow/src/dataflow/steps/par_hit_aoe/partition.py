"""A/E of the runs of a partition together: each is divided by its own mean, and all are calibrated as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflow.physics.curves import Curve
from dataflow.physics.pulseshape.survival import survival_fractions

from .calibrate import calibrate, reference, reference_of_all
from .result import BandFit, OfRun, Result
from .settings import ParameterSet

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Events:
    """The selected events of a run, as :func:`.calibrate.calibrate` takes them; shape (events,) each."""

    energies: Floats
    current: Floats
    amplitudes: Floats
    drift: Floats | None
    stamps: Floats | None

    @property
    def ratio(self) -> Floats:
        """A/E; NaN where there is no energy."""
        found: Floats = np.full(len(self.energies), np.nan)
        np.divide(self.current, self.amplitudes, out=found, where=self.amplitudes > 0)
        return found

    def calibrated(self, widths: Curve, settings: ParameterSet) -> Result:
        """The calibration of these events alone.

        Raises
        ------
        WorkFailed
            As :func:`.calibrate.calibrate`.
        """
        return calibrate(self.energies, self.current, self.amplitudes, self.drift, widths, settings, self.stamps)


def calibrate_runs(parts: Mapping[str, Events], widths: Curve, settings: ParameterSet) -> Result:
    """Calibrate A/E of one detector in the runs of a partition.

    Parameters
    ----------
    parts
        Its events by run.
    widths
        FWHM of lines over the energy in all runs, in keV.
    settings
        How.

    Raises
    ------
    WorkFailed
        If all runs together have not enough events, or no double-escape peak.
    """
    whole = joined(list(parts.values()))
    mean = reference_of_all(*_finite(whole)).mean
    times = {run: reference(*_finite(each)) for run, each in parts.items()}
    scales = {run: time.mean / mean if isinstance(time, BandFit) else 1.0 for run, time in times.items()}
    counts = [len(each.energies) for each in parts.values()]
    aligned = replace(whole, current=whole.current / np.repeat(list(scales.values()), counts))
    found = aligned.calibrated(widths, settings)
    origin = np.repeat(np.arange(len(parts)), counts)[found.used]
    of_runs = {
        run: _of_run(found, OfRun(times[run], scales[run]), origin == number, widths)
        for number, run in enumerate(parts)
    }
    return replace(found, runs=of_runs)


def joined(parts: Sequence[Events]) -> Events:
    """The events of several runs; a column that one of them lacks is left out."""

    def column(name: str) -> Floats | None:
        values = [getattr(each, name) for each in parts]
        return None if any(each is None for each in values) else np.concatenate(values)

    energies, current, amplitudes = (
        np.concatenate([getattr(each, name) for each in parts]) for name in ("energies", "current", "amplitudes")
    )
    return Events(energies, current, amplitudes, column("drift"), column("stamps"))


def _finite(events: Events) -> tuple[Floats, Floats]:
    """A/E and energies of the events that have both."""
    there = np.isfinite(events.ratio) & np.isfinite(events.energies)
    return events.ratio[there], events.energies[there]


def _of_run(found: Result, run: OfRun, mine: NDArray[np.bool_], widths: Curve) -> OfRun:
    """With the survival of the run's own events."""
    energies, classifier = found.energies[mine], found.classifier[mine]
    lower, passes, higher = (classifier > found.cut + sign * found.cut_error for sign in (-1, 0, 1))
    below = classifier < found.high
    return replace(
        run,
        low_side=survival_fractions(energies, passes, widths, (lower, higher)),
        two_sided=survival_fractions(energies, passes & below, widths, (lower & below, higher & below)),
    )
