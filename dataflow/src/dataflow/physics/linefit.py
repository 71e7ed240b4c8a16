"""The fit of one gamma line: extended likelihood, from a dozen counts to ten million.

The densities are pygama's. pygama's own staged fit asks for 100 signal counts, a test stand has less, and minimises
five or six times; here the model grows with the counts: a Gaussian on a flat background, then a step below it, then
the tail of incomplete charge. Up to :data:`BINNED` events the likelihood is that of the single events, above it that of
bins much narrower than the line, which gives the same within a fraction of the error and takes the same time for any
number of events.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from iminuit import Minuit
from numpy.typing import NDArray

from .goodness import p_value, scale_of
from .likelihood import (
    WIDEST,
    Bins,
    Maximum,
    Sample,
    in_bins,
    maximised,
    wanted_tail,
    with_errors,
    with_tail,
)
from .lines import Line
from .peakmodel import PLAIN, PeakModel, mode, width
from .tailshape import Tail, own_tail

Floats = NDArray[np.floating[Any]]

STEP_COUNTS = 150
"""Background counts above which a step can be told."""
TAIL_COUNTS = 1500
"""Signal counts above which a tail can be told."""
LEAST_TAIL = 1e-4
"""Part of events in the tail below which there is none."""
FIRST_TAIL = 0.25
"""Largest part of events in the tail to begin with."""
LEAST_SIGNIFICANCE = 2.5
"""Signal over its error below which there is no line."""
BINNED = 2_000
"""Events in the window above which they are counted in bins."""
LEAST_EXPECTED = 5.0
"""Bins are joined until this many events are expected, so that the chi square has its distribution."""
MISFIT = 1e-3
"""Probability of a chi square below which data and model contradict each other: then errors grow."""
INVALID = 10.0
"""Chi square per degree of freedom above which what was fitted is not a peak of this model."""


@dataclass(frozen=True)
class LineFit:
    """A fitted line.

    Attributes
    ----------
    line
        Which one.
    model
        The density, with the fitted range.
    parameters, errors
        By name, in keV and counts. All errors are scaled by the root of chi2 / ndf where that contradicts the model.
    position, position_error
        Mode of the peak, in the unit of the fitted energies (keV under the first guess).
    fwhm, fwhm_error
        Full width at half maximum, same unit.
    counts, counts_error
        Signal.
    events
        Events in the fitted range.
    chi2, ndf
        Of the events in bins.
    tail_from
        Energies of the lines whose events constrained the tail, in keV: without own ones, it is that of these.
    """

    line: Line
    model: PeakModel
    parameters: Mapping[str, float]
    errors: Mapping[str, float]
    position: float
    position_error: float
    fwhm: float
    fwhm_error: float
    counts: float
    counts_error: float
    events: int
    chi2: float
    ndf: int
    tail_from: tuple[float, ...] = ()

    @property
    def function(self) -> str:
        """Name of pygama's distribution."""
        return self.model.function

    @property
    def window(self) -> tuple[float, float]:
        """Fitted range."""
        return self.model.window

    @property
    def p_value(self) -> float | None:
        """Probability of a larger chi square, None without degrees of freedom."""
        return p_value(self.chi2, self.ndf)


@dataclass(frozen=True)
class NoLine:
    """A line that was looked for in vain, or whose fit is not used.

    Attributes
    ----------
    line
        Which one.
    reason
        Why, in a few words.
    """

    line: Line
    reason: str


@dataclass(frozen=True)
class FirstFit:
    """A line that is fitted without tail, and has no errors yet.

    Attributes
    ----------
    line
        Which one.
    fit
        The maximum of the likelihood.
    model
        The density, with the fitted range.
    inside
        Events in the fitted range, shape (events,).
    sample
        The same, in bins if there are many.
    """

    line: Line
    fit: Minuit
    model: PeakModel
    inside: Floats
    sample: Sample

    @property
    def strong(self) -> bool:
        """Whether its counts can tell a tail."""
        return self.line.full_energy and self.fit.values["n_sig"] > TAIL_COUNTS

    @property
    def sigma(self) -> float:
        """Standard deviation in keV."""
        return float(self.fit.values["sigma"])


def fit_line(energies: Floats, line: Line, *, shift: float = 0.0, binned: int = BINNED) -> LineFit | NoLine:
    """Fit one line, of which nothing is known from other lines.

    Parameters
    ----------
    energies
        Energies in keV (a first guess will do), shape (events,).
    line
        The line.
    shift
        Where it is expected, relative to its energy, in keV.
    binned
        Number of events in the window above which they are counted in bins.

    Returns
    -------
    LineFit or NoLine
        The latter, with the reason, if no line stands out there.
    """
    first = first_fit(energies, line, shift=shift, binned=binned)
    if isinstance(first, NoLine):
        return first
    return finished(first, own_tail(first.sigma) if first.strong else None)[0]


def first_fit(energies: Floats, line: Line, *, shift: float = 0.0, binned: int = BINNED) -> FirstFit | NoLine:
    """Fit one line without a tail; parameters as those of :func:`fit_line`."""
    centre = line.energy + shift
    near = energies[(energies > centre - line.below) & (energies < centre + line.above)]
    start = _start(near, centre)
    if start is None:
        return NoLine(line, f"{len(near)} events")
    peak, sigma, signal, background = start
    window = (peak - line.below, peak + line.above)
    inside = np.ascontiguousarray(energies[(energies > window[0]) & (energies < window[1])], dtype=np.float64)
    sample = in_bins(inside, window, sigma) if len(inside) > binned else inside
    first = {"n_sig": signal, "mu": peak, "sigma": sigma, "n_bkg": max(background, 1.0), "hstep": 0.0}
    model = PeakModel(PLAIN, window, line.neighbours)
    # a parameter that the counts cannot determine makes the others' errors meaningless: the model grows with the counts
    return FirstFit(line, maximised(model, sample, first, step=background > STEP_COUNTS), model, inside, sample)


def finished(first: FirstFit, known: Tail | None) -> tuple[LineFit | NoLine, Tail | None]:
    """The line with its errors, and with a tail if something is known of that and the events do not forbid it.

    Parameters
    ----------
    first
        The line without a tail.
    known
        What is known of its tail; None for a line without one.

    Returns
    -------
    LineFit or NoLine
        The line.
    Tail or None
        What is known of its tail now.
    """
    if known is None:
        return _result(first, with_errors(first.model, first.fit)), None
    plain = first.fit.values.to_dict()
    bins = first.sample if isinstance(first.sample, Bins) else in_bins(first.inside, first.model.window, first.sigma)
    wanted = wanted_tail(first.model, bins, plain, np.where(first.fit.fixed, 0, first.fit.errors), known)
    if wanted.htail <= 0:
        return _result(first, with_errors(first.model, first.fit)), wanted
    found = with_tail(first.model, first.sample, plain | {"htail": min(wanted.htail, FIRST_TAIL)}, known)
    if found.valid and found.values["htail"] > LEAST_TAIL:
        return _result(first, found), found.tail
    return _result(first, with_errors(first.model, first.fit)), wanted if found.valid else None


def joined_bins(fit: LineFit, energies: Floats, bins: int) -> tuple[Floats, Floats, Floats]:
    """Events in the fitted range in equal bins, of which neighbours are joined until enough are expected.

    Parameters
    ----------
    fit
        The fit.
    energies
        Energies in the fit's unit, shape (events,).
    bins
        Number of bins before they are joined.

    Returns
    -------
    edges, observed, expected
        Shapes (n + 1,), (n,), (n,).
    """
    return _joined(fit.model, list(fit.parameters.values()), energies, bins)


def _joined(model: PeakModel, values: Sequence[float], energies: Floats, bins: int) -> tuple[Floats, Floats, Floats]:
    edges = np.linspace(*model.window, bins + 1)
    expected = np.diff(model.cumulative(edges, *values))
    observed = np.histogram(energies, edges)[0].astype(float)
    group = np.floor(np.cumsum(expected) / LEAST_EXPECTED - 1e-9)
    starts = np.flatnonzero(np.diff(group, prepend=-1) > 0)
    if len(starts) == 0:
        return edges[[0, -1]], observed.sum(keepdims=True), expected.sum(keepdims=True)
    # a bin closes where the sum passes the next multiple: the last, incomplete one joins its neighbour
    cuts = np.concatenate([[0], starts[:-1] + 1])
    return np.append(edges[cuts], edges[-1]), np.add.reduceat(observed, cuts), np.add.reduceat(expected, cuts)


def _start(near: Floats, centre: float) -> tuple[float, float, float, float] | None:
    """Mode, sigma, signal and background to start from, by the densest place in the window."""
    if len(near) < 4:
        return None
    # no moments of the window: a line of a dozen counts on a background has the window's mean and width. The densest
    # interval of about a line's width is on the peak even then, and needs no bins, whose edges would decide
    half = 1.5 + 0.7e-3 * centre
    ordered = np.sort(near)
    counts = np.searchsorted(ordered, ordered + half) - np.arange(len(ordered))
    densest = int(np.argmax(counts))
    top = ordered[densest : densest + counts[densest]]
    peak, width = float(np.median(top)), float(ordered[-1] - ordered[0])
    background = max(len(near) - len(top), 0) * width / max(width - half, half)
    sigma = min(max(float(np.std(top)), 0.3), half)
    return peak, sigma, max(len(near) - background, 3.0), background


def _result(first: FirstFit, fit: Maximum) -> LineFit | NoLine:
    line, values, errors = first.line, fit.values, fit.errors
    fwhm, fwhm_error = _propagated(fit, width, ("sigma", "htail", "tau"))
    position, position_error = _propagated(fit, mode, ("mu", "sigma", "htail", "tau"))
    counts, counts_error = values["n_sig"], errors["n_sig"]
    if not fit.valid or not np.isfinite([fwhm, fwhm_error, position_error, counts_error]).all():
        return NoLine(line, "the fit does not converge")
    if counts < LEAST_SIGNIFICANCE * max(counts_error, 1.0):
        return NoLine(line, f"no line stands out ({counts:.0f} ± {max(counts_error, 1.0):.0f} counts)")
    if not 0.3 < fwhm < WIDEST:
        return NoLine(line, f"{fwhm:.1f} keV wide, which no line of a germanium detector is")
    chi2, ndf = _chi_square(fit, first.inside)
    if ndf > 0 and chi2 > INVALID * ndf:
        return NoLine(line, f"the peak does not have the form of a line (chi2/ndf = {chi2 / ndf:.0f})")
    scale = scale_of(chi2, ndf, MISFIT)
    return LineFit(
        line=line,
        model=fit.model,
        parameters=values,
        errors={name: error * scale for name, error in errors.items()},
        position=position,
        position_error=position_error * scale,
        fwhm=fwhm,
        fwhm_error=fwhm_error * scale,
        counts=counts,
        counts_error=counts_error * scale,
        events=len(first.inside),
        chi2=chi2,
        ndf=ndf,
    )


def _chi_square(fit: Maximum, inside: Floats) -> tuple[float, int]:
    """Pearson's chi square of the events in bins of half a sigma, and its degrees of freedom."""
    low, high = fit.model.window
    bins = max(math.ceil(2 * (high - low) / fit.values["sigma"]), 10)
    _, observed, expected = _joined(fit.model, list(fit.values.values()), inside, bins)
    chi2 = float(((observed - expected) ** 2 / np.maximum(expected, 1e-9)).sum())
    return chi2, len(observed) - fit.free


def _propagated(
    fit: Maximum, function: Callable[[Mapping[str, float]], float], names: Sequence[str]
) -> tuple[float, float]:
    """A function of the parameters, and its error through their covariance."""
    used = [name for name in names if name in fit.values]
    if not np.isfinite(fit.covariance).all():
        return function(fit.values), math.nan
    gradient = np.array([_derivative(function, fit.values, name, 0.01 * fit.errors[name]) for name in used])
    at = [fit.model.names.index(name) for name in used]
    covariance = fit.covariance[np.ix_(at, at)]
    return function(fit.values), float(np.sqrt(max(gradient @ covariance @ gradient, 0)))


def _derivative(
    function: Callable[[Mapping[str, float]], float], values: Mapping[str, float], name: str, step: float
) -> float:
    """By central differences: tail and width are so correlated that the error needs it exact."""
    step = max(step, 1e-4)
    above, below = ({**values, name: values[name] + sign * step} for sign in (1, -1))
    return (function(above) - function(below)) / (2 * step)
