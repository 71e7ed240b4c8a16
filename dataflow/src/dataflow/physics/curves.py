"""From fitted lines to the calibration curve and the resolution curve; errors grow with the misfit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from dataflow.jobs.errors import WorkFailed

from .linefit import LineFit

Floats = NDArray[np.floating[Any]]

FLOOR = 0.05
"""Uncertainty in keV that no line's position falls below: the digitizer's nonlinearity."""
WIDTH_FLOOR = 0.005
"""Relative uncertainty that no line's width falls below: the shape of a peak is not exactly that of the model."""
MISFIT = 0.01
"""Probability of a chi square below which points and curve contradict each other: then errors grow."""
ROUNDS = 12


@dataclass(frozen=True)
class Curve:
    """A fitted curve.

    Attributes
    ----------
    expression
        With ``x`` for the argument and the letters of the parameters.
    parameters, errors
        By letter; errors and covariance are scaled by the square root of chi2 / ndf where that contradicts the curve.
    covariance
        Shape (n, n), in the order of the parameters.
    chi2, ndf
        Of the fit.
    """

    expression: str
    parameters: dict[str, float]
    errors: dict[str, float]
    covariance: Floats
    chi2: float
    ndf: int

    @property
    def p_value(self) -> float | None:
        """Probability of a larger chi square, None without degrees of freedom."""
        return float(stats.chi2.sf(self.chi2, self.ndf)) if self.ndf > 0 else None

    @property
    def fits(self) -> bool:
        """Whether the points agree with the curve."""
        return self.p_value is None or self.p_value >= MISFIT


def scale_of(chi2: float, ndf: int) -> float:
    """Factor on errors: 1, or the root of chi2 / ndf where the points contradict the curve (as the PDG does)."""
    contradicted = ndf > 0 and stats.chi2.sf(chi2, ndf) < MISFIT
    return float(np.sqrt(chi2 / ndf)) if contradicted else 1.0


def calibration(positions: Floats, errors: Floats, energies: Floats, degree: int) -> Curve:
    """The polynomial from positions to energies, by weighted least squares.

    Parameters
    ----------
    positions, errors
        Of the lines in uncalibrated units, shape (lines,).
    energies
        Where they belong, in keV, shape (lines,).
    degree
        0 for a factor alone, 1 for offset and slope, 2 for a parabola; less if there are too few lines.

    Returns
    -------
    Curve
        Parameters a (keV), b (keV per unit), c.

    Raises
    ------
    WorkFailed
        If there is no line.
    """
    if len(positions) == 0:
        raise WorkFailed("no line could be fitted")
    powers = [1] if min(degree, len(positions) - 1) == 0 else list(range(min(degree, len(positions) - 1) + 1))
    slope = float(np.median(energies / positions))
    weights = 1 / np.hypot(errors * slope, FLOOR)
    unit = float(positions.max())
    design = np.stack([(positions / unit) ** power for power in powers], axis=1)
    solution, *_ = np.linalg.lstsq(design * weights[:, None], energies * weights, rcond=None)
    covariance = np.linalg.inv((design * weights[:, None]).T @ (design * weights[:, None]))
    scales = np.array([unit**-power for power in powers])
    residuals = (design @ solution - energies) * weights
    return _polynomial(powers, solution * scales, covariance * np.outer(scales, scales), residuals)


def _polynomial(powers: list[int], values: Floats, covariance: Floats, residuals: Floats) -> Curve:
    full = np.zeros(max(2, len(powers)))
    matrix = np.zeros((len(full), len(full)))
    full[powers] = values
    chi2, ndf = float(residuals @ residuals), len(residuals) - len(powers)
    matrix[np.ix_(powers, powers)] = covariance * scale_of(chi2, ndf) ** 2
    expression = " + ".join(["a", "b * x", "c * x**2"][: len(full)])
    return _curve(expression, full, matrix, chi2, ndf)


def _curve(expression: str, values: Floats, covariance: Floats, chi2: float, ndf: int) -> Curve:
    letters = "abc"[: len(values)]
    errors = np.sqrt(np.diag(covariance))
    parameters, deviations = (dict(zip(letters, map(float, found), strict=True)) for found in (values, errors))
    return Curve(expression, parameters, deviations, covariance, chi2, ndf)


def apply(curve: Curve, values: Floats) -> Floats:
    """Calibrated energies in keV, shape as given."""
    result: Floats = np.polyval(list(curve.parameters.values())[::-1], values)
    return result


def resolution(fits: Sequence[LineFit], slope: float, *, quadratic: bool = False) -> Curve | None:
    """The width over energy, sqrt(a + b E) or sqrt(a + b E + c E²): electronic noise, charge statistics, charge loss.

    The squares of the widths are linear in the parameters, none of which is negative. A width has a relative error,
    which is taken of the curve and not of the measured width: else lines that came out too narrow would count more.

    Parameters
    ----------
    fits
        The fitted lines.
    slope
        Factor from the fits' unit to keV.
    quadratic
        Whether there is a term c.

    Returns
    -------
    Curve or None
        None if there are fewer lines than parameters.
    """
    used = [fit for fit in fits if fit.line.for_resolution]
    size = 3 if quadratic else 2
    if len(used) < size:
        return None
    energies = np.array([fit.line.energy for fit in used])
    widths = np.array([fit.fwhm for fit in used]) * slope
    relative = np.hypot([fit.fwhm_error / fit.fwhm for fit in used], WIDTH_FLOOR)
    unit = float(energies.max())
    design = np.stack([(energies / unit) ** power for power in range(size)], axis=1)
    model = widths**2
    for _ in range(ROUNDS):
        weights = 1 / (2 * relative * model)
        solution, _norm = optimize.nnls(design * weights[:, None], widths**2 * weights)
        model = np.maximum(design @ solution, 1e-6)
    covariance = np.linalg.inv((design * weights[:, None]).T @ (design * weights[:, None]))
    residuals = (widths / np.sqrt(model) - 1) / relative
    chi2, ndf = float(residuals @ residuals), len(used) - size
    scales = np.array([unit**-power for power in range(size)])
    expression = "(a+b*x+c*x**2)**(0.5)" if quadratic else "(a+b*x)**(0.5)"
    matrix = covariance * np.outer(scales, scales) * scale_of(chi2, ndf) ** 2
    return _curve(expression, solution * scales, matrix, chi2, ndf)


def width_at(curve: Curve, energy: float) -> tuple[float, float]:
    """FWHM in keV at an energy, with its error from the covariance of the curve."""
    powers = np.array([energy**power for power in range(len(curve.parameters))])
    square = float(powers @ np.array(list(curve.parameters.values())))
    width = float(np.sqrt(max(square, 0)))
    variance = float(powers @ curve.covariance @ powers)
    return width, float(np.sqrt(max(variance, 0)) / (2 * width)) if width else float("nan")
