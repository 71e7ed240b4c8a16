"""Values drawn from a seed by name.

Every drawn quantity has a name, and its value is a hash of seed and name: adding a quantity, a detector or a run never
changes the values of the others, and no order of evaluation matters.
"""

from __future__ import annotations

import hashlib
from statistics import NormalDist


def number(seed: int, name: str) -> int:
    """A 64-bit integer, the first eight bytes of SHA-256 of seed and name."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "little")


def uniform(seed: int, name: str, low: float, high: float) -> float:
    """Uniformly distributed in (low, high)."""
    return low + (high - low) * (number(seed, name) + 0.5) / 2.0**64


def normal(seed: int, name: str, mean: float, sigma: float) -> float:
    """Normally distributed, by inversion."""
    return NormalDist(mean, sigma).inv_cdf(uniform(seed, name, 0.0, 1.0))
