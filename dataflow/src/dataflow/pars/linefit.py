"""The fit of one gamma line: extended unbinned likelihood, from a dozen counts to a hundred thousand.

The densities are pygama's. pygama's own staged fit asks for 100 signal counts, a test stand has less; here the model
grows with the counts: a Gaussian on a flat background, then a step below it, then the tail of incomplete charge.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from iminuit import Minuit, cost
from numpy.typing import NDArray

from .lines import Line

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
"""FWHM in keV above which it is no line of a germanium detector."""


@dataclass(frozen=True)
class LineFit:
    """A fitted line.

    Attributes
    ----------
    line
        Which one.
    function
        Name of pygama's distribution.
    parameters, errors
        By name, in keV and counts.
    position, position_error
        Mode of the peak, in the unit of the fitted energies (keV under the first guess).
    fwhm, fwhm_error
        Full width at half maximum, same unit.
    counts, counts_error
        Signal.
    window
        Fitted range.
    events
        Events in it.
    """

    line: Line
    function: str
    parameters: Mapping[str, float]
    errors: Mapping[str, float]
    position: float
    position_error: float
    fwhm: float
    fwhm_error: float
    counts: float
    counts_error: float
    window: tuple[float, float]
    events: int


def fit_line(energies: Floats, line: Line, *, shift: float = 0.0) -> LineFit | None:
    """Fit one line.

    Parameters
    ----------
    energies
        Energies in keV (a first guess will do), shape (events,).
    line
        The line.
    shift
        Where it is expected, relative to its energy, in keV.

    Returns
    -------
    LineFit or None
        None if no line stands out there.
    """
    centre = line.energy + shift
    near = energies[(energies > centre - line.below) & (energies < centre + line.above)]
    start = _start(near, centre)
    if start is None:
        return None
    mode, sigma, signal, background = start
    low, high = mode - line.below, mode + line.above
    inside = np.ascontiguousarray(energies[(energies > low) & (energies < high)], dtype=np.float64)
    first = {"n_sig": signal, "mu": mode, "sigma": sigma, "n_bkg": max(background, 1.0), "hstep": 0.0}
    best = _minimise("gauss_on_step", inside, (low, high), first, step=background > STEP_COUNTS)
    if line.full_energy and best.values["n_sig"] > TAIL_COUNTS:
        best = _with_tail(best, inside, (low, high))
    return _result(line, best, (low, high), len(inside))


def density(fit: LineFit, energies: Floats) -> Floats:
    """Events per keV that a fit expects at some energies, shape as given."""
    values = [fit.window[0], fit.window[1], *fit.parameters.values()]
    expected: Floats = _distribution(fit.function).pdf_ext(energies, *values)[1]
    return expected


def _start(near: Floats, centre: float) -> tuple[float, float, float, float] | None:
    """Mode, sigma, signal and background to start from, by the densest place in the window."""
    if len(near) < 4:
        return None
    half = 1.5 + 0.7e-3 * centre
    ordered = np.sort(near)
    counts = np.searchsorted(ordered, ordered + half) - np.arange(len(ordered))
    densest = int(np.argmax(counts))
    top = ordered[densest : densest + counts[densest]]
    mode, width = float(np.median(top)), float(ordered[-1] - ordered[0])
    background = max(len(near) - len(top), 0) * width / max(width - half, half)
    sigma = min(max(float(np.std(top)), 0.3), half)
    return mode, sigma, max(len(near) - background, 3.0), background


def _minimise(
    name: str, data: Floats, window: tuple[float, float], start: Mapping[str, float], *, step: bool
) -> Minuit:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        negative_log = cost.ExtendedUnbinnedNLL(data, _distribution(name).pdf_ext)
        minuit = Minuit(negative_log, x_lo=window[0], x_hi=window[1], **start)
        minuit.fixed["x_lo", "x_hi"] = True
        minuit.limits["n_sig", "n_bkg"] = (0, None)
        minuit.limits["mu"] = window
        minuit.limits["sigma"] = (0.15, WIDEST / FWHM * 1.5)
        minuit.limits["hstep"] = (-1, 1)
        minuit.fixed["hstep"] = not step
        if "htail" in start:
            minuit.limits["htail"], minuit.limits["tau"] = (0, 0.5), (0.1, 30 * start["sigma"])
        minuit.migrad(ncall=4000)
        if not minuit.valid:
            minuit.simplex().migrad()
        minuit.hesse()
    return minuit


def _with_tail(plain: Minuit, data: Floats, window: tuple[float, float]) -> Minuit:
    """The fit with a tail, if the counts ask for one."""
    values = plain.values.to_dict()
    start = {name: values[name] for name in ("n_sig", "mu", "sigma")}
    start |= {"htail": 0.05, "tau": 1.5 * values["sigma"], "n_bkg": values["n_bkg"], "hstep": values["hstep"]}
    tailed = _minimise("hpge_peak", data, window, start, step=True)
    return tailed if tailed.valid and plain.fval - tailed.fval > TAIL_GAIN else plain


def _result(line: Line, fit: Minuit, window: tuple[float, float], events: int) -> LineFit | None:
    values, errors = fit.values.to_dict(), fit.errors.to_dict()
    width, width_error = _fwhm(fit)
    counts, counts_error = values["n_sig"], errors["n_sig"]
    if not fit.valid or not np.isfinite([width, width_error, counts_error]).all():
        return None
    if counts < LEAST_SIGNIFICANCE * max(counts_error, 1.0) or not 0.3 < width < WIDEST:
        return None
    names = [name for name in values if name not in ("x_lo", "x_hi")]
    return LineFit(
        line=line,
        function="hpge_peak" if "htail" in values else "gauss_on_step",
        parameters={name: values[name] for name in names},
        errors={name: errors[name] for name in names},
        position=_mode(values),
        position_error=errors["mu"],
        fwhm=width,
        fwhm_error=width_error,
        counts=counts,
        counts_error=counts_error,
        window=window,
        events=events,
    )


def _mode(values: Mapping[str, float]) -> float:
    """Where the peak is highest: `mu`, or below it if there is a tail."""
    if "htail" not in values:
        return values["mu"]
    grid = values["mu"] + values["sigma"] * np.linspace(-1, 0.2, 1201)
    return float(grid[int(np.argmax(_peak(grid, values)))])


def _fwhm(fit: Minuit) -> tuple[float, float]:
    """Full width at half maximum and its error, propagated through the covariance of the shape."""
    values = fit.values.to_dict()
    if "htail" not in values:
        return FWHM * values["sigma"], FWHM * fit.errors["sigma"]
    names = ("sigma", "htail", "tau")
    width = _tailed_width(values)
    gradient = np.zeros(3)
    for i, name in enumerate(names):
        delta = max(0.1 * fit.errors[name], 1e-6)
        gradient[i] = (_tailed_width(values | {name: values[name] + delta}) - width) / delta
    covariance = np.array([[fit.covariance[a, b] for b in names] for a in names])
    return width, float(np.sqrt(max(gradient @ covariance @ gradient, 0)))


def _tailed_width(values: Mapping[str, float]) -> float:
    from .densities import hpge_peak_fwhm

    return float(hpge_peak_fwhm(values["sigma"], min(max(values["htail"], 0), 0.999), values["tau"]))


def _peak(energies: Floats, values: Mapping[str, float]) -> Floats:
    shape = (values["mu"], values["sigma"], values["htail"], values["tau"])
    result: Floats = _distribution("gauss_on_exgauss").get_pdf(energies, *shape)
    return result


def _distribution(name: str) -> Any:
    from .densities import distribution

    return distribution(name)
