"""pygama's peak shapes, with their compiled code kept beside the sources.

``dataflow.jobs.warm`` compiles them at installation. They are imported when they are first needed, for that alone
takes a second: a job that needs them in several workers calls :func:`load` before it forks.
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
    from .pygamashapes import distributions

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
    from . import pygamashapes as shapes

    return Kernels(
        shapes.nb_gauss_pdf, shapes.nb_exgauss_pdf, shapes.nb_step_pdf,
        shapes.nb_gauss_cdf, shapes.nb_exgauss_cdf, shapes.nb_step_cdf,
    )  # fmt: skip
