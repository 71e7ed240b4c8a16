"""The filter of least mean squares, from what its terms weigh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """Weights of the terms.

    Attributes
    ----------
    nm, za, pl, ft
        Of noise, area, tail of an earlier pulse, and times of collection.
    """

    nm: float
    za: float
    pl: float
    ft: float


@dataclass(frozen=True)
class Terms:
    """What a filter shall not see, and what it shall.

    Attributes
    ----------
    noise
        Covariance of the noise, ADC², shape (length, length).
    spread
        Spread of charges by the time of their collection, ADC², shape (length, length).
    tail
        An earlier pulse that has height 1 where the filter begins, shape (length,).
    reference
        The pulse of height 1, shape (length,).
    """

    noise: Floats
    spread: Floats
    tail: Floats
    reference: Floats


def tail_of(length: int, tau: float) -> Floats:
    """What remains of an earlier pulse: it decays with the preamplifier's constant.

    Parameters
    ----------
    length
        In samples.
    tau
        In samples.
    """
    return np.asarray(np.exp(-np.arange(length) / tau))


def synthesised(terms: Terms, weights: Weights) -> Floats:
    """The weights of samples that measure the height of a pulse with the least mean square error.

    With the matrix A = nm·N + za·1 1ᵀ + pl·t tᵀ + ft·F of noise, area, tail and times, the sum xᵀ A x + (1 - xᵀ r)² is
    least for (A + r rᵀ) x = r (V. D'Andrea et al., Eur. Phys. J. C 83 (2023) 149). The term of the reference r
    scales the solution and changes nothing else, as (A + r rᵀ)⁻¹ r = A⁻¹ r / (1 + rᵀ A⁻¹ r); here xᵀ r = 1.

    Parameters
    ----------
    terms
        N, F, t and r.
    weights
        Their weights.

    Returns
    -------
    ndarray
        In the order of the samples, shape (length,).
    """
    from scipy.linalg import cho_factor, cho_solve

    length = len(terms.reference)
    matrix = weights.nm * terms.noise + weights.ft * terms.spread
    matrix += weights.za * np.ones((length, length)) + weights.pl * np.outer(terms.tail, terms.tail)
    found = cho_solve(cho_factor(matrix), terms.reference)
    return np.asarray(found / (found @ terms.reference))
