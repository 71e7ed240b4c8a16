"""From fitted lines to the calibration curve and the resolution curve; errors grow with the misfit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from dataflow.jobs.errors import WorkFailed

from .goodness import p_value, scale_of
from .linefit import LineFit

Floats = NDArray[np.floating[Any]]

FLOOR = 0.05
"""Uncertainty in keV that no line's position falls below: the digitizer's nonlinearity."""
WIDTH_FLOOR = 0.005
"""Relative uncertainty that no line's width falls below: the shape of a peak is not exactly that of the model."""
MISFIT = 0.01
"""Probability of a chi square below which points and curve contradict each other: then errors grow."""
ROUNDS = 12
SMALLEST = 1e-6
"""Part of the median square of the widths below which the curve of squares does not count as lower."""


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
        return p_value(self.chi2, self.ndf)

    @property
    def fits(self) -> bool:
        """Whether the points agree with the curve."""
        return self.p_value is None or self.p_value >= MISFIT


def fitted(expression: str, letters: str, values: Floats, covariance: Floats, chi2: float, ndf: int) -> Curve:
    """A curve with the errors that its chi square asks for.

    Parameters
    ----------
    expression, letters
        Of the curve, with a letter for each parameter.
    values, covariance
        Shapes (n,) and (n, n); the covariance follows from the errors of the points.
    chi2, ndf
        Of the fit.
    """
    matrix = covariance * scale_of(chi2, ndf, MISFIT) ** 2
    errors = np.sqrt(np.diag(matrix))
    parameters, deviations = (dict(zip(letters, map(float, found), strict=True)) for found in (values, errors))
    return Curve(expression, parameters, deviations, matrix, chi2, ndf)


def misfits(named: Mapping[str, Curve | None], points: str) -> list[str]:
    """Sentences about the curves that do not fit their points, or what these are called."""
    return [
        f"the {name} does not fit its {points} (chi2/ndf = {curve.chi2 / curve.ndf:.1f}); "
        f"its errors are multiplied by {scale_of(curve.chi2, curve.ndf, MISFIT):.1f}"
        for name, curve in named.items()
        if curve is not None and not curve.fits
    ]


def least_squares(design: Floats, values: Floats, weights: Floats) -> tuple[Floats, Floats, float]:
    """Parameters of a linear model by weighted least squares, their covariance, and chi square.

    Parameters
    ----------
    design
        Shape (points, parameters).
    values, weights
        What is to be described, and the inverse of its errors; shape (points,).
    """
    scaled = design * weights[:, None]
    solution, *_ = np.linalg.lstsq(scaled, values * weights, rcond=None)
    residuals = (design @ solution - values) * weights
    return solution, np.linalg.inv(scaled.T @ scaled), float(residuals @ residuals)


def squares_of_widths(design: Floats, widths: Floats, relative: Floats) -> tuple[Floats, Floats, float]:
    """As :func:`least_squares`, for widths whose squares are a linear model, none of whose parameters is negative.

    A width has a relative error, which is taken of the curve and not of the measured width: else what came out too
    narrow would count more.

    Parameters
    ----------
    design
        Shape (points, parameters).
    widths, relative
        The widths and their relative errors, shape (points,).
    """
    model = widths**2
    for _ in range(ROUNDS):
        weights = 1 / (2 * relative * model)
        scaled = design * weights[:, None]
        solution, _norm = optimize.nnls(scaled, widths**2 * weights)
        model = np.maximum(design @ solution, SMALLEST * np.median(widths**2))
    residuals = (widths / np.sqrt(model) - 1) / relative
    return solution, np.linalg.inv(scaled.T @ scaled), float(residuals @ residuals)


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
    solution, covariance, chi2 = least_squares(design, energies, weights)
    scales = np.array([unit**-power for power in powers])
    values, matrix = np.zeros(max(2, len(powers))), np.zeros((max(2, len(powers)),) * 2)
    values[powers] = solution * scales
    matrix[np.ix_(powers, powers)] = covariance * np.outer(scales, scales)
    expression = " + ".join(["a", "b * x", "c * x**2"][: len(values)])
    return fitted(expression, "abc"[: len(values)], values, matrix, chi2, len(energies) - len(powers))


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
    size = 3 if quadratic else 2
    if len(used) < size:
        return None
    energies = np.array([fit.line.energy for fit in used])
    widths = np.array([fit.fwhm for fit in used]) * slope
    relative = np.hypot([fit.fwhm_error / fit.fwhm for fit in used], WIDTH_FLOOR)
    unit = float(energies.max())
    design = np.stack([(energies / unit) ** power for power in range(size)], axis=1)
    solution, covariance, chi2 = squares_of_widths(design, widths, relative)
    scales = np.array([unit**-power for power in range(size)])
    expression = "(a+b*x+c*x**2)**(0.5)" if quadratic else "(a+b*x)**(0.5)"
    matrix = covariance * np.outer(scales, scales)
    return fitted(expression, "abc"[:size], solution * scales, matrix, chi2, len(used) - size)


def width_at(curve: Curve, energy: float) -> tuple[float, float]:
    """FWHM in keV at an energy, with its error from the covariance of the curve."""
    powers = np.array([energy**power for power in range(len(curve.parameters))])
    square = float(powers @ np.array(list(curve.parameters.values())))
    width = float(np.sqrt(max(square, 0)))
    variance = float(powers @ curve.covariance @ powers)
    return width, float(np.sqrt(max(variance, 0)) / (2 * width)) if width else float("nan")
