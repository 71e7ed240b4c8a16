"""What the optimisations of filters share: kernels as the shipped chain has them, and the minimum of a scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def kernel_of(name: str, sigma: float, flat: int, tau: float, length: int) -> Floats | None:
    """The kernel of dspeed's cusp or zac filter.

    Parameters
    ----------
    name
        ``cusp`` or ``zac``.
    sigma, flat, tau
        In samples.
    length
        Of the kernel, in samples.

    Returns
    -------
    ndarray or None
        Shape (length,); None where a sigma of a few samples gives numbers that are not finite.
    """
    from dspeed.processors import cusp_filter, zac_filter

    kernel = np.zeros(length)
    with np.errstate(over="ignore", invalid="ignore"):
        {"cusp": cusp_filter, "zac": zac_filter}[name](sigma, flat, tau, kernel)
    return kernel if np.isfinite(kernel).all() else None


def minimum(times: Floats, values: Floats) -> float:
    """The minimum of a parabola through the lowest value and its neighbours; an end where that is lowest."""
    lowest = int(np.argmin(values))
    if lowest in (0, len(values) - 1):
        return float(times[lowest])
    around = slice(lowest - 1, lowest + 2)
    offsets = times[around] - times[lowest]
    curve, slope, _ = np.polyfit(offsets, values[around], 2)
    shift = -slope / (2 * curve) if curve > 0 else 0.0
    return float(times[lowest] + np.clip(shift, offsets[0], offsets[2]))
