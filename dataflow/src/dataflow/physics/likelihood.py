"""The likelihood of the events around a line, and its maximum, with and without what is known of the line's tail."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from iminuit import Minuit, cost
from numpy.typing import NDArray

from .peakmodel import FWHM, TAILED, PeakModel
from .tailshape import LARGEST, Tail

Floats = NDArray[np.floating[Any]]

WIDEST = 12.0
"""FWHM in keV above which it is not a line of a germanium detector."""
BINS_A_SIGMA = 10
MOST_BINS = 4000
FARTHEST = 6.0
"""Standard deviations within which the tail is looked for around what is known of it."""
LITTLE = 1e-3
"""Step in the part of events in the tail by which its effect on the spectrum is derived."""


@dataclass(frozen=True)
class Bins:
    """Counts in narrow bins.

    Attributes
    ----------
    counts
        Shape (n,).
    edges
        In keV, shape (n + 1,).
    """

    counts: Floats
    edges: Floats


Sample = Floats | Bins


def in_bins(inside: Floats, window: tuple[float, float], sigma: float) -> Bins:
    """Events in bins much narrower than a line with this standard deviation."""
    bins = min(math.ceil((window[1] - window[0]) / sigma * BINS_A_SIGMA), MOST_BINS)
    counts, edges = np.histogram(inside, bins, window)
    return Bins(counts.astype(float), edges)


@dataclass(frozen=True)
class Maximum:
    """Where the likelihood is largest.

    Attributes
    ----------
    model
        The density.
    values
        By parameter of the model.
    covariance
        In the order of the parameters, shape (n, n); not finite where there is none.
    free
        Number of parameters that the events alone determine.
    valid
        Whether it was found.
    tail
        What is known of the tail after the fit, None without tail.
    """

    model: PeakModel
    values: Mapping[str, float]
    covariance: Floats
    free: int
    valid: bool
    tail: Tail | None = None

    @property
    def errors(self) -> dict[str, float]:
        """By parameter of the model."""
        return dict(zip(self.model.names, map(float, np.sqrt(np.diag(self.covariance))), strict=True))


def maximised(model: PeakModel, sample: Sample, start: Mapping[str, float], *, step: bool) -> Minuit:
    """The largest likelihood without a tail, and without errors.

    Parameters
    ----------
    model
        The density.
    sample
        Single events, or bins.
    start
        Where to begin, by parameter.
    step
        Whether the height of the step is free.
    """
    return _migrad(_negative_log(model, sample), model, start, step=step)


def with_errors(model: PeakModel, minuit: Minuit) -> Maximum:
    """The maximum without a tail, with the covariance of its parameters."""
    covariance = _covariance(minuit)
    return Maximum(model, minuit.values.to_dict(), covariance, minuit.nfit, minuit.valid)


def with_tail(plain: PeakModel, sample: Sample, start: Mapping[str, float], known: Tail) -> Maximum:
    """The largest likelihood with a tail.

    The tail is varied by independent standard deviations of what is known of it: part of events and slope depend on
    each other so much that neither maximum nor covariance is found reliably in them.

    Parameters
    ----------
    plain
        The density without tail.
    sample
        Single events, or bins.
    start
        The maximum without tail, by parameter, and ``htail``, where to begin with that.
    known
        What is known of the tail.
    """
    model = PeakModel(TAILED, plain.window, plain.neighbours)
    events, root = _negative_log(model, sample), known.root.tolist()
    at = model.names.index("htail")

    def objective(*values: float) -> float:
        part, slope = values[at : at + 2]
        htail, tau = known.htail + root[0][0] * part, known.tau * math.exp(root[1][0] * part + root[1][1] * slope)
        return events(*values[:at], htail, tau, *values[at + 2 :]) + part**2 + slope**2

    low, first, high = ((part - known.htail) / root[0][0] for part in (0.0, start["htail"], LARGEST))
    limits = {"htail": (low, high), "tau": (-FARTHEST, FARTHEST)}
    fit = _migrad(objective, model, {**start, "htail": first, "tau": 0.0}, limits, step=True)
    return _natural(model, fit, known)


def _natural(model: PeakModel, fit: Minuit, known: Tail) -> Maximum:
    """A maximum in the parameters of the model."""
    covariance, at = _covariance(fit), model.names.index("htail")
    mean = known.mean + known.root @ [fit.values["htail"], fit.values["tau"]]
    found = Tail(mean, known.root @ covariance[at : at + 2, at : at + 2] @ known.root.T)
    to_natural = np.eye(len(model.names))
    to_natural[at : at + 2, at : at + 2] = np.diag([1, found.tau]) @ known.root
    values = fit.values.to_dict() | {"htail": found.htail, "tau": found.tau}
    return Maximum(model, values, to_natural @ covariance @ to_natural.T, fit.nfit - 2, fit.valid, found)


def _migrad(
    objective: Callable[..., float],
    model: PeakModel,
    start: Mapping[str, float],
    limits: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    *,
    step: bool,
) -> Minuit:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        minuit = Minuit(objective, *(start[name] for name in model.names), name=model.names)
        minuit.limits["n_sig"] = minuit.limits["n_bkg"] = (0, None)
        minuit.limits["mu"] = model.window
        minuit.limits["sigma"] = (0.15, WIDEST / FWHM * 1.5)
        minuit.limits["hstep"] = (-1, 1)
        minuit.fixed["hstep"] = not step
        for name, interval in limits.items():
            minuit.limits[name] = interval
        minuit.migrad(ncall=4000)
        if not minuit.valid:
            minuit.simplex().migrad()
    return minuit


def _covariance(minuit: Minuit) -> Floats:
    """The covariance of all parameters, not finite where it cannot be had."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        minuit.hesse()
    return np.array(minuit.covariance) if minuit.covariance is not None else np.full((minuit.npar,) * 2, np.nan)


def _negative_log(model: PeakModel, sample: Sample) -> Callable[..., float]:
    if isinstance(sample, Bins):
        return cost.ExtendedBinnedNLL(sample.counts, sample.edges, model.cumulative, name=model.names)  # type: ignore[no-any-return]
    return cost.ExtendedUnbinnedNLL(sample, model.density, name=model.names)  # type: ignore[no-any-return]


def wanted_tail(model: PeakModel, bins: Bins, plain: Mapping[str, float], errors: Floats, known: Tail) -> Tail:
    """The tail that the events ask for, to first order from the maximum without one; its part may be negative.

    A fitted part cannot be negative, and a maximum at zero has no error. The first step of Fisher's scoring from there
    has: it is what a shape that several lines tell together needs of a line that shows no tail.

    Parameters
    ----------
    model, plain
        The density without tail and its parameters at the maximum.
    bins
        The events.
    errors
        Roughly those of the parameters, shape (n,): steps of derivatives.
    known
        What is known of the tail, whose slope is assumed.
    """
    values = np.array([plain[name] for name in model.names])
    expected = np.maximum(np.diff(model.cumulative(bins.edges, *values)), 1e-9)
    slopes = [_slope(model, bins.edges, values, at, error) for at, error in enumerate(errors) if error > 0]
    slopes.append(_slope_of_part(model, bins.edges, plain, expected, known.tau))
    design = np.array(slopes)
    information, score = (design / expected) @ design.T, design @ (bins.counts / expected - 1)
    variance = float(known.covariance[0, 0])
    information[-1, -1] += 1 / variance
    score[-1] += known.htail / variance
    scale = np.sqrt(np.outer(np.diag(information), np.diag(information)))
    covariance = np.linalg.pinv(information / np.where(scale > 0, scale, 1)) / np.where(scale > 0, scale, 1)
    mean = np.array([covariance[-1] @ score, known.mean[1]])
    return Tail(mean, np.diag([covariance[-1, -1], known.covariance[1, 1]]))


def _slope(model: PeakModel, edges: Floats, values: Floats, at: int, error: float) -> Floats:
    """Derivative of the expected counts by a parameter."""
    step = np.zeros(len(values))
    step[at] = 0.1 * error
    above, below = (np.diff(model.cumulative(edges, *(values + sign * step))) for sign in (1, -1))
    return np.asarray(above - below) / (0.2 * error)


def _slope_of_part(model: PeakModel, edges: Floats, plain: Mapping[str, float], expected: Floats, tau: float) -> Floats:
    """Derivative of the expected counts by the part of events in the tail: they are linear in it."""
    tailed = PeakModel(TAILED, model.window, model.neighbours)
    values = {**plain, "htail": LITTLE, "tau": tau}
    changed = np.diff(tailed.cumulative(edges, *(values[name] for name in tailed.names)))
    return np.asarray(changed - expected) / LITTLE
