"""The fit of one gamma line: extended likelihood, from a dozen counts to ten million.

The densities are pygama's. pygama's own staged fit asks for 100 signal counts, a test stand has less, and minimises
five or six times; here the model grows with the counts: a Gaussian on a flat background, then a step below it, then
the tail of incomplete charge. Up to :data:`BINNED` events the likelihood is that of the single events, above it that of
bins much narrower than the line, which gives the same within a fraction of the error and takes the same time for any
number of events.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from iminuit import Minuit, cost
from numpy.typing import NDArray

from .densities import hpge_peak_fwhm
from .goodness import p_value, scale_of
from .lines import Line
from .peakmodel import PLAIN, TAILED, PeakModel, mode

Floats = NDArray[np.floating[Any]]

FWHM = 2 * math.sqrt(2 * math.log(2))
STEP_COUNTS = 150
"""Background counts above which a step can be told."""
TAIL_COUNTS = 1500
"""Signal counts above which a tail can be told."""
TAIL_GAIN = 9.0
"""Twice the gain in log likelihood that the two parameters of a tail must bring."""
LEAST_SIGNIFICANCE = 2.5
"""Signal over its error below which there is no line."""
WIDEST = 12.0
"""FWHM in keV above which it is not a line of a germanium detector."""
BINNED = 2_000
"""Events in the window above which they are counted in bins."""
BINS_A_SIGMA = 10
MOST_BINS = 4000
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


def fit_line(energies: Floats, line: Line, *, shift: float = 0.0, binned: int = BINNED) -> LineFit | NoLine:
    """Fit one line.

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
    centre = line.energy + shift
    near = energies[(energies > centre - line.below) & (energies < centre + line.above)]
    start = _start(near, centre)
    if start is None:
        return NoLine(line, f"{len(near)} events")
    peak, sigma, signal, background = start
    window = (peak - line.below, peak + line.above)
    inside = np.ascontiguousarray(energies[(energies > window[0]) & (energies < window[1])], dtype=np.float64)
    sample = _binned(inside, window, sigma) if len(inside) > binned else inside
    first = {"n_sig": signal, "mu": peak, "sigma": sigma, "n_bkg": max(background, 1.0), "hstep": 0.0}
    model = PeakModel(PLAIN, window, line.neighbours)
    best = _minimise(model, sample, first, step=background > STEP_COUNTS)
    # a parameter that the counts cannot determine makes the others' errors meaningless: the model grows with the counts
    if line.full_energy and best.values["n_sig"] > TAIL_COUNTS:
        model, best = _with_tail(model, best, sample)
    return _result(line, model, best, inside)


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


@dataclass(frozen=True)
class _Bins:
    """Counts in narrow bins."""

    counts: Floats
    edges: Floats


def _binned(inside: Floats, window: tuple[float, float], sigma: float) -> _Bins:
    bins = min(math.ceil((window[1] - window[0]) / sigma * BINS_A_SIGMA), MOST_BINS)
    counts, edges = np.histogram(inside, bins, window)
    return _Bins(counts.astype(float), edges)


def _minimise(model: PeakModel, sample: Floats | _Bins, start: Mapping[str, float], *, step: bool) -> Minuit:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        minuit = Minuit(_negative_log(model, sample), *(start[name] for name in model.names), name=model.names)
        minuit.limits["n_sig"] = minuit.limits["n_bkg"] = (0, None)
        minuit.limits["mu"] = model.window
        minuit.limits["sigma"] = (0.15, WIDEST / FWHM * 1.5)
        minuit.limits["hstep"] = (-1, 1)
        minuit.fixed["hstep"] = not step
        if "htail" in start:
            # a tail shorter than the line is wide cannot be told from a shift
            minuit.limits["htail"], minuit.limits["tau"] = (0, 0.5), (start["sigma"], 30 * start["sigma"])
        minuit.migrad(ncall=4000)
        if not minuit.valid:
            minuit.simplex().migrad()
        minuit.hesse()
    return minuit


def _negative_log(model: PeakModel, sample: Floats | _Bins) -> Callable[..., float]:
    if isinstance(sample, _Bins):
        return cost.ExtendedBinnedNLL(sample.counts, sample.edges, model.cumulative, name=model.names)  # type: ignore[no-any-return]
    return cost.ExtendedUnbinnedNLL(sample, model.density, name=model.names)  # type: ignore[no-any-return]


def _with_tail(model: PeakModel, plain: Minuit, sample: Floats | _Bins) -> tuple[PeakModel, Minuit]:
    """The fit with a tail, if the counts ask for one."""
    values = plain.values.to_dict()
    start = values | {"htail": 0.05, "tau": 1.5 * values["sigma"]}
    with_tail = PeakModel(TAILED, model.window, model.neighbours)
    tailed = _minimise(with_tail, sample, start, step=True)
    better = tailed.valid and plain.fval - tailed.fval > TAIL_GAIN
    return (with_tail, tailed) if better else (model, plain)


def _result(line: Line, model: PeakModel, fit: Minuit, inside: Floats) -> LineFit | NoLine:
    values, errors = fit.values.to_dict(), fit.errors.to_dict()
    width, width_error = _propagated(fit, _width, ("sigma", "htail", "tau"))
    position, position_error = _propagated(fit, mode, ("mu", "sigma", "htail", "tau"))
    counts, counts_error = values["n_sig"], errors["n_sig"]
    if not fit.valid or not np.isfinite([width, width_error, position_error, counts_error]).all():
        return NoLine(line, "the fit does not converge")
    if counts < LEAST_SIGNIFICANCE * max(counts_error, 1.0):
        return NoLine(line, f"no line stands out ({counts:.0f} ± {max(counts_error, 1.0):.0f} counts)")
    if not 0.3 < width < WIDEST:
        return NoLine(line, f"{width:.1f} keV wide, which no line of a germanium detector is")
    chi2, ndf = _chi_square(model, fit, inside)
    if ndf > 0 and chi2 > INVALID * ndf:
        return NoLine(line, f"the peak does not have the form of a line (chi2/ndf = {chi2 / ndf:.0f})")
    scale = scale_of(chi2, ndf, MISFIT)
    return LineFit(
        line=line,
        model=model,
        parameters={name: values[name] for name in model.names},
        errors={name: errors[name] * scale for name in model.names},
        position=position,
        position_error=position_error * scale,
        fwhm=width,
        fwhm_error=width_error * scale,
        counts=counts,
        counts_error=counts_error * scale,
        events=len(inside),
        chi2=chi2,
        ndf=ndf,
    )


def _chi_square(model: PeakModel, fit: Minuit, inside: Floats) -> tuple[float, int]:
    """Pearson's chi square of the events in bins of half a sigma, and its degrees of freedom."""
    bins = max(math.ceil(2 * (model.window[1] - model.window[0]) / fit.values["sigma"]), 10)
    _, observed, expected = _joined(model, list(fit.values), inside, bins)
    chi2 = float(((observed - expected) ** 2 / np.maximum(expected, 1e-9)).sum())
    return chi2, len(observed) - fit.nfit


def _propagated(
    fit: Minuit, function: Callable[[Mapping[str, float]], float], names: Sequence[str]
) -> tuple[float, float]:
    """A function of the parameters, and its error through their covariance."""
    values = fit.values.to_dict()
    free = [name for name in names if name in values]
    if fit.covariance is None:
        return function(values), math.nan
    gradient = np.array([_derivative(function, values, name, 0.01 * fit.errors[name]) for name in free])
    covariance = np.array([[fit.covariance[a, b] for b in free] for a in free])
    return function(values), float(np.sqrt(max(gradient @ covariance @ gradient, 0)))


def _derivative(
    function: Callable[[Mapping[str, float]], float], values: Mapping[str, float], name: str, step: float
) -> float:
    """By central differences: tail and width are so correlated that the error needs it exact."""
    step = max(step, 1e-4)
    above, below = ({**values, name: values[name] + sign * step} for sign in (1, -1))
    return (function(above) - function(below)) / (2 * step)


def _width(values: Mapping[str, float]) -> float:
    if "htail" not in values:
        return FWHM * values["sigma"]
    return hpge_peak_fwhm(values["sigma"], min(max(values["htail"], 0), 0.999), values["tau"])
