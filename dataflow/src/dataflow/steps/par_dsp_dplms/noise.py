"""The covariance of the noise from traces without pulses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataflow.jobs.errors import WorkFailed

Floats = NDArray[np.float64]

BLOCK = 500
"""Traces that are transformed together."""
FLOOR = 1e-9
"""Least variance in any direction, as a part of the sum of all: below, it is rounding."""


def structure_function(traces: Floats, length: int) -> Floats:
    """Half the mean square difference of two samples, by their distance.

    Differences do not know of the level of a trace, which the chain's baseline subtracted, so that noise of low
    frequency is described without a bias. All pairs of samples of a distance count: the noise of forced triggers has no
    begin. (A. N. Kolmogorov's structure function; a variogram.)

    Parameters
    ----------
    traces
        In ADC counts, shape (traces, samples).
    length
        Number of distances, from 0.

    Returns
    -------
    ndarray
        In ADC², shape (length,); 0 at distance 0.
    """
    count, samples = traces.shape
    size = int(2 ** np.ceil(np.log2(samples + length)))
    products, squares = np.zeros(size), np.zeros(samples)
    for first in range(0, count, BLOCK):
        block = traces[first : first + BLOCK] - traces[first : first + BLOCK].mean(axis=1, keepdims=True)
        products += np.fft.irfft((np.abs(np.fft.rfft(block, size, axis=1)) ** 2).sum(axis=0), size)
        squares += (block**2).sum(axis=0)
    summed = np.concatenate([[0.0], np.cumsum(squares)])
    distance = np.arange(length)
    pairs = count * (samples - distance)
    both = summed[samples - distance] + summed[samples] - summed[distance]
    return np.asarray(np.maximum((both - 2 * products[:length]) / (2 * pairs), 0.0))


def noise_matrix(traces: Floats, length: int, first: int, baseline: int) -> Floats:
    """The covariance of the samples that a filter sees, above the mean of a trace's begin.

    Stationary noise has as many numbers as there are distances; 1000 traces tell each to a per cent. The full matrix of
    covariances has a thousand times as many: a filter that is optimised with it finds the accidental minima of the
    sample. With the structure function D and the mean over the baseline B, it is
    cov(i, j) = <D(i-k)> + <D(j-k)> - D(i-j) - <D(k-l)>, with the means over k and l in B (as in kriging: G. Matheron,
    Adv. Appl. Prob. 5 (1973) 439).

    Parameters
    ----------
    traces
        In ADC counts, shape (traces, samples); their levels do not matter.
    length
        Of the filter, in samples.
    first
        The first sample that it sees where pulses are.
    baseline
        Number of samples at the beginning of the trace whose mean the chain subtracts.

    Returns
    -------
    ndarray
        In ADC², shape (length, length), positive definite.

    Raises
    ------
    WorkFailed
        If all samples are the same.
    """
    from scipy.linalg import toeplitz

    found = structure_function(traces, max(first + length, baseline))
    if not found.max() > 0:
        raise WorkFailed(f"the {len(traces)} traces have no noise: all their samples are the same")
    before, seen = np.arange(baseline), first + np.arange(length)
    against = found[np.abs(seen[:, None] - before[None])].mean(axis=1)
    own = found[np.abs(before[:, None] - before[None])].mean()
    return definite(against[:, None] + against[None] - toeplitz(found[:length]) - own)


def definite(matrix: Floats) -> Floats:
    """The nearest matrix that is positive definite beyond rounding: eigenvalues below a floor are that floor.

    An estimate from all pairs of samples need not be a covariance; a pure sine has no noise at all in most directions.
    """
    least = FLOOR * float(np.trace(matrix))
    try:
        np.linalg.cholesky(matrix - least * np.eye(len(matrix)))
    except np.linalg.LinAlgError:
        pass
    else:
        return matrix
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.maximum(values, least)) @ vectors.T)
