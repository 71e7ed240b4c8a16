"""pygama's peak shapes, with their compiled code kept beside the sources.

pygama compiles them in each process, seconds every time, unless it is told otherwise before they are first imported:
import them from here. ``dataflow.jobs.warm`` compiles them at installation. They are imported when they are first
needed, for that alone takes a second: a job that needs them in several workers calls :func:`load` before it forks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


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


@dataclass(frozen=True)
class Kernels:
    """The compiled functions that pygama's distributions are sums of.

    The sums look up the signature of each of their parts whenever they are evaluated, which takes as long as the
    evaluation: fits, which evaluate them ten thousand times, add up the parts themselves.

    Attributes
    ----------
    gauss, tail, step
        Densities of a Gaussian (x, mu, sigma), of one with an exponential tail (x, mu, sigma, tau) and of a step
        (x, low, high, mu, sigma, height).
    gauss_below, tail_below, step_below
        Their cumulative distributions.
    """

    gauss: Callable[..., Floats]
    tail: Callable[..., Floats]
    step: Callable[..., Floats]
    gauss_below: Callable[..., Floats]
    tail_below: Callable[..., Floats]
    step_below: Callable[..., Floats]


@cache
def kernels() -> Kernels:
    """pygama's compiled functions."""
    load()
    from pygama.math.functions.exgauss import nb_exgauss_cdf, nb_exgauss_pdf
    from pygama.math.functions.gauss import nb_gauss_cdf, nb_gauss_pdf
    from pygama.math.functions.step import nb_step_cdf, nb_step_pdf

    return Kernels(nb_gauss_pdf, nb_exgauss_pdf, nb_step_pdf, nb_gauss_cdf, nb_exgauss_cdf, nb_step_cdf)
