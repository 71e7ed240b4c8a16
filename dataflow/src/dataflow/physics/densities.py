"""pygama's peak shapes, with their compiled code kept beside the sources.

pygama compiles them in each process, seconds every time, unless it is told otherwise before they are first imported:
import them from here. ``dataflow.jobs.warm`` compiles them at installation. They are imported when they are first
needed, for that alone takes a second: a job that needs them in several workers calls :func:`load` before it forks.
"""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def load() -> Any:
    """pygama's module of distributions."""
    from pygama.utils import numba_math_defaults

    numba_math_defaults.cache = True

    from pygama.math import distributions

    return distributions


def distribution(name: str) -> Any:
    """One of pygama's distributions, for example ``hpge_peak``."""
    return getattr(load(), name)


def hpge_peak_fwhm(sigma: float, htail: float, tau: float) -> float:
    """FWHM of a peak with a tail, as pygama has it; units as those of `sigma` and `tau`."""
    load()
    from pygama.math.hpge_peak_fitting import hpge_peak_fwhm as fwhm

    return float(fwhm(sigma, htail, tau))
