"""The density of events around a gamma line: pygama's peak on its background, and neighbours that overlap with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .densities import kernels

Floats = NDArray[np.floating[Any]]

PLAIN, TAILED = "gauss_on_step", "hpge_peak"
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
    """Where the peak is highest: `mu`, or below it if there is a tail."""
    from scipy import optimize

    if "htail" not in values:
        return values["mu"]
    shape = {**values, "mu": 0.0, "htail": min(max(values["htail"], 0.0), 0.999)}
    reach = values["sigma"]

    def negative(offset: float) -> float:
        return -float(peak(np.array([offset]), shape)[0])

    found = optimize.minimize_scalar(negative, bounds=(-reach, 0.2 * reach), method="bounded", options={"xatol": 1e-9})
    return float(values["mu"] + found.x)
