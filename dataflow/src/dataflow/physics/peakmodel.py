"""The density of events around a gamma line: pygama's peak on its background, and neighbours that overlap with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .densities import distribution

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
        total, density = distribution(self.function).pdf_ext(energies, *self.window, *values)
        for distance, share in self.neighbours:
            content, shape = self._neighbour(values, distance, share)
            low, high = _peak().get_cdf(np.array(self.window), *shape)
            total += content * (high - low)
            density = density + content * _peak().get_pdf(energies, *shape)
        return float(total), density

    def cumulative(self, edges: Floats, *values: float) -> Floats:
        """Events expected below some energies of the window, shape as given."""
        found: Floats = distribution(self.function).cdf_ext(edges, *self.window, *values)
        for distance, share in self.neighbours:
            content, shape = self._neighbour(values, distance, share)
            found = found + content * _peak().get_cdf(edges, *shape)
        return found

    def background(self, energies: Floats, values: Mapping[str, float]) -> Floats:
        """Events per keV that are not of this line, shape as given."""
        ordered = [values[name] for name in self.names]
        content, shape = self._neighbour(ordered, 0.0, 1.0)
        result: Floats = self.density(energies, *ordered)[1] - content * _peak().get_pdf(energies, *shape)
        return result

    def _neighbour(self, values: Any, distance: float, share: float) -> tuple[float, tuple[float, ...]]:
        """Content of a line with this line's shape at a distance, and that shape."""
        named = dict(zip(self.names, values, strict=True))
        shape = (named["mu"] + distance, named["sigma"], named.get("htail", 0.0), named.get("tau", 1.0))
        return named["n_sig"] * share, shape


def mode(values: Mapping[str, float]) -> float:
    """Where the peak is highest: `mu`, or below it if there is a tail."""
    from scipy import optimize

    if "htail" not in values:
        return values["mu"]
    shape = (values["sigma"], min(max(values["htail"], 0.0), 0.999), values["tau"])
    reach = values["sigma"]

    def negative(offset: float) -> float:
        return -float(_peak().get_pdf(np.array([values["mu"] + offset]), values["mu"], *shape)[0])

    found = optimize.minimize_scalar(negative, bounds=(-reach, 0.2 * reach), method="bounded", options={"xatol": 1e-9})
    return float(values["mu"] + found.x)


def _peak() -> Any:
    return distribution("gauss_on_exgauss")
