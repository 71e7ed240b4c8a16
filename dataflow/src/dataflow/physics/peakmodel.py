"""The density of events around a gamma line: pygama's peak on its background, and neighbours that overlap with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .densities import kernels

Floats = NDArray[np.floating[Any]]

PLAIN, TAILED = "gauss_on_step", "hpge_peak"
FWHM = 2 * math.sqrt(2 * math.log(2))
BELOW = 4.0
"""How far from the mode its half height is looked for, in standard deviations and slopes."""
EXACT = 1e-10
"""keV; derivatives are made of differences."""
NAMES = {
    PLAIN: ("n_sig", "mu", "sigma", "n_bkg", "hstep"),
    TAILED: ("n_sig", "mu", "sigma", "htail", "tau", "n_bkg", "hstep"),
}


@dataclass(frozen=True)
class PeakModel:
    """A line in its window.

    Attributes
    ----------
    function
        Name of pygama's distribution: ``gauss_on_step`` or ``hpge_peak``.
    window
        The fitted range.
    neighbours
        Lines with the same shape in the same window: distance, and counts as a part of this line's.
    """

    function: str
    window: tuple[float, float]
    neighbours: tuple[tuple[float, float], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in order; energies in keV, contents in counts."""
        return NAMES[self.function]

    def density(self, energies: Floats, *values: float) -> tuple[float, Floats]:
        """Events expected in the window, and per keV at some energies, shape as given."""
        window = np.array(self.window)
        expected = self.cumulative(window, *values)
        named = dict(zip(self.names, values, strict=True))
        found = named["n_bkg"] * kernels().step(energies, *window, *_step(named))
        for distance, share in ((0.0, 1.0), *self.neighbours):
            found = found + named["n_sig"] * share * peak(energies, named, distance)
        return float(expected[1] - expected[0]), found

    def cumulative(self, edges: Floats, *values: float) -> Floats:
        """Events expected below some energies of the window, shape as given."""
        named = dict(zip(self.names, values, strict=True))
        found = named["n_bkg"] * kernels().step_below(edges, *self.window, *_step(named))
        for distance, share in ((0.0, 1.0), *self.neighbours):
            found = found + named["n_sig"] * share * _peak_below(edges, named, distance)
        return found

    def background(self, energies: Floats, values: Mapping[str, float]) -> Floats:
        """Events per keV that are not of this line, shape as given."""
        ordered = [values[name] for name in self.names]
        result: Floats = self.density(energies, *ordered)[1] - values["n_sig"] * peak(energies, values)
        return result


def peak(energies: Floats, values: Mapping[str, float], distance: float = 0.0) -> Floats:
    """Density of a line at a distance from `mu`, normalised to 1, shape as given."""
    return _mixed(kernels().gauss, kernels().tail, energies, values, distance)


def _peak_below(edges: Floats, values: Mapping[str, float], distance: float) -> Floats:
    return _mixed(kernels().gauss_below, kernels().tail_below, edges, values, distance)


def _mixed(
    gauss: Callable[..., Floats], tail: Callable[..., Floats], x: Floats, values: Mapping[str, float], distance: float
) -> Floats:
    """The part of a line without, and that with a tail."""
    centre, sigma, share = values["mu"] + distance, values["sigma"], values.get("htail", 0.0)
    found = gauss(x, centre, sigma)
    return found if share == 0 else (1 - share) * found + share * tail(x, centre, sigma, values["tau"])


def _step(values: Mapping[str, float]) -> tuple[float, float, float]:
    return values["mu"], values["sigma"], values["hstep"]


def mode(values: Mapping[str, float]) -> float:
    """Where the peak is highest: `mu`, or below it if there is a tail; in keV."""
    from scipy import optimize

    if values.get("htail", 0.0) <= 0:
        return values["mu"]
    at_zero = {**values, "mu": 0.0}
    return values["mu"] + float(optimize.brentq(_slope, -BELOW * values["sigma"], 0.0, (at_zero,), xtol=EXACT))


def width(values: Mapping[str, float]) -> float:
    """Full width at half maximum in keV; with a tail, what `pygama.math.hpge_peak_fitting.hpge_peak_fwhm` gives."""
    from scipy import optimize

    sigma = values["sigma"]
    if values.get("htail", 0.0) <= 0:
        return FWHM * sigma
    at_zero = {**values, "mu": 0.0}
    top = mode(at_zero)
    half = 0.5 * float(peak(np.array([top]), at_zero)[0])

    def above_half(x: float) -> float:
        return float(peak(np.array([x]), at_zero)[0]) - half

    low = optimize.brentq(above_half, top - BELOW * (sigma + values["tau"]), top, xtol=EXACT)
    return float(optimize.brentq(above_half, top, top + BELOW * sigma, xtol=EXACT) - low)


def _slope(x: float, values: Mapping[str, float]) -> float:
    """Derivative of a peak with a tail; that of the tail follows from its being an integral over the Gaussian."""
    at, sigma, tau, share = np.array([x]), values["sigma"], values["tau"], values["htail"]
    gauss, tail = float(kernels().gauss(at, 0.0, sigma)[0]), float(kernels().tail(at, 0.0, sigma, tau)[0])
    return (share - 1) * x / sigma**2 * gauss + share * (tail - gauss) / tau
