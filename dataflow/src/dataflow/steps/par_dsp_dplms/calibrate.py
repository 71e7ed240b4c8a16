"""The DPLMS filter of a detector: noise and shapes from the data, weights by the width of a line."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed
from dataflow.physics.linefit import NoLine
from dataflow.physics.noisetraces import quiet_traces, spectrum

from .noise import noise_matrix
from .resolution import corrected, energies_of, line_of, trapping_of
from .result import Candidate, Result
from .settings import DplmsSettings
from .signals import Decay, Signals, shapes_of
from .synthesis import Floats, Terms, Weights, synthesised, tail_of

NEAR = 0.05
"""How far a pulse of the line may be off the mean height, as a part of it."""


def calibrate(
    noise: NDArray[np.floating], signals: Signals, period: float, decay: Decay, settings: DplmsSettings
) -> Result:
    """Find the filter.

    Parameters
    ----------
    noise
        Forced triggers without baseline, in ADC counts, shape (traces, samples).
    signals
        Pulses of the lines, of the same sampling.
    period
        Sampling period in ns.
    decay
        How pulses decay.
    settings
        How.

    Raises
    ------
    WorkFailed
        If there are too few quiet traces or pulses, or the filter does not fit into the trace.
    """
    traces = np.asarray(noise, dtype=np.float64)
    quiet = quiet_traces(traces, period)
    if quiet.sum() < settings.least:
        raise WorkFailed(
            f"{int(quiet.sum())} traces without a pulse are too few for the noise, {settings.least} are needed"
        )
    used, length = traces[quiet], filter_length(traces.shape[1], settings)
    first = int(np.clip(_usual_start(signals) - length // 2, 0, traces.shape[1] - length))
    covariance = noise_matrix(used, length, first, max(round(settings.baseline * traces.shape[1]), 1))
    shapes = shapes_of(signals, length, period, decay, settings)
    terms = Terms(covariance, shapes.spread, tail_of(length, decay.tau / period), shapes.reference)
    of_line = signals.chosen((signals.lines == settings.peaks_kev[-1]) & np.isfinite(signals.drift))
    line = _Line(of_line, shapes.height, settings)
    candidates = tuple(line.tried(candidate(terms, weights)) for weights in grid(settings))
    good = [each for each in candidates if not each.reason]
    default = Weights(**settings.dp_def.model_dump())
    best = min(good, key=lambda each: float(each.fwhm)) if good else line.tried(candidate(terms, default))
    squares = (used[:, first : first + length] @ best.samples) ** 2
    frequency, density = spectrum(used, period)
    power = float(np.mean(squares))
    return Result(
        best=best,
        candidates=candidates,
        period=period,
        line=line.energy,
        height=shapes.height,
        noise=power**0.5,
        noise_error=float(np.std(squares)) / len(used) ** 0.5 / (2 * power**0.5),
        traces=len(used),
        rejected=int((~quiet).sum()),
        pulses=shapes.pulses,
        reference=shapes.reference,
        energies=line.in_kev(best),
        drift=of_line.drift,
        frequency=frequency,
        density=density,
        warning="" if good else f"none of {len(candidates)} filters is good ({candidates[0].reason}): dp_def is used",
    )


def filter_length(samples: int, settings: DplmsSettings) -> int:
    """The length of the filter in samples, an even number.

    Raises
    ------
    WorkFailed
        If the trace is shorter.
    """
    length = settings.length or round(settings.kernel * samples)
    if length >= samples:
        raise WorkFailed(f"a filter of {length} samples does not fit into traces of {samples}")
    return length - length % 2


def _usual_start(signals: Signals) -> int:
    """The sample at which pulses begin, 0 if there are none."""
    starts = signals.starts[np.isfinite(signals.starts)]
    return round(float(np.median(starts))) if len(starts) else 0


def grid(settings: DplmsSettings) -> Iterable[Weights]:
    """All combinations of weights."""
    tried = settings.dp_coeffs
    return itertools.starmap(Weights, itertools.product(tried.nm, tried.za, tried.pl, tried.ft))


def candidate(terms: Terms, weights: Weights) -> Candidate:
    """The filter of some weights, with what its terms predict of it."""
    samples = synthesised(terms, weights)
    return Candidate(
        weights,
        samples,
        noise=float(samples @ terms.noise @ samples) ** 0.5,
        spread=max(float(samples @ terms.spread @ samples), 0.0) ** 0.5,
        tail=float(samples @ terms.tail),
        area=float(samples.sum()),
    )


class _Line:
    """The pulses of the line whose width decides.

    Parameters
    ----------
    pulses
        The pulses.
    height
        Mean height of those that are alone, in ADC counts.
    settings
        What a good width is.
    """

    def __init__(self, pulses: Signals, height: float, settings: DplmsSettings) -> None:
        self._pulses, self._height, self._settings = pulses, height, settings
        self.energy = settings.peaks_kev[-1]

    def tried(self, made: Candidate) -> Candidate:
        """A filter with its correction for trapping, and the width of the line that it gives."""
        energies = self._energies(made)
        trapping = trapping_of(energies, self._pulses.drift)
        fit, _ = line_of(corrected(energies, self._pulses.drift, trapping), self.energy)
        if isinstance(fit, NoLine):
            return replace(made, trapping=trapping, reason=fit.reason)
        p_value = np.nan if fit.p_value is None else fit.p_value
        found = replace(made, trapping=trapping, fwhm=fit.fwhm, fwhm_error=fit.fwhm_error, p_value=p_value)
        return replace(found, reason=_refused(found, self._settings))

    def in_kev(self, made: Candidate) -> Floats:
        """The energies without and with the correction, shape (2, pulses)."""
        energies = self._energies(made)
        after = corrected(energies, self._pulses.drift, made.trapping)
        return np.stack([energies, after]) * line_of(after, self.energy)[1]

    def _energies(self, made: Candidate) -> Floats:
        """The energies of the pulses; NaN for those that are far off the line, by pile-up."""
        energies = energies_of(self._pulses.traces, made.samples)
        return np.where(np.abs(energies / self._height - 1) < NEAR, energies, np.nan)


def _refused(found: Candidate, settings: DplmsSettings) -> str:
    if found.fwhm > settings.fwhm_limit:
        return f"the line is {found.fwhm:.2f} keV wide"
    if found.fwhm_error > settings.err_limit:
        return f"the error of its width is {found.fwhm_error:.2f} keV"
    return f"its fit has a p-value of {found.p_value:.1e}" if found.p_value < settings.p_val_lim else ""
