"""From fitted lines to the calibration curve and the resolution curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from iminuit import Minuit, cost
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed

from .linefit import LineFit

Floats = NDArray[np.floating[Any]]

QBB = 2039.061
"""Q value of the double beta decay of 76Ge in keV (Mount et al., Phys. Rev. C 81, 032501, 2010)."""
FLOOR = 0.05
"""Uncertainty in keV that no line's position falls below: the digitizer's nonlinearity."""


@dataclass(frozen=True)
class Curve:
    """A fitted curve.

    Attributes
    ----------
    expression
        With ``x`` for the argument and the letters of the parameters.
    parameters, errors
        By letter.
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
    matrix[np.ix_(powers, powers)] = covariance
    letters = "abc"[: len(full)]
    expression = " + ".join(["a", "b * x", "c * x**2"][: len(full)])
    errors = np.sqrt(np.diag(matrix))
    return Curve(
        expression,
        dict(zip(letters, map(float, full), strict=True)),
        dict(zip(letters, map(float, errors), strict=True)),
        matrix,
        float(residuals @ residuals),
        len(residuals) - len(powers),
    )


def apply(curve: Curve, values: Floats) -> Floats:
    """Calibrated energies in keV, shape as given."""
    result: Floats = np.polyval(list(curve.parameters.values())[::-1], values)
    return result


def resolution(fits: Sequence[LineFit], slope: float, *, quadratic: bool = False) -> Curve | None:
    """The width over energy, sqrt(a + b E) or sqrt(a + b E + c E²): electronic noise, charge statistics, charge loss.

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
    letters = "abc" if quadratic else "ab"
    if len(used) < len(letters):
        return None
    energies = np.array([fit.line.energy for fit in used])
    widths = np.array([fit.fwhm for fit in used]) * slope
    errors = np.maximum(np.array([fit.fwhm_error for fit in used]) * slope, 1e-3)
    squares = cost.LeastSquares(energies, widths, errors, _quadratic_width if quadratic else _width)
    start = [1.0, max((widths[-1] ** 2 - 1) / energies[-1], 1e-4), 1e-8][: len(letters)]
    minuit = Minuit(squares, *start)
    for name in minuit.parameters:
        minuit.limits[name] = (0, None)
    minuit.migrad()
    minuit.hesse()
    if not minuit.valid or minuit.covariance is None:
        return None
    expression = "(a+b*x+c*x**2)**(0.5)" if quadratic else "(a+b*x)**(0.5)"
    values, deviations = (
        dict(zip(letters, map(float, found), strict=True)) for found in (minuit.values, minuit.errors)
    )
    return Curve(
        expression, values, deviations, np.asarray(minuit.covariance), float(minuit.fval), len(used) - len(letters)
    )


def width_at(curve: Curve, energy: float) -> tuple[float, float]:
    """FWHM in keV at an energy, with its error from the covariance of the curve."""
    powers = np.array([energy**power for power in range(len(curve.parameters))])
    square = float(powers @ np.array(list(curve.parameters.values())))
    width = float(np.sqrt(max(square, 0)))
    variance = float(powers @ curve.covariance @ powers)
    return width, float(np.sqrt(max(variance, 0)) / (2 * width)) if width else float("nan")


def _width(energy: Floats, a: float, b: float) -> Floats:
    result: Floats = np.sqrt(np.maximum(a + b * energy, 0))
    return result


def _quadratic_width(energy: Floats, a: float, b: float, c: float) -> Floats:
    result: Floats = np.sqrt(np.maximum(a + b * energy + c * energy**2, 0))
    return result
