"""Scale, dark rate and cross-talk of a SiPM from the pulses of its traces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed

from .peaks import first_guess, fit_peaks, shares
from .result import Comb, Floats, Result
from .settings import Settings

US = 1000.0
TO_SIGMA = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))
BAD_FIT = 2.0
"""Factor on the errors from which on a fit is a warning."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Pulses:
    """The pulses of the traces of a SiPM.

    Attributes
    ----------
    times, heights
        In ns of the trace and ADC counts, in the order of time, NaN behind the last pulse; shape (traces, places).
    number
        Pulses of each trace, those without a place included, shape (traces,).
    highest
        The highest sample of each trace in ADC counts, shape (traces,).
    noise
        Full width at half maximum of the noise of each trace in ADC counts, shape (traces,).
    ceiling
        The sample from which on a trace is saturated.
    """

    times: Floats
    heights: Floats
    number: NDArray[np.integer]
    highest: Floats
    noise: Floats
    ceiling: float


def calibrate(pulses: Pulses, settings: Settings) -> Result:
    """Find scale, dark rate and cross-talk.

    Raises
    ------
    WorkFailed
        If there are too few pulses, or their heights are no multiples of anything.
    """
    good = (pulses.highest < pulses.ceiling) & (pulses.number <= pulses.times.shape[1])
    if not good.any():
        raise WorkFailed(f"all of its {len(good)} traces are saturated, or full of pulses")
    times, heights = pulses.times[good] / US, pulses.heights[good].astype(np.float64)
    alone = isolated(times, settings.isolation)
    if alone.sum() < settings.least:
        raise WorkFailed(
            f"{int(alone.sum())} single pulses in {int(good.sum())} traces are too few, {settings.least} are needed"
        )
    noise = float(np.median(pulses.noise[good])) * TO_SIGMA
    comb = fit_peaks(heights[alone], noise, first_guess(heights[alone], noise), settings.most_peaks)
    begin, end = settings.dark_window
    dark = alone & (times >= begin) & (times < end) & (heights > 0.5 * comb.gain)
    lifetime = living(times, settings) * 1e-6
    number = int(dark.sum())
    talk, talk_err = cross_talk(heights[dark], comb) if number else (None, None)
    return Result(
        comb, number / lifetime, max(number, 1) ** 0.5 / lifetime, talk, talk_err,
        int(alone.sum()), number, int(good.sum()), lifetime, settings.valid_from, times[alone],
        tuple(_warnings(comb, good)),
    )  # fmt: skip


def isolated(times: Floats, least: float) -> Mask:
    """Which pulses have no other one shortly before them, nor the beginning of the trace; shape (traces, places)."""
    before = np.concatenate([np.zeros((len(times), 1)), times[:, :-1]], axis=1)
    return np.asarray(np.isfinite(times) & (times - before > least))


def living(times: Floats, settings: Settings) -> float:
    """The time in the dark window of all traces that is not shortly after a pulse, in microseconds."""
    begin, end = settings.dark_window
    known = np.where(np.isfinite(times), times, np.inf)
    after = np.concatenate([known[:, 1:], np.full((len(known), 1), np.inf)], axis=1)
    first, last = np.clip(known, begin, end), np.clip(np.minimum(known + settings.isolation, after), begin, end)
    return float(len(times) * (end - begin) - (last - first).sum())


def cross_talk(heights: Floats, comb: Comb) -> tuple[float, float]:
    """The share of more than one photo-electron among dark pulses, and its (binomial) error."""
    share = float(1.0 - shares(heights, comb)[0])
    number = len(heights)
    near = (share * number + 1.0) / (number + 2.0)  # an error also where the share is 0 or 1
    return share, float(np.sqrt(near * (1.0 - near) / number))


def _warnings(comb: Comb, good: Mask) -> list[str]:
    found = []
    if comb.scale > BAD_FIT:
        found.append(f"the fit of the photo-electron peaks is bad: its errors are {comb.scale:.1f} times as large")
    if good.mean() < 0.5:
        found.append(f"{1 - good.mean():.0%} of the traces are saturated or full of pulses, and left out")
    return found
